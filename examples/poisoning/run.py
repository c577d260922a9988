#!/usr/bin/env python3
"""What poisoning sites cost, and what each aggregation withstands: Fashion-MNIST, ten sites of which none, one or two are malicious.

They send their update times FACTOR (scale), times -FACTOR (sign_flip), or learn from mirrored labels (label_flip). Simulates every rule
under every attack, and prints the accuracy at sites that never train, after 5 steps on 5 examples a class: means over seeds, with the
standard deviation over them. A run that ends because the state is no longer finite counts with the accuracy of guessing. Finished runs are kept.

Exit code: 0 done; 2 the data is not there; else that of fedmeta.
"""

import argparse
import json
import os
import pathlib
import statistics
import subprocess
import sys

HERE = pathlib.Path(__file__).resolve().parent
FEDMETA = os.environ.get("FEDMETA", str(HERE.parents[1] / "build/release/bin/fedmeta"))
DATA = pathlib.Path("/usr/share/datasets/fashion-mnist/train-images-idx3-ubyte.gz")
RULES = ("weighted_mean", "median", "trimmed_mean", "krum", "multi_krum", "geometric_median", "norm_bound")
KINDS = ("scale", "sign_flip", "label_flip")
WITHSTANDS = 2   # byzantine, of every rule
STEPS, WAYS = 5, 5


def settings(rule):
    if rule == "weighted_mean":
        return ["server.aggregation.name=weighted_mean"]
    return ["privacy.secure_aggregation.mode=plain_robust", f"server.aggregation.name={rule}", f"server.aggregation.byzantine={WITHSTANDS}"]


def accuracies(folder, arguments, seeds):
    """Of the seeds, percent."""
    found = []
    for seed in seeds:
        out = folder / f"seed-{seed}"
        if not (out / "summary.json").exists():
            done = subprocess.run([FEDMETA, "run", str(HERE / "poisoning.yaml"), f"seed={seed}", *arguments, "--out", str(out), "--json"],
                                  capture_output=True, text=True)
            if done.returncode not in (0, 4):
                print(done.stderr, file=sys.stderr)
                raise SystemExit(done.returncode)
        found.append(accuracy(out))
    return found


def accuracy(run):
    summary = json.loads((run / "summary.json").read_text())
    cells = summary["final"] if summary["status"] == "completed" else None
    return 100 * cells[str(STEPS)]["accuracy_mean"] if cells else 100 / WAYS


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=pathlib.Path, default=pathlib.Path("runs/poisoning"))
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--factor", type=float, default=10)
    args = parser.parse_args()
    if not DATA.is_file():
        print(f"{DATA} is not there: install the package dataset-fashion-mnist", file=sys.stderr)
        return 2
    attacks = [(0, "scale")] + [(clients, kind) for kind in KINDS for clients in (1, 2)]
    print("| rule | nobody | " + " | ".join(f"{kind}, {clients} of 10" for clients, kind in attacks[1:]) + " |\n|" + "---|" * (len(attacks) + 1))
    for rule in RULES:
        cells = []
        for clients, kind in attacks:
            attack = [f"simulated_attack={{clients: {clients}, kind: {kind}, factor: {args.factor}}}"]
            found = accuracies(args.out / rule / f"{kind}-{clients}", settings(rule) + attack, range(1, args.seeds + 1))
            spread = f" ± {statistics.stdev(found):.1f}" if len(found) > 1 else ""
            cells.append(f"{statistics.fmean(found):.1f}{spread}")
        print(f"| {rule} | " + " | ".join(cells) + " |", flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
