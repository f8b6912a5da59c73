"""Reads a study's folder as the runs that a tracker shows: the study, its networks, trials and final runs."""

import math
from collections.abc import Mapping
from typing import Any

import pandas as pd

from analysis.results.files import read_json
from analysis.results.load import VARIANTS, Group, StudyResults, load_results
from analysis.results.study_folder import StudyFolder
from analysis.results.study_json import Study
from analysis.statistics.calls import CONFIDENCE
from study.track.tracker import RUNNING, UNFINISHED, Run, Value

EPOCH_METRICS = ("train_loss", "val_loss", "val_accuracy")
TEST_METRICS = ("accuracy", "precision", "recall", "f1")


def runs_of(folder: StudyFolder, *, is_live: bool) -> list[Run]:
    """Return the runs of a study, finished or not: the study, then each network followed by its runs.

    Args:
        is_live: True if a process works on the study.

    Raises:
        DamagedFile: if a file of the study cannot be read.
    """
    results = load_results(folder)
    path = folder.report / "summary.json"
    summary: dict[str, Any] = dict(read_json(path)) if path.exists() else {}
    going = RUNNING if is_live else UNFINISHED
    status = "COMPLETE" if not is_live and _is_finished(results, summary) else going
    shared: dict[str, Any] = {"study": folder.path.name, "identity": _identity(results.study)}
    report = folder.report / "report.html"
    runs = [
        Run(
            **shared,
            path=(),
            kind="study",
            status=status,
            parameters=_study_parameters(results.study),
            metrics=_verdict_metrics(summary),
            step=_seeds(summary),
            tags=_study_tags(results.study) | _verdict_tags(summary),
            artifact=report if report.exists() else None,
        )
    ]
    for arch in results.architectures:
        network = results.study.architectures[arch]
        runs.append(
            Run(
                **shared,
                path=(arch,),
                kind="network",
                status=status,
                parameters={"title": network.title, "parameters": network.parameters, "macs": network.macs},
                metrics=_spread_metrics(arch, summary),
                step=_seeds(summary),
                tags=_interval_tags(arch, summary),
            )
        )
        runs += [Run(**shared, **told) for told in _trials(arch, results, going)]
        for variant in VARIANTS:
            group = results.group(arch, variant)
            if group is not None and group.same_as is None:
                runs += [Run(**shared, **told) for told in _final_runs(group)]
    return runs


def _identity(study: Study) -> str:
    """Return the id of a study; a study of an older version has its name and the time when it began."""
    return str((study.model_extra or {}).get("id") or f"{study.name} {study.created}")


def _is_finished(results: StudyResults, summary: Mapping[str, Any]) -> bool:
    """Return whether every planned final run was made and the report shows all of them."""
    made = {name: group.seeds for name, group in results.groups.items()}
    shown = {name: group["seeds"] for name, group in summary.get("groups", {}).items()}
    return bool(made) and made == shown and all(len(seeds) >= results.study.planned_seeds for seeds in made.values())


def _trials(arch: str, results: StudyResults, going: str) -> list[dict[str, Any]]:
    """Return what each trial of a network is, first the ones that have ended."""
    history = results.history_of(arch)
    epochs = {name: _epochs(rows) for name, rows in history.groupby("trial_id")} if len(history) else {}
    space, settings = results.study.space_of(arch), results.study.config.model_extra or {}
    always = {"variant": "trial", **({"seed": settings["seed"]} if "seed" in settings else {})}
    told = []
    for row in results.trials_of(arch).to_dict("records"):
        rows = epochs.pop(row["trial_id"], [])
        values = {name: row[name] for name in space if pd.notna(row.get(name))}
        told.append(
            {
                "path": (arch, row["trial_id"]),
                "kind": "trial",
                # The two tables are not written at the same moment.
                "status": row["status"] if len(rows) == row["epochs"] else going,
                "parameters": {
                    **{name: _plain(value, getattr(space[name], "type", None)) for name, value in values.items()},
                    **always,
                },
                "epochs": rows,
                "metrics": _finite(
                    {
                        "best_val_accuracy": row["val_accuracy"],
                        "best_val_loss": row["val_loss"],
                        "best_epoch": row["best_epoch"],
                        "seconds": row["seconds"],
                    }
                ),
                "step": int(row["epochs"]),
                "tags": {"status": row["status"], "is_baseline": str(bool(row["is_baseline"]))},
            }
        )
    for name, rows in epochs.items():
        told.append({"path": (arch, name), "kind": "trial", "status": going, "epochs": rows})
    return told


def _final_runs(group: Group) -> list[dict[str, Any]]:
    told = []
    for run in group.runs:
        metrics = run.metrics
        best = {f"best_{name}": metrics[name] for name in ("val_accuracy", "val_loss")}
        told.append(
            {
                "path": (group.arch, f"{group.name}-seed-{run.seed}"),
                "kind": "final run",
                "status": metrics["status"],
                "parameters": {
                    **{name: _plain(value) for name, value in group.config.items()},
                    "variant": group.variant,
                    "seed": run.seed,
                },
                "epochs": _epochs(run.history),
                "metrics": _finite(
                    {f"test_{name}": metrics.get(name) for name in TEST_METRICS}
                    | best
                    | {"best_epoch": metrics["best_epoch"], "seconds": metrics["seconds"]}
                ),
                "step": len(run.history),
                "tags": {"status": metrics["status"], "is_tuned": str(bool(metrics["is_tuned"]))},
            }
        )
    return told


def _study_parameters(study: Study) -> dict[str, Value]:
    settings = study.config.model_extra or {}
    return {
        "data": study.data.title,
        "data_fingerprint": study.data.fingerprint,
        "max_epochs": study.config.max_epochs,
        "precision": study.config.precision,
        **({"seed": settings["seed"]} if "seed" in settings else {}),
    }


def _study_tags(study: Study) -> dict[str, str]:
    """Return what may change when a study goes on, and where it comes from."""
    environment = study.environment
    tags = {
        "networks": ", ".join(network.title for network in study.architectures.values()),
        "trials": str(study.config.trials),
        "seeds": str(study.planned_seeds),
        "command": study.command,
        "version": environment.version,
        "commit": environment.git_commit,
    }
    return {name: text for name, text in tags.items() if text}


def _verdict_tags(summary: Mapping[str, Any]) -> dict[str, str]:
    """Return the call, the winner, the text, and the interval of every comparison, as far as they are known."""
    if not summary:
        return {}
    verdict = summary.get("verdict") or {}
    tags = {
        "call": summary.get("call") or verdict.get("call"),
        "winner": verdict.get("winner") or "none",
        "headline": summary.get("headline"),
        "verdict": verdict.get("text"),
    }
    for row in summary.get("comparisons", []):
        tags[f"{row['a']} minus {row['b']}"] = f"{row['call']}, {_interval(row['difference'], row.get('confidence'))}"
    return {name: str(text) for name, text in tags.items() if text}


def _verdict_metrics(summary: Mapping[str, Any]) -> dict[str, float]:
    difference = (summary.get("verdict") or {}).get("difference")
    return {} if difference is None else _spread("difference", difference)


def _spread_metrics(arch: str, summary: Mapping[str, Any]) -> dict[str, float]:
    """Return mean, interval and standard deviation over the seeds of each metric, such as "tuned/test_f1/mean"."""
    return {
        name: value
        for variant, metric, spread in _spreads(arch, summary)
        for name, value in _spread(f"{variant}/test_{metric}", spread).items()
    }


def _interval_tags(arch: str, summary: Mapping[str, Any]) -> dict[str, str]:
    return {f"{variant}/test_{metric}": _interval(spread) for variant, metric, spread in _spreads(arch, summary)}


def _spreads(arch: str, summary: Mapping[str, Any]) -> list[tuple[str, str, Mapping[str, Any]]]:
    """Return variant, metric, and the metric over the seeds, of a network's groups."""
    groups = summary.get("groups", {})
    found = [(variant, groups[name]) for variant in VARIANTS if (name := f"{arch}-{variant}") in groups]
    return [(variant, metric, group[metric]) for variant, group in found for metric in TEST_METRICS]


def _spread(name: str, spread: Mapping[str, Any]) -> dict[str, float]:
    low, high = spread["ci95"]
    values = {"mean": spread["mean"], "ci95_low": low, "ci95_high": high, "sd": spread.get("sd")}
    return _finite({f"{name}/{kind}": value for kind, value in values.items()})


def _interval(spread: Mapping[str, Any], confidence: float | None = None) -> str:
    low, high = spread["ci95"]
    level = format(100 * (CONFIDENCE if confidence is None else confidence), ".3g")
    interval = "" if low is None or high is None else f" ({level} % interval {low:.4f} to {high:.4f})"
    return f"{spread['mean']:.4f}{interval}"


def _seeds(summary: Mapping[str, Any]) -> int:
    return max((len(group["seeds"]) for group in summary.get("groups", {}).values()), default=0)


def _epochs(history: pd.DataFrame) -> list[dict[str, float]]:
    rows = history.sort_values("epoch").to_dict("records")
    return [_finite({name: row[name] for name in EPOCH_METRICS}) for row in rows]


def _finite(values: Mapping[str, Any]) -> dict[str, float]:
    """Return the values that are finite numbers."""
    known = {name: float(value) for name, value in values.items() if value is not None and not pd.isna(value)}
    return {name: value for name, value in known.items() if math.isfinite(value)}


def _plain(value: Any, kind: str | None = None) -> Value:
    """Return a hyperparameter as Python's own type. A column with empty cells holds whole numbers as 16.0."""
    value = value.item() if hasattr(value, "item") else value
    return int(value) if kind == "int" else value if isinstance(value, int | float) else str(value)
