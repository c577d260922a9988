"""Reads the table of bench/tables.py with pandas into a float32 array and labels; one JSON line."""
import json
import resource
import sys
import time

import pandas

begin = time.perf_counter()
numbers = [f"x{i}" for i in range(8)]
table = pandas.read_csv(sys.argv[1], usecols=[*numbers, "sex", "disease"], dtype={**dict.fromkeys(numbers, "float32"), "sex": "category", "disease": "category"})
sex = table["sex"].cat.codes
table = table.assign(sex=sex.astype("float32").where(sex >= 0))
labels = table.pop("disease").cat.codes.to_numpy()
values = table.to_numpy(dtype="float32")
seconds = time.perf_counter() - begin
print(json.dumps({"rows": len(values), "labels": int(labels.sum()), "seconds": seconds,
                  "peak_mib": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024}))
