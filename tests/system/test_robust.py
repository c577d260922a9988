"""Sites whose updates are looked at: a poisoning site over real processes, a policy that refuses, what is recorded."""

import json
import random
import re
import signal
import struct
import unittest

from federation import BIN, Federation
from test_live import tensors

SITES = 5
POISONING = 5   # the columns of site-5 have the wrong sign, and ten times their values
EXPERIMENT = """\
name: shapes
seed: 3
model: {name: mlp, hidden: []}
data:
  name: table
  features: [{name: a}, {name: b}]
  label: {name: ill, levels: ["no", "yes"]}
  tasks: {name: split, support_fraction: 0.5}
  partition: {scheme: sites, site_files: [site-1.yaml, site-2.yaml, site-3.yaml, site-4.yaml, site-5.yaml]}
algorithm: {name: fedavg, learning_rate: 0.05}
federation: {rounds: 6, cohort: 5, retries: 0, report_deadline: 60s, join_deadline: 60s}
evaluation: {steps: [0], learning_rates: [0.1]}
"""
PLAIN = ["privacy.secure_aggregation.mode=plain"]
ROBUST = ["privacy.secure_aggregation.mode=plain_robust", "server.aggregation={name: krum, byzantine: 1}"]


class RobustTest(unittest.TestCase):
    def setUp(self):
        self.federation = Federation()
        self.addCleanup(self.federation.close)
        self.federation.write("experiment.yaml", EXPERIMENT)
        rng = random.Random(1)
        for number in range(1, SITES + 1):
            rows = ["a,b,ill"]
            for row in range(60):
                ill = row % 2
                rows.append(f"{rng.gauss(1.5 if ill else -1.5, 1):.3f},{rng.gauss(0, 1):.3f},{('no', 'yes')[ill]}")
            self.federation.write(f"site-{number}.csv", "\n".join(rows) + "\n")
            self.write_site(number)

    def write_site(self, number, policy="{approve: any, allow: {individual_updates: true}}"):
        name = f"site-{number}"
        columns = "columns: {a: {from: a, scale: -10}, b: {from: b, scale: -10}}" if number == POISONING else ""
        self.federation.write(f"{name}.yaml", f"""\
coordinator: {{address: "{self.federation.address}"}}
identity: {{certificate: pki/{name}/{name}.pem, key: pki/{name}/{name}.key, trust: pki/authority/authority.pem}}
state_dir: state-{number}
policy: {policy}
data:
  table:
    source: {{name: csv, path: {name}.csv}}
    {columns}
""")

    def start(self, overrides, policies=None):
        self.federation.authority()
        self.federation.identity("coordinator", "coordinator", options=("--ip", "127.0.0.1"))
        for number in range(1, SITES + 1):
            self.federation.identity(f"site-{number}")
        self.federation.run("init", "experiment.yaml", *overrides, "--out", "initial.safetensors")
        self.federation.start_coordinator(overrides)
        for number in range(1, SITES + 1):
            self.write_site(number, **({"policy": policies[number]} if number in (policies or {}) else {}))
            self.federation.start(f"site-{number}", BIN / "fedmeta", "client", f"site-{number}.yaml")

    def slope(self, run):
        """What the last model makes of column a: at honest sites the ill have larger values."""
        weights = tensors((self.federation.dir / run / "checkpoints/final.safetensors").read_bytes())
        no, _, yes, _ = struct.unpack("<4f", weights[:16])
        return yes - no

    def test_a_poisoning_site_moves_the_mean_and_not_krum(self):
        self.federation.run("run", "experiment.yaml", *PLAIN, "--out", "mean")
        self.assertLess(self.slope("mean"), 0.2)
        simulated = self.federation.run("run", "experiment.yaml", *ROBUST, "--out", "simulated")
        self.assertIn("individual updates visible, aggregated by krum", simulated.stdout)
        self.start(ROBUST)
        self.assertEqual(self.federation.wait_end("coordinator"), 0, self.federation.log("coordinator"))
        self.assertGreater(self.slope("live"), 0.5)
        of_run = [(self.federation.dir / run / "checkpoints/final.safetensors").read_bytes() for run in ("simulated", "live")]
        self.assertEqual(tensors(of_run[0]), tensors(of_run[1]))
        self.assertEqual(json.loads((self.federation.dir / "live/manifest.json").read_text())["robust_aggregation"], "krum")
        self.assertIn("individual updates are visible", (self.federation.dir / "live/report.html").read_text())
        verified = self.federation.run("audit", "verify", "live")
        self.assertIn("individual updates visible, aggregated by krum", verified.stdout)

    def test_a_site_that_does_not_allow_it_names_the_rule_and_nothing_runs_without_it(self):
        self.start([*ROBUST, "federation.join_deadline=1h"],
                   policies={1: "{approve: any}", 2: "{approve: any, allow: {individual_updates: true}, require: {secure_aggregation: true}}"})
        for site, rule in (("site-1", "policy.allow.individual_updates"), ("site-2", "policy.require.secure_aggregation")):
            self.federation.wait_for(lambda: rule in self.federation.log(site), f"the refusal of {site}", site)
        declined = [("site-1", "policy.allow.individual_updates"), ("site-2", "policy.require.secure_aggregation")]
        self.federation.wait_for(lambda: set(declined) <= set(self.declined()), "the coordinator's record of it", "coordinator")
        self.federation.processes["coordinator"].send_signal(signal.SIGTERM)
        self.assertEqual(self.federation.wait_end("coordinator"), 130, self.federation.log("coordinator"))
        self.assertEqual(self.federation.rounds(), [])

    def declined(self):
        entries = (self.federation.dir / "store.db.audit.jsonl").read_text().splitlines()
        return re.findall(r'"client":"([^"]*)","rule":"([^"]*)"', "".join(entries))

    def test_nobody_is_told_to_attack_in_a_live_federation(self):
        self.federation.authority()
        self.federation.identity("coordinator", "coordinator")
        self.federation.write("coordinator.yaml", """\
listen: "127.0.0.1:0"
identity: {certificate: pki/coordinator/coordinator.pem, key: pki/coordinator/coordinator.key, trust: pki/authority/authority.pem}
experiment: experiment.yaml
initial_state: initial.safetensors
members: ["spiffe://shapes/client/*"]
""")
        refused = self.federation.run("coordinator", "coordinator.yaml", "simulated_attack={clients: 1, kind: scale}", check=False)
        self.assertEqual(refused.returncode, 2)
        self.assertIn("simulated_attack is for simulations", refused.stderr)

    def test_too_few_sites_for_the_rule_are_refused_before_anything_starts(self):
        refused = self.federation.run("run", "experiment.yaml", *ROBUST, "federation.minimum_cohort=4", "--out", "none", check=False)
        self.assertEqual(refused.returncode, 2)
        self.assertIn("federation.minimum_cohort must be >= 2 x byzantine + 3 with server.aggregation krum, got 4 < 5: "
                      "nearest are minimum_cohort 5 and byzantine 0", refused.stderr)
        self.assertFalse((self.federation.dir / "none").exists())


if __name__ == "__main__":
    unittest.main()
