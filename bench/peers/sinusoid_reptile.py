"""Reptile on sinusoids: 25 tasks, five inner SGD steps over support and query points. Prints meta-iterations per second."""
import torch
import torch.nn.functional as F

import peer
import sinusoid

TASKS, POINTS, RATE, STEPS, META_RATE = 25, 10, 0.02, 5, 1.0


def main():
    options = peer.arguments(__doc__).parse_args()
    peer.start(options)
    theta = sinusoid.initial_weights()

    def step():
        total = [torch.zeros_like(w) for w in theta]
        for _ in range(TASKS):
            x_support, y_support, x_query, y_query = sinusoid.task(POINTS)
            x, y = torch.cat([x_support, x_query]), torch.cat([y_support, y_query])
            fast = [w.detach().clone().requires_grad_() for w in theta]
            inner = torch.optim.SGD(fast, lr=RATE)
            for _ in range(STEPS):
                inner.zero_grad()
                F.mse_loss(sinusoid.forward(fast, x), y).backward()
                inner.step()
            for sum_, before, after in zip(total, theta, fast):
                sum_ += before.detach() - after.detach()
        with torch.no_grad():
            for w, sum_ in zip(theta, total):
                w -= META_RATE / TASKS * sum_

    peer.measure("sinusoid_reptile", "iterations_per_second", 1, step, options, tasks=TASKS, inner_steps=STEPS)


if __name__ == "__main__":
    main()
