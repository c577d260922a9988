#!/usr/bin/env python3
"""Runs one experiment with several seeds and says by how much the main method beats each baseline at new sites.

    examples/compare_seeds.py EXPERIMENT.yaml --seeds 5 [--out DIR] [key.path=value ...]

A pair is one held-out site of one seed: both methods adapt to the same episodes there, each with the steps and the rate that
validation chose for it. Intervals: 95 %, bootstrap over seeds and over the sites within a seed. Standard library only.
"""

import argparse
import json
import pathlib
import random
import subprocess
import sys
import tempfile

FEDMETA = pathlib.Path(__file__).resolve().parents[1] / "build/release/bin/fedmeta"


def tuned_accuracies(run):
    """{(method, shots): {site: accuracy}} at each method's tuned steps and rate, for the leg and round that validation chose."""
    summary = json.loads((run / "summary.json").read_text())
    chosen = {}
    for method, entry in [(summary["method"], summary), *summary["baselines"].items()]:
        for shots, cell in entry["tuned_by_shots"].items():
            chosen[method, int(shots)] = (entry["leg"], entry["best_round"], cell["steps"], cell["learning_rate"])
    result = {key: {} for key in chosen}
    for line in (run / "evaluation.jsonl").open():
        record = json.loads(line)
        key = (record["method"], record["shots"])
        if not record["client"] or not record["holdout"] or key not in chosen:
            continue
        if chosen[key] == (record["leg"], record["round"], record["steps"], record["learning_rate"]):
            result[key][record["client"]] = record["accuracy"]
    return summary["method"], result


def interval(pairs_by_seed, rng, draws=5000):
    means = []
    for _ in range(draws):
        total = [value for pairs in rng.choices(pairs_by_seed, k=len(pairs_by_seed)) for value in rng.choices(pairs, k=len(pairs))]
        means.append(sum(total) / len(total))
    means.sort()
    values = [value for pairs in pairs_by_seed for value in pairs]
    return sum(values) / len(values), means[draws * 25 // 1000], means[draws * 975 // 1000]


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("experiment")
    parser.add_argument("overrides", nargs="*")
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--out", type=pathlib.Path)
    arguments = parser.parse_args()
    out = arguments.out or pathlib.Path(tempfile.mkdtemp(prefix="compare-seeds-"))
    runs = []
    for seed in range(1, arguments.seeds + 1):
        folder = out / f"seed-{seed}"
        if not (folder / "summary.json").exists():
            print(f"seed {seed} ...", file=sys.stderr, flush=True)
            subprocess.run([FEDMETA, "run", arguments.experiment, f"seed={seed}", *arguments.overrides, "--out", folder],
                           check=True, stdout=subprocess.DEVNULL)
        runs.append(tuned_accuracies(folder))
    main_method = runs[0][0]
    rng = random.Random(1)
    for method, shots in sorted(runs[0][1], key=lambda key: (key[1], key[0])):
        mean, low, high = interval([[100 * value for value in accuracies[method, shots].values()] for _, accuracies in runs], rng)
        line = f"{shots} example(s) a class   {method:<10} {mean:5.1f} ({low:.1f} to {high:.1f})"
        if method != main_method:
            pairs = [[100 * (accuracies[main_method, shots][site] - value) for site, value in accuracies[method, shots].items()] for _, accuracies in runs]
            mean, low, high = interval(pairs, rng)
            line += f"   {main_method} better by {mean:5.1f} ({low:.1f} to {high:.1f}) points"
        print(line)
    print(f"{len(runs)} seeds, {len(runs[0][1][main_method, shots])} held-out sites each; runs in {out}")


if __name__ == "__main__":
    main()
