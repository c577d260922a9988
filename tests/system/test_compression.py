"""Compressed updates and states with real processes: the same bits as a simulation, fewer bytes, nothing lost in a restart."""

import json
import unittest

from federation import Federation
from test_live import tensors

SMALL = "compression: {fraction: 0.25, rotation: true, download: float16"


class CompressionTest(unittest.TestCase):
    def setUp(self):
        self.federation = Federation()
        self.addCleanup(self.federation.close)

    def configure(self, compression, privacy=""):
        text = (self.federation.dir / "experiment.yaml").read_text()
        text = text.replace("clients: 4, holdout_clients: 1", "clients: 4, holdout_clients: 0")
        text = text.replace("cohort: 3, minimum_cohort: 2", f"cohort: 4, minimum_cohort: 3, {compression}")
        self.assertIn(compression, text)
        self.federation.write("experiment.yaml", text + privacy)

    def begin(self):
        self.federation.prepare(sites=4)
        self.federation.start_coordinator()
        self.federation.make_sites()
        for number in (1, 2, 3, 4):
            file = self.federation.dir / f"sites/site-{number}/client.yaml"
            file.write_text(file.read_text() + "\nsecure_aggregation: {plan_seeds: true}\n")
            self.federation.start_site(number)

    def end(self):
        self.assertEqual(self.federation.wait_end("coordinator"), 0, self.federation.log("coordinator"))
        for number in (1, 2, 3, 4):
            self.assertEqual(self.federation.wait_end(f"site-{number}"), 0, self.federation.log(f"site-{number}"))

    def checkpoint(self, run, name):
        return tensors((self.federation.dir / run / "checkpoints" / f"{name}.safetensors").read_bytes())

    def check_equal(self):
        for name in ("final", "best", "baseline-fedavg"):
            self.assertEqual(self.checkpoint("simulated", name), self.checkpoint("live", name), name)

    def test_plain_updates_of_few_bits(self):
        self.configure(SMALL + ", bits: 6}")
        heading = self.federation.run("run", "experiment.yaml", "--out", "simulated").stdout
        self.assertIn("compressed: 25% of each update, the rest fed back; rotated; 6-bit updates; state as float16", heading)
        self.begin()
        self.end()
        self.check_equal()
        bytes_up = [[line["bytes_up"] for line in self.federation.rounds(out)] for out in ("simulated", "live")]
        self.assertEqual(bytes_up[0], bytes_up[1])
        manifest = json.loads((self.federation.dir / "live/manifest.json").read_text())
        self.assertIn("6-bit updates", manifest["compression"])
        # What a site writes down is what it sends: 4 bytes of step and 6 bits a coordinate beside the figures.
        lines = [json.loads(line) for line in (self.federation.dir / "sites/site-1/state/outbound.jsonl").read_text().splitlines()]
        updates = [line for line in lines if line["kind"] == "update"]
        parameters = self.federation.summary()["parameters"]
        for line in updates:
            self.assertLess(line["fields"]["update"], parameters / 3)
            figures = 8 * (line["fields"]["weight"] + line["fields"]["metrics"])
            self.assertEqual(line["bytes"], 4 + (6 * line["fields"]["update"] + 7) // 8 + figures)

    def test_a_narrow_ring_and_what_sites_keep(self):
        self.configure(SMALL + "}", "privacy: {secure_aggregation: {mode: secure, phase_deadline: 10s, ring_bits: 16, clip: 10}}\n")
        self.federation.run("run", "experiment.yaml", "--out", "simulated")
        self.begin()
        self.end()
        self.check_equal()
        for line in self.federation.rounds():
            self.assertEqual([session["opened"] for session in line["sessions"]], [True], line)


if __name__ == "__main__":
    unittest.main()
