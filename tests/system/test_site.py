"""A site's control over what it takes part in, over its local socket, with real processes."""

import json
import shutil
import signal
import unittest

from federation import BIN, Federation


class SiteTest(unittest.TestCase):
    def setUp(self):
        self.federation = Federation()
        self.addCleanup(self.federation.close)

    def start(self, policies, overrides=(), **coordinator):
        """A coordinator and three sites; `policies`: by number, instead of what the demonstration's files say."""
        self.federation.prepare()
        self.federation.start_coordinator(overrides, **coordinator)
        self.federation.make_sites()
        for number in (1, 2, 3):
            file = self.federation.dir / f"sites/site-{number}/client.yaml"
            lines = [line for line in file.read_text().splitlines() if not line.startswith("policy:")]
            policy = policies.get(number, "policy: {approve: any}")
            file.write_text("\n".join(lines + [policy]) + "\n")
            self.federation.start_site(number)

    def site(self, number, *arguments, check=True):
        return self.federation.run("site", *arguments, "--client", f"sites/site-{number}/client.yaml", check=check)

    def said(self, text, name="coordinator"):
        self.federation.wait_for(lambda: text in self.federation.log(name), text, name)

    def finished(self):
        self.assertEqual(self.federation.wait_end("coordinator"), 0, self.federation.log("coordinator"))

    def test_an_experiment_waits_for_approval_and_is_recorded(self):
        self.start({1: ""}, members="spiffe://shapes/client/site-*")  # no block at all
        federation = self.federation
        federation.identity("stranger")
        stranger = (federation.dir / "sites/site-1/client.yaml").read_text().replace("site-1/site-1", "stranger/stranger")
        federation.write("sites/stranger.yaml", stranger.replace("../pki", "pki").replace('path: "."', 'path: "site-1"'))
        self.assertNotEqual(federation.run("client", "sites/stranger.yaml", check=False).returncode, 0)
        self.said("waiting for site-1: policy.approve")
        pending = json.loads(self.site(1, "pending", "--json").stdout)
        self.assertEqual([e["status"] for e in pending["experiments"]], ["pending"])
        self.assertIn("policy.approve", self.site(1, "pending").stdout)
        shown = self.site(1, "show", "shapes").stdout
        for text in ("maml", "fedavg", "mlp", "12 of each method", "numbers", "leaves", "none against the coordinator"):
            self.assertIn(text, shown)
        printed = self.federation.log("coordinator")
        self.assertIn(pending["experiments"][0]["hash"], printed, "the coordinator prints what sites approve")
        self.assertFalse((self.federation.dir / "sites/site-1/state/figures.jsonl").exists(), "nothing was computed")
        self.site(1, "approve", "shapes", "--note", "ethics board, 17")
        self.finished()
        self.assertEqual(self.federation.rounds()[0]["reported"], ["site-1", "site-2", "site-3"])
        self.assertEqual(self.federation.summary()["dropped"], 0)
        approvals = (self.federation.dir / "sites/site-1/state/approvals.jsonl").read_text()
        self.assertIn("ethics board, 17", approvals)
        # What the coordinator recorded, offline: from the run folder and from the store.
        for place in ("live", "store.db"):
            verified = json.loads(self.federation.run("audit", "verify", place, "--trust", "pki/authority/authority.pem", "--json").stdout)
            self.assertIsNone(verified["bad"])
            self.assertEqual(sorted(verified["countersigned"]), [f"spiffe://shapes/client/site-{n}" for n in (1, 2, 3)])
            self.assertEqual(verified["end_unseen_by"], [], "every site countersigns the end as it leaves")
            self.assertEqual(set(verified["countersigned"].values()), {verified["signed_to"]})
            self.assertGreaterEqual(verified["turned_away"], 1)
        audit = self.federation.dir / "live/audit.jsonl"
        audit.write_text(audit.read_text().replace('"site-2"', '"site-4"', 1))
        tampered = self.federation.run("audit", "verify", "live", check=False)
        self.assertEqual(tampered.returncode, 1)
        self.assertIn("entry ", tampered.stderr)

    def test_a_rejected_experiment_runs_without_the_site(self):
        self.start({1: "policy: {approve: manual}"}, ["federation.cohort=2", "federation.rounds=100000"])
        self.said("waiting for site-1: policy.approve")
        self.site(1, "reject", "shapes")
        self.said("without site-1: site.reject")
        self.federation.wait_for(lambda: len(self.federation.rounds()) > 3, "rounds", "coordinator")
        self.assertTrue(all(r["reported"] == ["site-2", "site-3"] for r in self.federation.rounds()), self.federation.rounds())
        outbound = (self.federation.dir / "sites/site-1/state/outbound.jsonl").read_text()
        self.assertEqual({json.loads(line)["kind"] for line in outbound.splitlines()}, {"declined"})

    def test_the_files_rules_stand_above_approval(self):
        self.start({1: "policy: {approve: any, allow: {algorithms: [reptile]}}"}, ["federation.cohort=2", "federation.rounds=100000"])
        self.said("without site-1: policy.allow.algorithms")
        refused = self.site(1, "approve", "shapes", "--json", check=False)
        self.assertEqual(refused.returncode, 3)
        self.assertEqual(json.loads(refused.stdout)["error"]["code"], "permission_denied")

    def test_pause_resume_and_leave_work_at_once(self):
        self.start({}, ["federation.rounds=100000"])
        federation = self.federation
        federation.wait_for(lambda: len(federation.rounds()) > 3, "a few rounds", "coordinator")
        self.site(1, "pause")
        self.said("waiting for site-1: site.pause")
        federation.wait_for(lambda: federation.rounds()[-1]["reported"] == ["site-2", "site-3"], "a round without site-1", "coordinator")
        self.site(1, "resume")
        federation.wait_for(lambda: "site-1" in federation.rounds()[-1]["reported"], "a round with site-1", "coordinator")
        self.site(1, "leave")
        self.assertEqual(federation.wait_end("site-1", 30), 0, federation.log("site-1"))
        self.said("without site-1: site.leave")
        ledger = json.loads(federation.run("site", "ledger", "--client", "sites/site-2/client.yaml", "--json").stdout)
        self.assertIn("update", {line["kind"] for line in ledger["outbound"]})
        nobody = self.site(1, "pending", check=False)
        self.assertNotEqual(nobody.returncode, 0)
        self.assertIn("no client runs", nobody.stderr)
        # Started again it still takes no part.
        federation.start_site(1)
        federation.wait_for(lambda: federation.log("coordinator").count("without site-1: site.leave") > 1, "the site's word", "coordinator")

    def test_control_needs_no_coordinator(self):
        self.start({1: "policy: {approve: manual}"})
        self.said("waiting for site-1: policy.approve")
        self.federation.kill("coordinator")
        self.site(1, "approve", "shapes")
        self.assertEqual(json.loads(self.site(1, "pending", "--json").stdout)["experiments"][0]["status"], "allowed")
        self.federation.kill("site-1")
        self.federation.start_site(1)
        socket = self.federation.dir / "sites/site-1/state/control.sock"
        self.federation.wait_for(lambda: self.site(1, "pending", check=False).returncode == 0, "the socket", "site-1")
        self.assertEqual(socket.stat().st_mode & 0o777, 0o600)
        self.assertEqual(json.loads(self.site(1, "show", "shapes", "--json").stdout)["status"], "allowed", "approvals outlive the process")

    def test_a_coordinator_that_was_rolled_back_is_refused(self):
        federation = self.federation
        self.start({}, ["federation.rounds=100000"])
        federation.wait_for(lambda: len(federation.rounds()) > 2, "a few rounds", "coordinator")
        federation.kill("coordinator")
        saved = federation.dir / "saved"
        saved.mkdir()
        for path in federation.dir.glob("store.db*"):
            (shutil.copytree if path.is_dir() else shutil.copy)(path, saved / path.name)
        seen = len(federation.rounds())
        federation.start_coordinator(["federation.rounds=100000"], listen=federation.address)
        federation.wait_for(lambda: len(federation.rounds()) > seen + 5, "more rounds", "coordinator")
        federation.kill("coordinator")
        for path in federation.dir.glob("store.db*"):
            (shutil.rmtree if path.is_dir() else path.unlink)(*((path,) if path.is_dir() else ()))
        for path in saved.iterdir():
            (shutil.copytree if path.is_dir() else shutil.copy)(path, federation.dir / path.name)
        federation.start_coordinator(["federation.rounds=100000"], listen=federation.address)
        for number in (1, 2, 3):
            self.assertEqual(federation.wait_end(f"site-{number}", 60), 3, federation.log(f"site-{number}"))
            self.assertIn("the coordinator is refused", federation.log(f"site-{number}"))

    def test_a_restored_backup_goes_on_with_the_authoritys_word(self):
        federation = self.federation
        self.start({}, ["federation.rounds=100000"])
        federation.wait_for(lambda: len(federation.rounds()) > 2, "a few rounds", "coordinator")
        federation.run("coordinator", "coordinator.yaml", "backup", "backup")
        self.assertNotEqual(federation.run("coordinator", "coordinator.yaml", "backup", "backup", check=False).returncode, 0)
        seen = len(federation.rounds())
        federation.wait_for(lambda: len(federation.rounds()) > seen + 5, "more rounds", "coordinator")
        federation.kill("coordinator")
        self.assertEqual(federation.run("coordinator", "coordinator.yaml", "restore", "backup", check=False).returncode, 2)
        federation.run("pki", "epoch", "--authority", "pki/authority", "--coordinator", "spiffe://shapes/coordinator/other", "--number", 2, "--out", "of-another")
        refused = federation.run("coordinator", "coordinator.yaml", "restore", "backup", "--new-epoch", "of-another", check=False)
        self.assertEqual(refused.returncode, 3, refused.stderr)
        federation.run("pki", "epoch", "--authority", "pki/authority", "--coordinator", "spiffe://shapes/coordinator/coordinator", "--number", 2,
                       "--reason", "disk lost", "--out", "epoch-2")
        federation.run("coordinator", "coordinator.yaml", "restore", "backup", "--new-epoch", "epoch-2")
        again = federation.run("coordinator", "coordinator.yaml", "restore", "backup", "--new-epoch", "epoch-2", check=False)
        self.assertEqual(again.returncode, 3, "an epoch serves once")
        self.assertTrue(list(federation.dir.glob("store.db.before-*")), "what was replaced is kept")
        federation.start_coordinator(["federation.rounds=100000"], listen=federation.address)
        federation.wait_for(lambda: len(federation.rounds()) > seen + 10, "rounds after the restore", "coordinator")
        federation.processes["coordinator"].send_signal(signal.SIGTERM)
        self.assertEqual(federation.wait_end("coordinator", 60), 130)
        verified = json.loads(federation.run("audit", "verify", "live", "--trust", "pki/authority/authority.pem", "--json").stdout)
        self.assertIsNone(verified["bad"])
        self.assertEqual(verified["restores"], 1)

    def test_what_sites_were_charged_since_the_backup_counts_after_the_restore(self):
        federation = self.federation
        planned = federation.run("privacy", "--noise", 4, "--rounds", 10, "--delta", "1e-6", "--json")
        ten = json.loads(planned.stdout)["epsilon"]
        text = (federation.dir / "experiment.yaml").read_text().replace("baselines: [{name: local}, {name: fedavg}]", "baselines: []")
        federation.write("experiment.yaml", text.replace("every: 6", "every: 0") + "privacy: {differential_privacy: {mode: central, clip: 1, "
                         f"noise_multiplier: 4, delta: 1e-6, budget: {{epsilon: {ten + 1e-6}}}}}}}\n")
        federation.prepare()

        def run_to(rounds, code):
            federation.start_coordinator([f"federation.rounds={rounds}"], listen=federation.address if federation.processes else "127.0.0.1:0")
            federation.make_sites()
            for number in (1, 2, 3):
                federation.start_site(number)
            self.assertEqual(federation.wait_end("coordinator"), code, federation.log("coordinator"))
            for number in (1, 2, 3):
                federation.wait_end(f"site-{number}")
        run_to(4, 0)
        federation.run("coordinator", "coordinator.yaml", "backup", "backup")
        run_to(8, 0)
        federation.run("pki", "epoch", "--authority", "pki/authority", "--coordinator", "spiffe://shapes/coordinator/coordinator", "--number", 2, "--out", "epoch-2")
        federation.run("coordinator", "coordinator.yaml", "restore", "backup", "--new-epoch", "epoch-2")
        # The store says four, the sites eight: of ten releases two are left.
        run_to(20, 3)
        self.assertIn("was charged for 4 releases that the restored store does not have", federation.log("coordinator"))
        summary = federation.summary()
        self.assertEqual((summary["status"], summary["rounds"]), ("budget_spent", 6))
        self.assertAlmostEqual(summary["epsilon"], ten, places=9)
        verified = json.loads(federation.run("audit", "verify", "store.db", "--trust", "pki/authority/authority.pem", "--json").stdout)
        self.assertEqual((verified["bad"], verified["told"], verified["charges"]), (None, 4, 6))
        self.assertAlmostEqual(verified["epsilon"], ten, places=9)
        ledger = [json.loads(line) for line in (federation.dir / "sites/site-1/state/privacy_ledger.jsonl").read_text().splitlines()]
        self.assertEqual([line["epoch"] for line in ledger], [1] * 8 + [2] * 2, "the rounds of the same number are paid for again")

    def test_a_site_may_ask_for_a_researchers_signature(self):
        endless = ["federation.cohort=2", "federation.rounds=100000"]
        federation = self.federation
        allow = "policy: {approve: any, allow: {researchers: [\"spiffe://shapes/researcher/lea\"]}}"
        self.start({1: allow, 2: allow.replace("lea", "max")}, endless)
        federation.identity("lea", "researcher")
        self.said("without site-1: policy.allow.researchers, no researcher has signed it")
        federation.kill("coordinator")
        by = ("--certificate", "pki/lea/lea.pem", "--key", "pki/lea/lea.key", "--trust", "pki/authority/authority.pem")
        federation.run("sign", "experiment.yaml", *endless, "--initial-state", "initial.safetensors", *by)
        changed = federation.run("coordinator", "coordinator.yaml", *endless, "federation.rounds=200000", check=False)
        self.assertEqual(changed.returncode, 2, changed.stderr)
        self.assertIn("experiment.yaml.signature: the researcher's signature: spiffe://shapes/researcher/lea signed another experiment", changed.stderr)
        site = ("--certificate", "pki/site-1/site-1.pem", "--key", "pki/site-1/site-1.key", "--trust", "pki/authority/authority.pem")
        refused = federation.run("sign", "experiment.yaml", "--initial-state", "initial.safetensors", *site, check=False)
        self.assertEqual(refused.returncode, 2, "a site is no researcher")
        # What no offer holds may change without a new signature.
        federation.start_coordinator([*endless, "federation.report_deadline=31s"], listen=federation.address)
        self.said("site-1 takes part")
        self.said("without site-2: policy.allow.researchers, it is signed by spiffe://shapes/researcher/lea, who is not among them")
        self.assertIn("spiffe://shapes/researcher/lea", self.site(1, "show", "shapes").stdout)


if __name__ == "__main__":
    unittest.main()
