#!/usr/bin/env python3
"""Runs one experiment with several kinds of compression and prints bytes a round beside the accuracy at new sites.

    examples/compression.py [EXPERIMENT.yaml] [--seeds 2] [--only NAME ...] [--out DIR] [key.path=value ...]

Accuracy: mean over the held-out sites at the steps and rate that validation chose, mean over seeds with the least and the largest.
Bytes: a committed round's, all its clients together, without framing; the first round also tells assignments and is left out.
Standard library only.
"""

import argparse
import json
import pathlib
import statistics
import subprocess
import tempfile

ROOT = pathlib.Path(__file__).resolve().parents[1]
FEDMETA = ROOT / "build/release/bin/fedmeta"
COMPRESSION, SECURE = "federation.compression.", "privacy.secure_aggregation."


def ring(bits):
    return [f"{SECURE}mode=secure", f"{SECURE}clip=3", f"{SECURE}ring_bits={bits}"]


KINDS = {
    "none": [],
    "plain, 8 bits, rotation": [f"{COMPRESSION}bits=8", f"{COMPRESSION}rotation=true"],
    "random 10%, feedback": [f"{COMPRESSION}fraction=0.1"],
    "random 10%, unbiased": [f"{COMPRESSION}fraction=0.1", f"{COMPRESSION}error_feedback=false"],
    "download float16": [f"{COMPRESSION}download=float16"],
    "secure, ring 32": ring(32),
    "secure, ring 16": ring(16),
    "secure, ring 12": ring(12),
    "secure, ring 12, rotation": [*ring(12), f"{COMPRESSION}rotation=true"],
    "secure, ring 8, rotation": [*ring(8), f"{COMPRESSION}rotation=true"],
    "secure, ring 12, rotation, random 10%, feedback, float16":
        [*ring(12), f"{COMPRESSION}rotation=true", f"{COMPRESSION}fraction=0.1", f"{COMPRESSION}download=float16"],
}


def measure(experiment, overrides, out):
    if not (out / "summary.json").exists():
        subprocess.run([FEDMETA, "run", experiment, *overrides, "--out", out], check=True, stdout=subprocess.DEVNULL)
    rounds = [json.loads(line) for line in (out / "rounds.jsonl").open()]
    # The assignment travels with a client's first round.
    told = [line for line in rounds if line["committed"] and line["round"] > len(rounds) / 2]
    tuned = json.loads((out / "summary.json").read_text())["tuned_by_shots"]
    return {"up": statistics.mean(line["bytes_up"] for line in told),
            "down": statistics.mean(line["bytes_down"] for line in told),
            "accuracy": {shots: cell["accuracy_mean"] for shots, cell in tuned.items()}}


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("experiment", nargs="?", default=ROOT / "configs/experiments/quickstart.yaml", type=pathlib.Path)
    parser.add_argument("overrides", nargs="*", default=[])
    parser.add_argument("--seeds", type=int, default=2)
    parser.add_argument("--only", nargs="*", choices=list(KINDS))
    parser.add_argument("--out", type=pathlib.Path, help="keeps the run folders; what is finished there is not run again")
    arguments = parser.parse_intermixed_args()
    with tempfile.TemporaryDirectory(prefix="fedmeta-compression-") as scratch:
        out = arguments.out or pathlib.Path(scratch)
        base = None
        for number, (name, settings) in enumerate(KINDS.items()):
            if arguments.only and name not in arguments.only:
                continue
            results = [measure(arguments.experiment, [f"seed={seed}", "evaluation.baselines=[]", *settings, *arguments.overrides], out / f"{number}-{seed}")
                       for seed in range(1, arguments.seeds + 1)]
            up, down = (statistics.mean(result[key] for result in results) for key in ("up", "down"))
            if base is None:
                base = (up, down)
                shots = list(results[0]["accuracy"])
                print("| compression | KiB up | | KiB down | | " + " | ".join(f"accuracy, shots {shot}" for shot in shots) + " |")
                print("|---" * (5 + len(shots)) + "|")
            figures = []
            for shot in shots:
                values = [100 * result["accuracy"][shot] for result in results]
                figures.append(f"{statistics.mean(values):.1f} ({min(values):.1f} to {max(values):.1f})")
            print(f"| {name} | {up / 1024:.1f} | {up / base[0]:.2f} | {down / 1024:.1f} | {down / base[1]:.2f} | " + " | ".join(figures) + " |", flush=True)


if __name__ == "__main__":
    main()
