"""MAML, first or second order, with conv4 (64 filters) on synthetic 5-way 1-shot episodes of 28 x 28 pixels. Prints tasks per second.

published: Finn's Omniglot episode: strided convolutions, spatial mean, no gamma, 1 query a class, 1 step, 32 tasks.
pooled: max-pooling, flattened, with gamma, 15 queries a class, 5 steps, 4 tasks.
"""
import torch
import torch.nn.functional as F

import peer

WAYS, FILTERS = 5, 64
EPISODES = {"published": dict(queries=1, steps=1, tasks=32, rate=0.4, pooled=False),
            "pooled": dict(queries=15, steps=5, tasks=4, rate=0.05, pooled=True)}


def initial_weights(pooled):
    weights, channels = [], 1
    for _ in range(4):
        layer = torch.nn.Conv2d(channels, FILTERS, 3, padding=1)
        weights += [layer.weight, layer.bias]
        if pooled:
            weights.append(torch.nn.Parameter(torch.ones(FILTERS)))
        weights.append(torch.nn.Parameter(torch.zeros(FILTERS)))
        channels = FILTERS
    head = torch.nn.Linear(FILTERS, WAYS)
    return weights + [head.weight, head.bias]


def forward(weights, x, pooled):
    rest = iter(weights)
    ones = torch.ones(FILTERS)
    for _ in range(4):
        weight, bias = next(rest), next(rest)
        gamma = next(rest) if pooled else ones
        x = F.conv2d(x, weight, bias, stride=1 if pooled else 2, padding=1)
        x = F.relu(F.batch_norm(x, None, None, gamma, next(rest), training=True))
        if pooled:
            x = F.max_pool2d(x, 2)
    x = x.flatten(1) if pooled else x.mean((2, 3))
    return F.linear(x, next(rest), next(rest))


def main():
    parser = peer.arguments(__doc__)
    parser.add_argument("--episode", choices=sorted(EPISODES), default="published")
    parser.add_argument("--order", type=int, choices=(1, 2), default=2)
    options = parser.parse_args()
    peer.start(options)
    episode = EPISODES[options.episode]
    theta = initial_weights(episode["pooled"])
    optimizer = torch.optim.Adam(theta, lr=1e-3)
    support_labels = torch.arange(WAYS)
    query_labels = torch.arange(WAYS).repeat_interleave(episode["queries"])
    support = torch.rand(16, WAYS, 1, 28, 28)
    query = torch.rand(16, WAYS * episode["queries"], 1, 28, 28)
    drawn = 0

    def step():
        nonlocal drawn
        optimizer.zero_grad()
        for _ in range(episode["tasks"]):
            x_support, x_query = support[drawn % 16], query[drawn % 16]
            drawn += 1
            fast = theta
            for _ in range(episode["steps"]):
                loss = F.cross_entropy(forward(fast, x_support, episode["pooled"]), support_labels)
                fast = peer.sgd_step(loss, fast, episode["rate"], options.order == 2)
            loss = F.cross_entropy(forward(fast, x_query, episode["pooled"]), query_labels)
            (loss / episode["tasks"]).backward()
        optimizer.step()

    peer.measure("conv4_episode", "tasks_per_second", episode["tasks"], step, options, episode=options.episode,
                 order=options.order)


if __name__ == "__main__":
    main()
