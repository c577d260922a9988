"""A site's way from its raw table to scored records: rehearse, adapt, predict; and PyTorch with the exported module."""

import csv
import json
import math
import random
import re
import subprocess
import unittest

from federation import EXPERIMENT as SHAPES
from federation import Federation

PYTHON = "/usr/bin/python3"
CANARY = "CANARY-4711"

EXPERIMENT = """\
name: hearts
seed: 3
model: {name: mlp, hidden: [4]}
data:
  name: heart
  features:
    - {name: chol, unit: mg/dL, range: [50, 700], missing: mean}
    - {name: sex, kind: category, levels: [female, male], missing: zero_with_flag}
    - {name: age, missing: drop_row}
  label: {name: disease, levels: [absent, present]}
  standardize: local
  tasks: {name: split, support_fraction: 0.5}
  partition: {scheme: sites, site_files: [site-1.yaml, site-2.yaml]}
algorithm: {name: maml, inner_learning_rate: 0.1, adaptation_steps: 2}
server: {optimizer: {name: adam, learning_rate: 0.01}}
federation: {rounds: 4, cohort: 2}
evaluation: {steps: [0, 1, 3], learning_rates: [0.1, 0.3], baselines: [{name: local}]}
"""

# Scores raw rows with the exported module alone and prints them as JSON.
SCORE = """
import json, sys, torch
model = torch.jit.load(sys.argv[1])
rows = torch.tensor(json.loads(sys.argv[2]), dtype=torch.float32)
with torch.no_grad():
    print(json.dumps({"columns": model.columns, "levels": model.levels, "labels": model.labels, "scores": model(rows).tolist(),
                      "state": sorted(model.state_dict())}))
"""


def have_torch():
    return subprocess.run([PYTHON, "-c", "import torch"], capture_output=True).returncode == 0


def table(rng, rows):
    lines = ["patient,CHOL_MMOL,sex,age,disease"]
    for number in range(rows):
        ill = rng.random() < 0.4
        chol = "" if number % 9 == 0 else f"{rng.gauss(260 if ill else 210, 20) / 38.67:.2f}"
        sex = rng.choice(["W", "M", ""])
        age = "" if number % 11 == 5 else str(rng.randrange(30, 80))
        lines.append(f"{CANARY}-{number // 2},{chol},{sex},{age},{'present' if ill else 'absent'}")
    return "\n".join(lines) + "\n"


class AdaptTest(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.federation = Federation()
        cls.addClassCleanup(cls.federation.close)
        cls.federation.write("experiment.yaml", EXPERIMENT)
        rng = random.Random(2)
        for name, rows in (("site-1", 120), ("site-2", 120), ("new", 90), ("records", 60)):
            cls.federation.write(f"extract/{name}-{CANARY}.csv", table(rng, rows))
            cls.write_site(name, f"{{name: csv, path: extract/{name}-{CANARY}.csv}}")
        cls.federation.run("run", "experiment.yaml", "--out", "run")
        cls.adapted = cls.federation.run("adapt", "--model", "run", "--data", "new.yaml", "--out", "adapted")

    @classmethod
    def write_site(cls, name, source):
        cls.federation.write(f"{name}.yaml", f"""\
data:
  heart:
    source: {source}
    columns: {{chol: {{from: CHOL_MMOL, scale: 38.67}}, sex: {{map: {{W: female, M: male}}}}}}
    group: [patient]
""")

    def predicted(self, name="scored.csv"):
        with open(self.federation.dir / name, newline="") as file:
            return list(csv.DictReader(file))

    def raw_rows(self, name="records"):
        """Rows as the module takes them, by our own reading of the table."""
        with open(self.federation.dir / f"extract/{name}-{CANARY}.csv", newline="") as file:
            for row in csv.DictReader(file):
                chol = float(row["CHOL_MMOL"]) * 38.67 if row["CHOL_MMOL"] else math.nan
                yield [chol if 50 <= chol <= 700 else math.nan, {"W": 0, "M": 1, "": math.nan}[row["sex"]], float(row["age"]) if row["age"] else math.nan]

    def test_predict_equals_stock_pytorch_on_the_exported_module(self):
        if not have_torch():
            self.skipTest("python3-torch is not installed")
        self.federation.run("predict", "--model", "adapted", "--data", "records.yaml", "--out", "scored.csv", "--id", "patient")
        ours = self.predicted()
        rows = list(self.raw_rows())
        text = json.dumps(rows)
        result = subprocess.run([PYTHON, "-c", SCORE, self.federation.dir / "adapted/model.pt", text], text=True, capture_output=True)
        self.assertEqual(result.returncode, 0, result.stderr)
        theirs = json.loads(result.stdout)
        self.assertEqual((theirs["columns"], theirs["labels"]), (["chol", "sex", "age"], ["absent", "present"]))
        self.assertEqual(theirs["levels"], [[], ["female", "male"], []])
        self.assertIn("network.layers.0.weight", theirs["state"])
        self.assertEqual(len(ours), len(rows))
        unscored = 0
        for number, (row, scores, raw) in enumerate(zip(ours, theirs["scores"], rows), 1):
            self.assertEqual((int(row["row"]), row["patient"]), (number, f"{CANARY}-{(number - 1) // 2}"))
            if math.isnan(raw[2]):
                unscored += 1
                self.assertTrue(all(math.isnan(score) for score in scores))
                self.assertEqual((row["p(absent)"], row["predicted"], row["problem"]), ("", "", "age: missing"))
                continue
            self.assertAlmostEqual(float(row["p(present)"]), scores[1], delta=1e-6)
            self.assertAlmostEqual(float(row["p(present)"]) + float(row["p(absent)"]), 1, delta=1e-6)
            self.assertEqual(row["predicted"], "present" if scores[1] > scores[0] else "absent")
        self.assertGreater(unscored, 3)
        script = subprocess.run([PYTHON, self.federation.dir / "adapted/load.py"], text=True, capture_output=True)
        self.assertEqual(script.returncode, 0, script.stderr)

    def test_what_is_written_says_how_good_and_where_from_and_holds_no_value(self):
        result = self.adapted
        self.assertIn("cross-validation", result.stdout)
        self.assertIn("AUC", result.stdout)
        card = (self.federation.dir / "adapted/model_card.md").read_text()
        for needed in ("Intended use and limits", "area under the ROC curve", "expected calibration error", "SHA-256", "chol (mg/dL)", "rows left out for age: <10",
                       "rows read, used: about"):
            self.assertIn(needed, card)
        figures = json.loads((self.federation.dir / "adapted/adapt.json").read_text())
        self.assertLessEqual(figures["chosen"]["auc_low"], figures["chosen"]["auc"])
        self.assertIn("reason", figures["calibration"])
        predicted = self.federation.run("predict", "--model", "adapted", "--data", "records.yaml", "--out", "scored.csv")
        self.assertIn("<10 could not be scored", predicted.stdout)
        written = result.stdout + result.stderr + card + json.dumps(figures) + predicted.stdout + predicted.stderr
        written += (self.federation.dir / "scored.csv").read_text() + (self.federation.dir / "adapted/model.pt").read_bytes().decode("latin-1")
        self.assertNotIn(CANARY, written)

    def test_sources_that_fail_leave_no_file_and_name_no_value(self):
        for source, why in ((f"{{name: command, argv: [sh, -c, 'echo {CANARY}; exit 3']}}", "no column"), ("{name: command, argv: [sh, -c, 'exit 3']}", ""),
                            (f"{{name: command, argv: [cat, extract/records-{CANARY}.csv], timeout: 1m, delimiter: semicolon}}", "no column"),
                            ("{name: idx, path: data, part: train}", "")):
            self.write_site("failing", source)
            result = self.federation.run("predict", "--model", "adapted", "--data", "failing.yaml", "--out", "failed.csv", check=False)
            self.assertNotEqual(result.returncode, 0, source)
            self.assertIn(why, result.stderr)
            self.assertNotIn(CANARY, result.stdout + result.stderr)
            self.assertEqual(list(self.federation.dir.glob("failed.csv*")), [])

    def test_a_program_is_scored_row_by_row(self):
        self.write_site("program", f"{{name: command, argv: [cat, extract/records-{CANARY}.csv]}}")
        self.federation.run("predict", "--model", "adapted", "--data", "program.yaml", "--out", "scored.csv")
        self.assertEqual(len(self.predicted()), 60)

    def test_rehearsal_names_every_field_and_no_value(self):
        result = self.federation.run("rehearse", "new.yaml", "experiment.yaml", "--out", "rehearsal", "--rounds", "2")
        rehearsal = json.loads((self.federation.dir / "rehearsal/rehearsal.json").read_text())
        fields = {(field["kind"], field["name"]): field for field in rehearsal["fields"]}
        # Inputs: chol, female, male, sex?, age; 4 hidden units; 2 outputs; float32.
        for name, count in (("layers.0.weight", 20), ("layers.0.bias", 4), ("layers.1.weight", 8), ("layers.1.bias", 2)):
            field = fields[("update", f"maml: {name}")]
            self.assertEqual((field["bytes"], field["times"]), (4 * count, 2))
        self.assertEqual(fields[("weight", "maml: training")]["bytes"], 8)
        for kind, name in (("metric sums", "maml: evaluation query_loss"), ("message", "ClientHello.version.minor"), ("message", "UploadHeader.sha256")):
            self.assertIn((kind, name), fields)
        self.assertIn(rehearsal["data"]["used"], ("about 80", "about 90"))
        self.assertGreater(rehearsal["peak_memory_bytes"], 1e6)
        uploaded = sum(field["bytes"] * field["times"] for field in rehearsal["fields"] if field["kind"] != "message")
        self.assertGreater(rehearsal["bytes_up"], uploaded)
        self.assertEqual(len(rehearsal["rounds"]), 2)
        self.assertEqual([path.name for path in (self.federation.dir / "rehearsal").iterdir()], ["rehearsal.json"])
        self.assertNotIn(CANARY, result.stdout + result.stderr + json.dumps(rehearsal))
        self.assertFalse(re.search(r'"(rows|used|without_label)": "?[1-9]"?[,}]', json.dumps(rehearsal)))

    def test_images_are_scored_too(self):
        self.federation.write("shapes.yaml", SHAPES)
        self.federation.run("run", "shapes.yaml", "federation.rounds=2", "--out", "shapes")
        self.federation.write("images.yaml", "data: {shapes: {source: {name: idx, path: data, part: train}}}\n")
        self.federation.run("adapt", "--model", "shapes", "--data", "images.yaml", "--out", "adapted-shapes", "--episodes", "5")
        self.federation.run("predict", "--model", "adapted-shapes", "--data", "images.yaml", "--out", "scored.csv")
        rows = self.predicted()
        self.assertEqual(len(rows), 96)
        names = [name for name in rows[0] if name.startswith("p(")]
        self.assertEqual(len(names), 2)
        for row in rows:
            self.assertAlmostEqual(sum(float(row[name]) for name in names), 1, delta=1e-6)


if __name__ == "__main__":
    unittest.main()
