"""Secure aggregation with real processes: the result, lost sites, what leaves a site."""

import json
import signal
import unittest

from secure_case import SecureCase

MODE = "privacy.secure_aggregation.mode=secure"


class SecureTest(SecureCase):
    privacy = "privacy: {secure_aggregation: {phase_deadline: 10s}}\n"  # mode secure: the default of a live run

    def test_live_and_simulated_models_are_bit_equal(self):
        self.federation.run("run", "experiment.yaml", "--out", "simulated", MODE)
        self.begin()
        self.end()
        for name in ("final", "best", "baseline-fedavg"):
            self.assertEqual(self.checkpoint("simulated", name), self.checkpoint("live", name), name)
        for line in self.federation.rounds():
            self.assertEqual([session["opened"] for session in line["sessions"]], [True], line)
            self.assertEqual(line["sessions"][0]["members"], ["site-1", "site-2", "site-3", "site-4"])
        # What left a site is masked, and written down.
        outbound = (self.federation.dir / "sites/site-1/state/outbound.jsonl").read_text().splitlines()
        kinds = {json.loads(line)["kind"] for line in outbound}
        self.assertEqual(kinds - {"ready"}, {"masked update", "masked metrics", "secure advertise", "secure share", "secure mask", "secure open"})

    def test_a_state_that_was_made_for_plain_sums_is_refused(self):
        self.federation.prepare(sites=0)
        self.federation.run("init", "experiment.yaml", "privacy.secure_aggregation.mode=plain", "--out", "initial.safetensors")
        self.federation.write("coordinator.yaml", """\
listen: "127.0.0.1:0"
identity: {certificate: pki/coordinator/coordinator.pem, key: pki/coordinator/coordinator.key, trust: pki/authority/authority.pem}
experiment: experiment.yaml
initial_state: initial.safetensors
members: ["spiffe://shapes/client/*"]
""")
        refused = self.federation.run("coordinator", "coordinator.yaml", check=False)
        self.assertEqual(refused.returncode, 2, refused.stderr)
        self.assertIn("made from another experiment file", refused.stderr)

    def test_a_site_that_dies_costs_a_session_and_the_others_go_on(self):
        self.begin(["federation.rounds=400", "evaluation.every=0"])
        self.federation.wait_for(lambda: len(self.federation.rounds()) >= 3, "round 3", "coordinator")
        self.federation.kill("site-2")
        self.federation.wait_for(lambda: any("site-2" not in line["reported"] for line in self.federation.rounds()), "a round of three", "coordinator")
        self.federation.start_site(2)
        self.federation.wait_for(lambda: "site-2" in self.federation.rounds()[-1]["reported"], "the return of site-2", "coordinator")
        self.federation.processes["coordinator"].send_signal(signal.SIGTERM)
        self.federation.wait_end("coordinator")
        for line in self.federation.rounds():
            if line["committed"]:
                opened = [session for session in line["sessions"] if session["opened"]]
                self.assertEqual([session["members"] for session in opened], [line["reported"]], line)


if __name__ == "__main__":
    unittest.main()
