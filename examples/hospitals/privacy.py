#!/usr/bin/env python3
"""What protection costs four hospitals: secure aggregation, and differential privacy of a hospital or of a patient.

All four train; each is measured on patients of its own that nobody learned from. Prints a table: means over seeds, with their standard
deviation. Exit code: 0 done; 2 the data is not there (run.py says how to get it); else that of fedmeta.
"""

import os
import pathlib
import sys

HERE = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent))
import privacy_rows  # noqa: E402
import run  # noqa: E402
import tables  # noqa: E402


def main():
    args = privacy_rows.parser(__doc__, "hospitals-privacy", "every hospital's rows", "1 to 4", site_clip=0.1, record_clip=0.5).parse_args()
    folder = tables.data_root() / "heart_disease"
    tables.obtain(args, folder, run.SUMS, run.SOURCE, " (from the UCI repository)")
    os.environ["FEDMETA_DATA"] = str(tables.data_root())
    privacy_rows.run(args, HERE / "hospitals.yaml",
                     ["data.partition.holdout_sites=[]", "federation.cohort=4"], "a hospital", "a patient")


if __name__ == "__main__":
    main()
