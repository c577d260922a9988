"""A site that dies, lies or crawls costs a round that site, never the run."""

import signal
import socket
import subprocess
import time
import unittest

from federation import BIN, Federation


class FaultsTest(unittest.TestCase):
    def setUp(self):
        self.federation = Federation()
        self.addCleanup(self.federation.close)
        # Rounds that last a moment, so that there is something to interrupt.
        experiment = (self.federation.dir / "experiment.yaml").read_text()
        self.federation.write("experiment.yaml", experiment.replace("tasks_per_round: 2", "tasks_per_round: 1000"))
        self.federation.prepare()

    def test_a_killed_site_is_left_out_by_name_and_comes_back(self):
        self.federation.start_coordinator(["federation.rounds=60", "federation.lost_after=1s"])
        self.federation.make_sites()
        for number in (1, 2, 3):
            self.federation.start_site(number)
        self.federation.wait_for(lambda: len(self.federation.rounds()) > 3, "a few rounds", "coordinator")
        self.federation.kill("site-3")
        self.federation.wait_for(lambda: any(r["reported"] == ["site-1", "site-2"] for r in self.federation.rounds()), "a round of two", "coordinator")
        self.federation.start_site(3)
        self.assertEqual(self.federation.wait_end("coordinator"), 0, self.federation.log("coordinator"))
        rounds = [r for r in self.federation.rounds() if r["leg"] == "maml" and r["committed"]]
        self.assertEqual([r["round"] for r in rounds], list(range(1, 61)))
        self.assertEqual(rounds[-1]["reported"], ["site-1", "site-2", "site-3"])
        dropped = [d for r in rounds for d in r["dropped"]]
        self.assertTrue(any(d["client"] == "site-3" and d["reason"] for d in dropped), dropped)

    def test_too_few_sites_fail_the_run_with_figures(self):
        self.federation.start_coordinator(["federation.rounds=100000", "federation.lost_after=1s", "federation.retries=0", "federation.join_deadline=20s"])
        self.federation.make_sites()
        for number in (1, 2, 3):
            self.federation.start_site(number)
        self.federation.wait_for(lambda: len(self.federation.rounds()) > 3, "a few rounds", "coordinator")
        self.federation.kill("site-2")
        self.federation.kill("site-3")
        self.assertEqual(self.federation.wait_end("coordinator"), 4, self.federation.log("coordinator"))
        self.assertEqual(self.federation.summary()["status"], "failed")
        self.assertEqual(self.federation.wait_end("site-1", 30), 4, self.federation.log("site-1"))

    def test_garbage_and_silent_connections_leave_the_round_alone(self):
        self.federation.start_coordinator()
        self.federation.make_sites()
        host, port = self.federation.address.rsplit(":", 1)
        silent = [socket.create_connection((host, int(port))) for _ in range(50)]
        for connection in silent[:25]:
            connection.sendall(b"GET / HTTP/1.1\r\n\r\n" * 3)
        for number in (1, 2, 3):
            self.federation.start_site(number)
        self.assertEqual(self.federation.wait_end("coordinator"), 0, self.federation.log("coordinator"))
        for connection in silent:
            connection.close()

    def test_a_second_coordinator_on_one_port_is_refused(self):
        self.federation.start_coordinator()
        second = subprocess.run([BIN / "fedmeta", "coordinator", self.federation.write("second.yaml", (self.federation.dir / "coordinator.yaml").read_text()
                                 .replace("127.0.0.1:0", self.federation.address).replace("out: live", "out: live-2") + "store: memory\n")],
                                cwd=self.federation.dir, text=True, capture_output=True, timeout=60)
        self.assertIn(second.returncode, (1, 2))
        self.assertIn(self.federation.address.rsplit(":", 1)[1], second.stderr)

    def test_a_second_process_of_one_identity_is_refused_while_the_first_lives(self):
        self.federation.start_coordinator(["federation.rounds=100000"])
        self.federation.make_sites()
        for number in (1, 2, 3):
            self.federation.start_site(number)
        self.federation.wait_for(lambda: len(self.federation.rounds()) > 3, "a few rounds", "coordinator")
        # On one state folder it ends at once; with one of its own it waits to be let in.
        same = self.federation.run("client", "sites/site-1/client.yaml", check=False)
        self.assertEqual(same.returncode, 1, same.stderr)
        self.assertRegex(same.stderr, r"state_dir is another client's: .*/sites/site-1/state/client is open in process \d+")
        client = (self.federation.dir / "sites/site-1/client.yaml").read_text()
        self.federation.write("sites/site-1/twin.yaml", client.replace('state_dir: "state"', "state_dir: twin"))
        self.federation.start("twin", BIN / "fedmeta", "client", "sites/site-1/twin.yaml")
        self.federation.wait_for(lambda: "another process joined as site-1" in self.federation.log("twin"), "the twin's refusal", "twin")
        before = len(self.federation.rounds())
        self.federation.wait_for(lambda: len(self.federation.rounds()) > before + 3, "further rounds", "coordinator")


if __name__ == "__main__":
    unittest.main()
