"""Runs the comparisons named on the command line and prints one table of ratios. Started by run.sh, which builds the programs."""
import argparse
import json
import os
import pathlib
import platform
import resource
import shutil
import statistics
import subprocess
import tempfile
import time

import durability
import federated
import tables
from measuring import BIN, ROOT, Table, interleaved, json_line, note, peer

# Of `fedmeta run`, few and many rounds: their difference is free of start, final evaluation and end.
FEW_ROUNDS, MANY_ROUNDS = 200, 4200


def run_seconds(experiment, rounds):
    folder = tempfile.mkdtemp(prefix="fedmeta-bench-")
    try:
        line = json_line(BIN / "fedmeta", "run", ROOT / f"configs/experiments/{experiment}.yaml", "--json", "--out", f"{folder}/run", "threads=1",
                         f"federation.rounds={rounds}", "evaluation.every=0", "evaluation.episodes=1", "data.partition.clients=27",
                         "data.partition.holdout_clients=2")
    finally:
        shutil.rmtree(folder)
    assert line["status"] == "completed" and line["rounds"] == rounds, line
    return line["wall_s"]


def rounds_per_second(experiment):
    few = run_seconds(experiment, FEW_ROUNDS)
    return (MANY_ROUNDS - FEW_ROUNDS) / (run_seconds(experiment, MANY_ROUNDS) - few)


def sinusoid(table, options):
    for experiment, name, reach in (("sinusoid_maml", "MAML, 1 step", 6), ("sinusoid_reptile", "Reptile, 5 steps", None)):
        theirs, ours = interleaved(options.repetitions, experiment,
                                   lambda: peer(f"{experiment}.py", "--threads", 1, "--seconds", options.seconds)["iterations_per_second"],
                                   lambda: rounds_per_second(experiment))
        table.add(f"sinusoid {name}, 25 tasks a round, 1 thread, rounds/s", theirs, ours, ours / theirs, reach)


def per_cpu_second(line):
    return line["tasks_per_second"] * line["seconds"] / line["cpu_seconds"]


def conv4(table, options):
    for episode in ("published", "pooled"):
        for order, reach in ((1, 1.6), (2, 1.3)):
            arguments = ("--episode", episode, "--order", order, "--seconds", options.seconds)
            name = f"conv4 {episode}, order {order}"
            theirs, ours = interleaved(options.repetitions, f"{name}, 2 threads",
                                       lambda: peer("conv4_episode.py", *arguments, "--threads", 2)["tasks_per_second"],
                                       lambda: json_line(BIN / "conv4-bench", *arguments, "--threads", 2)["tasks_per_second"])
            table.add(f"{name}, 2 threads, tasks/s", theirs, ours, ours / theirs, reach)
            # Hardly depends on what else the machine does: says whether the figure above can be believed.
            theirs, ours = interleaved(options.repetitions, f"{name}, 1 thread",
                                       lambda: per_cpu_second(peer("conv4_episode.py", *arguments, "--threads", 1)),
                                       lambda: per_cpu_second(json_line(BIN / "conv4-bench", *arguments, "--threads", 1)))
            table.add(f"{name}, 1 thread, tasks per CPU second", theirs, ours, ours / theirs)


def rounds(table, options):
    federated.compare(table, options.repetitions, max(options.seconds, 10))


def secure(table, options):
    federated.secure(table, options.repetitions, max(options.seconds, 20))


def store(table, options):
    for durability in ("process", "power"):
        for parameters in (10_000, 1_000_000):
            for optimizer, moments in (("SGD", 0), ("Adam", 2)):
                name = f"round committed, {parameters:g} parameters, {optimizer}, outlives {'a kill' if durability == 'process' else 'power loss'}, ms"
                lines = [json_line(BIN / "store-commit", "--parameters", parameters, "--moments", moments, "--durability", durability,
                                   "--seconds", options.seconds) for _ in range(options.repetitions)]
                floor, ours = (statistics.median(line[key] for line in lines) for key in ("floor_ms", "commit_ms"))
                note(f"  {name}: {floor:.4g}  {ours:.4g}")
                table.add(name, floor, ours, ours / floor)


def timed(command):
    """Wall and CPU seconds of a program."""
    before, begin = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
    subprocess.run([str(word) for word in command], check=True, stdout=subprocess.DEVNULL)
    wall, after = time.perf_counter() - begin, resource.getrusage(resource.RUSAGE_CHILDREN)
    return wall, after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def start(table, options):
    help_ms = [1e3 * timed([BIN / "fedmeta", "--help"])[0] for _ in range(20)]
    table.add("fedmeta --help, wall ms (median of 20; to reach: at most 50)", None, statistics.median(help_ms), statistics.median(help_ms) / 50, 1,
              at_most=True)

    def one_round():
        folder = tempfile.mkdtemp(prefix="fedmeta-bench-")
        try:
            return timed([BIN / "fedmeta", "run", ROOT / "configs/experiments/sinusoid_maml.yaml", "--json", "--out", f"{folder}/run", "threads=1",
                          "federation.rounds=1", "data.partition.clients=6", "data.partition.holdout_clients=1", "evaluation.episodes=1"])[1]
        finally:
            shutil.rmtree(folder)

    floor, ours = interleaved(max(5, options.repetitions), "start", lambda: timed([BIN / "empty-torch"])[1], one_round)
    table.add("fedmeta run, one sinusoid round, CPU s, over a program that only loads LibTorch", floor, ours, ours / floor)


def secure_core(table, options):
    line = json_line(BIN / "secure-core", "--repetitions", options.repetitions)
    name = f"secure aggregation, {line['members']} x {line['words']:,}"
    table.add(f"{name}: server, CPU s", "0.5", line["server_s"], line["server_s"] / 0.5, 1, at_most=True)
    table.add(f"{name}: a client, CPU s", "0.25", line["client_s"], line["client_s"] / 0.25, 1, at_most=True)
    table.add(f"{name}: its masks over the key stream alone, CPU s", line["floor_s"], line["masking_s"], line["masking_s"] / line["floor_s"],
              1.6, at_most=True)


COMPARISONS = {"sinusoid": sinusoid, "conv4": conv4, "rounds": rounds, "store": store, "start": start, "memory": durability.memory,
               "resume": durability.resume, "commit": durability.commit, "secure-core": secure_core, "secure": secure, "csv": tables.csv}


def main():
    parser = argparse.ArgumentParser(prog="bench/run.sh", description=__doc__)
    parser.add_argument("what", nargs="*", choices=[*COMPARISONS, "all"], default="all")
    parser.add_argument("--repetitions", type=int, default=3, help="of each side; the median counts")
    parser.add_argument("--seconds", type=float, default=8, help="of each measurement")
    parser.add_argument("--rows", type=int, default=10_000_000, help="of the table of csv")
    parser.add_argument("--json", type=pathlib.Path, help="also write the rows here")
    options = parser.parse_args()
    chosen = [options.what] if isinstance(options.what, str) else options.what
    facts = {"cores": os.cpu_count(), "machine": platform.machine(), "load before": os.getloadavg()[0],
             "OPENBLAS_CORETYPE (both sides)": os.environ.get("OPENBLAS_CORETYPE", "not set")}
    print(", ".join(f"{name}: {value}" for name, value in facts.items()), flush=True)
    table = Table()
    for name, comparison in COMPARISONS.items():
        if name in chosen or "all" in chosen:
            note(f"{name}:")
            comparison(table, options)
    print(f"load after: {os.getloadavg()[0]}\n")
    table.print()
    if options.json:
        options.json.write_text(json.dumps({"facts": facts, "rows": table.rows}, indent=1) + "\n")


if __name__ == "__main__":
    main()
