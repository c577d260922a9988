"""Sites and coordinator killed with SIGKILL in every phase of a secure session: a round's sum is exactly that of its members and is
opened once, or the round is spent.

A site that is held before a message (Gate) holds the session in that message's phase for as long as the test likes."""

import unittest

from secure_case import SETTINGS, SecureCase


class OpeningsTest(SecureCase):
    def setUp(self):
        super().setUp()
        text = (self.federation.dir / "experiment.yaml").read_text()
        # Nobody is given up who only starts anew, and no phase ends by itself.
        for old, new in (("rounds: 12", "rounds: 6"), ("report_deadline: 30s", "report_deadline: 60s"), ("lost_after: 3s", "lost_after: 60s"), ("phase_deadline: 10s", "phase_deadline: 60s"),
                         ("every: 6", "every: 0"), ("baselines: [{name: local}, {name: fedavg}]", "baselines: []")):
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

    def test_a_coordinator_killed_in_each_phase_learns_the_same(self):
        self.federation.run("run", "experiment.yaml", "--out", "simulated")
        gates = self.begin(gated=(3, 4))
        # In R0 of round 2; in R1; in R2, before the upload of the last site and after it.
        holds = [("secure open", 1), ("secure advertise", 3), ("secure share", 4), ("masked update", 5)]
        for hold in holds:
            gates[4].hold(*hold)
        for number in (2, 3, 4, 5):
            self.wait_held(gates[4])
            self.wait_sent((1, 2), "secure advertise", number)
            self.restart_coordinator()
            gates[4].release()
        # In R3: two of four have opened round 6, three are needed.
        self.open_by_two(gates, 6)
        self.restart_coordinator()
        gates[3].release()
        gates[4].release()
        self.end()
        self.assertEqual([(line["round"], line["attempt"], len(line["reported"])) for line in self.committed()],
                         [(1, 1, 4), (2, 2, 4), (3, 2, 4), (4, 2, 4), (5, 2, 4), (6, 1, 4)])
        self.assertEqual(self.checkpoint("simulated"), self.checkpoint("live"))
        self.assertIn("asking again for the opening of shapes/maml train 6.1", self.federation.log("coordinator"))
        self.assert_opened_once()

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

    def test_a_sum_that_too_few_can_open_is_spent_and_the_run_goes_on(self):
        gates = self.begin(settings=SETTINGS.replace("plan_seeds: true", "plan_seeds: true, same_model: 1"), gated=(3, 4))
        self.open_by_two(gates, 2)
        self.restart_coordinator()
        for number in (3, 4):
            self.restart_site(number)
            gates[number].release()
        self.end()
        self.assertEqual([(line["round"], line["committed"], line.get("spent", False)) for line in self.federation.rounds()],
                         [(1, True, False), (2, False, True), *((number, True, False) for number in range(3, 7))])
        self.assertIn("too few members can open the sum", self.federation.log("coordinator"))
        self.assert_opened_once()


if __name__ == "__main__":
    unittest.main()
