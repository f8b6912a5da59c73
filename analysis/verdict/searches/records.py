"""Reads the search of a network from a study's tables, in the form from which its luck is estimated."""

from collections.abc import Iterator, Mapping
from typing import Any

import pandas as pd

from analysis.results.load import StudyResults
from analysis.statistics.search_luck.expected import expected_scores
from analysis.statistics.search_luck.luck import Run, SearchRecord
from analysis.statistics.search_luck.places import Places


def search_record(results: StudyResults, arch: str) -> SearchRecord:
    """Return the search of a network.

    A trial that a rung stopped has its last score, and a trial that diverged has 0, as the search was told. A trial
    that failed has none. A confirmation run that diverged has none either: its score would say when training broke, not
    how accurate the configuration is, and would pass for noise of every run.
    """
    space = results.study.space_of(arch)
    rows = {str(row["trial_id"]): row for row in results.trials_of(arch).to_dict("records")}
    numbered = sorted((_number(trial_id), row) for trial_id, row in rows.items()) if rows else []
    scored = [(number, run) for number, row in numbered for run in _scored(row, space)]
    again = [run for run in results.confirmations if run.group in rows]
    confirmed = [
        Run(_config(rows[run.group], space), float(run.metrics["val_accuracy"]))
        for run in again
        if run.metrics["val_accuracy"] is not None and run.metrics.get("status") != "DIVERGED"
    ]
    is_fixed = len(results.study.config.first_lrs) if "lr" in space else 0
    return SearchRecord(
        space=space,
        trials=[run for _, run in scored],
        confirmations=confirmed,
        planned=results.study.config.trials,
        confirm=len({run.group for run in again}),
        starts=max(1, sum(number <= is_fixed for number, _ in scored)),
    )


def fresh_scores(results: StudyResults, arch: str) -> dict[str, list[float]]:
    """Return the scores of the confirmation runs of each trial of a network; a run without a score has 0."""
    scores: dict[str, list[float]] = {}
    for run in results.confirmations:
        if run.metrics["arch"] == arch:
            scores.setdefault(run.group, []).append(run.metrics["val_accuracy"] or 0.0)
    return scores


def expected_by_trial(results: StudyResults, arch: str) -> dict[str, float]:
    """Return the expected score of each trial that could become the tuned configuration; empty if unknown."""
    space = results.study.space_of(arch)
    rows = results.trials_of(arch).to_dict("records")
    ended = [row for row in rows if row["status"] in ("COMPLETE", "STOPPED_EARLY")]
    trials = {str(row["trial_id"]): run for row in ended or rows for run in _scored(row, space)}
    fresh = {trial_id: scores for trial_id, scores in fresh_scores(results, arch).items() if trial_id in trials}
    return expected_scores(Places(space), trials, fresh)


def _number(trial_id: str) -> int:
    return int(trial_id.rpartition("-")[2])


def _scored(row: Mapping[Any, Any], space: Mapping[str, Any]) -> Iterator[Run]:
    """Yield the run of a trial if it has a score and a value for each hyperparameter."""
    config = _config(row, space)
    if any(value is None or pd.isna(value) for value in config.values()):
        return
    if row["status"] == "DIVERGED":
        yield Run(config, 0.0)
    elif row["status"] != "FAILED" and not pd.isna(row["val_accuracy"]):
        yield Run(config, float(row["val_accuracy"]))


def _config(row: Mapping[Any, Any], space: Mapping[str, Any]) -> dict[str, Any]:
    return {name: row.get(name) for name in space}
