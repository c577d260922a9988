#!/usr/bin/python3
"""Loads the fedmeta models beside this file into PyTorch; needs nothing but the standard library and torch.

    python3 load.py [FILE.safetensors]        names and shapes, and one forward pass on zeros

    from load import load, build, adapt
    state = load("checkpoints/best.safetensors")          # a state_dict
    model = build("checkpoints/best.safetensors")         # an nn.Module with these weights
    model = adapt(model, inputs, targets, steps=5, learning_rate=0.05)
"""

import copy
import json
import pathlib
import struct
import sys

import torch
from torch import nn
from torch.nn import functional


def read(path):
    """All tensors of a .safetensors file by name, and its metadata."""
    content = pathlib.Path(path).read_bytes()
    (length,) = struct.unpack("<Q", content[:8])
    header = json.loads(content[8 : 8 + length])
    metadata = header.pop("__metadata__", {})
    data = content[8 + length :]
    tensors = {}
    for name, entry in sorted(header.items(), key=lambda item: item[1]["data_offsets"]):
        if entry["dtype"] != "F32":
            raise ValueError(f"{path}: {name} has dtype {entry['dtype']}, expected F32")
        begin, end = entry["data_offsets"]
        if begin == end:
            tensors[name] = torch.zeros(entry["shape"])
        else:
            values = torch.frombuffer(bytearray(data[begin:end]), dtype=torch.float32)
            tensors[name] = values.reshape(entry["shape"])
    return tensors, metadata


def load(path):
    """The state_dict of the model. What an algorithm keeps beside the model ("segment/name") is left out."""
    tensors, _ = read(path)
    return {name: tensor for name, tensor in tensors.items() if "/" not in name}


class Mlp(nn.Module):
    def __init__(self, inputs, outputs, hidden=(40, 40), activation="relu"):
        super().__init__()
        widths = [inputs, *hidden, outputs]
        self.layers = nn.ModuleList(nn.Linear(a, b) for a, b in zip(widths, widths[1:]))
        self.activation = {"relu": torch.relu, "tanh": torch.tanh, "softplus": functional.softplus}[activation]

    def forward(self, x):
        x = x.flatten(1)
        for layer in self.layers[:-1]:
            x = self.activation(layer(x))
        return self.layers[-1](x)


class Norm(nn.Module):
    """Statistics of groups of channels of each example, of the batch at hand, or running ones.

    Running ones serve in evaluation mode ("frozen": always) where the model has any; training mode takes the batch at
    hand and leaves them alone.
    """

    def __init__(self, channels, kind, gamma, running):
        super().__init__()
        self.kind = kind
        self.groups = 4 if channels % 4 == 0 else 1
        self.weight = nn.Parameter(torch.ones(channels)) if gamma else None
        self.bias = nn.Parameter(torch.zeros(channels))
        self.running = running
        self.keep_next = False  # take the statistics of the next batch as running ones
        if running:
            self.register_buffer("running_mean", torch.zeros(channels))
            self.register_buffer("running_var", torch.ones(channels))

    def forward(self, x):
        if self.kind == "group":
            return functional.group_norm(x, self.groups, self.weight, self.bias)
        if self.keep_next:
            self.running, self.keep_next = True, False
            self.register_buffer("running_mean", x.mean((0, 2, 3)))
            self.register_buffer("running_var", x.var((0, 2, 3), unbiased=False))
        if self.running and (self.kind == "frozen" or not self.training):
            return torch.batch_norm(x, self.weight, self.bias, self.running_mean, self.running_var, False, 0.0, 1e-5, True)
        return torch.batch_norm(x, self.weight, self.bias, None, None, True, 0.0, 1e-5, True)


class Conv4Block(nn.Module):
    def __init__(self, channels, settings):
        super().__init__()
        self.settings = settings
        stride = 2 if settings["downsample"] == "stride" else 1
        normalised = settings["normalization"] != "none"
        self.conv = nn.Conv2d(channels, settings["filters"], 3, stride=stride, padding=1, bias=not normalised)
        self.norm = nn.Identity()
        if normalised:
            self.norm = Norm(settings["filters"], settings["normalization"], settings["gamma"], settings["running"])

    def forward(self, x):
        x = self.norm(self.conv(x))
        x = functional.softplus(x) if self.settings["activation"] == "softplus" else torch.relu(x)
        if self.settings["downsample"] == "pool":
            x = functional.avg_pool2d(x, 2) if self.settings["pooling"] == "mean" else functional.max_pool2d(x, 2)
        return x


class Conv4(nn.Module):
    def __init__(self, input_shape, outputs, **settings):
        super().__init__()
        defaults = {"filters": 64, "downsample": "pool", "readout": "flatten", "normalization": "batch",
                    "gamma": True, "activation": "relu", "pooling": "max", "running": False}
        self.settings = {**defaults, **settings}
        channels = [input_shape[0]] + [self.settings["filters"]] * 3
        self.blocks = nn.ModuleList(Conv4Block(c, self.settings) for c in channels)
        with torch.no_grad():
            features = self.features(torch.zeros(2, *input_shape)).shape[1]
        self.head = nn.Linear(features, outputs)

    def features(self, x):
        for block in self.blocks:
            x = block(x)
        return x.mean((2, 3)) if self.settings["readout"] == "mean" else x.flatten(1)

    def forward(self, x):
        return self.head(self.features(x))


class CharLstm(nn.Module):
    def __init__(self, outputs, embedding=8, hidden=256, layers=2):
        super().__init__()
        self.embedding = nn.Embedding(outputs, embedding)
        self.lstm = nn.LSTM(embedding, hidden, layers, batch_first=True)
        self.head = nn.Linear(hidden, outputs)

    def forward(self, x):
        return self.head(self.lstm(self.embedding(x.long()))[0][:, -1])


MODELS = ("mlp", "conv4", "char_lstm")


def snake_case(value):
    """Keys of protobuf's JSON ("inputShape") as they stand in experiment files ("input_shape")."""
    if not isinstance(value, dict):
        return value
    return {"".join("_" + c.lower() if c.isupper() else c for c in key): snake_case(v) for key, v in value.items()}


def assignment(metadata):
    """What the model was built from: names, settings, input shape, outputs."""
    if "assignment" not in metadata:
        raise ValueError("the file does not say which model it holds (metadata 'assignment')")
    return snake_case(json.loads(metadata["assignment"]))


def build(path):
    """The nn.Module that a file describes, with its weights, in evaluation mode. Models: mlp, conv4, char_lstm."""
    _, metadata = read(path)
    state = load(path)
    described = assignment(metadata)
    name = described["model"]["name"]
    settings = dict(described["model"].get("settings", {}))
    settings.pop("@type", None)
    shape = [int(extent) for extent in described["input_shape"]]
    outputs = int(described["outputs"])
    if name == "mlp":
        count = 1
        for extent in shape:
            count *= extent
        settings.pop("head", None)  # how it began
        model = Mlp(count, outputs, **settings)
    elif name == "conv4":
        settings.pop("statistics_momentum", None)
        model = Conv4(shape, outputs, running="blocks.0.norm.running_mean" in state, **settings)
        # Whether adapt() ends with the statistics of the support set, as fedmeta's own adaptation does.
        by_support = {"batch": described.get("transductive") is False, "local": True}
        model.statistics_of_support = by_support.get(model.settings["normalization"], False)
    elif name == "char_lstm":
        model = CharLstm(outputs, **settings)
    else:
        raise ValueError(f"build() knows the models {', '.join(MODELS)}, not {name}; load() gives the weights")
    model.load_state_dict(state)
    return model.eval()


def adapt(model, inputs, targets, steps, learning_rate, loss=functional.cross_entropy):
    """A copy of the model after `steps` steps of gradient descent on the support set (inputs, targets)."""
    adapted = copy.deepcopy(model).train()
    optimizer = torch.optim.SGD(adapted.parameters(), lr=learning_rate)
    for _ in range(steps):
        optimizer.zero_grad()
        loss(adapted(inputs), targets).backward()
        optimizer.step()
    if getattr(adapted, "statistics_of_support", False):
        for module in adapted.modules():
            if isinstance(module, Norm):
                module.keep_next = True
        with torch.no_grad():
            adapted(inputs)
    return adapted.eval()


def default_path():
    here = pathlib.Path(__file__).resolve().parent
    for name in ("checkpoints/best.safetensors", "checkpoints/final.safetensors"):
        if (here / name).exists():
            return here / name
    found = sorted([*here.glob("*.safetensors"), *here.glob("checkpoints/*.safetensors")])
    if not found:
        sys.exit(f"no .safetensors file in {here}")
    return found[-1]


def main():
    path = pathlib.Path(sys.argv[1]) if len(sys.argv) > 1 else default_path()
    tensors, metadata = read(path)
    print(path)
    for name, tensor in tensors.items():
        print(f"  {name:28} {list(tensor.shape)}")
    print(f"  {sum(t.numel() for t in tensors.values()):,} values")
    if "assignment" not in metadata:
        return
    described = assignment(metadata)
    if described["model"]["name"] not in MODELS:
        return
    model = build(path)
    inputs = torch.zeros(2, *[int(extent) for extent in described["input_shape"]])
    with torch.no_grad():
        print(f"{described['model']['name']}: forward on zeros {list(inputs.shape)} gives {list(model(inputs).shape)}")


if __name__ == "__main__":
    main()
