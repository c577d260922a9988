"""Sites with tables of their own: one experiment and the same site files, simulated and live."""

import random
import unittest

from federation import BIN, Federation
from test_live import tensors

EXPERIMENT = """\
name: hearts
seed: 3
model: {name: mlp, hidden: [4]}
data:
  name: heart
  features:
    - {name: chol, unit: mg/dL, range: [50, 700], missing: mean}
    - {name: sex, kind: category, levels: [female, male], missing: zero_with_flag}
    - {name: age, missing: drop_row, impute: 50}
  label: {name: disease, levels: [absent, present]}
  standardize: local
  tasks: {name: split, support_fraction: 0.5}
  partition: {scheme: sites, site_files: [site-1.yaml, site-2.yaml, site-3.yaml]}
algorithm: {name: maml, inner_learning_rate: 0.1, adaptation_steps: 2}
server: {optimizer: {name: adam, learning_rate: 0.01}}
federation: {rounds: 4, cohort: 3, report_deadline: 60s, join_deadline: 60s}
evaluation: {steps: [0, 1], baselines: [{name: fedavg}]}
"""

SOURCES = {
    1: """{source: {name: csv, path: one.csv}, group: [patient]}""",
    2: """{source: {name: csv, path: two.csv, delimiter: semicolon, decimal: comma, encoding: latin-1},
           columns: {chol: {from: CHOL_MMOL, scale: 38.67}, sex: {from: GESCHL, map: {W: female, "Männer": male}}}, missing: ["", "?"]}""",
    3: """{source: {name: command, argv: [cat, three.csv]}}""",
}
CANARY = "CANARY-4711"


def write_tables(federation):
    rng = random.Random(1)
    one, two, three = ["patient,chol,sex,age,disease"], ["GESCHL;CHOL_MMOL;age;name;disease"], ["disease,sex,chol"]
    for number in range(40):
        ill = number % 3 == 0
        chol = rng.gauss(260 if ill else 210, 20)
        sex = rng.choice(["female", "male"])
        label = "present" if ill else "absent"
        one.append(f"{CANARY}-{number // 2},{'' if number % 9 == 0 else chol},{sex},{rng.randrange(30, 80)},{label}")
        two.append(f"{'W' if sex == 'female' else 'Männer'};{chol / 38.67:.2f};{rng.randrange(30, 80)};{CANARY};{label}".replace(".", ","))
        three.append(f"{label},{sex},{chol}")
    federation.write("one.csv", "\n".join(one) + "\n")
    (federation.dir / "two.csv").write_bytes(("\r\n".join(two) + "\r\n").encode("latin-1"))
    federation.write("three.csv", "\n".join(three) + "\n")


def write_site(federation, number, address="127.0.0.1:1"):
    name = f"site-{number}"
    federation.write(f"{name}.yaml", f"""\
coordinator: {{address: "{address}"}}
identity: {{certificate: pki/{name}/{name}.pem, key: pki/{name}/{name}.key, trust: pki/authority/authority.pem}}
state_dir: state-{number}
policy: {{approve: any}}
data:
  heart: {SOURCES[number]}
""")


class TablesTest(unittest.TestCase):
    def setUp(self):
        self.federation = Federation()
        self.addCleanup(self.federation.close)
        self.federation.write("experiment.yaml", EXPERIMENT)
        write_tables(self.federation)
        for number in SOURCES:
            write_site(self.federation, number)

    def test_live_and_simulated_models_are_bit_equal_and_no_value_is_written(self):
        simulated = self.federation.run("run", "experiment.yaml", "--out", "simulated")
        self.federation.prepare()
        self.federation.start_coordinator()
        for number in SOURCES:
            write_site(self.federation, number, self.federation.address)
            self.federation.start(f"site-{number}", BIN / "fedmeta", "client", f"site-{number}.yaml")
        self.assertEqual(self.federation.wait_end("coordinator"), 0, self.federation.log("coordinator"))
        for number in SOURCES:
            self.assertEqual(self.federation.wait_end(f"site-{number}"), 0, self.federation.log(f"site-{number}"))
        for name in ("final", "best", "baseline-fedavg"):
            of_run = [(self.federation.dir / run / "checkpoints" / f"{name}.safetensors").read_bytes() for run in ("simulated", "live")]
            self.assertEqual(tensors(of_run[0]), tensors(of_run[1]), name)
        written = simulated.stdout + simulated.stderr
        for path in self.federation.dir.rglob("*"):
            if path.suffix in (".log", ".jsonl", ".json", ".html", ".csv") and path.is_file() and path.parent != self.federation.dir:
                written += path.read_text(errors="replace")
        for name in ("coordinator", *(f"site-{number}" for number in SOURCES)):
            written += self.federation.log(name)
        self.assertNotIn(CANARY, written)
        self.assertNotIn("three.csv", written)

    def test_a_table_that_cannot_be_used_is_said_before_anything_starts(self):
        self.federation.write("three.csv", f"disease,sex,CHOL\npresent,{CANARY},210\n")
        result = self.federation.run("run", "experiment.yaml", "--out", "simulated", check=False)
        self.assertEqual(result.returncode, 2, result.stderr)
        self.assertIn("site site-3: 'chol': there is no column 'chol'", result.stderr)
        self.assertNotIn(CANARY, result.stderr)
        self.assertFalse((self.federation.dir / "simulated").exists())

    def test_a_sweep_says_once_what_its_runs_share_and_goes_on_where_it_was(self):
        for number in (4, 5):
            self.federation.write(f"few-{number}.csv", "disease,sex,chol\npresent,male,250\n")
            self.federation.write(f"few-{number}.yaml", f"data: {{heart: {{source: {{name: csv, path: few-{number}.csv}}}}}}\n")
        sites = "[site-1.yaml,site-2.yaml,site-3.yaml,few-4.yaml,few-5.yaml]"
        sweep = ("sweep", "experiment.yaml", "seed=1..3", "federation.rounds=1", f"data.partition.site_files={sites}", "--jobs", 2, "--out", "sweep")
        first = self.federation.run(*sweep)
        self.assertEqual(first.stdout.count("completed"), 3, first.stdout)
        self.assertRegex(first.stderr, r"^fedmeta: warning: 2 sites take no part: .*too few rows.* \(few-4, few-5\)\n$")
        self.assertTrue((self.federation.dir / "sweep/seed=2/summary.json").exists())
        self.assertEqual(self.federation.run(*sweep).stdout.count("finished before"), 3)

    def test_a_model_is_adapted_to_a_table(self):
        self.federation.run("run", "experiment.yaml", "--out", "simulated")
        adapted = self.federation.run("adapt", "--model", "simulated", "--data", "site-2.yaml", "--out", "adapted")
        self.assertIn("wrote adapted", adapted.stdout)

    def test_labels_as_sites_have_them_give_the_model_of_labels_prepared_by_hand(self):
        prepared = "label: {name: disease, levels: [absent, present]}"
        rows = [line.split(",") for line in (self.federation.dir / "three.csv").read_text().splitlines()[1:]]
        # What the two levels are called in the site's file, and what is said about that.
        kinds = {
            "prepared": (prepared, "", ("absent", "present")),
            "boolean": (prepared.replace("levels", "kind: binary, levels"), "", ("f", "t")),
            "words": (prepared.replace("levels", "kind: binary, levels"), 'columns: {disease: {from: disease, map: {ja: "yes", nein: no}}}', ("nein", "ja")),
            "number": (prepared.replace("levels", "kind: number, range: [0, 4], above: 0.5, levels"), "columns: {disease: {scale: 0.25}}", ("1", "16")),
        }
        scored = {}
        for name, (label, mapping, words) in kinds.items():
            text = EXPERIMENT.replace(prepared, label).replace("site-1.yaml, site-2.yaml, site-3.yaml", "own.yaml").replace("cohort: 3", "cohort: 1")
            self.federation.write("experiment.yaml", text)
            lines = [",".join([words[row[0] == "present"], *row[1:]]) for row in rows]
            self.federation.write("own.csv", "\n".join(["disease,sex,chol", *lines]) + "\n")
            # Always the same name: it is one of those that a site's random streams have.
            self.federation.write("own.yaml", f"data: {{heart: {{source: {{name: csv, path: own.csv}}{', ' + mapping if mapping else ''}}}}}\n")
            checked = self.federation.run("check", "own.yaml", "experiment.yaml", check=False)
            self.assertIn("absent 26 (65 %), present 14 (35 %)", checked.stdout)
            self.federation.run("run", "experiment.yaml", "--out", name)
            self.federation.run("adapt", "--model", name, "--data", "own.yaml", "--out", f"{name}-adapted")
            self.federation.run("predict", "--model", f"{name}-adapted", "--data", "own.yaml", "--out", f"{name}-scored.csv")
            scored[name] = (tensors((self.federation.dir / name / "checkpoints/final.safetensors").read_bytes()),
                            (self.federation.dir / f"{name}-scored.csv").read_text())
            self.assertTrue(scored[name][1].startswith("row,p(absent),p(present),predicted,problem\n1,"))
        for name in kinds:
            self.assertEqual(scored[name], scored["prepared"], name)

    def test_check_shows_what_would_be_used(self):
        result = self.federation.run("check", "site-1.yaml", "experiment.yaml", check=False)
        self.assertIn("about 40 rows, about 40 (100 %) used of 20 groups", result.stdout)
        self.assertNotIn(CANARY, result.stdout + result.stderr)


if __name__ == "__main__":
    unittest.main()
