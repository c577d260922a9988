"""Alert rules and systemd units, each by the tool that will read it."""

import os
import pathlib
import re
import shutil
import subprocess
import tempfile
import unittest

ROOT = pathlib.Path(__file__).parents[2]
PACKAGING = ROOT / "packaging"


def find_tool(name):
    return shutil.which(name) or shutil.which(name, path=os.environ.get("FEDMETA_TOOLS", ""))


class AlertRulesTest(unittest.TestCase):
    def promtool(self, *arguments):
        tool = find_tool("promtool")
        if tool is None:
            self.skipTest("no promtool (Debian package prometheus)")
        result = subprocess.run([tool, *arguments], cwd=PACKAGING / "prometheus", text=True, capture_output=True, timeout=60)
        self.assertEqual(result.returncode, 0, result.stdout + result.stderr)

    def test_promtool_accepts_the_rules(self):
        self.promtool("check", "rules", "fedmeta-alerts.yaml")

    def test_the_rules_alert_when_they_should_and_only_then(self):
        self.promtool("test", "rules", "fedmeta-alerts-test.yaml")

    def test_every_metric_of_a_rule_is_documented(self):
        rules = (PACKAGING / "prometheus/fedmeta-alerts.yaml").read_text()
        documented = (ROOT / "docs/metrics.md").read_text()
        names = {re.sub(r"_(sum|count|bucket)$", "", name) for name in re.findall(r"\b(?:fedmeta|process)_[a-z_]+\b(?=[{\[) ])", rules)}
        self.assertGreater(len(names), 10)
        for name in sorted(names):
            self.assertIn(f"`{name}`", documented, name)


class UnitsTest(unittest.TestCase):
    def test_systemd_accepts_the_units(self):
        tool = find_tool("systemd-analyze")
        if tool is None:
            self.skipTest("no systemd-analyze")
        with tempfile.TemporaryDirectory() as folder:
            copies = []
            for unit in sorted((PACKAGING / "systemd").glob("*.service")):
                copy = pathlib.Path(folder) / unit.name
                copy.write_text(unit.read_text().replace("/usr/bin/fedmeta", "/bin/true"))  # need not be installed here
                copies.append(copy)
            self.assertEqual(len(copies), 2)
            result = subprocess.run([tool, "verify", *copies], text=True, capture_output=True, timeout=60)
        # Warnings of the machine's own units go the same way: only lines about ours count.
        ours = [line for line in (result.stdout + result.stderr).splitlines() if "fedmeta" in line]
        self.assertEqual((result.returncode, ours), (0, []), result.stderr)


if __name__ == "__main__":
    unittest.main()
