"""A coordinator and its sites on hosts of their own: packets lost and late, a partition that heals, a clock that is a day off."""

import shutil
import subprocess
import unittest

from federation import EXPERIMENT, Federation
from network import Network, why_not

OBSTACLE = why_not()
HOSTS = ["coordinator", "site-1", "site-2", "site-3"]


def tensors(path):
    """The data of a safetensors file, without its header: that carries no figures to compare."""
    content = path.read_bytes()
    return content[8 + int.from_bytes(content[:8], "little"):]


class HostsTest(unittest.TestCase):
    def setUp(self):
        self.federation = Federation()
        self.addCleanup(self.federation.close)

    def begin(self, network, overrides):
        self.addCleanup(network.close)
        self.addCleanup(self.federation.close)  # before the network
        for host in HOSTS:
            self.federation.prefixes[host] = network.inside(host)
        address = network.addresses["coordinator"]
        self.federation.prepare(address=address)
        self.federation.start_coordinator(["federation.join_deadline=10m", *overrides], listen=f"{address}:0")
        self.federation.make_sites()
        for number in (1, 2, 3):
            self.federation.start_site(number)

    def assert_all_end(self):
        for name in HOSTS:
            self.assertEqual(self.federation.wait_end(name, 300), 0, self.federation.log(name))

    def assert_same_as_simulated(self):
        self.federation.run("run", "experiment.yaml", "--out", "simulated")
        for name in ("final", "best", "baseline-fedavg"):
            self.assertEqual(*(tensors(self.federation.dir / out / "checkpoints" / f"{name}.safetensors") for out in ("simulated", "live")), name)


@unittest.skipIf(OBSTACLE, OBSTACLE)
class NetworkTest(HostsTest):
    def test_loss_delay_and_a_partition_that_heals_in_time_change_no_bit(self):
        network = Network(HOSTS, delay=0.005, loss=0.02)
        self.begin(network, ["federation.lost_after=60s", "federation.report_deadline=120s"])
        self.federation.wait_for(lambda: len(self.federation.rounds()) >= 3, "rounds", "coordinator", 300)
        network.cut("site-2")
        self.federation.wait_for(lambda: network.cut_off["site-2"] >= 5, "packets into the void", "coordinator", 300)
        network.heal("site-2")
        self.assert_all_end()
        self.assertGreater(network.lost, 10)
        self.assertTrue(all(line["committed"] and line["reported"] == HOSTS[1:] for line in self.federation.rounds()))
        self.assert_same_as_simulated()

    def test_a_partition_is_left_out_and_comes_back(self):
        network = Network(HOSTS, delay=0.02)
        self.federation.write("experiment.yaml", EXPERIMENT.replace("baselines: [{name: local}, {name: fedavg}]", "baselines: []"))
        self.begin(network, ["federation.lost_after=2s", "federation.rounds=80"])
        self.federation.wait_for(lambda: len(self.federation.rounds()) >= 3, "rounds", "coordinator", 300)
        network.cut("site-2")
        self.federation.wait_for(lambda: "site-2" not in self.federation.rounds()[-1]["reported"], "a round without it", "coordinator", 300)
        network.heal("site-2")
        self.assert_all_end()
        committed = [line for line in self.federation.rounds() if line["committed"]]
        self.assertEqual([line["round"] for line in committed], list(range(1, 81)))
        for line in committed:
            self.assertEqual(sorted(line["reported"] + [one["client"] for one in line["dropped"]]), line["cohort"])
        self.assertIn("site-2", committed[-1]["reported"])


@unittest.skipIf(shutil.which("faketime") is None, "faketime is not installed")
class ClockTest(HostsTest):
    def with_clock(self, days):
        # Not under faketime itself, which is a process of its own and would be killed instead of the program.
        set_by_faketime = subprocess.run(["faketime", "-f", f"{days}d", "env"], check=True, capture_output=True, text=True).stdout.splitlines()
        preload = next(line for line in set_by_faketime if line.startswith("LD_PRELOAD="))
        # Monotonic clocks stay as they are: only the date is wrong.
        return ["env", preload, f"FAKETIME={days}d", "FAKETIME_DONT_FAKE_MONOTONIC=1"]

    def test_a_day_ahead_works_and_a_day_behind_is_said(self):
        federation = self.federation
        federation.prefixes["run"] = self.with_clock("-3")
        federation.prepare()
        federation.prefixes["run"] = []
        # The coordinator's certificate is younger than the slow clock, the sites' own are older.
        shutil.rmtree(federation.dir / "pki/coordinator")
        federation.identity("coordinator", "coordinator", options=("--ip", "127.0.0.1"))
        federation.start_coordinator(["federation.join_deadline=10m", "federation.lost_after=60s", "federation.report_deadline=120s"])
        federation.make_sites()
        federation.prefixes.update({"site-2": self.with_clock("+1"), "site-3": self.with_clock("-1")})
        for number in (1, 2, 3):
            federation.start_site(number)
        federation.wait_for(lambda: "not yet valid" in federation.log("site-3"), "word of the clock", "site-3", 300)
        federation.kill("site-3")
        federation.prefixes["site-3"] = []
        federation.start_site(3)
        self.assert_all_end()
        self.assert_same_as_simulated()
        # Its own certificate says it at once.
        federation.identity("site-4")
        client = federation.dir / "sites/site-3/client.yaml"
        client.write_text(client.read_text().replace("site-3/site-3.", "site-4/site-4."))
        federation.prefixes["run"] = self.with_clock("-1")
        for command in ("check", "client"):
            refused = federation.run(command, client, check=False)
            self.assertEqual(refused.returncode, 2, refused.stderr)
            self.assertIn("check the clock", refused.stderr)


if __name__ == "__main__":
    unittest.main()
