"""summary.json and the comparison table: a study's results as numbers."""

from typing import Any

import numpy as np
import pandas as pd

from analysis.results.load import Group, StudyResults
from analysis.results.study_json import is_of_network
from analysis.statistics.importance import importance
from analysis.statistics.metrics import image_values
from analysis.statistics.two_way_layout import proportion_interval
from analysis.verdict.comparisons import make_comparisons, make_verdict
from analysis.verdict.conclusion import conclude
from analysis.verdict.cost.inference_time import measured_times
from analysis.verdict.failed_runs import failed_seeds, share_that_learns
from analysis.verdict.searches.records import search_record
from analysis.verdict.shipping.files_verdict import judge_files
from analysis.verdict.summary_json import Budget, GroupSummary, ImportanceSummary, Latency, Share, Spread, Summary

# Back-propagation multiplies twice as often as prediction: once for the weights, once for the activations.
TRAINING_PASSES = 3


def summarise(results: StudyResults) -> Summary:
    """Summarise a study: the conclusion, groups, verdict, comparisons, and the budget of the search.

    Raises:
        UnusableStudy: if groups cannot be compared.
    """
    comparisons = make_comparisons(results)
    verdict = make_verdict(results, comparisons)
    groups = {name: _summarise_group(group, results) for name, group in results.groups.items()}
    # A key that is not set is not written.
    further: dict[str, Any] = {}
    if len(results.trials):
        further["importance"] = {arch: _importance(arch, results) for arch in results.architectures}
    return Summary(
        **dict(conclude(results, groups, comparisons, verdict)),
        groups=groups,
        verdict=verdict,
        files=judge_files(results, verdict),
        comparisons=comparisons,
        budget={arch: _budget(arch, results) for arch in results.architectures} if len(results.trials) else {},
        **further,
    )


def comparison_table(summary: Summary) -> pd.DataFrame:
    """Return comparison.csv: a row a group."""
    rows = []
    names = dict.fromkeys(name for group in summary.groups.values() for name in group.config)
    for name, group in summary.groups.items():
        low, high = group.accuracy.ci95
        limits = {
            f"{name}_{end}": limit
            for name, metric in (("precision", group.precision), ("recall", group.recall), ("f1", group.f1))
            for end, limit in zip(("low", "high"), metric.ci95, strict=True)
        }
        rows.append(
            {
                "group": name,
                "title": group.title,
                **{searched: group.config.get(searched) for searched in names},
                "seeds": len(group.seeds),
                "accuracy": group.accuracy.mean,
                "accuracy_sd": group.accuracy.sd,
                "accuracy_low": low,
                "accuracy_high": high,
                "precision": group.precision.mean,
                "recall": group.recall.mean,
                "f1": group.f1.mean,
                **limits,
                "latency_p50_ms": group.latency_ms.p50,
                "latency_p90_ms": group.latency_ms.p90,
                "latency_p99_ms": group.latency_ms.p99,
                **({"onnx_latency_p50_ms": group.onnx_latency_ms.p50} if group.onnx_latency_ms else {}),
                "images_per_s": group.images_per_s,
                "parameters": group.parameters,
                "macs": group.macs,
            }
        )
    return pd.DataFrame(rows)


def spread(values: np.ndarray) -> Spread:
    """Return mean, standard deviation over seeds, interval, and each seed's value of a metric.

    Args:
        values: the metric's value for each seed and image, [seeds, images].
    """
    by_seed = values.mean(axis=1)
    several = len(by_seed) > 1
    return Spread(
        mean=by_seed.mean(),
        sd=by_seed.std(ddof=1) if several else None,
        ci95=proportion_interval(values),
        values=by_seed.tolist(),
    )


def _summarise_group(group: Group, results: StudyResults) -> GroupSummary:
    network = results.study.architectures[group.arch]
    measured = measured_times(results, group, group.name)
    values = image_values(group.predictions(), group.labels, len(results.classes))
    failed = failed_seeds(group)
    # A key that is not set is not written.
    further: dict[str, Any] = {"same_as": group.same_as} if group.same_as else {}
    if in_onnx := measured.get("onnx", {}).get("latency_ms"):
        further["onnx_latency_ms"] = Latency(**in_onnx)
    return GroupSummary(
        title=group.title,
        arch=group.arch,
        variant=group.variant,
        config=group.config,
        seeds=group.seeds,
        diverged_seeds=group.diverged_seeds(),
        failed_seeds=failed,
        learned=share_that_learns(len(group.runs), len(failed)),
        **further,
        accuracy=spread(values["accuracy"]),
        precision=spread(values["precision"]),
        recall=spread(values["recall"]),
        f1=spread(values["f1"]),
        latency_ms=Latency(**measured.get("latency_ms", {"p50": None, "p90": None, "p99": None})),
        images_per_s=measured.get("images_per_s"),
        parameters=measured.get("parameters", network.parameters),
        macs=measured.get("macs", network.macs),
    )


def _importance(arch: str, results: StudyResults) -> ImportanceSummary:
    found = importance(search_record(results, arch))
    if found.reason:
        return ImportanceSummary(trials=found.trials, reason=found.reason)
    shares = {name: Share(share=one.share, ci95=(one.low, one.high)) for name, one in found.shares.items()}
    return ImportanceSummary(trials=found.trials, shares=shares)


def _budget(arch: str, results: StudyResults) -> Budget:
    """Return the cost of a network's search and of its confirmation; seconds count training passes alone."""
    trials = results.trials_of(arch)
    epochs = int(trials["epochs"].sum())
    confirmations = [run for run in results.confirmations if run.metrics["arch"] == arch]
    confirm_epochs = sum(len(run.history) for run in confirmations)
    return Budget(
        trials=len(trials),
        epochs=epochs,
        seconds=trials["seconds"].sum(),
        macs=_macs(arch, epochs, results),
        confirm_runs=len(confirmations),
        confirm_epochs=confirm_epochs,
        confirm_seconds=sum(run.history["seconds"].sum() for run in confirmations),
        confirm_macs=_macs(arch, confirm_epochs, results),
    )


def _macs(arch: str, epochs: int, results: StudyResults) -> int | None:
    """Count the multiply-accumulates of epochs: three passes over a training image, one over a validation image.

    They are not known if the search changed the size of the network.
    """
    if any(map(is_of_network, results.study.space_of(arch))):
        return None
    n_validation = results.study.n_validation()
    passes = TRAINING_PASSES * (results.study.data.n_train - n_validation) + n_validation
    return epochs * int(results.study.architectures[arch].macs * passes)
