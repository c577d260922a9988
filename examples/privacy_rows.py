"""One table of what protection costs: a row for each kind of it and each epsilon, the same training in all. Standard library only.

Federated averaging of one model, a full pass over a site's rows a round: a row is used as rarely as can be, so that noise has the best
of chances. Measured on each site's test rows, as it comes out and after the site has adapted it to its other rows, which releases
nothing. Seeds divide the rows anew; noise is never the same.
"""

import json
import statistics
import subprocess

import tables

MASKED = "privacy.secure_aggregation.mode=secure"
ADAPTED = 10   # steps
FIGURES = ((0, "accuracy", "accuracy"), (0, "auc", "AUC"), (0, "log_loss", "log-loss"),
           (ADAPTED, "accuracy", "adapted: accuracy"), (ADAPTED, "auc", "AUC"), (ADAPTED, "log_loss", "log-loss"))
ALGORITHM = "algorithm={name: fedavg, learning_rate: 0.5, local_epochs: 1, batch_size: 0, adapts: all, adaptation_proximal: 0.2}"


def parser(doc, name, divided, tried, site_clip, record_clip):
    made = tables.parser(doc, name, divided, tried)
    made.set_defaults(seeds=10)
    made.add_argument("--rounds", type=int, default=30)
    made.add_argument("--epsilons", type=float, nargs="+", default=[10, 3, 1])
    made.add_argument("--delta", default="1e-4", help="below one over the number of records")
    made.add_argument("--site-clip", type=float, default=site_clip, help="of what a site sends of a round")
    made.add_argument("--record-clip", type=float, default=record_clip, help="of the gradient of one record")
    return made


def noise_for(epsilon, args):
    command = [tables.FEDMETA, "privacy", "--epsilon", epsilon, "--rounds", args.rounds, "--delta", args.delta, "--json"]
    return json.loads(subprocess.run([str(word) for word in command], check=True, capture_output=True, text=True).stdout)["noise_multiplier"]


def protections(args, site, record):
    """(what is protected and how, epsilon, keys); each site sends one gradient a round, in which each of its records stands once."""
    yield "none", "", []
    yield "secure aggregation alone", "", [MASKED]
    yield f"clipping alone, of {site}", "", [MASKED, f"privacy.secure_aggregation.clip={args.site_clip}"]
    for mode in ("central", "distributed"):
        for epsilon in args.epsilons:
            block = f"{{mode: {mode}, clip: {args.site_clip}, epsilon: {epsilon}, delta: {args.delta}}}"
            yield f"{site}, {mode}", epsilon, [MASKED, f"privacy.differential_privacy={block}"]
    for epsilon in ("", *args.epsilons):
        noise = noise_for(epsilon, args) if epsilon else 1e-6
        block = f"{{mode: local, clip: {args.record_clip}, noise_multiplier: {noise}, delta: {args.delta}}}"
        yield f"{record}, local" if epsilon else f"clipping alone, of {record}", epsilon, [MASKED, f"privacy.differential_privacy={block}"]


def figures(out):
    """A run each: by steps, means over sites at its end, of AUC over those whose test rows have both outcomes."""
    found = []
    for summary_file in sorted(out.glob("*/summary.json")):
        if json.loads(summary_file.read_text())["status"] != "completed":
            raise SystemExit(f"{summary_file.parent}: did not complete")
        lines = [json.loads(line) for line in (summary_file.parent / "evaluation.jsonl").open()]
        found.append({line["steps"]: line for line in lines if line["holdout"] and line["client"] is None})
    return found


def cell(runs, steps, figure):
    values = [run[steps][figure] for run in runs]
    spread = f" ± {statistics.stdev(values):.3f}" if len(values) > 1 else ""
    return f"{statistics.fmean(values):.3f}{spread}"


def run(args, experiment, common, site, record):
    """Prints the table; `common`: keys of every run."""
    common = [tables.seeds(args), f"federation.rounds={args.rounds}", ALGORITHM, "server.optimizer={name: sgd, learning_rate: 1.0}",
              f"evaluation={{every: 0, steps: [0, {ADAPTED}], learning_rates: [0.1], shots: [0], episodes: 1}}", *common]
    rows = []
    for number, (protection, epsilon, keys) in enumerate(protections(args, site, record)):
        out = args.out / f"{number:02}-{protection.replace(', ', '-').replace(' ', '-')}-{epsilon}"
        tables.sweep(experiment, common + keys, out, args.jobs)
        runs = figures(out)
        rows.append([protection, f"{epsilon:g}" if epsilon else ""] + [cell(runs, steps, figure) for steps, figure, _ in FIGURES])
    print(tables.table(["hidden, mode", f"epsilon at delta {args.delta}"] + [title for _, _, title in FIGURES], rows))
