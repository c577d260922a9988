"""Federated rounds over mutual TLS between real processes whose training costs nothing (algorithm "null")."""
import shutil
import statistics
import time

from null_federation import Federation, coordinates
from measuring import BIN, json_line, note, slope

CLIENTS = 4
PARAMETERS = {82: "1e4", 980: "1e6"}  # an MLP 36-w-w-2 has w^2 + 40w + 2 of them


def measure(width, seconds):
    """Per round: seconds, the coordinator's CPU seconds, bytes on the wire; and the coordinator's largest memory."""
    federation = Federation(width, sites=CLIENTS)
    try:
        federation.begin()
        samples = []
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            samples.append((federation.rounds(), time.monotonic(), federation.cpu_seconds(), federation.socket_bytes()))
            time.sleep(0.2)
        rounds, times, cpu, sent = zip(*samples)
        if rounds[-1] - rounds[0] < 20:
            raise RuntimeError(f"only {rounds[-1] - rounds[0]} rounds in {seconds} s: {federation.log('coordinator')}")
        return {"seconds": slope(rounds, times), "cpu": slope(rounds, cpu), "bytes": slope(rounds, sent), "memory": federation.figures()["peak"],
                "rounds": rounds[-1] - rounds[0]}
    finally:
        federation.close()


def compare(table, repetitions, seconds):
    if shutil.which("ss") is None:
        raise SystemExit("bench: 'rounds' counts bytes with ss: install Debian's iproute2")
    for width, size in PARAMETERS.items():
        floor_bytes = 8 * coordinates(width) * CLIENTS
        ours, floor_cpu = [], []
        for _ in range(repetitions):
            line = json_line(BIN / "tls-floor", "--bytes", floor_bytes // 2, "--repetitions", 20 if width > 500 else 500)
            floor_cpu.append(line["cpu_seconds"])
            ours.append(measure(width, seconds))
            note(f"  {CLIENTS} clients x {size}: " + "  ".join(f"{key} {value:.6g}" for key, value in ours[-1].items()) + f"  floor cpu {floor_cpu[-1]:.6g}")
        median = {key: statistics.median(one[key] for one in ours) for key in ours[0]}
        name = f"{CLIENTS} clients x {size}"
        table.add(f"{name}: rounds per second", None, 1 / median["seconds"])
        table.add(f"{name}: coordinator CPU a round over TLS records alone, ms", 1e3 * statistics.median(floor_cpu), 1e3 * median["cpu"],
                  median["cpu"] / statistics.median(floor_cpu))
        table.add(f"{name}: bytes on the wire a round over 8 x coordinates x clients", float(floor_bytes), median["bytes"],
                  median["bytes"] / floor_bytes, 1.02 if width > 500 else 1.05, at_most=True)
        table.add(f"{name}: coordinator memory at most, MiB; model size, MiB", 4 * coordinates(width) / 2**20, median["memory"])
