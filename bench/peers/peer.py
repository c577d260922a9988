"""What the PyTorch programs share: the clock, the JSON line, functional copies of a small network."""
import argparse
import json
import time

import torch


def arguments(description):
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("--threads", type=int, default=1, help="threads inside an operation")
    parser.add_argument("--seconds", type=float, default=10.0, help="how long to measure")
    parser.add_argument("--seed", type=int, default=1)
    return parser


def start(options):
    torch.set_num_threads(options.threads)
    torch.manual_seed(options.seed)


def measure(name, unit, per_call, step, options, **facts):
    """Calls `step` until the time is over, after a warm-up, and prints one JSON line with units per second."""
    for _ in range(2):
        step()
    calls = 0
    begin, cpu_begin = time.perf_counter(), time.process_time()
    while time.perf_counter() - begin < options.seconds:
        step()
        calls += 1
    elapsed, cpu = time.perf_counter() - begin, time.process_time() - cpu_begin
    line = {"peer": name, unit: round(calls * per_call / elapsed, 3), "threads": torch.get_num_threads(),
            "cpu_seconds": round(cpu, 3), "torch": torch.__version__, "calls": calls, "seconds": round(elapsed, 3)}
    line.update(facts)
    print(json.dumps(line), flush=True)


def sgd_step(loss, weights, rate, second_order):
    """One step of the inner loop on fast weights; with second_order the graph goes through it."""
    gradients = torch.autograd.grad(loss, weights, create_graph=second_order)
    return [w - rate * g for w, g in zip(weights, gradients)]
