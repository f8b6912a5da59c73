"""Compares the inference times of two networks, and says if the machine was quiet enough to believe them."""

from collections.abc import Mapping
from typing import Any

from analysis.results.load import Group, StudyResults, group_name
from analysis.results.study_json import is_resized
from analysis.statistics.time_ratio import time_ratio
from analysis.verdict.summary_json import GroupSummary, TimesCompared

# At least this much wall time for a second of processor time is a busy machine. Quiet ones stay below 1.05.
BUSY = 1.2


def measured_times(results: StudyResults, group: Group | GroupSummary, name: str) -> Mapping[str, Any]:
    """Return what was measured of the network that a group's configuration builds.

    Args:
        results: the study.
        group: the group.
        name: the name of the group.
    """
    if is_resized(group.config, results.study.architectures[group.arch].baseline):
        return dict(results.latency.get(name, {"parameters": None, "macs": None}))
    return dict(results.latency.get(group.arch, {}))


def compare_times(results: StudyResults, a: GroupSummary, b: GroupSummary) -> dict[str, TimesCompared]:
    """Compare the times of the networks of two groups for one image, A over B.

    Returns:
        The comparison by runtime: `pytorch`, and `onnx` if both were measured there. It is empty if the rounds of the
        measurement are not known, as in a study of an older version.
    """
    names = [group_name(group.arch, group.variant) for group in (a, b)]
    measured = [measured_times(results, group, name) for group, name in zip((a, b), names, strict=True)]
    times = {"pytorch": measured, "onnx": [one.get("onnx", {}) for one in measured]}
    compared = {runtime: _compare(names, *both) for runtime, both in times.items()}
    return {runtime: one for runtime, one in compared.items() if one is not None}


def _compare(names: list[str], a: Mapping[str, Any], b: Mapping[str, Any]) -> TimesCompared | None:
    """Compare wall times, or times on the processor if a CPU computed and was busy."""
    rounds = [measured.get("rounds") or {"median_ms": []} for measured in (a, b)]
    n_rounds = len(rounds[0]["median_ms"])
    if not n_rounds or len(rounds[1]["median_ms"]) != n_rounds:
        return None
    # A clock of the processor that is too coarse may have counted nothing.
    is_cpu = a.get("device", "CPU") == "CPU" and all(min(one["cpu_ms"]) > 0 for one in rounds)
    wait = max(sum(one["mean_ms"]) / sum(one["cpu_ms"]) for one in rounds) if is_cpu else None
    is_busy = wait is not None and wait >= BUSY
    ratio = time_ratio(*(one["cpu_ms" if is_busy else "median_ms"] for one in rounds))
    return TimesCompared(
        a=names[0],
        b=names[1],
        ratio=ratio.ratio,
        ci95=ratio.ci95,
        is_processor_time=is_busy,
        wall_per_processor_time=wait,
        is_steady=ratio.is_steady,
        rounds=n_rounds,
    )
