"""A federation of four sites under secure aggregation, and gates that hold a site still before a message of its choice. Standard library only."""

import collections
import fcntl
import json
import os
import signal
import sqlite3
import threading
import time
import unittest

from federation import Federation
from test_live import tensors

signal.signal(signal.SIGIO, signal.SIG_IGN)  # the kernel says so that somebody waits for a lease; a Gate looks for itself

SETTINGS = "secure_aggregation: {plan_seeds: true}\npolicy: {approve: any, minimum_cohort: 3}\n"


class Gate:
    """Stands before each message of a site. A site writes a message down (outbound.jsonl) before it sends it; here it finds that file
    under a lease of this process, and the kernel lets it open the file only when the gate gives the lease up, by when the next file
    is in its place. So a site stands still before the message that follows one which hold() names, until release(), while
    its heartbeats go on. The kernel breaks a lease after 45 s."""

    def __init__(self, path):
        self.path, self.holds = path, collections.deque()
        self.held, self.go = threading.Event(), threading.Event()
        self.file = self._lease()
        threading.Thread(target=self._guard, daemon=True).start()

    def _lease(self):
        fresh = self.path.with_suffix(".next")
        file = os.open(fresh, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600)
        fcntl.fcntl(file, fcntl.F_SETLEASE, fcntl.F_WRLCK)
        os.rename(fresh, self.path)
        return file

    def _guard(self):
        before = None
        while self.path.parent.exists():
            if fcntl.fcntl(self.file, fcntl.F_GETLEASE) == fcntl.F_WRLCK:
                time.sleep(0.002)
                continue
            # The site wants to write: what it wrote before is whole.
            text = os.pread(before, 1 << 16, 0).decode() if before is not None else ""
            for line in map(json.loads, text.splitlines()):
                if line.get("purpose") == "train" and self.holds and self.holds[0] == (line["kind"], line["round"]):
                    self.holds.popleft()
                    self.go.clear()
                    self.held.set()
                    self.go.wait()
            if before is not None:
                os.close(before)
            try:
                before, self.file = self.file, self._lease()
            except FileNotFoundError:
                return  # the federation is closed
            fcntl.fcntl(before, fcntl.F_SETLEASE, fcntl.F_UNLCK)

    def hold(self, kind, number):
        """After this message of this training round; several holds come one after the other."""
        self.holds.append((kind, number))

    def release(self):
        self.held.clear()
        self.go.set()


class SecureCase(unittest.TestCase):
    privacy = "privacy: {secure_aggregation: {mode: secure, phase_deadline: 10s}}\n"

    def setUp(self):
        self.federation = Federation()
        self.addCleanup(self.federation.close)
        text = (self.federation.dir / "experiment.yaml").read_text()
        text = text.replace("clients: 4, holdout_clients: 1", "clients: 4, holdout_clients: 0").replace("cohort: 3, minimum_cohort: 2", "cohort: 4, minimum_cohort: 3")
        self.federation.write("experiment.yaml", text + self.privacy)

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
        verified = json.loads(self.federation.run("audit", "verify", "live", "--trust", "pki/authority/authority.pem", "--json").stdout)
        self.assertIsNone(verified["bad"])
        self.assertGreater(verified["openings"], 0)

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
