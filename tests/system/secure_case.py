"""A federation of four sites under secure aggregation, and gates that hold a site still before a message of its choice. Standard library only."""

import collections
import json
import os
import sqlite3
import threading
import unittest

from federation import Federation
from test_live import tensors

SETTINGS = "secure_aggregation: {plan_seeds: true}\npolicy: {approve: any, minimum_cohort: 3}\n"


class Gate:
    """A site's outbound.jsonl as a named pipe. A site writes down each message before it sends it, so it stands still before the
    message that follows one which hold() names, until release(). Its heartbeats go on."""

    def __init__(self, path):
        self.holds, self.held, self.go = collections.deque(), threading.Event(), threading.Event()
        path.unlink(missing_ok=True)
        os.mkfifo(path)
        threading.Thread(target=self._read, args=(path,), daemon=True).start()

    def _read(self, path):
        while path.exists():
            with open(path, encoding="utf-8") as pipe:  # until the site opens it too, and then until it closes it
                lines = [json.loads(line) for line in pipe]
            for line in lines:
                if line.get("purpose") == "train" and self.holds and self.holds[0] == (line["kind"], line["round"]):
                    self.holds.popleft()
                    self.go.clear()
                    self.held.set()
                    self.go.wait()

    def hold(self, kind, number):
        """After this message of this training round; several holds come one after the other."""
        self.holds.append((kind, number))

    def release(self):
        self.held.clear()
        self.go.set()


class SecureCase(unittest.TestCase):
    def setUp(self):
        self.federation = Federation()
        self.addCleanup(self.federation.close)
        text = (self.federation.dir / "experiment.yaml").read_text()
        text = text.replace("clients: 4, holdout_clients: 1", "clients: 4, holdout_clients: 0").replace("cohort: 3, minimum_cohort: 2", "cohort: 4, minimum_cohort: 3")
        text += "privacy: {secure_aggregation: {mode: secure, phase_deadline: 10s}}\n"
        self.federation.write("experiment.yaml", text)

    def begin(self, overrides=(), settings=SETTINGS, gated=()):
        """Gates by site."""
        self.federation.prepare(sites=4)
        self.federation.start_coordinator(overrides)
        self.federation.make_sites()
        gates = {}
        for number in (1, 2, 3, 4):
            folder = self.federation.dir / f"sites/site-{number}"
            text = "\n".join(line for line in (folder / "client.yaml").read_text().splitlines() if not line.startswith("policy:"))
            (folder / "client.yaml").write_text(text + "\n" + settings)
            if number in gated:
                (folder / "state").mkdir(mode=0o700, exist_ok=True)
                gates[number] = Gate(folder / "state/outbound.jsonl")
            self.federation.start_site(number)
        return gates

    def end(self, sites=(1, 2, 3, 4)):
        self.assertEqual(self.federation.wait_end("coordinator"), 0, self.federation.log("coordinator"))
        for number in sites:
            self.assertEqual(self.federation.wait_end(f"site-{number}"), 0, self.federation.log(f"site-{number}"))

    def checkpoint(self, run, name="final"):
        return tensors((self.federation.dir / run / "checkpoints" / f"{name}.safetensors").read_bytes())

    def openings(self):
        """The sessions that sites have opened, by experiment, purpose and round."""
        opened = collections.defaultdict(set)
        for log in self.federation.dir.glob("sites/*/state/openings/*.log"):
            for line in log.read_text().splitlines():
                _, kind, purpose, session, number, experiment = line.split(" ", 5)
                if kind == "opened":
                    opened[experiment, purpose, int(number)].add(session)
        return opened

    def bytes_of_charges(self):
        """What the coordinator still stores of masked sums and of what opens them."""
        store = self.federation.dir / "store.db"
        with sqlite3.connect(f"file:{store}?mode=ro", uri=True) as database:
            return database.execute("SELECT coalesce(sum(size), 0) FROM charge JOIN blob ON blob.id IN (masked_sum, receipts)").fetchone()[0]
