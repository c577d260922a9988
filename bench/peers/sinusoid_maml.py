"""Second-order MAML on sinusoids: 25 tasks, one inner step, looped over tasks. Prints meta-iterations per second."""
import torch
import torch.nn.functional as F

import peer
import sinusoid

TASKS, POINTS, RATE = 25, 10, 0.01


def main():
    options = peer.arguments(__doc__).parse_args()
    peer.start(options)
    theta = sinusoid.initial_weights()
    optimizer = torch.optim.Adam(theta, lr=1e-3)
    losses = []

    def step():
        optimizer.zero_grad()
        total = 0.0
        for _ in range(TASKS):
            x_support, y_support, x_query, y_query = sinusoid.task(POINTS)
            support_loss = F.mse_loss(sinusoid.forward(theta, x_support), y_support)
            fast = peer.sgd_step(support_loss, theta, RATE, second_order=True)
            query_loss = F.mse_loss(sinusoid.forward(fast, x_query), y_query)
            (query_loss / TASKS).backward()
            total += query_loss.item()
        optimizer.step()
        losses.append(total / TASKS)

    peer.measure("sinusoid_maml", "iterations_per_second", 1, step, options, tasks=TASKS)
    recent = losses[-100:]
    assert sum(recent) / len(recent) < 10, "the program does not learn"


if __name__ == "__main__":
    main()
