"""Differential privacy in runs as users start them: what is charged, what ends, what a kill cannot undo."""

import functools
import json
import random
import signal
import sqlite3
import subprocess
import time
import unittest

from federation import BIN, Federation

CENTRAL = "privacy: {differential_privacy: {mode: central, clip: 1, noise_multiplier: 4, delta: 1e-6%s}}\n"
DISTRIBUTED = """\
privacy:
  secure_aggregation: {mode: secure, phase_deadline: 10s}
  differential_privacy: {mode: distributed, clip: 1, noise_multiplier: 4, delta: 1e-6%s}
"""
LOCAL = "privacy: {differential_privacy: {mode: local, clip: 1, noise_multiplier: 4, delta: 1e-6}}\n"
MAML = "{name: maml, inner_learning_rate: 0.1, adaptation_steps: 2, tasks_per_round: 2}"
BASELINES = "baselines: [{name: local}, {name: fedavg}]"


class PrivacyTest(unittest.TestCase):
    def setUp(self):
        self.federation = Federation()
        self.addCleanup(self.federation.close)

    def use(self, privacy, *replacements):
        """The experiment with this privacy block, and without baselines."""
        text = (self.federation.dir / "experiment.yaml").read_text() + privacy
        for old, new in ((BASELINES, "baselines: []"), *replacements):
            self.assertIn(old, text)
            text = text.replace(old, new)
        self.federation.write("experiment.yaml", text)

    @functools.lru_cache(maxsize=None)
    def cost(self, releases):
        planned = self.federation.run("privacy", "--noise", 4, "--rounds", releases, "--delta", "1e-6", "--json")
        return json.loads(planned.stdout)["epsilon"]

    def charges(self, store):
        with sqlite3.connect(f"file:{self.federation.dir / store}?mode=ro", uri=True) as database:
            return [row[0] for row in database.execute("SELECT epsilon FROM charge ORDER BY rowid")]

    def test_a_spent_budget_ends_the_run_with_exit_code_3_and_all_of_it_saved(self):
        self.use(CENTRAL % f", budget: {{epsilon: {self.cost(5) + 1e-6}}}", ("baselines: []", BASELINES))
        arguments = ("run", "experiment.yaml", "--out", "run")
        ended = self.federation.run(*arguments, check=False)
        self.assertEqual(ended.returncode, 3, ended.stderr)
        self.assertIn("the privacy budget is spent: 5 releases", ended.stderr)
        summary = self.federation.summary("run")
        self.assertEqual((summary["status"], summary["rounds"]), ("budget_spent", 5))
        self.assertAlmostEqual(summary["epsilon"], self.cost(5), places=9)
        rounds = self.federation.rounds("run")
        for number, line in enumerate(rounds, 1):
            self.assertAlmostEqual(line["epsilon"], self.cost(number), places=9)
        evaluations = [json.loads(line) for line in (self.federation.dir / "run" / "evaluation.jsonl").read_text().splitlines()]
        self.assertIn(5, {line["round"] for line in evaluations}, "what there is is measured")
        self.assertTrue((self.federation.dir / "run" / "checkpoints" / "final.safetensors").exists())
        self.federation.run("report", "run")
        self.assertTrue("What has been spent of the privacy budget?" in (self.federation.dir / "run" / "report.html").read_text())
        again = self.federation.run(*arguments, "--resume", check=False)
        self.assertEqual((again.returncode, len(self.federation.rounds("run"))), (3, 5), again.stderr)

    def test_noise_makes_every_run_another_one(self):
        self.use(CENTRAL % "")
        states = []
        for out in ("one", "two"):
            self.federation.run("run", "experiment.yaml", "federation.rounds=2", "--out", out)
            states.append((self.federation.dir / out / "checkpoints" / "final.safetensors").read_bytes())
        self.assertNotEqual(*states)

    def test_a_killed_run_never_pays_less_than_came_out(self):
        self.use(CENTRAL % "", ("tasks_per_round: 2", "tasks_per_round: 100"), ("every: 6", "every: 0"))
        rng = random.Random(7)
        command = [str(BIN / "fedmeta"), "run", "experiment.yaml", "federation.rounds=40", "--out", "run"]
        kills = 0
        for turn in range(30):
            store = self.federation.dir / "run" / "store.db"
            process = subprocess.Popen([*command, *(["--resume"] if store.exists() else [])], cwd=self.federation.dir, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
            before = len(self.federation.rounds("run"))
            wanted = rng.randrange(1, 8)
            while process.poll() is None and len(self.federation.rounds("run")) < before + wanted:
                time.sleep(0.005)
            if process.poll() is None:
                process.send_signal(signal.SIGKILL)
                kills += 1
            process.communicate()
            if process.returncode == 0:
                break
            committed = [line for line in self.federation.rounds("run") if line["committed"]]
            if committed:
                charges = self.charges("run/store.db")
                self.assertGreaterEqual(len(charges), len(committed), "every release is paid for")
                self.assertEqual(charges, sorted(set(charges)), "each costs more than the last")
                self.assertAlmostEqual(charges[-1], self.cost(len(charges)), places=9)
        self.assertEqual(process.returncode, 0)
        self.assertGreater(kills, 3)
        charges = self.charges("run/store.db")
        self.assertGreaterEqual(len(charges), 40)
        self.assertAlmostEqual(self.federation.summary("run")["epsilon"], self.cost(len(charges)), places=9)

    def test_a_killed_coordinator_and_its_sites_keep_their_accounts(self):
        self.use(CENTRAL % "", ("tasks_per_round: 2", "tasks_per_round: 100"))
        self.federation.prepare()
        overrides = ["federation.rounds=24", "federation.lost_after=1s"]
        self.federation.start_coordinator(overrides)
        self.federation.make_sites()
        for number in (1, 2, 3):
            self.federation.start_site(number)
        for seen in (3, 9):
            self.federation.wait_for(lambda: len(self.federation.rounds()) > seen, "a few rounds", "coordinator")
            self.federation.kill("coordinator")
            self.federation.start_coordinator(overrides, listen=self.federation.address)
        self.assertEqual(self.federation.wait_end("coordinator"), 0, self.federation.log("coordinator"))
        rounds = [line for line in self.federation.rounds() if line["committed"]]
        self.assertEqual(len(rounds), 24)
        charges = self.charges("store.db")
        self.assertGreaterEqual(len(charges), 24)
        self.assertAlmostEqual(rounds[-1]["epsilon"], self.cost(len(charges)), places=9)
        for number in (1, 2, 3):
            self.assertEqual(self.federation.wait_end(f"site-{number}"), 0, self.federation.log(f"site-{number}"))
            ledger = self.ledger(number)
            paid = {(line["round"], line["attempt"]) for line in ledger}
            self.assertEqual(len(paid), len(ledger), "an attempt is paid for once")
            reported = {(line["round"], line["attempt"]) for line in rounds if f"site-{number}" in line["reported"]}
            self.assertLessEqual(reported, paid)
            self.assertAlmostEqual(ledger[-1]["epsilon"], self.cost(len(ledger)), places=9)

    def test_a_sites_own_budget_ends_its_part_and_nobody_elses(self):
        self.use(LOCAL, (MAML, MAML.replace("maml", "fomaml")))
        self.federation.prepare()
        self.federation.start_coordinator(["federation.rounds=12", "federation.minimum_cohort=2"])
        self.federation.make_sites()
        # 2 tasks x (2 steps + the query set) noisy gradients a round: four rounds and no more.
        client = self.federation.dir / "sites" / "site-1" / "client.yaml"
        client.write_text(self.with_budget(client.read_text(), self.cost(4 * 6) + 1e-6))
        for number in (1, 2, 3):
            self.federation.start_site(number)
        self.assertEqual(self.federation.wait_end("coordinator"), 0, self.federation.log("coordinator"))
        self.assertEqual(self.federation.wait_end("site-1"), 3, self.federation.log("site-1"))
        self.assertIn("policy.epsilon_budget of data shapes", self.federation.log("site-1"))
        self.assertEqual(self.federation.wait_end("site-2"), 0)
        self.assertEqual([line["releases"] for line in self.ledger(1)], [6] * 4)
        self.assertEqual([line["unit"] for line in self.ledger(2)], ["record"] * 12)
        rounds = self.federation.rounds()
        self.assertEqual(sum("site-1" in line["reported"] for line in rounds), 4)
        self.assertTrue(all(line["query_loss"] is None for line in rounds), "nothing but the update leaves")
        self.assertNotIn("epsilon", rounds[-1])

    def test_masked_sums_end_at_the_budget_and_every_session_is_paid_for(self):
        self.use(DISTRIBUTED % f", budget: {{epsilon: {self.cost(8) + 1e-6}}}", ("tasks_per_round: 2", "tasks_per_round: 100"), ("every: 6", "every: 0"),
                 ("clients: 4, holdout_clients: 1", "clients: 4, holdout_clients: 0"), ("cohort: 3, minimum_cohort: 2", "cohort: 4, minimum_cohort: 3"))
        self.federation.prepare(sites=4)
        overrides = ["federation.rounds=40", "federation.lost_after=1s"]
        self.federation.start_coordinator(overrides)
        self.federation.make_sites()
        sites = (1, 2, 3, 4)
        for number in sites:
            self.start_member(number, "policy: {approve: any, minimum_cohort: 3}")
        self.federation.wait_for(lambda: len(self.federation.rounds()) > 1, "two rounds", "coordinator")
        self.federation.kill("coordinator")
        self.federation.start_coordinator(overrides, listen=self.federation.address)
        self.federation.wait_for(lambda: len(self.federation.rounds()) > 3, "four rounds", "coordinator")
        self.federation.kill("site-2")
        self.federation.start_site(2)
        self.assertEqual(self.federation.wait_end("coordinator"), 3, self.federation.log("coordinator"))
        summary = self.federation.summary()
        self.assertEqual(summary["status"], "budget_spent")
        self.assertTrue((self.federation.dir / "live" / "checkpoints" / "final.safetensors").exists())
        # Eight attempts were opened; a kill may have cost one of them its round.
        charges = sorted({charge for charge in self.charges("store.db") if charge > 0})
        self.assertEqual(len(charges), 8, "one a training round, none an evaluation")
        self.assertAlmostEqual(charges[-1], self.cost(8), places=9)
        self.assertAlmostEqual(summary["epsilon"], self.cost(8), places=9)
        trained = [line for line in self.federation.rounds() if line["committed"]]
        self.assertGreaterEqual(len(trained), 6)
        for number in sites:
            self.assertEqual(self.federation.wait_end(f"site-{number}"), 0, self.federation.log(f"site-{number}"))
            ledger = self.ledger(number)
            paid = {(line["round"], line["attempt"], line["session"]) for line in ledger}
            self.assertEqual(len(paid), len(ledger), "a session is paid for once")
            opened = {(line["round"], line["attempt"], session["session"]) for line in trained for session in line["sessions"]
                      if session["opened"] and f"site-{number}" in session["members"]}
            self.assertTrue(opened)
            self.assertLessEqual(opened, paid)
            self.assertEqual({(line["mode"], line["unit"], line["purpose"]) for line in ledger}, {("distributed", "client", "train")})
            self.assertAlmostEqual(ledger[-1]["epsilon"], self.cost(len(ledger)), places=9)

    def test_a_site_whose_budget_is_spent_joins_no_session(self):
        self.use(DISTRIBUTED % "", ("every: 6", "every: 0"), ("clients: 4, holdout_clients: 1", "clients: 4, holdout_clients: 0"),
                 ("cohort: 3, minimum_cohort: 2", "cohort: 4, minimum_cohort: 3"))
        self.federation.prepare(sites=4)
        self.federation.start_coordinator(["federation.rounds=6"])
        self.federation.make_sites()
        for number in (1, 2, 3, 4):
            budget = f"epsilon_budget: {{epsilon: {self.cost(2) + 1e-6}, delta: 1e-6}}, " if number == 1 else ""
            self.start_member(number, f"policy: {{approve: any, {budget}minimum_cohort: 3}}")
        self.assertEqual(self.federation.wait_end("coordinator"), 0, self.federation.log("coordinator"))
        self.assertEqual(self.federation.wait_end("site-1"), 3, self.federation.log("site-1"))
        self.assertEqual([line["round"] for line in self.ledger(1)], [1, 2])
        self.assertEqual([len(line["reported"]) for line in self.federation.rounds()], [4, 4, 3, 3, 3, 3])

    def test_a_live_coordinator_gains_nothing_by_sampling(self):
        self.use(CENTRAL % ", sampling: poisson")
        self.federation.write("coordinator.yaml", """\
listen: "127.0.0.1:0"
identity: {certificate: c.pem, key: c.key, trust: ca.pem}
experiment: experiment.yaml
initial_state: initial.safetensors
members: ["spiffe://shapes/client/*"]
""")
        refused = self.federation.run("coordinator", "coordinator.yaml", check=False)
        self.assertEqual(refused.returncode, 2)
        self.assertIn("sampling poisson is for simulations", refused.stderr)

    def start_member(self, number, policy):
        """A site of masked sums, with this policy in its file."""
        client = self.federation.dir / "sites" / f"site-{number}" / "client.yaml"
        kept = [line for line in client.read_text().splitlines() if not line.startswith("policy:")]
        client.write_text("\n".join([*kept, policy, ""]))
        self.federation.start_site(number)

    def ledger(self, number):
        path = self.federation.dir / "sites" / f"site-{number}" / "state" / "privacy_ledger.jsonl"
        return [json.loads(line) for line in path.read_text().splitlines()]

    @staticmethod
    def with_budget(client, epsilon):
        budget = f"epsilon_budget: {{epsilon: {epsilon}, delta: 1e-6}}"
        return client.replace("policy: {", f"policy: {{{budget}, ") if "policy: {" in client else client.replace("policy:\n", f"policy:\n  {budget}\n") \
            if "policy:\n" in client else client + f"policy: {{approve: any, {budget}}}\n"


if __name__ == "__main__":
    unittest.main()
