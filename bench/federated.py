"""Federated rounds over mutual TLS between real processes whose training costs nothing (algorithm "null")."""
import os
import pathlib
import random
import re
import shutil
import signal
import statistics
import struct
import subprocess
import tempfile
import time

from measuring import BIN, json_line, note

CLIENTS = 4
PARAMETERS = {82: "1e4", 980: "1e6"}  # an MLP 36-w-w-2 has w^2 + 40w + 2 of them
EXPERIMENT = """\
name: rounds
model: {{name: mlp, hidden: [{width}, {width}]}}
data:
  name: noise
  source: {{name: idx, path: data, part: train}}
  tasks: {{name: episodic, ways: 2, shots: 1, queries: 1}}
  partition: {{scheme: classes, clients: {clients}, classes_per_client: 2}}
algorithm: {{name: "null"}}
server: {{optimizer: {{name: sgd, learning_rate: 0.001}}}}
federation: {{rounds: 1000000, cohort: {clients}}}
evaluation: {{steps: [0], episodes: 1}}
"""
COORDINATOR = """\
listen: "127.0.0.1:0"
identity: {certificate: pki/coordinator/coordinator.pem, key: pki/coordinator/coordinator.key, trust: pki/authority/authority.pem}
experiment: experiment.yaml
initial_state: initial.safetensors
members: ["spiffe://bench/client/*"]
out: run
"""


def coordinates(width):
    return width * width + 40 * width + 2


def write_noise(folder, classes=4, per_class=40, side=6):
    """Images of noise as IDX files: a client needs data, although nothing is learned."""
    count = classes * per_class
    folder.mkdir()
    (folder / "train-images-idx3-ubyte").write_bytes(struct.pack(">IIII", 0x803, count, side, side) + random.Random(1).randbytes(count * side * side))
    (folder / "train-labels-idx1-ubyte").write_bytes(struct.pack(">II", 0x801, count) + bytes(i % classes for i in range(count)))


class Federation:
    """A coordinator and its clients in a temporary folder; close() ends them."""

    def __init__(self, width):
        self.dir = pathlib.Path(tempfile.mkdtemp(prefix="fedmeta-bench-"))
        self.processes = {}
        (self.dir / "experiment.yaml").write_text(EXPERIMENT.format(width=width, clients=CLIENTS))
        write_noise(self.dir / "data")
        (self.dir / "coordinator.yaml").write_text(COORDINATOR)

    def call(self, program, *arguments):
        result = subprocess.run([str(BIN / program), *map(str, arguments)], cwd=self.dir, text=True, capture_output=True)
        if result.returncode != 0:
            raise RuntimeError(f"{program} {' '.join(map(str, arguments))}: exit {result.returncode}\n{result.stdout}{result.stderr}")

    def identity(self, name, role, *options):
        self.call("fedmeta", "pki", "request", "--dir", f"pki/{name}", "--identity", f"spiffe://bench/{role}/{name}", *options)
        self.call("fedmeta", "pki", "sign", "--authority", "pki/authority", "--request", f"pki/{name}/{name}.csr", "--out", f"pki/{name}/{name}.pem")

    def start(self, name, *command):
        with open(self.dir / f"{name}.log", "wb") as log:
            self.processes[name] = subprocess.Popen([str(word) for word in command], cwd=self.dir, stdin=subprocess.DEVNULL, stdout=log, stderr=log)

    def log(self, name):
        return (self.dir / f"{name}.log").read_text(errors="replace")

    def wait_for(self, condition, what):
        deadline = time.monotonic() + 60
        while not condition():
            ended = [name for name, process in self.processes.items() if process.poll() is not None]
            if ended or time.monotonic() > deadline:
                raise RuntimeError(f"{what} did not happen; " + "\n".join(f"{name}: {self.log(name)}" for name in ended or self.processes))
            time.sleep(0.02)

    def begin(self):
        self.call("fedmeta", "pki", "init", "--dir", "pki/authority", "--federation", "bench")
        self.identity("coordinator", "coordinator", "--ip", "127.0.0.1")
        self.call("null-learn", "init", "experiment.yaml", "--out", "initial.safetensors")
        self.start("coordinator", BIN / "null-coordinator", "coordinator", "coordinator.yaml")
        self.wait_for(lambda: re.search(r"listening on \S+:\d+", self.log("coordinator")), "the coordinator's start")
        address = re.search(r"listening on (\S+:\d+)", self.log("coordinator")).group(1)
        self.port = address.rsplit(":", 1)[1]
        self.call("null-learn", "partition", "experiment.yaml", "--out", "sites", "--coordinator", address)
        (self.dir / "sites/pki").symlink_to(self.dir / "pki")
        for number in range(1, CLIENTS + 1):
            self.identity(f"site-{number}", "client")
            file = self.dir / f"sites/site-{number}/client.yaml"
            file.write_text(file.read_text() + "resources: {threads: 1}\n")
            self.start(f"site-{number}", BIN / "null-learn", "client", file)
        self.records = self.dir / "run/rounds.jsonl"
        self.wait_for(lambda: self.records.exists() and self.rounds() >= 3, "the first rounds")

    def rounds(self):
        """Committed rounds."""
        with open(self.records, "rb") as file:
            file.seek(0, os.SEEK_END)
            file.seek(max(0, file.tell() - 65536))
            lines = [line for line in file.read().splitlines() if line.endswith(b"}")]
        return int(re.search(rb'"round":\s*(\d+)', lines[-1]).group(1)) if lines else 0

    def cpu_seconds(self):
        fields = pathlib.Path(f"/proc/{self.processes['coordinator'].pid}/stat").read_text().rsplit(")", 1)[1].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def socket_bytes(self):
        """TCP payload that the coordinator's connections sent and received, TLS records included."""
        text = subprocess.run(["ss", "-tinH", "state", "established", f"sport = :{self.port}"], text=True, capture_output=True, check=True).stdout
        return sum(int(count) for count in re.findall(r"bytes_(?:sent|received):(\d+)", text))

    def memory_mib(self):
        status = pathlib.Path(f"/proc/{self.processes['coordinator'].pid}/status").read_text()
        return int(re.search(r"VmHWM:\s*(\d+)", status).group(1)) / 1024

    def close(self):
        for process in self.processes.values():
            if process.poll() is None:
                process.send_signal(signal.SIGKILL)
            process.wait()
        shutil.rmtree(self.dir, ignore_errors=True)


def slope(xs, ys):
    """Of the least-squares line: a sample falls anywhere within a round, so end points alone would be off by one."""
    mean_x, mean_y = statistics.fmean(xs), statistics.fmean(ys)
    return sum((x - mean_x) * (y - mean_y) for x, y in zip(xs, ys)) / sum((x - mean_x) ** 2 for x in xs)


def measure(width, seconds):
    """Per round: seconds, the coordinator's CPU seconds, bytes on the wire; and the coordinator's largest memory."""
    federation = Federation(width)
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
        return {"seconds": slope(rounds, times), "cpu": slope(rounds, cpu), "bytes": slope(rounds, sent), "memory": federation.memory_mib(),
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
