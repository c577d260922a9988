"""Public tables of real sites: where they lie, how to get them, and what many runs of them say. Standard library only."""

import argparse
import csv
import hashlib
import http.client
import json
import math
import os
import pathlib
import random
import subprocess
import sys
import urllib.error
import urllib.request

REPOSITORY = pathlib.Path(__file__).resolve().parent.parent
FEDMETA = pathlib.Path(os.environ.get("FEDMETA", REPOSITORY / "build/release/bin/fedmeta"))
RESAMPLES = 4000
LARGEST_FILE = 16 << 20


def parser(doc, name, divided, tried):
    """What every example is asked with. `divided`: what a seed divides; `tried`: the seeds that settings were tried out on."""
    made = argparse.ArgumentParser(description=doc, formatter_class=argparse.RawDescriptionHelpFormatter)
    made.add_argument("--out", type=pathlib.Path, default=pathlib.Path("runs") / name)
    made.add_argument("--seeds", type=int, default=20, help=f"divisions of {divided}")
    made.add_argument("--first-seed", type=int, default=101, help=f"settings of {name}.yaml were tried out on {tried}")
    made.add_argument("--jobs", type=int, default=os.cpu_count())
    made.add_argument("--fetch", action="store_true", help="download the data first, and check it")
    return made


def seeds(args):
    return f"seed={args.first_seed}..{args.first_seed + args.seeds - 1}"


def data_root():
    """Where FEDMETA_DATA says, else beside this checkout."""
    return pathlib.Path(os.environ.get("FEDMETA_DATA", REPOSITORY.parent / "shared/data"))


def missing(folder, sums):
    """Names of files that are not there or not the published ones."""
    def whole(name, sha256):
        path = folder / name
        return path.is_file() and hashlib.sha256(path.read_bytes()).hexdigest() == sha256
    return [name for name, sha256 in sums.items() if not whole(name, sha256)]


def require(folder, sums, fetch):
    """Ends the program with exit code 2 where files are missing."""
    lacking = missing(folder, sums)
    if lacking:
        print(f"{', '.join(lacking)}: not in {folder}, or not as published.\n"
              f"Get them with {fetch}, or say with FEDMETA_DATA where they lie.", file=sys.stderr)
        raise SystemExit(2)


def download(url, part):
    """Adds to the file `part` what it lacks; a server that gives no pieces sends the whole again."""
    have = part.stat().st_size if part.exists() else 0
    request = urllib.request.Request(url, headers={"Range": f"bytes={have}-"} if have else {})
    with urllib.request.urlopen(request, timeout=60) as answer:
        resumed = answer.status == 206
        with part.open("ab" if resumed else "wb") as file:
            begin = file.tell()
            while piece := answer.read(1 << 16):
                file.write(piece)
                if file.tell() > LARGEST_FILE:
                    raise ValueError(f"is larger than {LARGEST_FILE >> 20} MiB")
            lacking = int(answer.headers.get("Content-Length", 0)) - (file.tell() - begin)
    if lacking > 0:
        raise OSError(f"the connection ended {lacking} bytes too early; the next --fetch goes on from there")


def fetch(folder, sums, source):
    """Downloads what is missing, and says what could not be had. A file has its name only when it is whole and the published one."""
    folder.mkdir(parents=True, exist_ok=True)
    for name in missing(folder, sums):
        url, part = source + name, folder / (name + ".part")
        print(f"fetching {url}", flush=True)
        try:
            download(url, part)
        except (OSError, ValueError, http.client.HTTPException) as error:
            print(f"{url}: {error}. Or copy the file into {folder} by other means.", file=sys.stderr)
            if isinstance(error, (urllib.error.HTTPError, ValueError)):
                part.unlink(missing_ok=True)   # no beginning of what the server has (416), or of a file of this kind
            continue
        if hashlib.sha256(part.read_bytes()).hexdigest() != sums[name]:
            part.unlink()
            print(f"{url}: is not the published file (its SHA-256 is not {sums[name]}); nothing was written.", file=sys.stderr)
            continue
        part.replace(folder / name)
    lacking = missing(folder, sums)
    print(f"{folder}: " + ("complete" if not lacking else "lacks " + ", ".join(lacking)), flush=True)


def obtain(args, folder, sums, source, whose=""):
    """Downloads what is missing where that is asked for, then as require()."""
    if args.fetch:
        fetch(folder, sums, source)
    require(folder, sums, f"{pathlib.Path(sys.argv[0])} --fetch{whose}")


def sweep(experiment, settings, out, jobs):
    """Runs the product of the settings; what is finished is not run again."""
    command = [str(FEDMETA), "sweep", str(experiment), *settings, "--jobs", str(jobs), "--out", str(out)]
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True)
    if done.returncode != 0:
        print(f"fedmeta sweep {experiment} ended with {done.returncode}", file=sys.stderr)
        raise SystemExit(done.returncode)


FIGURES = ("auc", "log_loss", "accuracy", "brier")


def read_runs(out):
    """Every held-out site's figures of every run: a list of {seed, held_out, site, method, setting, steps, shots, figures...}."""
    records = []
    for summary_file in sorted(out.glob("*/summary.json")):
        name = dict(part.split("=", 1) for part in summary_file.parent.name.split(",") if "=" in part)
        held_out = tuple(name.get("holdout_sites", "").split("+"))
        summary = json.loads(summary_file.read_text())
        if summary["status"] != "completed":
            continue
        main = summary["method"]
        for line in map(json.loads, (summary_file.parent / "evaluation.jsonl").open()):
            if line["client"] is None or not line["holdout"]:
                continue
            records.append({"seed": int(name.get("seed", 0)), "held_out": held_out, "site": line["client"],
                            "method": "fedmeta" if line["method"] == main else line["method"],
                            "setting": (line["leg"], line["steps"], line["learning_rate"]),
                            "shots": line["shots"], **{figure: line[figure] for figure in FIGURES}})
    return records


def choose(records, measure="log_loss"):
    """The setting with the lowest mean; of equal ones the first. Every site counts the same."""
    of_setting = {}
    for record in records:
        of_setting.setdefault(record["setting"], {}).setdefault(record["site"], []).append(record[measure])
    def score(setting):
        sites = of_setting[setting].values()
        return math.fsum(math.fsum(v) / len(v) for v in sites) / len(sites)
    return min(of_setting, key=score)


def select(records, validation, as_trained):
    """Figures at settings that were chosen without the site: (seed, site, method, shots) -> {figure: value}.

    `validation(seed, site)` gives the records that settings for this site may be chosen on. Every method is treated alike. Beside
    each method stands what it gives without adaptation, and beside the main one what it gives at the (steps, rate) that it was
    meta-learned with, where nothing is chosen at all.
    """
    chosen = {}
    by_key = {}
    for record in records:
        if record["site"] == record["held_out"][0]:
            by_key.setdefault((record["seed"], record["site"], record["method"], record["shots"]), []).append(record)
    for (seed, site, method, shots), own in by_key.items():
        pool = [r for r in validation(seed, site) if r["method"] == method and r["shots"] == shots]
        labels = {method: lambda r: r["setting"][1] > 0, method + ", not adapted": lambda r: r["setting"][1] == 0}
        if method == "fedmeta":
            labels["fedmeta, as trained"] = lambda r: r["setting"][1:] == as_trained
        for label, allowed in labels.items():
            setting = choose([r for r in pool if allowed(r)])
            figures = next(r for r in own if r["setting"] == setting)
            chosen[(seed, site, label, shots)] = {f: figures[f] for f in FIGURES}
    return chosen


def tuned(out, as_trained):
    """The same at what fedmeta chose by itself: on the validation rows of the training sites."""
    chosen = {}
    for summary_file in sorted(out.glob("*/summary.json")):
        name = dict(part.split("=", 1) for part in summary_file.parent.name.split(",") if "=" in part)
        summary = json.loads(summary_file.read_text())
        if summary["status"] != "completed":
            continue
        lines = [json.loads(line) for line in (summary_file.parent / "evaluation.jsonl").open()]
        for method, of in {"fedmeta": summary, **summary["baselines"]}.items():
            for shots, cell in of["tuned_by_shots"].items():
                settings = {method: (cell["steps"], cell["learning_rate"]),
                            method + ", not adapted": (0, of["final_by_shots"][shots]["0"]["learning_rate"])}
                if method == "fedmeta":
                    settings["fedmeta, as trained"] = as_trained
                for line in lines:
                    if not line["holdout"] or line["client"] is None or line["leg"] != of["leg"] or line["shots"] != int(shots):
                        continue
                    for label, setting in settings.items():
                        if (line["steps"], line["learning_rate"]) == setting:
                            chosen[(int(name.get("seed", 0)), line["client"], label, int(shots))] = {f: line[f] for f in FIGURES}
    return chosen


def interval(values):
    """Mean and 95 % percentile bootstrap interval over the values."""
    rng = random.Random(1)
    means = sorted(math.fsum(rng.choices(values, k=len(values))) / len(values) for _ in range(RESAMPLES))
    return math.fsum(values) / len(values), means[RESAMPLES // 40], means[-1 - RESAMPLES // 40]


def values(chosen, method, shots, figure):
    """(seed, site) -> value, without the sites that have none."""
    return {(seed, site): cell[figure] for (seed, site, name, at), cell in chosen.items()
            if name == method and at == shots and cell[figure] is not None}


def mean_over_sites(of):
    """Every site counts the same, whatever number of seeds it has a value in; None without any."""
    sites = {}
    for (_, site), value in of.items():
        sites.setdefault(site, []).append(value)
    return math.fsum(math.fsum(v) / len(v) for v in sites.values()) / len(sites) if sites else None


def paired(chosen, one, other, shots, figure):
    """Mean of `one` minus `other` over (seed, site), with its interval, and the share of sites that are worse off with `one`."""
    ours, theirs = values(chosen, one, shots, figure), values(chosen, other, shots, figure)
    keys = sorted(ours.keys() & theirs.keys())
    differences = [ours[key] - theirs[key] for key in keys]
    sign = -1 if figure in ("auc", "accuracy") else 1
    worse = {}
    for key, difference in zip(keys, differences):
        worse.setdefault(key[1], []).append(sign * difference)
    mean, low, high = interval(differences)
    share = sum(math.fsum(v) > 0 for v in worse.values()) / len(worse)
    return {"mean": mean, "low": low, "high": high, "pairs": len(keys), "sites": len(worse), "share_of_sites_worse": share}


def compare(chosen, methods, against, shots, main="fedmeta", unranked=()):
    """Rows of a table and the same as a dictionary: means over sites, and `main` minus each of `against`. Sites of `unranked` have
    too few of one class for their AUC to say anything."""
    ranked = {key: cell for key, cell in chosen.items() if key[1] not in unranked}
    rows, result = [], {}
    for method in methods:
        means = {f: mean_over_sites(values(ranked if f == "auc" else chosen, method, shots, f)) for f in FIGURES}
        result[method] = dict(means)
        row = [method] + [f"{means[f]:.3f}" for f in ("auc", "log_loss", "accuracy")]
        if method in against:
            auc, loss = paired(ranked, main, method, shots, "auc"), paired(chosen, main, method, shots, "log_loss")
            result[method][main + " minus this"] = {"auc": auc, "log_loss": loss}
            row += [with_interval(auc), with_interval(loss), f"{loss['share_of_sites_worse']:.0%}"]
        else:
            row += ["", "", ""]
        rows.append(row)
    return rows, result


COLUMNS = ["method", "AUC", "log-loss", "accuracy", "AUC, fedmeta above it", "log-loss, fedmeta minus it", "sites worse off"]


def table(header, rows):
    """Markdown."""
    lines = ["| " + " | ".join(header) + " |", "|" + "---|" * len(header)]
    return "\n".join(lines + ["| " + " | ".join(row) + " |" for row in rows])


def with_interval(cell, digits=3):
    return f"{cell['mean']:+.{digits}f} [{cell['low']:+.{digits}f}, {cell['high']:+.{digits}f}]"


def read_csv(path, **options):
    with path.open(newline="", encoding=options.pop("encoding", "utf-8")) as file:
        return list(csv.DictReader(file, **options))
