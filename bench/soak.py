#!/usr/bin/env python3
"""Rounds as fast as possible while clients and the coordinator are killed with SIGKILL and started again at random:
    bench/soak.py SECONDS [--sites 2] [--light 8] [--deaths P] [--seed 1] [--json FILE]
Real clients (algorithm "null") and light ones, which now and then cut their connection anywhere in a round and come back. The coordinator is
killed in the first and the last quarter; in between it lives on, so that its memory, descriptors and threads can be watched. At the
end the records and the last state must agree: each round committed once, and the state, to the last bit, what those who reported make of it.
Exit 1 if not. Needs build/release (bench/run.sh builds it) or FEDMETA_BIN."""
import argparse
import collections
import json
import math
import pathlib
import random
import signal
import sqlite3
import statistics
import struct
import time

from null_federation import RATE, Federation
from measuring import Table, note, slope

WIDTH = 82  # 1e4 parameters
# A fifth more are asked than are waited for: who is dead holds up nobody.
FEDERATION = {"over_selection": 0.25, "minimum_cohort": 2, "report_deadline": "5s", "lost_after": "2s", "join_deadline": "10m", "retries": 1000}
COORDINATES = 40  # that are followed through all rounds


def float32(value):
    return struct.unpack("<f", struct.pack("<f", value))[0]


def update_of(client, round_number, coordinate):
    """What this client sends in this round, in units of 2^-38: bench/many_clients.cc and bench/null_learn.cc."""
    kind, number = client.rsplit("-", 1)
    if kind == "load":
        return ((7919 * int(number) + 104729 * round_number) % 2001 - 1000) << 28
    return round(float32(float32(1e-6) * (coordinate % 1021)) * 2**38)


def initial_state(path):
    data = path.read_bytes()
    return memoryview(data[8 + int.from_bytes(data[:8], "little"):]).cast("f")


def final_state(store):
    """The head of the one leg, as the store has it: its round and its state."""
    database = sqlite3.connect(f"file:{store}?mode=ro", uri=True)
    try:
        check = database.execute("PRAGMA integrity_check").fetchone()[0]
        if check != "ok":
            raise AssertionError(f"the store is damaged: {check}")
        number, digest, content = database.execute("SELECT leg.round, blob.sha256, blob.content FROM leg JOIN blob ON blob.id = leg.state").fetchone()
    finally:
        database.close()
    content = content or (pathlib.Path(f"{store}.blobs") / digest.hex()).read_bytes()
    return number, memoryview(content).cast("f")


def verify(records, initial, final_round, final):
    """Raises unless the records have every round once and the state is what they imply. Returns counts."""
    attempts, counts, expected = set(), collections.Counter(), 1
    coordinates = sorted({random.Random(0).randrange(len(initial)) for _ in range(COORDINATES)} | {0, len(initial) - 1})
    state = {i: initial[i] for i in coordinates}
    with open(records, encoding="utf-8") as lines:
        for line in lines:
            record = json.loads(line)
            number, attempt, reported = record["round"], record["attempt"], record["reported"]
            if (number, attempt) in attempts:
                raise AssertionError(f"attempt {attempt} of round {number} is recorded twice")
            attempts.add((number, attempt))
            if not record["committed"]:
                counts["abandoned"] += 1
                continue
            if number != expected:
                raise AssertionError(f"after round {expected - 1} round {number} was committed")
            if len(set(reported)) != len(reported):
                raise AssertionError(f"round {number} counts a client twice: {reported}")
            missing = set(record["cohort"]) - set(reported) - {one["client"] for one in record["dropped"]}
            if missing:
                raise AssertionError(f"round {number} does not say what became of {sorted(missing)}")
            expected += 1
            counts["rounds"] += 1
            counts["updates"] += len(reported)
            counts["dropped"] += len(record["dropped"])
            for i in coordinates:
                mean = sum(update_of(client, number, i) for client in reported) / 2**38 / len(reported)
                state[i] = float32(state[i] - RATE * mean)
    if final_round != counts["rounds"]:
        raise AssertionError(f"the store ends with round {final_round}, the records with {counts['rounds']}")
    for i in coordinates:
        if state[i] != final[i]:
            raise AssertionError(f"coordinate {i} is {final[i]!r}, those who reported in {final_round} rounds make it {state[i]!r}")
    return counts


class Soak:
    def __init__(self, options):
        self.seconds, self.rng = options.seconds, random.Random(options.seed)
        cohort = (options.sites + options.light) * 4 // 5
        self.federation = Federation(WIDTH, options.sites, options.light, {"cohort": cohort, **FEDERATION}, deaths=options.deaths)
        self.kills, self.samples, self.due = collections.Counter(), [], {}
        self.said = 0.0

    def run(self):
        """Ends with everything alive and some rounds further; then the coordinator is asked to stop."""
        federation = self.federation
        federation.begin(seconds=300)
        begin = time.monotonic()
        pause = min(8.0, self.seconds / 12)
        next_kill, next_sample = begin + pause, begin
        while (now := time.monotonic()) < begin + self.seconds:
            self.restart(now)
            self.check_alive()
            if now >= next_kill:
                self.kill_one((now - begin) / self.seconds)
                next_kill = now + pause * self.rng.uniform(0.5, 1.5)
            if now >= next_sample:
                self.sample(now - begin)
                next_sample += max(0.5, self.seconds / 400)
            time.sleep(0.02)
        self.restart(math.inf)
        seen = federation.rounds()
        federation.wait_for(lambda: federation.rounds() >= seen + 3, "a round after the last kill", 300)
        federation.processes["coordinator"].send_signal(signal.SIGTERM)
        federation.processes["coordinator"].wait(timeout=120)

    def verify(self):
        folder = self.federation.dir
        return verify(self.federation.records, initial_state(folder / "initial.safetensors"), *final_state(folder / "store.db"))

    def restart(self, now):
        for name in [name for name, at in self.due.items() if at <= now]:
            if name != "coordinator":
                self.federation.start_client(name)
            else:
                self.federation.start_coordinator(wait=False)
            del self.due[name]

    def check_alive(self):
        for name in self.federation.processes:
            if name not in self.due and not self.federation.alive(name):
                raise AssertionError(f"{name} ended by itself: {self.federation.log(name)}")

    def kill_one(self, share):
        victims = [name for name in self.federation.clients() if name not in self.due]
        coordinator = (share < 0.25 or share > 0.75) and "coordinator" not in self.due
        if coordinator and (not self.kills["coordinator"] or self.rng.random() < 0.5):
            victims = ["coordinator"]
        if victims:
            name = self.rng.choice(victims)
            self.federation.kill(name)
            self.kills["coordinator" if name == "coordinator" else "light clients, all at once" if name == "load" else "sites"] += 1
            self.due[name] = time.monotonic() + self.rng.random()

    def sample(self, at):
        figures = None if "coordinator" in self.due else self.federation.figures()
        if figures:
            self.samples.append({"at": at, "rounds": self.federation.rounds(), "pid": self.federation.processes["coordinator"].pid, **figures})
        if at >= self.said + 30:
            self.said = at
            note(f"  {at:.0f} s: {self.samples[-1]}  kills {dict(self.kills)}")

    def table(self, counts):
        longest = collections.Counter(sample["pid"] for sample in self.samples).most_common(1)[0][0]
        life = [sample for sample in self.samples if sample["pid"] == longest]
        quarter = max(1, len(life) // 4)
        table = Table()
        table.add("rounds committed", None, counts["rounds"])
        table.add("rounds per second, kills included", None, counts["rounds"] / self.seconds)
        table.add("attempts abandoned", None, counts["abandoned"])
        table.add("updates counted", None, counts["updates"])
        table.add("clients dropped from a round", None, counts["dropped"])
        for name, kills in sorted(self.kills.items()):
            table.add(f"SIGKILL: {name}", None, kills)
        for key in ("rss", "descriptors", "threads"):
            first, last = (statistics.fmean(sample[key] for sample in part) for part in (life[:quarter], life[-quarter:]))
            table.add(f"coordinator {key}{', MiB' if key == 'rss' else ''}: last over first quarter of {life[-1]['at'] - life[0]['at']:.0f} s in one life",
                      first, last, last / first)
            if len(life) > 2:
                table.add(f"coordinator {key}{', MiB' if key == 'rss' else ''}: slope per hour", None,
                          3600 * slope([sample["at"] for sample in life], [sample[key] for sample in life]))
        return table


def parse(arguments=None):
    parser = argparse.ArgumentParser(prog="bench/soak.py", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("seconds", type=float)
    parser.add_argument("--sites", type=int, default=2, help="real clients")
    parser.add_argument("--light", type=int, default=8, help="light clients")
    parser.add_argument("--deaths", type=float, default=2e-3, help="probability that a plan is a light client's last of a session")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--json", type=pathlib.Path, help="also write figures and samples here")
    return parser.parse_args(arguments)


def main():
    options = parse()
    soak = Soak(options)
    try:
        soak.run()
        table = soak.table(soak.verify())
        table.print()
        print("0 rounds lost, 0 applied twice: the last state is, to the last bit, what those who reported make of it")
        if options.json:
            options.json.write_text(json.dumps({"rows": table.rows, "samples": soak.samples}, indent=1) + "\n")
    finally:
        soak.federation.close()


if __name__ == "__main__":
    main()
