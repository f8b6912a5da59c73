"""What the tables and lists of a report's page say: rows and sentences from a study's results."""

import math
from typing import Any

from analysis.figures.catalogue import chosen_trials, listed, side_title
from analysis.results.load import VARIANTS, StudyResults
from analysis.statistics.importance import Importance
from analysis.statistics.search_progress import rung_counts, rung_epochs
from analysis.verdict.comparisons import TUNED_FAMILY, TUNING_FAMILY, best_score_within, overall_winner

_STATUSES = ("COMPLETE", "STOPPED_EARLY", "PRUNED", "DIVERGED", "FAILED")
NAMES = {"lr": "learning rate"}
_ENVIRONMENT = {
    "python": "Python",
    "git_commit": "commit",
    "c_compiler": "C compiler:",
    "packages": "packages",
    "platform": "platform",
    "processor": "processor",
    "cpus": "CPUs:",
    "gpus": "GPUs:",
    "memory_gib": "GiB of memory:",
}


def missing_parts(results: StudyResults) -> list[str]:
    """What a finished study of this configuration would hold and this one does not, a sentence each."""
    config, missing = results.study["config"], []
    for arch, title in results.architectures.items():
        done = int((results.trials["arch"] == arch).sum()) if len(results.trials) else 0
        if not config["baseline"] and done < config["trials"]:
            missing.append(f"{title}: {done} of {config['trials']} trials of the search are there.")
        for variant in VARIANTS[:1] if config["baseline"] else VARIANTS:
            group = results.groups.get(f"{arch}-{variant}")
            if group is None:
                missing.append(f"{title}, {variant}: no final run is there.")
            elif absent := sorted(set(range(config["seeds"])) - set(group.seeds)):
                missing.append(f"{group.title}: seeds without a final run: {listed(absent)}.")
    if not results.latency:
        missing.append("The time of a prediction was not measured.")
    return missing


def resumed_sessions(study: dict[str, Any]) -> list[dict[str, Any]]:
    """Each session that went on with the study: `created`, `command`, and as `changes` what else was then otherwise."""
    begun = study["environment"]
    return [
        {
            "created": session["created"],
            "command": session["command"],
            "changes": [
                f"{_ENVIRONMENT[key]} {_listed(value, begun.get(key))}"
                for key, value in session["environment"].items()
                if value != begun.get(key)
            ],
        }
        for session in study.get("resumed", [])
    ]


def _listed(value: Any, before: Any) -> str:
    """A value in words; of packages those whose versions have changed."""
    if isinstance(value, dict):
        return listed([f"{name} {text}" for name, text in value.items() if before.get(name) != text])
    return (listed(value) if isinstance(value, list) else str(value or "")) or "none"


def verdict_digest(results: StudyResults, summary: dict[str, Any]) -> dict[str, Any]:
    """What stands in the box at the top: the `call`, None if there is no verdict, and the `text`."""
    if summary["verdict"]:
        return {"call": summary["verdict"]["call"], "text": summary["verdict"]["text"]}
    if results.study["config"]["baseline"]:
        text = "There is no verdict: nothing was tuned."
    elif len(results.architectures) != 2:
        text = f"There is no single verdict with {len(results.architectures)} network"
        text += "." if len(results.architectures) == 1 else f"s: {_pairs_compared(results, summary)}"
    else:
        tuned = sum(group.variant == "tuned" for group in results.groups.values())
        text = "There is no verdict: " + (
            "no seed has a final run of both tuned networks."
            if tuned == len(results.architectures)
            else "final runs of both tuned networks are needed."
        )
    return {"call": None, "text": text}


def _pairs_compared(results: StudyResults, summary: dict[str, Any]) -> str:
    pairs = math.comb(len(results.architectures), 2)
    compared = sum(row["family"] == TUNED_FAMILY for row in summary["comparisons"])
    if compared == pairs:
        winner = overall_winner(results, summary["comparisons"])
        if winner is None:
            return "none is shown, on all planned seeds, to be better than every other. Every pair is compared below."
        return f"{results.architectures[winner]} is better than each of the others. Every pair is compared below."
    number = f"only {compared}" if compared else "none"
    return f"of the {pairs} pairs {number} can be compared, for want of final runs."


def comparison_digest(results: StudyResults, summary: dict[str, Any]) -> dict[str, Any]:
    """Every comparison as `rows`, its sides by their titles, and as sentences: `pairs` where no verdict says it,
    `tuning` (did it help each network), and `left_out` (seeds that only one side has)."""
    rows = [row | {side: side_title(results, row[side]) for side in ("a", "b")} for row in summary["comparisons"]]
    pairs = [row["text"] for row in rows if row["family"] == TUNED_FAMILY]
    unchanged = [
        f"{results.architectures[group.arch]}: the documented baseline came out of the search as the best"
        " configuration, so nothing was gained."
        if results.study["config"]["trials"] > 1
        else f"{results.architectures[group.arch]}: nothing but the documented baseline was tried."
        for group in results.groups.values()
        if group.same_as
    ]
    return {
        "rows": rows,
        "pairs": [] if summary["verdict"] else pairs,
        "tuning": [row["text"] for row in rows if row["family"] == TUNING_FAMILY] + unchanged,
        "left_out": [
            f"{row['a']} against {row['b']}: seed{'s' * (len(row['seeds_left_out']) > 1)}"
            f" {listed(row['seeds_left_out'])} left out, since only one of them has"
            f" {'them' if len(row['seeds_left_out']) > 1 else 'it'}."
            for row in rows
            if row["seeds_left_out"]
        ],
    }


def diverged_runs(results: StudyResults) -> list[str]:
    """The final runs that diverged, by group and seed."""
    return [
        f"{group.title}, seed {run.seed}"
        for group in results.groups.values()
        for run in group.runs
        if run.metrics["status"] == "DIVERGED" and not group.same_as
    ]


def search_digest(results: StudyResults, importances: dict[str, Importance]) -> dict[str, Any]:
    """The search as `rows`, one an architecture, with the epochs of the `rungs`; no rows if nothing was searched."""
    search, chosen = results.study["search"], chosen_trials(results)
    epochs = rung_epochs(search["grace_period"], search["reduction_factor"], results.study["config"]["max_epochs"])
    rows = []
    for arch, title in results.architectures.items() if len(results.trials) else ():
        trials = results.trials[results.trials["arch"] == arch]
        row = trials[trials["trial_id"] == chosen.get(arch)].to_dict("records")
        rows.append(
            {
                "title": title,
                "trials": len(trials),
                "ended": [int((trials["status"] == status).sum()) for status in _STATUSES],
                "chosen": row[0] if row else None,
                "rungs": rung_counts(trials, epochs),
                "importance": importances[arch],
            }
        )
    return {"rows": rows, "rungs": epochs, "parameters": {name: NAMES.get(name, name) for name in search["space"]}}


def confirmation_digest(results: StudyResults) -> list[dict[str, Any]]:
    """A row a trial that was confirmed, the highest mean of its network first: its score in the search and those of
    its fresh runs, in which one without a score counts as 0."""
    chosen, rows = chosen_trials(results), []
    for trial in results.trials.to_dict("records"):
        scores = [run.metrics["val_accuracy"] or 0.0 for run in results.confirmations if run.group == trial["trial_id"]]
        if scores:
            row = {"trial_id": trial["trial_id"], "score": trial["val_accuracy"], "scores": scores}
            is_chosen = trial["trial_id"] == chosen.get(trial["arch"])
            rows.append(row | {"arch": trial["arch"], "mean": sum(scores) / len(scores), "chosen": is_chosen})
    order = list(results.architectures)
    return sorted(rows, key=lambda row: (order.index(row["arch"]), -row["mean"]))


def fairness_digest(results: StudyResults, summary: dict[str, Any]) -> dict[str, Any]:
    """What the search spent on each architecture as `rows`, with its best score in the end and at `epochs`: the total
    of the one that had the fewest, of those that had any."""
    totals = results.history.groupby("arch").size() if len(results.history) else None
    epochs = None if totals is None else int(totals.min())
    rows = []
    for arch, spent in summary["budget"].items():
        best, equal = (best_score_within(results, arch, cut) if epochs else None for cut in (None, epochs))
        rows.append({"title": results.architectures[arch], **spent, "best": best, "best_equal": equal})
    return {"rows": rows, "epochs": epochs}
