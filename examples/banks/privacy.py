#!/usr/bin/env python3
"""What protection costs nineteen banks: secure aggregation, and differential privacy of a bank or of a loan.

All nineteen train; each is measured on the half of its loans that nobody learned from. Prints a table: means over seeds, with their
standard deviation. Exit code: 0 done; 2 the data is not there (run.py says how to get it); else that of fedmeta.
"""

import pathlib
import sys

HERE = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent))
import privacy_rows  # noqa: E402
import run  # noqa: E402
import tables  # noqa: E402


def main():
    args = privacy_rows.parser(__doc__, "banks-privacy", "every bank's loans", "1 to 3", site_clip=0.1, record_clip=0.5).parse_args()
    folder = tables.data_root() / "sba_loans"
    tables.obtain(args, folder, run.SUMS, run.SOURCE)
    sites = (args.out / "sites").resolve()
    names = run.write_banks(folder / next(iter(run.SUMS)), sites)["large"]
    privacy_rows.run(args, HERE / "banks.yaml",
                     [run.files(sites, names), f"federation.cohort={len(names)}"], "a bank", "a loan")


if __name__ == "__main__":
    main()
