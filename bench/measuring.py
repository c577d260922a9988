"""What the comparisons share: programs and their JSON line, medians of interleaved runs, the table."""
import json
import os
import pathlib
import statistics
import subprocess
import sys

ROOT = pathlib.Path(__file__).resolve().parents[1]
BIN = pathlib.Path(os.environ.get("FEDMETA_BIN", ROOT / "build/release/bin"))
PEERS = ROOT / "bench/peers"


def note(text):
    print(text, file=sys.stderr, flush=True)


def json_line(*command):
    """Runs a program and reads the last line of its output."""
    result = subprocess.run([str(word) for word in command], text=True, capture_output=True)
    if result.returncode != 0:
        raise SystemExit(f"{' '.join(map(str, command))}: exit {result.returncode}\n{result.stdout}{result.stderr}")
    return json.loads(result.stdout.splitlines()[-1])


def peer(program, *arguments):
    return json_line("/usr/bin/python3", PEERS / program, *arguments)


def interleaved(repetitions, what, *sides):
    """Each side once, again and again; the median of each."""
    values = [[] for _ in sides]
    for _ in range(repetitions):
        for kept, side in zip(values, sides):
            kept.append(side())
        note(f"  {what}: " + "  ".join(f"{kept[-1]:.4g}" for kept in values))
    return [statistics.median(kept) for kept in values]


def slope(xs, ys):
    """Of the least-squares line: a sample falls anywhere within a round, so end points alone would be off by one."""
    mean_x, mean_y = statistics.fmean(xs), statistics.fmean(ys)
    return sum((x - mean_x) * (y - mean_y) for x, y in zip(xs, ys)) / sum((x - mean_x) ** 2 for x in xs)


class Table:
    """One row a comparison. `reach`: the least ratio asked for, or with at_most the largest."""

    def __init__(self):
        self.rows = []

    def add(self, what, peer_value, ours, ratio=None, reach=None, at_most=False):
        met = None if reach is None or ratio is None else (ratio <= reach if at_most else ratio >= reach)
        self.rows.append({"what": what, "peer": peer_value, "ours": ours, "ratio": ratio, "reach": reach, "at_most": at_most, "met": met})

    def print(self):
        def text(value):
            return "" if value is None else value if isinstance(value, str) else f"{value:.4g}"

        print("| what | peer or floor | fedmeta | ratio | to reach | |\n|---|---|---|---|---|---|")
        for row in self.rows:
            reach = "" if row["reach"] is None else f"{'<=' if row['at_most'] else '>='} {row['reach']:g}"
            met = {None: "", True: "yes", False: "NO"}[row["met"]]
            print(f"| {row['what']} | {text(row['peer'])} | {text(row['ours'])} | {text(row['ratio'])} | {reach} | {met} |")
