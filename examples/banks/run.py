#!/usr/bin/env python3
"""Nineteen banks that never share a loan: what the model of eighteen is worth to the nineteenth.

Writes a table and a client file for each bank out of the published one, without the columns that leak (they are known only once a
loan has ended) or name a business, and simulates, by `fedmeta sweep`, the federation once for each bank that is left out. With
--few the small banks (5 to 19 loans) are the ones left out, all at once, and adapt with half of their few loans.
Prints tables and writes tables.json.

Exit code: 0 done; 2 the data is not there (it says how to get it); else that of fedmeta.
"""

import collections
import csv
import json
import math
import pathlib
import re
import sys

HERE = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent))
import tables  # noqa: E402

SUMS = {"SBAcase.11.13.17.csv": "9c6ba3e04189457d084f168a78b47eb8ed20d3fcb24ec540e3ec54ced79ce89f"}
SOURCE = "https://raw.githubusercontent.com/italocosilva/sba-probability-of-default/c1951a1/data/"
LARGE, SMALL = 20, 5
METHODS = ("fedmeta", "fedmeta, as trained", "fedmeta, not adapted", "local", "fedavg", "fedavg, not adapted", "constant")
AS_TRAINED = (10, 0.2)   # steps and rate that the model was meta-learned with
SITE = """\
data:
  loans: {{source: {{name: csv, path: {name}.csv}}, role: {role}}}
"""


def amount(text):
    return float(text.replace("$", "").replace(",", ""))


def write_banks(table, out):
    """One table and one client file a bank; returns the names of large and small ones."""
    banks = collections.defaultdict(list)
    for row in tables.read_csv(table, encoding="utf-8-sig"):
        banks[row["Bank"]].append(row)
    out.mkdir(parents=True, exist_ok=True)
    names = {"large": [], "small": []}
    for bank, loans in sorted(banks.items()):
        kind = "large" if len(loans) >= LARGE else "small" if len(loans) >= SMALL else None
        if kind is None:
            continue
        name = re.sub(r"[^a-z0-9]+", "-", bank.lower()).strip("-")
        names[kind].append(name)
        with (out / f"{name}.csv").open("w", newline="") as file:
            writer = csv.writer(file)
            writer.writerow(["new_business", "real_estate", "log10_amount", "guaranteed_share", "recession", "default"])
            for loan in loans:
                writer.writerow([loan["New"], loan["RealEstate"], f"{math.log10(amount(loan['DisbursementGross'])):.4f}",
                                 loan["Portion"], loan["Recession"], loan["Default"]])
        (out / f"{name}.yaml").write_text(SITE.format(name=name, role="train" if kind == "large" else "holdout"))
    return names


def files(folder, names):
    return "data.partition.site_files=[" + ",".join(str(folder / f"{name}.yaml") for name in names) + "]"


def report(chosen):
    rows, result = tables.compare(chosen, METHODS, ("local", "fedavg", "constant"), 0)
    print(tables.table(tables.COLUMNS, rows))
    return result


def main():
    parser = tables.parser(__doc__, "banks", "every bank's loans", "1 to 3")
    parser.add_argument("--few", action="store_true", help="leave the small banks out instead, with 5 to 19 loans")
    parser.add_argument("--from", dest="source", default=SOURCE, help="where --fetch looks")
    args = parser.parse_args()
    folder = tables.data_root() / "sba_loans"
    tables.obtain(args, folder, SUMS, args.source)
    sites = (args.out / "sites").resolve()
    names = write_banks(folder / next(iter(SUMS)), sites)
    if args.few:
        print(f"{len(names['large'])} banks train, {len(names['small'])} small ones are left out, {args.seeds} divisions of their loans\n")
        out = args.out / "few"
        tables.sweep(HERE / "banks.yaml", [tables.seeds(args), files(sites, names["large"] + names["small"]), "federation.cohort=19"], out, args.jobs)
    else:
        print(f"One of {len(names['large'])} banks left out, {args.seeds} divisions of the loans\n")
        out = args.out / "leave-one-out"
        held_out = "data.partition.holdout_sites=" + ",".join(f"[{name}]" for name in names["large"])
        tables.sweep(HERE / "banks.yaml", [tables.seeds(args), files(sites, names["large"]), held_out], out, args.jobs)
    result = report(tables.tuned(out, AS_TRAINED))
    (out / "tables.json").write_text(json.dumps(result, indent=2) + "\n")


if __name__ == "__main__":
    main()
