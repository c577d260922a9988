"""The hospitals example: four client processes with their own published tables, and what the example says without them."""

import itertools
import os
import pathlib
import subprocess
import sys
import unittest

from federation import BIN, Federation
from test_live import tensors

EXAMPLES = pathlib.Path(__file__).parents[2] / "examples"
SITES = ("cleveland", "hungarian", "switzerland", "va")


def data_root():
    return pathlib.Path(os.environ.get("FEDMETA_DATA", EXAMPLES.parent.parent / "shared/data"))


class HospitalsTest(unittest.TestCase):
    def setUp(self):
        if not (data_root() / "heart_disease").is_dir():
            self.skipTest("heart_disease is not under FEDMETA_DATA")
        os.environ["FEDMETA_DATA"] = str(data_root())
        self.federation = Federation()
        self.addCleanup(self.federation.close)

    def write_site(self, site, address):
        text = (EXAMPLES / "hospitals" / f"{site}.yaml").read_text().replace("127.0.0.1:8443", address)
        # The hospital that never trains says so itself.
        if site == "va":
            text += "    role: holdout\n"
        self.federation.write(f"{site}.yaml", text + "policy: {approve: any}\n")

    def test_live_and_simulated_models_are_bit_equal(self):
        experiment = (EXAMPLES / "hospitals/hospitals.yaml").read_text()
        self.federation.write("experiment.yaml", experiment)
        refused = self.federation.run("init", "experiment.yaml", "--out", "initial.safetensors", check=False)
        self.assertEqual(refused.returncode, 2)
        self.assertIn("pooled needs the rows of all sites in one place", refused.stderr)

        experiment = "\n".join(line for line in experiment.splitlines() if "name: pooled" not in line)
        # All three in each round: which two of them come first is not the same live.
        for old, new in (("[0.06, 0.2, 0.6, 2]", "0.2"), ("rounds: 30, cohort: 2", "rounds: 6, cohort: 3, join_deadline: 60s"),
                         ("episodes: 5 ", "episodes: 2 "), (", 100]", "]")):
            self.assertIn(old, experiment)
            experiment = experiment.replace(old, new)
        self.federation.write("experiment.yaml", experiment)
        for site in SITES:
            self.write_site(site, "127.0.0.1:1")
        self.federation.run("run", "experiment.yaml", "--out", "simulated")

        self.federation.authority()
        self.federation.identity("coordinator", "coordinator", options=("--ip", "127.0.0.1"))
        for site in SITES:
            self.federation.identity(site)
        self.federation.run("init", "experiment.yaml", "--out", "initial.safetensors")
        self.federation.start_coordinator()
        for site in SITES:
            self.write_site(site, self.federation.address)
            self.federation.start(site, BIN / "fedmeta", "client", f"{site}.yaml")
        for name in ("coordinator", *SITES):
            self.assertEqual(self.federation.wait_end(name), 0, self.federation.log(name))
        for name in ("final", "best", "baseline-fedavg"):
            of_run = [(self.federation.dir / run / "checkpoints" / f"{name}.safetensors").read_bytes() for run in ("simulated", "live")]
            self.assertEqual(tensors(of_run[0]), tensors(of_run[1]), name)

    def test_the_example_ends_with_tables(self):
        done = self.example("hospitals", "--seeds", "1", "--first-seed", "1", "--quick", "--out", str(self.federation.dir / "out"))
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertIn("| 10 | fedmeta |", done.stdout)
        self.assertTrue((self.federation.dir / "out/tables.json").is_file())

    def test_the_example_of_privacy_ends_with_a_table(self):
        done = self.example("hospitals", "--seeds", "1", "--rounds", "1", "--epsilons", "3", "--out", str(self.federation.dir / "out"), script="privacy.py")
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertEqual([line.split(" | ")[:2] for line in done.stdout.splitlines()[-4:]],
                         [["| a hospital, central", "3"], ["| a hospital, distributed", "3"], ["| clipping alone, of a patient", ""], ["| a patient, local", "3"]])

    def example(self, name, *arguments, script="run.py", **environment):
        return subprocess.run([sys.executable, EXAMPLES / name / script, *arguments], text=True, capture_output=True, timeout=300,
                              env={**os.environ, "FEDMETA": str(BIN / "fedmeta"), **environment})


class WithoutDataTest(unittest.TestCase):
    def setUp(self):
        self.federation = Federation()
        self.addCleanup(self.federation.close)

    example = HospitalsTest.example

    def test_the_examples_say_what_to_do(self):
        for name, script in itertools.product(("hospitals", "banks"), ("run.py", "privacy.py")):
            done = self.example(name, "--out", str(self.federation.dir / "out"), script=script, FEDMETA_DATA=str(self.federation.dir))
            self.assertEqual(done.returncode, 2)
            self.assertIn("--fetch", done.stderr)
            self.assertIn("FEDMETA_DATA", done.stderr)

    def test_what_is_fetched_is_checked(self):
        mirror = self.federation.dir / "mirror"
        mirror.mkdir()
        (mirror / "SBAcase.11.13.17.csv").write_text("not the table\n")
        done = self.example("banks", "--fetch", "--from", mirror.as_uri() + "/", "--out", str(self.federation.dir / "out"),
                            FEDMETA_DATA=str(self.federation.dir / "data"))
        self.assertEqual(done.returncode, 2)
        self.assertIn("is not the published file", done.stderr)
        self.assertFalse((self.federation.dir / "data/sba_loans/SBAcase.11.13.17.csv").exists())


if __name__ == "__main__":
    unittest.main()
