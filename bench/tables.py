"""Reading a large CSV file, against pandas."""
import os
import pathlib
import random
import subprocess
import tempfile

from measuring import BIN, interleaved, json_line, note, peer


def write_table(path, rows):
    """Eight numbers, a category, a label and a column that nobody needs; some cells are empty. Ten thousand rows over and over."""
    rng = random.Random(1)
    lines = []
    for _ in range(10_000):
        cells = ["" if rng.random() < 0.02 else f"{rng.gauss(0, 20):.3f}" for _ in range(8)]
        lines.append(",".join([*cells, rng.choice(["female", "male", ""]), "a note of no use", rng.choice(["absent", "present"])]))
    block = "\n".join(lines) + "\n"
    with open(path, "w") as file:
        file.write(",".join([*(f"x{i}" for i in range(8)), "sex", "note", "disease"]) + "\n")
        for _ in range(rows // len(lines)):
            file.write(block)


def csv(table, options):
    if subprocess.run(["/usr/bin/python3", "-c", "import pandas"], capture_output=True).returncode != 0:
        note("  skipped: pandas is missing (Debian's python3-pandas)")
        return
    with tempfile.TemporaryDirectory(prefix="fedmeta-bench-") as folder:
        path = pathlib.Path(folder) / "table.csv"
        write_table(path, options.rows)
        note(f"  {options.rows:,} rows, {os.path.getsize(path) / 1e6:.0f} MB")
        peaks = {"pandas": [], "fedmeta": []}

        def side(name, read):
            line = read()
            peaks[name].append(line["peak_mib"])
            return line["rows"] / line["seconds"]

        theirs, ours = interleaved(options.repetitions, "CSV, rows/s", lambda: side("pandas", lambda: peer("read_csv.py", path)),
                                   lambda: side("fedmeta", lambda: json_line(BIN / "csv-read", path)))
        table.add(f"CSV of {options.rows:,} rows, rows/s", theirs, ours, ours / theirs)
        theirs, ours = max(peaks["pandas"]), max(peaks["fedmeta"])
        table.add(f"CSV of {options.rows:,} rows, peak memory, MiB", theirs, ours, ours / theirs)
