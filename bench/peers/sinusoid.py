"""Sinusoid tasks and the 1-40-40-1 network of Finn 2017."""
import math

import torch
import torch.nn.functional as F


def initial_weights():
    weights = []
    for fan_in, fan_out in ((1, 40), (40, 40), (40, 1)):
        layer = torch.nn.Linear(fan_in, fan_out)
        weights += [layer.weight, layer.bias]
    return weights


def forward(weights, x):
    x = F.relu(F.linear(x, weights[0], weights[1]))
    x = F.relu(F.linear(x, weights[2], weights[3]))
    return F.linear(x, weights[4], weights[5])


def task(points):
    """Support and query points of one sinusoid."""
    amplitude = 0.1 + 4.9 * torch.rand(1)
    phase = math.pi * torch.rand(1)
    x = 10 * torch.rand(2 * points, 1) - 5
    y = amplitude * torch.sin(x - phase)
    return x[:points], y[:points], x[points:], y[points:]
