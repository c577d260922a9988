"""Federated rounds over mutual TLS between real processes whose training costs nothing (algorithm "null")."""
import json
import shutil
import statistics
import time

from null_federation import Federation, coordinates
from measuring import BIN, json_line, note, slope

CLIENTS = 4
PARAMETERS = {82: "1e4", 980: "1e6"}  # an MLP 36-w-w-2 has w^2 + 40w + 2 of them


def sampled(federation, seconds, least=20):
    """Per round: seconds, the coordinator's CPU seconds, bytes on the wire; and the coordinator's largest memory."""
    samples = []
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        samples.append((federation.rounds(), time.monotonic(), federation.cpu_seconds(), federation.socket_bytes()))
        time.sleep(0.2)
    rounds, times, cpu, sent = zip(*samples)
    if rounds[-1] - rounds[0] < least:
        raise RuntimeError(f"only {rounds[-1] - rounds[0]} rounds in {seconds} s: {federation.log('coordinator')}")
    return {"seconds": slope(rounds, times), "cpu": slope(rounds, cpu), "bytes": slope(rounds, sent), "memory": federation.figures()["peak"],
            "rounds": rounds[-1] - rounds[0]}


def measure(width, seconds):
    federation = Federation(width, sites=CLIENTS)
    try:
        federation.begin()
        return sampled(federation, seconds)
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


SECURE_CLIENTS, SECURE_WIDTH = 10, 980  # 10 x 1e6
LOST_AFTER = 2  # seconds without a sign of life


def losing_one(federation):
    """Seconds that a round took in which a site was killed, beyond those of the rounds after it; LOST_AFTER is among them. None if the
    site died between two sessions."""
    def closed(least):
        records = [json.loads(line) for line in federation.records.read_text().splitlines() if line.endswith("}")]
        return [record for record in records if record["committed"] and record["round"] > least]

    victim = federation.site_names()[-1]
    before = federation.rounds()
    federation.kill(victim)
    del federation.processes[victim]
    federation.wait_for(lambda: federation.rounds() >= before + 6, "the rounds after the loss")
    after = closed(before)
    hit = [record for record in after if len(record["sessions"]) > 1]
    others = statistics.median(record["wall_s"] for record in after if len(record["sessions"]) == 1)
    return hit[0]["wall_s"] - others if hit else None


def secure(table, repetitions, seconds):
    """Rounds of the same federation with plain and with secure sums, by turns."""
    if shutil.which("ss") is None:
        raise SystemExit("bench: 'secure' counts bytes with ss: install Debian's iproute2")
    figures, losses = {"plain": [], "secure": []}, []
    for _ in range(repetitions):
        for mode, found in figures.items():
            federation = Federation(SECURE_WIDTH, sites=SECURE_CLIENTS, mode=mode, 
                                    federation={"minimum_cohort": SECURE_CLIENTS - 2, "lost_after": f"{LOST_AFTER}s"})
            try:
                federation.begin()
                found.append(sampled(federation, seconds, least=5))
                if mode == "secure":
                    losses.append(losing_one(federation))
            finally:
                federation.close()
            note(f"  {mode}: " + "  ".join(f"{key} {value:.6g}" for key, value in found[-1].items()))
    plain, masked = ({key: statistics.median(one[key] for one in found) for key in found[0]} for found in figures.values())
    name = f"secure round over a plain one, {SECURE_CLIENTS} clients x 1e6"
    table.add(f"{name}: seconds", plain["seconds"], masked["seconds"], masked["seconds"] / plain["seconds"], 1.5, at_most=True)
    table.add(f"{name}: coordinator CPU, s", plain["cpu"], masked["cpu"], masked["cpu"] / plain["cpu"])
    table.add(f"{name}: MB on the wire", plain["bytes"] / 1e6, masked["bytes"] / 1e6, masked["bytes"] / plain["bytes"])
    table.add(f"{name}: coordinator memory, MiB", plain["memory"], masked["memory"], masked["memory"] / plain["memory"])
    seen = [loss for loss in losses if loss is not None]
    if seen:
        table.add(f"one client killed in a secure round, {SECURE_CLIENTS} clients x 1e6: further seconds, {LOST_AFTER} until it counts as lost", masked["seconds"],
                  statistics.median(seen), statistics.median(seen) / masked["seconds"])
