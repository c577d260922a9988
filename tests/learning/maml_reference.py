"""MAML's meta-gradient of one task in plain PyTorch, for maml_reference_test.cc to compare with.

Usage: maml_reference.py IN OUT [IN OUT ...]
IN holds lines `model NAME`, `steps K`, `rate ALPHA`, then for each array a line `array NAME EXTENT...` and a line with
its values. Arrays named support_inputs, support_targets, query_inputs, query_targets are data, all others parameters
under their state_dict names. OUT receives the gradient of the query loss after K steps, one value a line, parameters
in the order of IN.
"""

import sys

import torch
import torch.nn.functional as F

DATA = ("support_inputs", "support_targets", "query_inputs", "query_targets")


def read(path):
    words, arrays = {}, {}
    with open(path) as lines:
        for line in lines:
            key, *rest = line.split()
            if key != "array":
                words[key] = rest[0]
                continue
            name, *extents = rest
            values = torch.tensor([float(v) for v in next(lines).split()])
            arrays[name] = values.reshape([int(e) for e in extents])
    return words, arrays


def mlp_loss(p, x, y):
    layers = len(p) // 2
    for i in range(layers):
        x = F.linear(x, p[f"layers.{i}.weight"], p[f"layers.{i}.bias"])
        if i + 1 < layers:
            x = torch.relu(x)
    return F.mse_loss(x, y)


def conv4_loss(p, x, y):
    for i in range(4):
        x = F.conv2d(x, p[f"blocks.{i}.conv.weight"], padding=1)
        gamma, beta = p[f"blocks.{i}.norm.weight"], p[f"blocks.{i}.norm.bias"]
        x = F.batch_norm(x, None, None, gamma, beta, training=True)
        x = F.max_pool2d(torch.relu(x), 2)
    logits = F.linear(x.flatten(1), p["head.weight"], p["head.bias"])
    return F.cross_entropy(logits, y.long())


def char_lstm_loss(p, x, y):
    x = F.embedding(x.long(), p["embedding.weight"])
    for layer in range(2):
        weight_ih, weight_hh = p[f"lstm.weight_ih_l{layer}"], p[f"lstm.weight_hh_l{layer}"]
        bias = p[f"lstm.bias_ih_l{layer}"] + p[f"lstm.bias_hh_l{layer}"]
        h = c = torch.zeros(len(x), weight_hh.shape[1])
        steps = []
        for t in range(x.shape[1]):
            i, f, g, o = (F.linear(x[:, t], weight_ih) + F.linear(h, weight_hh) + bias).chunk(4, 1)
            c = torch.sigmoid(f) * c + torch.sigmoid(i) * torch.tanh(g)
            h = torch.sigmoid(o) * torch.tanh(c)
            steps.append(h)
        x = torch.stack(steps, 1)
    return F.cross_entropy(F.linear(x[:, -1], p["head.weight"], p["head.bias"]), y.long())


def meta_gradient(words, arrays):
    loss = {"mlp": mlp_loss, "conv4": conv4_loss, "char_lstm": char_lstm_loss}[words["model"]]
    data = {name: arrays.pop(name) for name in DATA}
    theta = {name: value.requires_grad_() for name, value in arrays.items()}
    phi = dict(theta)
    for _ in range(int(words["steps"])):
        support = loss(phi, data["support_inputs"], data["support_targets"])
        gradients = torch.autograd.grad(support, list(phi.values()), create_graph=True)
        phi = {n: w - float(words["rate"]) * g for (n, w), g in zip(phi.items(), gradients)}
    query = loss(phi, data["query_inputs"], data["query_targets"])
    return torch.cat([g.flatten() for g in torch.autograd.grad(query, list(theta.values()))])


def main(arguments):
    torch.set_num_threads(1)
    for source, target in zip(arguments[::2], arguments[1::2]):
        with open(target, "w") as out:
            out.writelines(f"{v:.9g}\n" for v in meta_gradient(*read(source)).tolist())


if __name__ == "__main__":
    main(sys.argv[1:])
