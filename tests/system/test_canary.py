"""Plants values that must stay where they are, lets things go wrong, and looks for them in everything that is written."""

import base64
import re
import select
import shutil
import signal
import socket
import struct
import threading
import unittest
import urllib.request

from federation import BIN, Federation

LABEL = 31337  # of one class at site-1
FILE = "CanaryFile4711"  # in every file name below a data root
WARD, DIAGNOSIS = "CanaryWard", "CanaryDiagnosis"  # names of classes
PASSWORD = "canary-proxy-password"


class Proxy:
    """HTTP CONNECT on loopback."""

    def __init__(self):
        self.server = socket.create_server(("127.0.0.1", 0))
        self.port = self.server.getsockname()[1]
        self.requests = []
        threading.Thread(target=self.serve, daemon=True).start()

    def serve(self):
        while True:
            try:
                client, _ = self.server.accept()
            except OSError:
                return
            threading.Thread(target=self.relay, args=(client,), daemon=True).start()

    def relay(self, client):
        head = b""
        while b"\r\n\r\n" not in head:
            data = client.recv(4096)
            if not data:
                return client.close()
            head += data
        self.requests.append(head.decode())
        host, port = head.split()[1].decode().rsplit(":", 1)
        try:
            server = socket.create_connection((host, int(port)))
        except OSError:
            client.sendall(b"HTTP/1.1 502 Bad Gateway\r\n\r\n")
            return client.close()
        client.sendall(b"HTTP/1.1 200 OK\r\n\r\n")
        ends = {client: server, server: client}
        try:
            while True:
                for end in select.select(list(ends), [], [])[0]:
                    data = end.recv(65536)
                    if not data:
                        return
                    ends[end].sendall(data)
        except OSError:
            pass
        finally:
            client.close()
            server.close()


def write_idx(path, extents, values, kind=8):
    header = struct.pack(f">BBBB{len(extents)}I", 0, 0, kind, len(extents), *extents)
    path.write_bytes(header + (struct.pack(f">{len(values)}h", *values) if kind == 11 else bytes(values)))


class CanaryTest(unittest.TestCase):
    def setUp(self):
        self.federation = Federation()
        self.addCleanup(self.federation.close)
        self.dir = self.federation.dir
        self.outputs = {}

    def write_site(self, number, labels, classes, more=""):
        """A site's own folder, with the data below its root `extract`."""
        folder = self.dir / f"sites/site-{number}/extract"
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        pixels = [(37 * label + 11 * place + position) % 256 for position, label in enumerate(labels) for place in range(36)]
        write_idx(folder / f"site-{FILE}-images-idx3-ubyte", [len(labels), 6, 6], pixels)
        write_idx(folder / f"site-{FILE}-labels-idx1-int16", [len(labels)], labels, kind=11)
        if classes:
            lines = [f"{number}\t{WARD}\t{DIAGNOSIS}{number}" for number in range(max(labels) + 1)]
            (folder / "site-classes.tsv").write_text("class_id\talphabet\tcharacter\n" + "\n".join(lines) + "\n")
        self.federation.write(f"sites/site-{number}/client.yaml", f"""\
coordinator: {{address: "{self.federation.address}", proxy: "http://canary@127.0.0.1:{self.proxy.port}", proxy_password_file: ../../secret}}
identity: {{certificate: ../../pki/site-{number}/site-{number}.pem, key: ../../pki/site-{number}/site-{number}.key, trust: ../../pki/authority/authority.pem}}
state_dir: state
data: {{shapes: {{source: {{name: idx, path: extract, part: site}}}}}}
policy: {{approve: any}}
log: {{level: debug, format: {"json" if number == 2 else "text"}}}
metrics: {{listen: "127.0.0.1:0"}}
""")

    def keep(self, name, *command):
        result = self.federation.run(*command, check=False)
        self.outputs[name] = result.stdout + result.stderr
        return result

    def refused(self, name, why, *command):
        """Exit 2; a check, which also finds no coordinator, says that first: exit 1."""
        self.assertIn(self.keep(name, *command).returncode, (1, 2) if command[0] == "check" else (2,), self.outputs[name])
        self.assertIn(why, self.outputs[name])

    def keep_page(self, name):
        page = re.search(r"metrics on (http://\S+)/metrics", self.federation.log(name)).group(1)
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        self.outputs[f"metrics of {name}"] = opener.open(page + "/metrics", timeout=10).read().decode()

    def canaries(self):
        found = {"file name": re.escape(FILE), "class name": f"{WARD}|{DIAGNOSIS}", "label": rf"(?<![0-9A-Za-z.]){LABEL}(?![0-9A-Za-z])",
                 "proxy password": re.escape(PASSWORD),
                 "proxy authorization": re.escape(base64.b64encode(f"canary:{PASSWORD}".encode()).decode().rstrip("="))}
        for key in (self.dir / "pki").glob("*/*.key"):
            lines = [line for line in key.read_text().splitlines() if not line.startswith("-")]
            found[f"key of {key.stem}"] = "|".join(re.escape(line[:40]) for line in lines if len(line) >= 40)
        return found

    def texts(self):
        """Everything that was written, but for the places where the planted values belong."""
        yield from self.outputs.items()
        for path in sorted(self.dir.rglob("*")):
            home = path.relative_to(self.dir).parts
            if path.is_file() and home[0] not in ("pki", "data", "secret") and "extract" not in home:
                yield str(path.relative_to(self.dir)), path.read_bytes().decode("latin-1")

    def rounds_beyond(self, count, out):
        self.federation.wait_for(lambda: sum(r["committed"] for r in self.federation.rounds(out)) > count, f"round {count} of {out}", "coordinator")

    def test_no_output_holds_what_was_planted(self):
        federation = self.federation
        experiment = (self.dir / "experiment.yaml").read_text().replace("baselines: [{name: local}, {name: fedavg}]", "baselines: []")
        federation.write("experiment.yaml", experiment)
        federation.prepare()
        federation.write("secret", PASSWORD + "\n").chmod(0o600)
        self.proxy = Proxy()
        self.addCleanup(self.proxy.server.close)
        good = [label for label in (0, 1, LABEL) for _ in range(8)]
        plain = [label for label in (0, 1, 2) for _ in range(8)]
        self.write_site(1, good, classes=False)
        self.write_site(2, plain, classes=True)
        self.write_site(3, plain, classes=False)

        # Data errors before anything starts.
        extract = self.dir / "sites/site-3/extract"
        whole = (extract / f"site-{FILE}-images-idx3-ubyte").read_bytes()
        (extract / f"site-{FILE}-images-idx3-ubyte").write_bytes(whole[:-40])
        self.refused("truncated", "truncated", "client", "sites/site-3/client.yaml")
        self.refused("check truncated", "truncated", "check", "sites/site-3/client.yaml", "--json")
        (extract / f"site-{FILE}-images-idx3-ubyte").write_bytes(b"PNG" + whole)
        self.refused("magic", "another magic", "check", "sites/site-3/client.yaml")
        (extract / f"site-{FILE}-images-idx3-ubyte").write_bytes(whole)
        shutil.copy(extract / f"site-{FILE}-images-idx3-ubyte", extract / f"site-{FILE}-2-images-idx3-ubyte")
        self.refused("two", "found 2", "check", "sites/site-3/client.yaml")
        self.write_site(3, [0, 1, -LABEL], classes=False)
        self.refused("negative", "at least one is negative", "check", "sites/site-3/client.yaml")
        names = self.dir / "sites/site-2/extract/site-classes.tsv"
        named = names.read_text()
        names.write_text(named + f"9\t{WARD}\t{DIAGNOSIS}\n")
        self.refused("names", "the class names", "check", "sites/site-2/client.yaml")
        names.write_text(named)
        self.assertEqual(self.keep("check", "check", "sites/site-1/client.yaml").returncode, 1, self.outputs["check"])  # no coordinator yet

        logged = 'log: {level: debug}\nmetrics: {listen: "127.0.0.1:0"}'
        federation.start_coordinator(["federation.rounds=100000", "federation.lost_after=1s", "federation.retries=1000"], more=logged)
        # A data error in a round: site-3 holds too little for one task, and says so to the coordinator.
        self.write_site(1, good, classes=False)
        self.write_site(2, plain, classes=True)
        self.write_site(3, [0, 0, LABEL, LABEL], classes=False)
        for number in (1, 2, 3):
            federation.start_site(number)
        federation.wait_for(lambda: any("need" in d["reason"] for r in federation.rounds() for d in r["dropped"] if d["client"] == "site-3"),
                            "the report of the data error", "coordinator")
        self.rounds_beyond(3, "live")
        self.assertTrue(any("Proxy-Authorization" in request for request in self.proxy.requests), self.proxy.requests)

        # Sites that crash and are killed, and a coordinator that is killed.
        for name in ("coordinator", "site-1", "site-2"):
            self.keep_page(name)
        for name, how in (("site-3", signal.SIGKILL), ("site-1", signal.SIGSEGV), ("site-2", signal.SIGABRT)):
            federation.processes[name].send_signal(how)
            self.assertEqual(federation.processes[name].wait(), -how)
        federation.wait_for(lambda: any(d["phase"] == "lost" for r in federation.rounds() for d in r["dropped"]), "the loss of a site", "coordinator")
        federation.kill("coordinator")

        # And a run that ends, with its page.
        # Another federation's store: sites that remember the first would refuse it.
        for memory in federation.dir.glob("sites/*/state/coordinator.binpb"):
            memory.unlink()
        federation.start_coordinator(["federation.rounds=3", "federation.cohort=2", "evaluation.every=3"], name="coordinator-2", out="live-2", more=logged + "\nstore: sqlite:store-2.db")
        self.write_site(1, good, classes=False)
        self.write_site(2, plain, classes=True)
        for number in (1, 2):
            federation.start_site(number)
        self.assertEqual(federation.wait_end("coordinator-2"), 0, federation.log("coordinator-2"))
        for number in (1, 2):
            federation.wait_end(f"site-{number}")
        self.keep("report", "report", "live-2")

        searched = dict(self.texts())
        for needed in ("coordinator.log", "coordinator-2.log", "site-1.log", "site-3.log", "live/rounds.jsonl", "live-2/report.html", "live-2/rounds.jsonl",
                       "sites/site-1/state/outbound.jsonl", "metrics of coordinator", "truncated"):
            self.assertTrue(searched.get(needed), f"{needed} was not written: the search would prove nothing")
        canaries = self.canaries()
        self.assertEqual(len([name for name in canaries if name.startswith("key of")]), 5)
        leaks = [(name, what) for name, text in searched.items() for what, pattern in canaries.items() if re.search(pattern, text)]
        self.assertEqual(leaks, [], searched[leaks[0][0]][-3000:] if leaks else "")


TABLE = """\
name: hearts
seed: 3
model: {name: mlp, hidden: []}
data:
  name: heart
  features:
    - {name: chol, unit: mg/dL, range: [50, 700], missing: zero_with_flag, mean: 230, standard_deviation: 40}
    - {name: sex, kind: category, levels: [female, male], missing: zero_with_flag, unknown: missing}
  label: {name: disease, kind: number, range: [0, 4], above: 0, levels: [absent, present]}
  standardize: given
  tasks: {name: split, support_fraction: 0.5}
algorithm: {name: fedavg, learning_rate: 0.1, batch_size: 0, local_steps: 1}
federation: {rounds: 100000, cohort: 2, report_deadline: 60s, join_deadline: 60s, lost_after: 5s}
evaluation: {every: 3, steps: [0, 1]}
privacy: {differential_privacy: {mode: local, clip: 1, noise_multiplier: 4, delta: 1e-6}}
"""


class CanaryTableTest(unittest.TestCase):
    """The same for tables, and for what comes after training: privacy's accounts, rehearsal, adapted models, scores."""
    # Whose rows they are, texts and numbers in them, names of files, a program's words, a column that nobody asked for.
    CANARIES = {"person": "CanaryPatient", "level": "CanaryLevel", "text for a number": "CanaryNumber", "text for a label": "CanaryLabel",
                "value": r"(?<!\d)313\.37", "value out of range": r"(?<!\d)98765(?!\d)", "file name": "CanaryFile", "a program's words": "CanaryProgram", "another column": "CanaryColumn"}
    keep = CanaryTest.keep

    def setUp(self):
        self.federation = Federation()
        self.addCleanup(self.federation.close)
        self.dir = self.federation.dir
        self.outputs = {}

    def table(self, name, *more):
        lines = [f"CanaryPatient-{number},CanaryColumn,{200 + 3 * number % 90},{'female' if number % 3 else 'male'},{number % 5}" for number in range(60)]
        lines += ["CanaryPatient-60,x,313.37,CanaryLevel,2", "CanaryPatient-61,x,98765.4,male,1", "CanaryPatient-62,x,220,,98765", *more]
        (self.dir / "extract").mkdir(exist_ok=True)
        self.federation.write(f"extract/{name}-CanaryFile.csv", "\n".join(["patient,note,chol,sex,disease", *lines]) + "\n")

    def site(self, name, source, approve="any"):
        self.federation.write(f"{name}.yaml", f"""\
coordinator: {{address: "{self.federation.address}"}}
identity: {{certificate: pki/{name}/{name}.pem, key: pki/{name}/{name}.key, trust: pki/authority/authority.pem}}
state_dir: state-{name}
policy: {{approve: {approve}}}
data: {{heart: {{source: {source}, group: [patient]}}}}
log: {{level: debug}}
""")

    def test_no_output_holds_what_was_planted(self):
        federation = self.federation
        federation.write("experiment.yaml", TABLE)
        self.table("good")
        self.table("bad", "CanaryPatient-63,x,CanaryNumber,male,1", "CanaryPatient-64,x,210,male,CanaryLabel")
        sources = {"site-1": "{name: csv, path: extract/good-CanaryFile.csv}",
                   "site-2": "{name: command, argv: [cat, extract/good-CanaryFile.csv]}",
                   "bad": "{name: csv, path: extract/bad-CanaryFile.csv}",
                   "failing": "{name: command, argv: [sh, -c, 'echo CanaryProgram; echo CanaryProgram >&2; exit 3']}"}
        federation.prepare(sites=2)
        federation.start_coordinator(more="log: {level: debug}")
        for name, source in sources.items():
            self.site(name, source, approve="manual" if name == "site-1" else "any")
        for name, why in (("bad", "'chol' is no number in <10 rows"), ("failing", "no column")):
            for command in (["check"], ["check", "--json"], ["rehearse", "--out", "refused"]):
                result = self.keep(f"{command} {name}", command[0], f"{name}.yaml", "experiment.yaml", *command[1:])
                self.assertNotEqual(result.returncode, 0)
                self.assertIn(why, result.stdout + result.stderr)
        self.keep("check", "check", "site-1.yaml", "experiment.yaml")
        self.assertEqual(self.keep("rehearse", "rehearse", "site-1.yaml", "experiment.yaml", "--out", "rehearsal").returncode, 0, self.outputs["rehearse"])
        self.assertEqual(self.keep("privacy", "privacy", "--noise", "4", "--rounds", "3", "--delta", "1e-6").returncode, 0)

        for name in ("site-1", "site-2"):
            federation.start(name, BIN / "fedmeta", "client", f"{name}.yaml")
        offered = lambda: "hearts" in federation.run("site", "pending", "--client", "site-1.yaml", check=False).stdout
        federation.wait_for(offered, "an offer", "site-1")
        for command in (["pending"], ["show", "hearts"], ["approve", "hearts"]):
            self.assertEqual(self.keep(f"site {command[0]}", "site", *command, "--client", "site-1.yaml").returncode, 0)
        federation.wait_for(lambda: len([line for line in federation.rounds() if line["committed"]]) > 3, "rounds", "coordinator")
        self.assertEqual(self.keep("site ledger", "site", "ledger", "--client", "site-1.yaml").returncode, 0)
        self.assertEqual(self.keep("site ledger as JSON", "site", "ledger", "--json", "--client", "site-1.yaml").returncode, 0)
        federation.processes["coordinator"].send_signal(signal.SIGTERM)
        self.assertEqual(federation.wait_end("coordinator"), 130)
        for name in ("site-1", "site-2"):
            federation.processes[name].send_signal(signal.SIGTERM)
            federation.wait_end(name)

        self.assertEqual(self.keep("report", "report", "live").returncode, 0)
        self.assertEqual(self.keep("adapt", "adapt", "--model", "live", "--data", "site-1.yaml", "--out", "adapted").returncode, 0, self.outputs["adapt"])
        for name in ("bad", "failing"):
            self.assertNotEqual(self.keep(f"adapt {name}", "adapt", "--model", "live", "--data", f"{name}.yaml", "--out", "refused").returncode, 0)
        for name, code in (("site-1", 0), ("bad", 0), ("failing", 1)):
            result = self.keep(f"predict {name}", "predict", "--model", "adapted", "--data", f"{name}.yaml", "--out", f"scored-{name}.csv")
            self.assertEqual(result.returncode, code, result.stderr)
        self.assertIn("chol: no number", (self.dir / "scored-bad.csv").read_text())

        searched = dict(CanaryTest.texts(self))
        for needed in ("coordinator.log", "site-1.log", "site-2.log", "live/rounds.jsonl", "live/report.html", "rehearsal/rehearsal.json", "adapted/model_card.md",
                       "adapted/adapt.json", "adapted/model.pt", "scored-site-1.csv", "site ledger", "state-site-1/outbound.jsonl", "privacy"):
            self.assertTrue(searched.get(needed), f"{needed} was not written: the search would prove nothing")
        for name in sources:
            searched.pop(f"{name}.yaml", None)   # the site's own word for where its data lies
        leaks = [(name, what) for name, text in searched.items() for what, pattern in self.CANARIES.items() if re.search(pattern, text)]
        self.assertEqual(leaks, [], searched[leaks[0][0]][-3000:] if leaks else "")


if __name__ == "__main__":
    unittest.main()
