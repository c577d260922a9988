#!/usr/bin/env python3
"""Four hospitals that never share a patient: what the model of three is worth to the fourth, and that of four to each.

Simulates, by `fedmeta sweep`,
  1. the federation of three hospitals, once for each that is left out: what the fourth gets from 10, 20, 40, 80 or all of its own
     patients, against what it gets alone. Settings (steps, step size, proximal term) of every method, the local one included, are
     chosen on hospitals that did not train, by leaving out a second one;
  2. all four training, on other divisions of their patients into training and test;
  3. the same on the division of FLamby's Fed-Heart-Disease.
In 2 and 3 settings are chosen on validation patients of the hospitals. Prints tables and writes tables.json.

Exit code: 0 done; 2 the data is not there (it says how to get it); else that of fedmeta.
"""

import itertools
import json
import os
import pathlib
import sys

HERE = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent))
import tables  # noqa: E402

SITES = ("cleveland", "hungarian", "switzerland", "va")
SUMS = {
    "processed.cleveland.data": "a74b7efa387bc9d108d7d0115d831fe9b414b29ae7124f331b622b4efa0427c8",
    "processed.hungarian.data": "d1ad108f785768cd3d7e82dc522e6f5a61eea93cccfb3a46ee8076f73fc3d796",
    "processed.switzerland.data": "834a405ccf5b66ab4056bb77794adc8df0b7125186454c0a1d002d33c6c3b314",
    "processed.va.data": "e7c93d8d0d2acdadfa4c5e8de768e2191e7f618b952e29623f1f0d5949ff6b8f",
}
FLAMBY = "flamby_split.csv"   # which rows FLamby trains and tests on; not part of the published tables
SOURCE = "https://archive.ics.uci.edu/ml/machine-learning-databases/heart-disease/"
# Switzerland has 8 healthy of its 123 patients, and few of the 46 used here: how well it ranks them says nothing.
UNRANKED = ("switzerland",)
METHODS = ("fedmeta", "fedmeta, as trained", "fedmeta, not adapted", "local", "fedavg", "fedavg, not adapted", "maml", "pooled",
           "pooled, not adapted", "constant")
AGAINST = ("local", "fedavg", "maml", "pooled", "constant")
AS_TRAINED = (10, 0.1)   # steps and rate that the model is meta-learned with


def holdouts():
    """One hospital, and for choosing settings every pair: whichever of the pair is measured, neither trained."""
    pairs = [list(pair) for pair in itertools.combinations(SITES, 2)]
    return "data.partition.holdout_sites=" + ",".join("[" + ",".join(one) + "]" for one in [[site] for site in SITES] + pairs)


def run_sweep(args, settings, out):
    quick = ["federation.rounds=2", "evaluation.steps=[0,1,10]", "evaluation.learning_rates=[0.1]"] if args.quick else []
    tables.sweep(HERE / "hospitals.yaml", settings + quick, out, args.jobs)


def leave_one_out(args):
    out = args.out / "leave-one-out"
    run_sweep(args, [tables.seeds(args), holdouts()], out)
    records = tables.read_runs(out)

    def validation(seed, site):
        return [r for r in records if r["seed"] == seed and len(r["held_out"]) == 2 and site in r["held_out"] and r["site"] != site]

    chosen = tables.select([r for r in records if len(r["held_out"]) == 1], validation, AS_TRAINED)
    rows, result = [], {}
    for shots in (10, 20, 40, 80, 0):
        name = str(shots or "all")
        for main in ("fedmeta, as trained", "fedmeta"):
            compared, figures = tables.compare(chosen, METHODS, AGAINST, shots, main, UNRANKED)
            result[f"{name} rows, {main} compared"] = figures
        rows += [[name] + row for row in compared]
    print(f"One hospital left out, {args.seeds} divisions of the patients; AUC over three hospitals\n")
    print(tables.table(["rows"] + tables.COLUMNS, rows) + "\n")
    return result


def all_train(args, name, settings):
    out = args.out / name
    common = ["data.partition.holdout_sites=[]", "federation.cohort=4", "evaluation.shots=[0]"]
    run_sweep(args, common + settings, out)
    rows, result = tables.compare(tables.tuned(out, AS_TRAINED), METHODS, AGAINST, 0, "fedmeta", UNRANKED)
    print(tables.table(tables.COLUMNS, rows) + "\n")
    return result


def write_flamby(folder, out):
    """The hospitals' tables with a column that says which patients FLamby trains and tests on."""
    test = {(row["name"], int(row["row_in_file"])) for row in tables.read_csv(folder / FLAMBY) if row["set"] == "test"}
    out.mkdir(parents=True, exist_ok=True)
    for site in SITES:
        lines = (folder / f"processed.{site}.data").read_text().splitlines()
        marked = [f"{line},{'test' if (site, row) in test else 'train'}" for row, line in enumerate(lines) if line]
        (out / f"{site}.csv").write_text("\n".join(marked) + "\n")
        client = (HERE / f"{site}.yaml").read_text()
        client = client.replace(f"${{FEDMETA_DATA}}/heart_disease/processed.{site}.data", f"{site}.csv").replace("thal, num]", "thal, num, fold]")
        (out / f"{site}.yaml").write_text(client + "    part: fold\n")
    return "data.partition.site_files=[" + ",".join(str(out / f"{site}.yaml") for site in SITES) + "]"


def save(args, result):
    (args.out / "tables.json").write_text(json.dumps(result, indent=2) + "\n")


def main():
    parser = tables.parser(__doc__, "hospitals", "every hospital's rows", "1 to 4")
    parser.add_argument("--quick", action="store_true", help="two rounds and few settings: whether it runs, not what it is worth")
    parser.add_argument("--from", dest="source", default=SOURCE, help="where --fetch looks")
    args = parser.parse_args()
    folder = tables.data_root() / "heart_disease"
    tables.obtain(args, folder, SUMS, args.source, " (from the UCI repository)")
    os.environ["FEDMETA_DATA"] = str(tables.data_root())
    args.out.mkdir(parents=True, exist_ok=True)
    result = {"leave one hospital out": leave_one_out(args)}
    print(f"All four train, {args.seeds} divisions of the patients\n")
    result["all four train"] = all_train(args, "all-train", [tables.seeds(args)])
    if not (folder / FLAMBY).exists():
        print(f"FLamby's division: skipped, {folder / FLAMBY} is not there (columns name, row_in_file, set; from FLamby's repository)")
        save(args, result)
        return
    print(f"All four train, FLamby's division, {args.seeds} seeds\n")
    sites = write_flamby(folder, (args.out / "flamby-sites").resolve())
    result["FLamby's division"] = all_train(args, "flamby", [tables.seeds(args), sites, "data.tasks.test_fraction=0"])
    save(args, result)


if __name__ == "__main__":
    main()
