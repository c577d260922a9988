"""Federations of real processes over mutual TLS whose training costs nothing: the algorithm "null", and light clients by the dozen.
Standard library only."""
import json
import os
import pathlib
import random
import re
import shutil
import signal
import struct
import subprocess
import tempfile
import time

from measuring import BIN

EXPERIMENT = """\
name: rounds
model: {{name: mlp, hidden: [{width}, {width}]}}
data:
  name: noise
  source: {{name: idx, path: data, part: train}}
  tasks: {{name: episodic, ways: 2, shots: 1, queries: 1}}
  partition: {{scheme: classes, clients: {clients}, classes_per_client: 2}}
algorithm: {algorithm}
server: {{optimizer: {{name: sgd, learning_rate: {rate}}}}}
federation: {{rounds: {rounds}, {federation}}}
evaluation: {{steps: [0], episodes: 1}}
privacy: {{secure_aggregation: {{mode: {mode}}}}}
"""
COORDINATOR = """\
listen: "{listen}"
identity: {{certificate: pki/coordinator/coordinator.pem, key: pki/coordinator/coordinator.key, trust: pki/authority/authority.pem}}
experiment: experiment.yaml
initial_state: initial.safetensors
members: ["spiffe://bench/client/*"]
store: "{store}"
out: run
"""
NULL = '{name: "null"}'  # trains nothing
RATE = 0.125  # of the server's optimiser


def coordinates(width):
    """Of an MLP 36-width-width-2."""
    return width * width + 40 * width + 2


def write_noise(folder, classes=4, per_class=40, side=6):
    """Images of noise as IDX files: a client needs data, although nothing is learned."""
    count = classes * per_class
    folder.mkdir()
    (folder / "train-images-idx3-ubyte").write_bytes(struct.pack(">IIII", 0x803, count, side, side) + random.Random(1).randbytes(count * side * side))
    (folder / "train-labels-idx1-ubyte").write_bytes(struct.pack(">II", 0x801, count) + bytes(i % classes for i in range(count)))


def process_figures(pid):
    """Resident memory and its largest value in MiB, threads, open descriptors; None if the process is gone."""
    try:
        status = pathlib.Path(f"/proc/{pid}/status").read_text()
        figure = lambda name: int(re.search(rf"{name}:\s*(\d+)", status).group(1))
        return {"rss": figure("VmRSS") / 1024, "peak": figure("VmHWM") / 1024, "threads": figure("Threads"), "descriptors": len(os.listdir(f"/proc/{pid}/fd"))}
    except (OSError, AttributeError):
        return None


class Federation:
    """A coordinator, `sites` real clients (site-1...) and `light` ones (load-1..., one process "load") in a temporary folder.
    `federation`: further keys of that block; `algorithm`: that block. close() ends them."""

    def __init__(self, width, sites=0, light=0, federation=None, store="sqlite:store.db", metrics=False, deaths=0.0, mode="plain",
                 algorithm=NULL):
        self.dir = pathlib.Path(tempfile.mkdtemp(prefix="fedmeta-bench-"))
        self.processes = {}
        self.sites, self.light, self.store, self.metrics, self.deaths = sites, light, store, metrics, deaths
        self.address, self.starts = None, 0
        settings = {"cohort": sites + light, **(federation or {})}
        (self.dir / "experiment.yaml").write_text(EXPERIMENT.format(width=width, clients=sites + light, rate=RATE, rounds=settings.pop("rounds", 10**8), mode=mode,
                                                                    algorithm=algorithm,
                                                                    federation=", ".join(f"{key}: {value}" for key, value in settings.items())))
        self.records = self.dir / "run/rounds.jsonl"

    # -- processes --
    def call(self, program, *arguments):
        result = subprocess.run([str(BIN / program), *map(str, arguments)], cwd=self.dir, text=True, capture_output=True)
        if result.returncode != 0:
            raise RuntimeError(f"{program} {' '.join(map(str, arguments))}: exit {result.returncode}\n{result.stdout}{result.stderr}")

    def identity(self, name, role, *options):
        self.call("fedmeta", "pki", "request", "--dir", f"pki/{name}", "--identity", f"spiffe://bench/{role}/{name}", *options)
        self.call("fedmeta", "pki", "sign", "--authority", "pki/authority", "--request", f"pki/{name}/{name}.csr", "--out", f"pki/{name}/{name}.pem")

    def launch(self, name, *command):
        with open(self.dir / f"{name}.log", "wb") as log:
            self.processes[name] = subprocess.Popen([str(word) for word in command], cwd=self.dir, stdin=subprocess.DEVNULL, stdout=log, stderr=log)

    def log(self, name):
        return (self.dir / f"{name}.log").read_text(errors="replace")

    def alive(self, name):
        return name in self.processes and self.processes[name].poll() is None

    def kill(self, name):
        self.processes[name].send_signal(signal.SIGKILL)
        self.processes[name].wait()

    def wait_for(self, condition, what, seconds=60):
        deadline = time.monotonic() + seconds
        while not condition():
            ended = [name for name, process in self.processes.items() if process.poll() is not None]
            if ended or time.monotonic() > deadline:
                raise RuntimeError(f"{what} did not happen; " + "\n".join(f"{name}: {self.log(name)}" for name in ended or self.processes))
            time.sleep(0.01)

    def close(self):
        for name in self.processes:
            if self.alive(name):
                self.kill(name)
        shutil.rmtree(self.dir, ignore_errors=True)

    # -- the federation --
    def prepare(self):
        write_noise(self.dir / "data", per_class=max(40, 4 * (self.sites + self.light)))
        self.call("fedmeta", "pki", "init", "--dir", "pki/authority", "--federation", "bench")
        self.identity("coordinator", "coordinator", "--ip", "127.0.0.1")
        self.call("null-learn", "init", "experiment.yaml", "--out", "initial.safetensors")

    def start_coordinator(self, wait=True):
        """The first one takes a free port, later ones the same."""
        (self.dir / "coordinator.yaml").write_text(COORDINATOR.format(listen=self.address or "127.0.0.1:0", store=self.store) +
                                                    ('metrics: {listen: "127.0.0.1:0"}\n' if self.metrics else ""))
        self.launch("coordinator", BIN / "null-coordinator", "coordinator", "coordinator.yaml")
        if wait:
            self.wait_for(self.listening, "the coordinator's start")
            self.address = self.listening().group(1)
            self.port = self.address.rsplit(":", 1)[1]

    def listening(self):
        return re.search(r"listening on (\S+:\d+)", self.log("coordinator"))

    def start_client(self, name):
        if name == "load":
            self.launch("load", BIN / "many-clients", "--coordinator", self.address, "--authority", "pki/authority", "--federation", "bench",
                        "--dir", "pki", "--data", "noise", "--clients", self.light, "--deaths", self.deaths, "--seed", self.starts)
            self.starts += 1
        else:
            self.launch(name, BIN / "null-learn", "client", f"sites/{name}/client.yaml")

    def site_names(self):
        """As `fedmeta partition` names them: numbers of one width."""
        return [f"site-{number:0{len(str(self.sites + self.light))}}" for number in range(1, self.sites + 1)]

    def clients(self):
        return self.site_names() + (["load"] if self.light else [])

    def begin(self, rounds=3, seconds=120):
        """Everything, until the first rounds are done."""
        self.prepare()
        self.start_coordinator()
        if self.sites:
            self.call("null-learn", "partition", "experiment.yaml", "--out", "sites", "--coordinator", self.address)
            (self.dir / "sites/pki").symlink_to(self.dir / "pki")
        for name in self.site_names():
            self.identity(name, "client")
            file = self.dir / f"sites/{name}/client.yaml"
            file.write_text(file.read_text() + "resources: {threads: 1}\n")
        for name in self.clients():
            self.start_client(name)
        self.wait_for(lambda: self.rounds() >= rounds, "the first rounds", seconds)

    def rounds(self):
        """Committed rounds."""
        if not self.records.exists():
            return 0
        with open(self.records, "rb") as file:
            file.seek(0, os.SEEK_END)
            file.seek(max(0, file.tell() - 65536))
            lines = [line for line in file.read().splitlines() if line.endswith(b"}") and line.startswith(b"{")]
        committed = [json.loads(line) for line in lines if b'"committed":true' in line.replace(b" ", b"")]
        return committed[-1]["round"] if committed else 0

    def figures(self):
        return process_figures(self.processes["coordinator"].pid)

    def cpu_seconds(self):
        fields = pathlib.Path(f"/proc/{self.processes['coordinator'].pid}/stat").read_text().rsplit(")", 1)[1].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def socket_bytes(self):
        """TCP payload that the coordinator's connections sent and received, TLS records included."""
        text = subprocess.run(["ss", "-tinH", "state", "established", f"sport = :{self.port}"], text=True, capture_output=True, check=True).stdout
        return sum(int(count) for count in re.findall(r"bytes_(?:sent|received):(\d+)", text))
