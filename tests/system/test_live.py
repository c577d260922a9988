"""One experiment file, simulated and live over mutual TLS."""

import json
import signal
import unittest

from federation import BIN, Federation


class LiveTest(unittest.TestCase):
    def setUp(self):
        self.federation = Federation()
        self.addCleanup(self.federation.close)

    def run_live(self, overrides=()):
        self.federation.prepare()
        self.federation.start_coordinator(overrides)
        self.federation.make_sites()
        for number in (1, 2, 3):
            self.federation.start_site(number)
        self.assertEqual(self.federation.wait_end("coordinator"), 0, self.federation.log("coordinator"))
        for number in (1, 2, 3):
            self.assertEqual(self.federation.wait_end(f"site-{number}"), 0, self.federation.log(f"site-{number}"))

    def test_live_and_simulated_models_are_bit_equal(self):
        self.federation.run("run", "experiment.yaml", "--out", "simulated")
        self.run_live()
        for name in ("final", "best", "baseline-fedavg"):
            simulated = (self.federation.dir / "simulated/checkpoints" / f"{name}.safetensors").read_bytes()
            live = (self.federation.dir / "live/checkpoints" / f"{name}.safetensors").read_bytes()
            self.assertEqual(tensors(simulated), tensors(live), name)
        self.assertEqual(self.federation.summary()["status"], "completed")
        self.assertEqual([r["reported"] for r in self.federation.rounds()[:1]], [["site-1", "site-2", "site-3"]])

    def test_averaged_statistics_are_bit_equal_too(self):
        text = (self.federation.dir / "experiment.yaml").read_text()
        text = text.replace("{name: mlp, hidden: [16]}", "{name: conv4, filters: 4, downsample: stride, normalization: averaged}")
        text = text.replace("rounds: 12", "rounds: 3").replace("every: 6", "every: 0").replace("{name: local}, ", "")
        self.federation.write("experiment.yaml", text)
        self.federation.run("run", "experiment.yaml", "--out", "simulated")
        self.run_live()
        for name in ("final", "baseline-fedavg"):
            simulated = (self.federation.dir / "simulated/checkpoints" / f"{name}.safetensors").read_bytes()
            live = (self.federation.dir / "live/checkpoints" / f"{name}.safetensors").read_bytes()
            self.assertEqual(tensors(simulated), tensors(live), name)
            self.assertIn(b'"blocks.3.norm.running_var"', live)
            self.assertIn(b"tensor blocks.0.norm.running_mean buffer", live)

    def test_the_resolved_file_gives_the_same_result_again(self):
        self.federation.run("run", "experiment.yaml", "--out", "first", "seed=9", "federation.rounds=5")
        self.federation.run("run", "first/experiment.yaml", "--out", "second")
        first = (self.federation.dir / "first/checkpoints/final.safetensors").read_bytes()
        second = (self.federation.dir / "second/checkpoints/final.safetensors").read_bytes()
        self.assertEqual(tensors(first), tensors(second))
        self.assertEqual((self.federation.dir / "first/experiment.yaml").read_text(), (self.federation.dir / "second/experiment.yaml").read_text())

    def test_a_site_keeps_its_own_figures_and_a_record_of_what_left_it(self):
        self.run_live()
        state = self.federation.dir / "sites/site-1/state"
        outbound = [json.loads(line) for line in (state / "outbound.jsonl").read_text().splitlines()]
        updates = [line for line in outbound if line["kind"] == "update" and line["experiment"] == "shapes/maml"]
        self.assertEqual(len(updates), 12)
        self.assertTrue((state / "figures.jsonl").read_text().strip())
        # Live: the coordinator's files name no site's figures.
        for line in (self.federation.dir / "live/evaluation.jsonl").read_text().splitlines():
            self.assertFalse(json.loads(line)["client"], line)

    def test_sigterm_stops_both_sides_with_what_was_learned(self):
        self.federation.prepare()
        self.federation.start_coordinator(["federation.rounds=100000"])
        self.federation.make_sites()
        for number in (1, 2, 3):
            self.federation.start_site(number)
        self.federation.wait_for(lambda: len(self.federation.rounds()) > 3, "a few rounds", "coordinator")
        self.federation.processes["site-2"].send_signal(signal.SIGTERM)
        self.assertEqual(self.federation.wait_end("site-2", 30), 130)
        self.federation.processes["coordinator"].send_signal(signal.SIGTERM)
        self.assertEqual(self.federation.wait_end("coordinator", 30), 130)
        self.assertEqual(self.federation.summary()["status"], "interrupted")
        self.assertTrue((self.federation.dir / "live/report.html").exists())

    def test_clients_that_start_first_wait_for_the_coordinator(self):
        self.federation.prepare()
        self.federation.start_coordinator()
        address = self.federation.address
        self.federation.kill("coordinator")
        self.federation.make_sites()
        for number in (1, 2, 3):
            self.federation.start_site(number)
        self.federation.wait_for(lambda: "unavailable" in self.federation.log("site-1").lower() or "refused" in self.federation.log("site-1").lower(),
                                 "word of the missing coordinator", "site-1")
        self.federation.start_coordinator(listen=address, out="live-2")
        self.assertEqual(self.federation.wait_end("coordinator"), 0, self.federation.log("coordinator"))


def tensors(content):
    """The data of a safetensors file, without its header: that carries no figures to compare."""
    size = int.from_bytes(content[:8], "little")
    return content[8 + size:]


if __name__ == "__main__":
    unittest.main()
