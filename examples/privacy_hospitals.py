#!/usr/bin/env python3
"""What differential privacy costs four hospitals: heart disease, logistic regression, plain federated averaging.

Each hospital trains on FLamby's training patients and is measured, without adaptation, on its test patients. Runs without noise, with a
hospital as the unit (mode central) and with a patient as the unit (mode local), at several epsilons, each several times, because noise is
never the same. Figures are means over hospitals, then over runs, with the standard deviation over runs. The training is the same in all.

Data: UCI heart disease under FEDMETA_DATA/heart_disease, with flamby_split.csv. Exit code: 0 done; 2 the data is not there.
"""

import argparse
import csv
import json
import os
import pathlib
import statistics
import subprocess
import sys

REPOSITORY = pathlib.Path(__file__).resolve().parent.parent
FEDMETA = os.environ.get("FEDMETA", str(REPOSITORY / "build/release/bin/fedmeta"))
DATA = pathlib.Path(os.environ.get("FEDMETA_DATA", REPOSITORY.parent / "shared/data")) / "heart_disease"
SITES = ("cleveland", "hungarian", "switzerland", "va")
UNRANKED = "switzerland-test"   # one healthy patient: its ranking says nothing
COLUMNS = "age, sex, cp, trestbps, chol, fbs, restecg, thalach, exang, oldpeak, slope, ca, thal, num"
EXPERIMENT = """\
name: hospitals
seed: 1
model: {name: mlp, hidden: []}
data:
  name: heart
  features:
    - {name: age, missing: drop_row, mean: 54, standard_deviation: 9}
    - {name: sex, kind: category, levels: ["0", "1"], missing: drop_row}
    - {name: cp, kind: category, levels: ["1", "2", "3", "4"], missing: drop_row}
    - {name: trestbps, missing: drop_row, mean: 132, standard_deviation: 18}
    - {name: chol, missing: drop_row, mean: 240, standard_deviation: 50}
    - {name: fbs, kind: category, levels: ["0", "1"], missing: drop_row}
    - {name: restecg, kind: category, levels: ["0", "1", "2"], missing: drop_row}
    - {name: thalach, missing: drop_row, mean: 140, standard_deviation: 25}
    - {name: exang, kind: category, levels: ["0", "1"], missing: drop_row}
    - {name: oldpeak, missing: drop_row, mean: 1, standard_deviation: 1.1}
  label: {name: disease, levels: [absent, present]}
  standardize: given
  tasks: {name: split, support_fraction: 0.05}
  partition: {scheme: sites, site_files: [SITE_FILES]}
algorithm: {name: fedavg, learning_rate: 0.5, local_epochs: 1, batch_size: 0}
federation: {rounds: ROUNDS, cohort: 4}
evaluation: {every: 0, steps: [0], episodes: 1}
"""
CLIENT = """\
data:
  heart:
    source: {name: csv, path: %s.csv, header: false, column_names: [""" + COLUMNS + """]}
    columns: {disease: {from: num, map: {"0": absent, "1": present, "2": present, "3": present, "4": present}}}
    missing: ["", "?"]
    role: %s
"""


def write_sites(out):
    split = {(row["name"], int(row["row_in_file"])): row["set"] for row in csv.DictReader((DATA / "flamby_split.csv").open())}
    files = []
    for site in SITES:
        rows = [line for line in (DATA / f"processed.{site}.data").read_text().splitlines() if line]
        for part, role, name in (("train", "train", site), ("test", "holdout", f"{site}-test")):
            (out / f"{name}.csv").write_text("\n".join(row for number, row in enumerate(rows) if split.get((site, number)) == part) + "\n")
            (out / f"{name}.yaml").write_text(CLIENT % (name, role))
            files.append(f"{name}.yaml")
    return ", ".join(files)


def fedmeta(*arguments):
    done = subprocess.run([FEDMETA, *map(str, arguments)], capture_output=True, text=True)
    if done.returncode not in (0, 3):
        raise SystemExit(f"fedmeta {' '.join(map(str, arguments))}: {done.stderr}")
    return done.stdout


def figures(folder):
    lines = [json.loads(line) for line in (folder / "evaluation.jsonl").read_text().splitlines()]
    last = [line for line in lines if line["holdout"] and line["client"] and line["round"] == max(one["round"] for one in lines)]
    aucs = [line["auc"] for line in last if line.get("auc") is not None and line["client"] != UNRANKED]
    return {"accuracy": 100 * statistics.fmean(line["accuracy"] for line in last), "log loss": statistics.fmean(line["loss"] for line in last),
            "AUC": statistics.fmean(aucs) if aucs else None}


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=pathlib.Path, default=pathlib.Path("runs/privacy-hospitals"))
    parser.add_argument("--rounds", type=int, default=30)
    parser.add_argument("--repeats", type=int, default=10)
    parser.add_argument("--delta", default="1e-4", help="below one over the number of units: patients here")
    parser.add_argument("--clip", type=float, default=0.5, help="of a patient's gradient")
    parser.add_argument("--site-clip", type=float, default=0.1, help="of a hospital's update")
    args = parser.parse_args()
    if not (DATA / "flamby_split.csv").is_file():
        print(f"{DATA}: the hospitals' tables and flamby_split.csv are not there; say with FEDMETA_DATA where they lie", file=sys.stderr)
        return 2
    args.out.mkdir(parents=True, exist_ok=True)
    experiment = args.out / "experiment.yaml"
    experiment.write_text(EXPERIMENT.replace("SITE_FILES", write_sites(args.out)).replace("ROUNDS", str(args.rounds)))
    settings = [("none", "", None)]
    for epsilon in (10, 3, 1):
        settings.append(("a hospital, central", epsilon, f"{{mode: central, clip: {args.site_clip}, epsilon: {epsilon}, delta: {args.delta}}}"))
    for epsilon in (10, 3, 1):
        noise = json.loads(fedmeta("privacy", "--epsilon", epsilon, "--rounds", args.rounds, "--delta", args.delta, "--json"))["noise_multiplier"]
        settings.append(("a patient, local", epsilon, f"{{mode: local, clip: {args.clip}, noise_multiplier: {noise}, delta: {args.delta}}}"))
    print(f"| unit, mode | epsilon at delta {args.delta} | accuracy, % | AUC | log loss |\n|---|---|---|---|---|")
    for unit, epsilon, block in settings:
        runs = []
        for repeat in range(args.repeats if block else 1):
            folder = args.out / f"{unit.replace(', ', '-').replace(' ', '-')}-{epsilon}-{repeat}"
            if not (folder / "summary.json").exists():
                fedmeta("run", experiment, *([f"privacy.differential_privacy={block}"] if block else []), "--out", folder, "--json")
            runs.append(figures(folder))

        def cell(name, digits):
            values = [run[name] for run in runs if run[name] is not None]
            if not values:
                return "-"
            spread = f" ± {statistics.stdev(values):.{digits}f}" if len(values) > 1 else ""
            return f"{statistics.fmean(values):.{digits}f}{spread}"
        print(f"| {unit} | {epsilon} | {cell('accuracy', 1)} | {cell('AUC', 3)} | {cell('log loss', 3)} |", flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
