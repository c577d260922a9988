"""What durable rounds cost: the coordinator's memory by the number of clients, its return after SIGKILL, the store's share of a round."""
import re
import statistics
import time
import urllib.request

from null_federation import NULL, Federation, coordinates
from measuring import note

SMALL, LARGE = 82, 980  # widths: 1e4 and 1e6 parameters
MEMORY_CLIENTS = (8, 32, 128)
JOURNAL_ROUNDS = 4000
# Bytes a coordinate that a round cannot do without: the state and the next one (float32), the sum (64 bits), a payload in each of two slots.
NEEDED_BYTES = 4 + 4 + 8 + 2 * 4


def memory(table, options):
    """Largest resident memory after a few rounds with light clients; the rounds are those of the store on disk."""
    floor = NEEDED_BYTES * coordinates(LARGE) / 2**20
    peaks = []
    for clients in MEMORY_CLIENTS:
        federation = Federation(LARGE, light=clients)
        try:
            federation.begin(rounds=8, seconds=600)
            figures = federation.figures()
        finally:
            federation.close()
        note(f"  {clients} clients: {figures}")
        peaks.append(figures["peak"])
        table.add(f"coordinator memory at most, {clients} clients x 1e6, MiB; floor: states, sum and two uploads", floor, figures["peak"],
                  figures["peak"] / floor)
    table.add(f"the same, {MEMORY_CLIENTS[-1]} clients over {MEMORY_CLIENTS[0]}", peaks[0], peaks[-1], peaks[-1] / peaks[0], 1.25, at_most=True)


def return_seconds(federation):
    """From the start of a coordinator after SIGKILL: until it serves, and until its clients, which wait between tries, have done another round."""
    seen = federation.rounds()
    federation.kill("coordinator")
    begin = time.monotonic()
    federation.start_coordinator()
    serves = time.monotonic() - begin
    federation.wait_for(lambda: federation.rounds() > seen + 1, "a round after the restart")
    return serves, time.monotonic() - begin


def resume(table, options):
    for name, width, rounds in (("1e6 parameters", LARGE, 10), (f"1e4 parameters, {JOURNAL_ROUNDS} rounds in the journal", SMALL, JOURNAL_ROUNDS)):
        federation = Federation(width, light=4)
        try:
            federation.begin(rounds=rounds, seconds=600)
            times = [return_seconds(federation) for _ in range(options.repetitions)]
        finally:
            federation.close()
        note(f"  {name}: {times}")
        serves, done = (statistics.median(column) for column in zip(*times))
        table.add(f"start after SIGKILL, {name}, s until it serves", 10.0, serves, serves / 10, 1, at_most=True)
        table.add(f"start after SIGKILL, {name}, s until the next round is done", 10.0, done, done / 10, 1, at_most=True)


def store_seconds(federation):
    """So far, begin and end of all attempts."""
    address = re.search(r"http://\S+:\d+", federation.log("coordinator")).group(0)
    with urllib.request.urlopen(f"{address}/metrics", timeout=10) as answer:
        return float(re.search(r"^fedmeta_store_seconds_sum (\S+)", answer.read().decode(), re.MULTILINE).group(1))


TRAINS = "{name: maml, inner_learning_rate: 0.05, adaptation_steps: 5, tasks_per_round: 4}"  # as fashion_mnist_maml.yaml, but of two images a task


def commit(table, options):
    for name, width, algorithm in (("1e4", SMALL, NULL), ("1e6", LARGE, NULL), ("1e6", LARGE, TRAINS)):
        shares, each = [], []
        for _ in range(options.repetitions):
            federation = Federation(width, sites=4, metrics=True, algorithm=algorithm)
            try:
                federation.begin()
                rounds, stored, begin = federation.rounds(), store_seconds(federation), time.monotonic()
                time.sleep(max(options.seconds, 10))
                stored, wall = store_seconds(federation) - stored, time.monotonic() - begin
                rounds = federation.rounds() - rounds
            finally:
                federation.close()
            note(f"  4 clients x {name}: {rounds} rounds in {wall:.2f} s, of which in the store {stored:.3f} s")
            shares.append(stored / wall)
            each.append((stored / rounds, wall / rounds))
        in_store, whole = (1e3 * statistics.median(column) for column in zip(*each))
        table.add(f"4 clients x {name}, {'no training' if algorithm == NULL else 'MAML, 4 tasks of 5 steps'}: store of a round, ms", whole, in_store,
                  statistics.median(shares), 0.05 if algorithm == TRAINS else None, at_most=True)
