"""Sites and coordinator killed with SIGKILL in every phase of a secure session: a round's sum is exactly that of its members and is
opened once, or the round is spent.

A site that is held before a message (Gate) holds the session in that message's phase for as long as the test likes."""

import json
import unittest

from secure_case import SETTINGS, SecureCase


class OpeningsCase(SecureCase):
    compression = ""

    def setUp(self):
        super().setUp()
        text = (self.federation.dir / "experiment.yaml").read_text()
        # Nobody is given up who only starts anew, and no phase ends by itself.
        for old, new in (("rounds: 12", "rounds: 6" + self.compression), ("report_deadline: 30s", "report_deadline: 60s"), ("lost_after: 3s", "lost_after: 60s"),
                         ("phase_deadline: 10s", "phase_deadline: 60s"), ("every: 6", "every: 0"), ("baselines: [{name: local}, {name: fedavg}]", "baselines: []")):
            self.assertIn(old, text)
            text = text.replace(old, new)
        self.federation.write("experiment.yaml", text)

    def restart_coordinator(self):
        self.federation.kill("coordinator")
        self.federation.start_coordinator(listen=self.federation.address)

    def restart_site(self, number):
        self.federation.kill(f"site-{number}")
        self.federation.start_site(number)

    def wait_held(self, gate):
        self.federation.wait_for(gate.held.is_set, "a site's standing still", "coordinator")

    def wait_sent(self, sites, kind, number):
        """Sites without a gate."""
        for site in sites:
            path = self.federation.dir / f"sites/site-{site}/state/outbound.jsonl"
            self.federation.wait_for(lambda: any(f'"kind":"{kind}"' in line and f'"round":{number},' in line for line in path.read_text().splitlines()),
                                     f"'{kind}' of site-{site} in round {number}", "coordinator")

    def open_by_two(self, gates, number):
        """Sites 1 and 2 have opened the round, 3 and 4 have not."""
        for site in (3, 4):
            gates[site].hold("secure mask", number)
        for site in (3, 4):
            self.wait_held(gates[site])
        self.wait_sent((1, 2), "secure open", number)

    def assert_opened_once(self):
        for line in self.federation.rounds():
            opened = [session["members"] for session in line.get("sessions", []) if session["opened"]]
            self.assertEqual(opened, [line["reported"]] if line["committed"] else [], line)
        for what, sessions in self.openings().items():
            self.assertEqual(len(sessions), 1, f"{what} was opened by more than one session")
        self.assertEqual(self.bytes_of_charges(), 0)

    def committed(self):
        return [line for line in self.federation.rounds() if line["committed"]]

    def kill_the_coordinator_in_each_phase(self, killed=None):
        """And with it a site that stands there, if one is named: nobody goes on without it, because the coordinator is away too."""
        gates = self.begin(gated=(3, 4))
        # In R0 of round 2; in R1; in R2, before the upload of the last site and after it.
        holds = [("secure open", 1), ("secure advertise", 3), ("secure share", 4), ("masked update", 5)]
        for hold in holds:
            gates[4].hold(*hold)
        for number in (2, 3, 4, 5):
            self.wait_held(gates[4])
            self.wait_sent((1, 2), "secure advertise", number)
            if killed is None:
                self.restart_coordinator()
            else:
                self.federation.kill("coordinator")
                self.restart_site(killed)
                self.federation.start_coordinator(listen=self.federation.address)
            gates[4].release()
        # In R3: two of four have opened round 6, three are needed.
        self.open_by_two(gates, 6)
        self.restart_coordinator()
        gates[3].release()
        gates[4].release()
        self.end()
        return gates

    def check_it_learns_the_same(self, killed=None):
        self.federation.run("run", "experiment.yaml", "--out", "simulated")
        self.kill_the_coordinator_in_each_phase(killed)
        self.assertEqual([(line["round"], line["attempt"], len(line["reported"])) for line in self.committed()],
                         [(1, 1, 4), (2, 2, 4), (3, 2, 4), (4, 2, 4), (5, 2, 4), (6, 1, 4)])
        self.assertEqual(self.checkpoint("simulated"), self.checkpoint("live"))
        self.assertIn("asking again for the opening of shapes/maml train 6.1", self.federation.log("coordinator"))
        self.assert_opened_once()


class PackedOpeningsTest(OpeningsCase):
    """Narrow rings, rounded at random, of sparse updates whose rest stays at the site."""

    compression = ", compression: {fraction: 0.25, rotation: true, download: float16}"
    privacy = "privacy: {secure_aggregation: {mode: secure, phase_deadline: 10s, ring_bits: 16, clip: 10}}\n"

    def test_a_coordinator_and_a_site_killed_in_each_phase_learn_the_same(self):
        self.check_it_learns_the_same(killed=4)


class PrivateOpeningsTest(OpeningsCase):
    """With noise no two runs are alike; what is charged is exact."""

    privacy = """\
privacy:
  secure_aggregation: {mode: secure, phase_deadline: 10s}
  differential_privacy: {mode: distributed, clip: 1, noise_multiplier: 4, delta: 1e-6}
"""

    def spent(self, releases):
        planned = self.federation.run("privacy", "--noise", 4, "--rounds", releases, "--delta", "1e-6", "--json")
        return json.loads(planned.stdout)["epsilon"]

    def lines(self, number, name):
        return [json.loads(line) for line in (self.federation.dir / f"sites/site-{number}/state" / name).read_text().splitlines()]

    def check_accounts(self):
        gates = self.kill_the_coordinator_in_each_phase(killed=4)
        self.assertEqual([(line["round"], line["attempt"]) for line in self.committed()], [(1, 1), (2, 2), (3, 2), (4, 2), (5, 2), (6, 1)])
        # An attempt that ended before its opening was asked for costs the coordinator nothing, an opening asked for twice one release.
        self.assertAlmostEqual(self.federation.summary()["epsilon"], self.spent(6), places=9)
        key = lambda line: (line["round"], line["attempt"], line["session"])
        opened = {(line["round"], line["attempt"], session["session"]) for line in self.committed() for session in line["sessions"] if session["opened"]}
        self.assertEqual(len(opened), 6)
        for number in (1, 2, 3, 4):
            ledger = self.lines(number, "privacy_ledger.jsonl")
            paid = {key(line) for line in ledger}
            self.assertEqual(len(paid), len(ledger), "a session is paid for once")
            self.assertLessEqual(opened, paid)
            self.assertAlmostEqual(ledger[-1]["epsilon"], self.spent(len(ledger)), places=9)
            if number not in gates:
                sent = {(line["round"], line["attempt"], line["session"]) for line in self.lines(number, "outbound.jsonl")
                        if line["kind"] == "masked update" and line["purpose"] == "train"}
                self.assertEqual(paid, sent, "and nothing else is")

    def test_distributed_noise(self):
        self.check_accounts()

    def test_central_noise(self):
        text = (self.federation.dir / "experiment.yaml").read_text()
        self.assertIn("mode: distributed", text)
        self.federation.write("experiment.yaml", text.replace("mode: distributed", "mode: central"))
        self.check_accounts()


class OpeningsTest(OpeningsCase):
    def test_a_coordinator_killed_in_each_phase_learns_the_same(self):
        self.check_it_learns_the_same()

    def final_state(self, kills):
        """Of a run in which sites are killed where they stand after these messages of these rounds."""
        gates = self.begin(gated=(2, 3, 4))
        for site, *hold in kills:
            gates[site].hold(*hold)
        for site, kind, number in kills:
            self.wait_held(gates[site])
            self.wait_sent((1,), "secure advertise", number + (kind == "secure open"))  # the session has begun
            self.restart_site(site)
            gates[site].release()
        self.end()
        self.assert_opened_once()
        self.assertEqual([line["reported"] for line in self.committed()],
                         [[f"site-{number}" for number in (1, 2, 3, 4) if number != missing] for missing in (None, 4, 3, 2, None, None)])
        return self.checkpoint("live")

    def test_a_site_killed_in_any_phase_is_in_the_sum_or_is_not(self):
        # In R1; in R2, before its upload and after it; in R3, in which the others suffice.
        in_phases = self.final_state([(4, "secure advertise", 2), (3, "secure share", 3), (2, "masked update", 4), (4, "secure mask", 5)])
        self.assertEqual([[session.get("phase") for session in line["sessions"]] for line in self.committed()[1:4]], [["share", None], ["mask", None], ["mask", None]])
        # The same rounds without them from the beginning: before R0.
        self.federation.close()
        self.setUp()
        self.assertEqual(self.final_state([(4, "secure open", 1), (3, "secure open", 2), (2, "secure open", 3)]), in_phases)

    def lose_the_sum(self, gates, number, then=None):
        """Sites 3 and 4 end before they have opened the round, and are back; site 4 is held again then."""
        self.open_by_two(gates, number)
        if then is not None:
            gates[4].hold(*then)
        for site in (3, 4):
            self.restart_site(site)
            gates[site].release()

    def test_a_sum_that_too_few_can_open_is_spent_and_the_run_goes_on(self):
        gates = self.begin(gated=(3, 4))
        self.open_by_two(gates, 2)
        self.restart_coordinator()
        for number in (3, 4):
            self.restart_site(number)
            gates[number].release()
        self.end()
        self.assertEqual([(line["round"], line["committed"], line.get("spent", False)) for line in self.federation.rounds()],
                         [(1, True, False), (2, False, True), *((number, True, False) for number in range(3, 7))])
        log = self.federation.log("coordinator")
        self.assertIn("too few members can open the sum", log)
        self.assertIn("round 3 asks exactly the 4 clients of the spent round before", log)
        self.assert_opened_once()

    def test_three_spent_rounds_in_succession_end_the_run(self):
        gates = self.begin(gated=(3, 4))
        for number in (2, 3, 4):
            self.lose_the_sum(gates, number)
        self.assertEqual(self.federation.wait_end("coordinator"), 4, self.federation.log("coordinator"))
        self.assertIn("3 rounds in succession were opened without a usable sum", self.federation.log("coordinator"))
        self.assertEqual([(line["round"], line.get("spent", False)) for line in self.federation.rounds()], [(1, False), (2, True), (3, True), (4, True)])
        self.assert_opened_once()

    def test_sites_do_not_answer_a_spent_rounds_model_to_others(self):
        gates = self.begin(["federation.lost_after=3s", "federation.join_deadline=8s", "federation.retries=1"], gated=(3, 4))
        self.lose_the_sum(gates, 2, then=("secure advertise", 3))
        self.wait_held(gates[4])
        self.federation.kill("site-4")
        gates[4].release()
        self.assertEqual(self.federation.wait_end("coordinator"), 4, self.federation.log("coordinator"))
        log = self.federation.log("coordinator")
        self.assertIn("site-4 is not here (federation.join_deadline), who was asked the same model", log)
        self.assertRegex(log, "was already answered under 1 other rounds, not always for exactly these members")
        self.assertEqual([(line["round"], line["committed"], line.get("spent", False)) for line in self.federation.rounds()], [(1, True, False), (2, False, True), (3, False, False), (3, False, False)])
        self.assert_opened_once()


if __name__ == "__main__":
    unittest.main()
