"""The soak of bench/soak.py, for twenty seconds."""

import json
import pathlib
import sys
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).parents[2] / "bench"))
import soak  # noqa: E402


class SoakTest(unittest.TestCase):
    def test_nothing_is_lost_or_applied_twice_while_both_sides_are_killed(self):
        soaked = soak.Soak(soak.parse(["20", "--sites", "1", "--deaths", "0.01"]))
        self.addCleanup(soaked.federation.close)
        soaked.run()
        counts = soaked.verify()
        self.assertGreater(counts["rounds"], 3)
        self.assertGreater(soaked.kills["coordinator"], 0)
        self.assertGreater(sum(soaked.kills.values()), soaked.kills["coordinator"])
        self.assert_that_the_check_can_fail(soaked)

    def assert_that_the_check_can_fail(self, soaked):
        lines = soaked.federation.records.read_text().splitlines()
        at, record = next((i, json.loads(line)) for i, line in enumerate(lines) if json.loads(line)["committed"])
        one_less = {**record, "reported": record["reported"][1:], "cohort": record["cohort"][1:]}
        for wrong in ([*lines[:at], json.dumps(one_less), *lines[at + 1:]], [*lines[:at], *lines[at + 1:]], [*lines[:at + 1], *lines[at:]]):
            soaked.federation.records.write_text("\n".join(wrong) + "\n")
            with self.assertRaises(AssertionError):
                soaked.verify()


if __name__ == "__main__":
    unittest.main()
