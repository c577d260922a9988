"""A federation of real processes in a temporary folder, for the system tests. Standard library only."""

import gzip
import json
import os
import pathlib
import random
import re
import resource
import shutil
import signal
import struct
import subprocess
import tempfile
import time

BIN = pathlib.Path(os.environ.get("FEDMETA_BIN", pathlib.Path(__file__).parents[2] / "build/dev/bin"))

EXPERIMENT = """\
name: shapes
seed: 3
model: {name: mlp, hidden: [16]}
data:
  name: shapes
  source: {name: idx, path: data, part: train}
  tasks: {name: episodic, ways: 2, shots: 1, queries: 4}
  partition: {scheme: classes, clients: 4, holdout_clients: 1, classes_per_client: 3, examples_per_class: 8, labels: own}
algorithm: {name: maml, inner_learning_rate: 0.1, adaptation_steps: 2, tasks_per_round: 2}
server: {optimizer: {name: adam, learning_rate: 0.01}}
federation: {rounds: 12, cohort: 3, minimum_cohort: 2, report_deadline: 30s, join_deadline: 30s, lost_after: 3s}
evaluation: {every: 6, steps: [0, 1, 3], learning_rates: [0.1], episodes: 2, baselines: [{name: local}, {name: fedavg}], select: {metric: loss_mean}}
"""
PLAIN = "privacy: {secure_aggregation: {mode: plain}}\n"


def with_plain_sums(experiment):
    """Live too, so that single sites can be told apart; unless the experiment speaks of secure aggregation itself."""
    experiment = experiment.replace(PLAIN, "")
    if "secure_aggregation" in experiment:
        return experiment
    if "privacy: {" in experiment:
        return experiment.replace("privacy: {", "privacy: {secure_aggregation: {mode: plain}, ", 1)
    return experiment.removesuffix("\n") + "\n" + PLAIN


def write_images(folder, classes=6, per_class=16, side=6, seed=1):
    """Noisy prototypes, one a class, as IDX files."""
    rng = random.Random(seed)
    prototypes = [[rng.randrange(256) for _ in range(side * side)] for _ in range(classes)]
    images, labels = bytearray(), bytearray()
    for _ in range(per_class):
        for label, prototype in enumerate(prototypes):
            images += bytes(min(255, max(0, value + rng.randrange(-60, 61))) for value in prototype)
            labels.append(label)
    folder.mkdir(parents=True, exist_ok=True)
    count = classes * per_class
    with gzip.open(folder / "train-images-idx3-ubyte.gz", "wb") as file:
        file.write(struct.pack(">IIII", 0x803, count, side, side) + images)
    with gzip.open(folder / "train-labels-idx1-ubyte.gz", "wb") as file:
        file.write(struct.pack(">II", 0x801, count) + labels)


class Federation:
    """Folder, files and processes; everything started ends with close()."""

    def __init__(self):
        self.dir = pathlib.Path(tempfile.mkdtemp(prefix="fedmeta-system-"))
        self.processes = {}
        self.prefixes = {}  # by process ("run": those that run() waits for): what comes before its command
        self.address = "127.0.0.1:1"
        write_images(self.dir / "data")
        self.write("experiment.yaml", EXPERIMENT)

    def close(self):
        for process in self.processes.values():
            if process.poll() is None:
                process.kill()
            process.wait()
        shutil.rmtree(self.dir, ignore_errors=True)

    def write(self, name, text):
        path = self.dir / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(with_plain_sums(text) if name == "experiment.yaml" else text)
        return path

    def run(self, *arguments, check=True, timeout=120):
        result = subprocess.run([*self.prefixes.get("run", ()), BIN / "fedmeta", *map(str, arguments)], cwd=self.dir, text=True, capture_output=True, timeout=timeout)
        if check and result.returncode != 0:
            raise AssertionError(f"fedmeta {' '.join(map(str, arguments))}: exit {result.returncode}\n{result.stdout}{result.stderr}")
        return result

    # -- identities --
    def authority(self, name="authority", federation="shapes"):
        self.run("pki", "init", "--dir", f"pki/{name}", "--federation", federation)

    def identity(self, name, role="client", authority="authority", federation="shapes", options=(), days=None):
        self.run("pki", "request", "--dir", f"pki/{name}", "--identity", f"spiffe://{federation}/{role}/{name}", *options)
        self.run("pki", "sign", "--authority", f"pki/{authority}", "--request", f"pki/{name}/{name}.csr",
                 "--out", f"pki/{name}/{name}.pem", *(["--days", days] if days is not None else []))

    def prepare(self, sites=3, address="127.0.0.1"):
        """Authority, coordinator, sites and the initial state."""
        self.authority()
        self.identity("coordinator", "coordinator", options=("--ip", address))
        for number in range(1, sites + 1):
            self.identity(f"site-{number}")
        self.run("init", "experiment.yaml", "--out", "initial.safetensors")

    # -- processes --
    def start(self, name, *command, descriptors=None):
        log = open(self.dir / f"{name}.log", "ab")
        limit = None if descriptors is None else lambda: resource.setrlimit(resource.RLIMIT_NOFILE, (descriptors, descriptors))
        self.processes[name] = subprocess.Popen([str(word) for word in (*self.prefixes.get(name, ()), *command)], cwd=self.dir, stdin=subprocess.DEVNULL, stdout=log,
                                                stderr=log, preexec_fn=limit)
        log.close()
        return self.processes[name]

    def log(self, name):
        path = self.dir / f"{name}.log"
        return path.read_text(errors="replace") if path.exists() else ""

    def start_coordinator(self, overrides=(), name="coordinator", listen="127.0.0.1:0", limits="{}", members="spiffe://shapes/client/*", out="live",
                          revocation_list=None, more="", descriptors=None):
        self.write(f"{name}.yaml", f"""\
listen: "{listen}"
identity: {{certificate: pki/coordinator/coordinator.pem, key: pki/coordinator/coordinator.key, trust: pki/authority/authority.pem{f", revocation_list: {revocation_list}" if revocation_list else ""}}}
experiment: experiment.yaml
initial_state: initial.safetensors
members: ["{members}"]
limits: {limits}
out: {out}
{more}
""")
        self.start(name, BIN / "fedmeta", "coordinator", f"{name}.yaml", *overrides, descriptors=descriptors)
        self.wait_for(lambda: re.search(r"listening on \S+:\d+", self.log(name)), "the coordinator's start", name)
        self.address = re.search(r"listening on (\S+:\d+)", self.log(name)).group(1)

    def make_sites(self):
        self.run("partition", "experiment.yaml", "--out", "sites", "--coordinator", self.address)
        # The pki folder stands beside the sites' own folders in the files that partition writes.
        link = self.dir / "sites" / "pki"
        if not link.exists():
            link.symlink_to(self.dir / "pki")

    def start_site(self, number):
        return self.start(f"site-{number}", BIN / "fedmeta", "client", f"sites/site-{number}/client.yaml")

    def wait_for(self, condition, what, name=None, seconds=60):
        deadline = time.monotonic() + seconds
        while not condition():
            ended = name is not None and self.processes[name].poll() is not None
            if time.monotonic() > deadline or (ended and not condition()):
                raise AssertionError(f"{what} did not happen; {name}: {self.log(name) if name else ''}")
            time.sleep(0.02)

    def wait_end(self, name, seconds=120):
        try:
            return self.processes[name].wait(timeout=seconds)
        except subprocess.TimeoutExpired:
            raise AssertionError(f"{name} did not end; {self.log(name)}") from None

    def rounds(self, out="live"):
        path = self.dir / out / "rounds.jsonl"
        if not path.exists():
            return []
        return [json.loads(line) for line in path.read_text().splitlines() if line.endswith("}")]

    def summary(self, out="live"):
        return json.loads((self.dir / out / "summary.json").read_text())

    def kill(self, name):
        self.processes[name].send_signal(signal.SIGKILL)
        self.processes[name].wait()
