"""What peers can cost: thousands of idle connections, descriptors, broken lines, restarts."""

import pathlib
import resource
import selectors
import socket
import threading
import time
import unittest

from federation import Federation

CONNECTIONS = 10_000
# As docs/operators.md says: 30 KiB for each of 1,024 connections, and 5 KiB for each other one of the last ten seconds.
MOST_GROWTH_KIB = 256 * 1024


class Crowd:
    """Connections from which nothing or one byte a second comes; those that are closed are dialled again."""

    def __init__(self, address, count):
        host, port = address.rsplit(":", 1)
        self.address = (host, int(port))
        self.count = count
        self.dialled = 0
        self.open = set()
        self.selector = selectors.EpollSelector()
        self.ending = threading.Event()
        self.complete = threading.Event()
        self.thread = threading.Thread(target=self.run)
        self.thread.start()

    def dial(self):
        connection = socket.socket()
        connection.setblocking(False)
        connection.connect_ex(self.address)
        self.selector.register(connection, selectors.EVENT_READ)
        self.open.add(connection)
        self.dialled += 1

    def drop(self, connection):
        self.selector.unregister(connection)
        self.open.discard(connection)
        connection.close()

    def run(self):
        next_byte = time.monotonic()
        while not self.ending.is_set():
            for _ in range(min(100, self.count - len(self.open))):
                self.dial()
            if self.dialled >= self.count:
                self.complete.set()
            for key, _ in self.selector.select(0.05):
                self.drop(key.fileobj)  # nothing but the end ever comes
            if time.monotonic() >= next_byte:
                next_byte += 1
                for connection in [c for i, c in enumerate(self.open) if i % 2]:
                    try:
                        connection.send(b"\x16")
                    except OSError:
                        pass
        for connection in list(self.open):
            self.drop(connection)

    def close(self):
        self.ending.set()
        self.thread.join()


class Relay:
    """Carries bytes to a coordinator until it is cut, and again once it is mended."""

    def __init__(self, address):
        host, port = address.rsplit(":", 1)
        self.to = (host, int(port))
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.address = f"127.0.0.1:{self.listener.getsockname()[1]}"
        self.whole = True
        self.sockets = set()
        self.lock = threading.Lock()
        threading.Thread(target=self.accept, daemon=True).start()

    def accept(self):
        while True:
            try:
                near = self.listener.accept()[0]
            except OSError:
                return
            with self.lock:
                if not self.whole:
                    near.close()
                    continue
                far = socket.create_connection(self.to)
                self.sockets |= {near, far}
            for ends in ((near, far), (far, near)):
                threading.Thread(target=self.carry, args=ends, daemon=True).start()

    def carry(self, source, target):
        try:
            while data := source.recv(65536):
                target.sendall(data)
        except OSError:
            pass
        for end in (source, target):
            try:
                end.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass
        source.close()  # the other way closes the other end

    def cut(self):
        with self.lock:
            self.whole = False
            for end in self.sockets:
                try:
                    end.shutdown(socket.SHUT_RDWR)
                except OSError:
                    pass
            self.sockets.clear()

    def mend(self):
        with self.lock:
            self.whole = True

    def close(self):
        self.listener.close()
        self.cut()


class LimitsTest(unittest.TestCase):
    def setUp(self):
        self.federation = Federation()
        self.addCleanup(self.federation.close)
        self.federation.prepare()

    def memory_kib(self, name, line):
        try:
            status = pathlib.Path(f"/proc/{self.federation.processes[name].pid}/status").read_text()
        except OSError:
            return 0
        return next((int(row.split()[1]) for row in status.splitlines() if row.startswith(line + ":")), 0)

    def start_sites(self):
        for number in (1, 2, 3):
            self.federation.start_site(number)

    def test_ten_thousand_idle_connections_do_not_stop_a_round(self):
        soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
        self.addCleanup(resource.setrlimit, resource.RLIMIT_NOFILE, (soft, hard))
        count = min(CONNECTIONS, hard - 256)
        if count < CONNECTIONS:
            print(f"only {count:,} connections: this machine allows {hard:,} open files")
        self.federation.start_coordinator(["federation.join_deadline=60s", "federation.lost_after=30s"])
        self.federation.make_sites()
        before = self.memory_kib("coordinator", "VmRSS")
        crowd = Crowd(self.federation.address, count)
        self.addCleanup(crowd.close)
        self.assertTrue(crowd.complete.wait(60), f"{crowd.dialled} of {count} dialled")
        self.start_sites()
        peak = before

        def ended():
            nonlocal peak
            peak = max(peak, self.memory_kib("coordinator", "VmHWM"))
            return self.federation.processes["coordinator"].poll() is not None

        self.federation.wait_for(ended, "the coordinator's end")
        self.assertEqual(self.federation.wait_end("coordinator"), 0, self.federation.log("coordinator"))
        self.assertEqual([d for r in self.federation.rounds() for d in r["dropped"]], [])
        print(f"{crowd.dialled:,} connections dialled, {(peak - before) / 1024:.0f} MiB more at the peak")
        self.assertLess(peak - before, MOST_GROWTH_KIB)

    def test_too_few_descriptors_are_said_and_stop_nothing(self):
        soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        self.federation.start_coordinator(["federation.join_deadline=60s", "federation.lost_after=30s"], descriptors=200)
        self.assertIn("limits.connections: 10000 clients", self.federation.log("coordinator"))
        self.federation.make_sites()
        crowd = Crowd(self.federation.address, min(600, soft - 256))
        self.addCleanup(crowd.close)
        self.assertTrue(crowd.complete.wait(60))
        self.start_sites()
        self.assertEqual(self.federation.wait_end("coordinator"), 0, self.federation.log("coordinator"))

    def test_local_work_goes_on_while_the_connection_is_down(self):
        experiment = (self.federation.dir / "experiment.yaml").read_text()
        self.federation.write("experiment.yaml", experiment.replace("tasks_per_round: 2", "tasks_per_round: 3000"))
        self.federation.run("init", "experiment.yaml", "--out", "initial.safetensors")
        self.federation.start_coordinator(["federation.rounds=4", "federation.lost_after=60s", "federation.report_deadline=60s"])
        relay = Relay(self.federation.address)
        self.addCleanup(relay.close)
        self.federation.make_sites()
        file = self.federation.dir / "sites/site-1/client.yaml"
        file.write_text(file.read_text().replace(self.federation.address, relay.address) + "log: {level: debug}\n")
        self.start_sites()

        def figures():
            path = self.federation.dir / "sites/site-1/state/figures.jsonl"
            return len(path.read_text().splitlines()) if path.exists() else 0

        self.federation.wait_for(lambda: 'training key="shapes/maml train 2.1"' in self.federation.log("site-1"), "work on round 2", "site-1")
        relay.cut()
        self.federation.wait_for(lambda: figures() >= 2, "the end of the local work", "site-1")
        relay.mend()
        self.assertEqual(self.federation.wait_end("coordinator"), 0, self.federation.log("coordinator"))
        rounds = [r for r in self.federation.rounds() if r["leg"] == "maml" and r["committed"]]
        self.assertEqual([(r["attempt"], r["reported"]) for r in rounds], [(1, ["site-1", "site-2", "site-3"])] * 4)
        self.assertIn("coordinator_not_reached", self.federation.log("site-1"))

    def test_a_restarted_site_gets_in_without_waiting(self):
        self.federation.start_coordinator(["federation.rounds=100000", "federation.lost_after=60s"])
        self.federation.make_sites()
        self.start_sites()
        self.federation.wait_for(lambda: len(self.federation.rounds()) > 3, "a few rounds", "coordinator")
        self.federation.kill("site-1")
        self.federation.start_site(1)
        self.federation.wait_for(lambda: "site-1 is back" in self.federation.log("coordinator"), "its return", "site-1")
        self.assertNotIn("another process joined", self.federation.log("site-1"))


if __name__ == "__main__":
    unittest.main()
