"""summary.json and the comparison table: a study's results as numbers."""

from typing import Any

import numpy as np
import pandas as pd

from analysis.results.load import Group, StudyResults
from analysis.statistics.comparison import proportion_interval
from analysis.statistics.metrics import METRICS, image_values
from analysis.verdict.comparisons import make_comparisons, make_verdict

# Back-propagation multiplies twice as often as prediction: once for the weights, once for the activations.
TRAINING_PASSES = 3


def summarise(results: StudyResults) -> dict[str, Any]:
    """The contents of summary.json: groups, verdict, comparisons, and what the search spent.

    Fractions are in [0, 1].

    Raises:
        BadInput: if groups cannot be compared.
    """
    comparisons = make_comparisons(results)
    return {
        "groups": {name: _summarise_group(group, results) for name, group in results.groups.items()},
        "verdict": make_verdict(results, comparisons),
        "comparisons": comparisons,
        "budget": {arch: _budget(arch, results) for arch in results.architectures} if len(results.trials) else {},
    }


def comparison_table(summary: dict[str, Any]) -> pd.DataFrame:
    """comparison.csv: a row a group."""
    rows = []
    for name, group in summary["groups"].items():
        low, high = group["accuracy"]["ci95"]
        rows.append(
            {
                "group": name,
                "title": group["title"],
                **group["config"],
                "seeds": len(group["seeds"]),
                "accuracy": group["accuracy"]["mean"],
                "accuracy_sd": group["accuracy"]["sd"],
                "accuracy_low": low,
                "accuracy_high": high,
                **{metric: group[metric]["mean"] for metric in METRICS[1:]},
                **{f"latency_{quantile}_ms": value for quantile, value in group["latency_ms"].items()},
                **{key: group[key] for key in ("images_per_s", "parameters", "macs")},
            }
        )
    return pd.DataFrame(rows)


def _summarise_group(group: Group, results: StudyResults) -> dict[str, Any]:
    latency = results.latency.get(group.arch, {})
    network = results.study["architectures"][group.arch]
    values = image_values(group.predictions(), group.labels, len(results.classes))
    return {
        "title": group.title,
        "arch": group.arch,
        "variant": group.variant,
        "config": group.config,
        "seeds": group.seeds,
        "diverged_seeds": [run.seed for run in group.runs if run.metrics["status"] == "DIVERGED"],
        **({"same_as": group.same_as} if group.same_as else {}),
        **{metric: spread(values[metric]) for metric in METRICS},
        "latency_ms": latency.get("latency_ms", {"p50": None, "p90": None, "p99": None}),
        "images_per_s": latency.get("images_per_s"),
        "parameters": network["parameters"],
        "macs": network["macs"],
    }


def spread(values: np.ndarray) -> dict[str, Any]:
    """Mean, deviation over seeds, interval and every seed's value of a metric given as values [seeds, images]."""
    by_seed = values.mean(axis=1)
    several = len(by_seed) > 1
    return {
        "mean": float(by_seed.mean()),
        "sd": float(by_seed.std(ddof=1)) if several else None,
        "ci95": list(proportion_interval(values)) if several else [None, None],
        "values": by_seed.tolist(),
    }


def _budget(arch: str, results: StudyResults) -> dict[str, Any]:
    """What the search and the confirmation of its leaders spent on an architecture; seconds are of training passes."""
    trials = results.trials[results.trials["arch"] == arch]
    epochs = int(trials["epochs"].sum())
    confirmations = [run for run in results.confirmations if run.metrics["arch"] == arch]
    confirm_epochs = sum(len(run.history) for run in confirmations)
    return {
        "trials": len(trials),
        "epochs": epochs,
        "seconds": float(trials["seconds"].sum()),
        "macs": epochs * _macs_an_epoch(arch, results),
        "confirm_runs": len(confirmations),
        "confirm_epochs": confirm_epochs,
        "confirm_seconds": float(sum(run.history["seconds"].sum() for run in confirmations)),
        "confirm_macs": confirm_epochs * _macs_an_epoch(arch, results),
    }


def _macs_an_epoch(arch: str, results: StudyResults) -> int:
    """Of convolutions and matrix products: three passes over each training image, one over each validation one."""
    n_validation = round(results.study["search"]["validation_fraction"] * results.study["data"]["n_train"])
    n_train = results.study["data"]["n_train"] - n_validation
    passes = TRAINING_PASSES * n_train + n_validation
    return int(results.study["architectures"][arch]["macs"] * passes)
