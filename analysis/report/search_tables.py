"""The tables of the search."""

from functools import partial
from typing import Any

import pandas as pd

from analysis.numbers import DASH, number, percent, share, si
from analysis.report.tables import Column, Remark, Table, hyperparameter_columns, percent_column, write_interval
from analysis.results.load import StudyResults
from analysis.results.study_json import Study
from analysis.statistics.search_progress import Rung, best_score, rung_counts, rung_epochs
from analysis.verdict.searches.records import expected_by_trial, fresh_scores
from analysis.verdict.summary_json import Share, Summary
from analysis.verdict.wording import chosen_trials

# From this many running trials of a network on, the search draws surfaces.
CROWD = 64
_ENDS = {
    "COMPLETE": "complete",
    "STOPPED_EARLY": "out of patience",
    "PRUNED": "stopped at a rung",
    "DIVERGED": "diverged",
    "FAILED": "failed",
}


def study_rungs(study: Study) -> list[int]:
    """Return the epochs of the study's rungs."""
    return rung_epochs(study.search.grace_period, study.search.reduction_factor, study.config.max_epochs)


def draws_surfaces(study: Study) -> bool:
    """Return whether enough trials of a network may have run at a time for proposals from drawn surfaces."""
    at_a_time = (study.config.model_extra or {}).get("concurrency")
    has_process = (study.search.model_extra or {}).get("sampler") == "Gaussian process"
    return has_process and study.config.trials > CROWD and (at_a_time is None or at_a_time > CROWD)


def search_table(results: StudyResults) -> Table:
    """Return a row a network: how its trials ended, and the trial that was chosen."""
    columns = (
        Column("Network"),
        Column("trials"),
        *(Column(title) for title in _ENDS.values()),
        Column("chosen trial", write=number),
        Column("its score", "%", percent_column(results.study)),
    )
    chosen, rows = chosen_trials(results), []
    for arch, title in results.architectures.items():
        trials = results.trials_of(arch)
        ended = [int((trials["status"] == status).sum()) if len(trials) else 0 for status in _ENDS]
        name = chosen.get(arch)
        score = None if name is None else trials.loc[trials["trial_id"] == name, "val_accuracy"].iloc[0]
        rows.append((title, len(trials), *ended, name, score))
    return Table("search-digest", "How the trials of each network ended", columns, rows)


def rungs_table(results: StudyResults) -> Table:
    """Return a row a network: how many trials each rung stopped, of those that reached it."""
    epochs = study_rungs(results.study)
    columns = (Column("Network"), *(Column(f"epoch {epoch}") for epoch in epochs))
    rows = [
        (title, *(_stopped(rung) for rung in rung_counts(results.trials_of(arch), epochs)))
        for arch, title in results.architectures.items()
    ]
    return Table("rungs-table", "Trials stopped at each rung", columns, rows)


def _stopped(rung: Rung) -> str:
    return share(rung.stopped, rung.reached) if rung.reached else "0 of 0"


def importance_table(results: StudyResults, summary: Summary) -> Table:
    """Return a row a network: the importance of each hyperparameter with its interval, or why it is unknown."""
    titles = results.study.titles()
    columns = (
        Column("Network"),
        Column("trials with a score"),
        *(Column(title, "%", _importance) for title in titles.values()),
    )
    rows: list[tuple[Any, ...]] = []
    for arch, title in results.architectures.items():
        found = summary.importance[arch]
        if found.shares:
            rows.append((title, found.trials, *(found.shares.get(name) for name in titles)))
        else:
            rows.append((title, found.trials, Remark(f"unknown: {found.reason}")))
    return Table("importance-table", "Importance of the hyperparameters", columns, rows)


def _importance(found: Share | None) -> str:
    write = partial(percent, digits=0)
    return DASH if found is None else f"{write(found.share)} {write_interval(found.ci95, write)}"


def confirmation_table(results: StudyResults) -> Table:
    """Return a row a trial that was confirmed, the highest expected score of its network first.

    If expected scores are unknown, the highest mean comes first. A fresh run without a score counts as 0.
    """
    write, chosen = percent_column(results.study), chosen_trials(results)
    columns = (
        Column("Trial"),
        Column("in the search", "%", write),
        Column("fresh runs", "%", lambda scores: ", ".join(write(score) for score in scores)),
        Column("their mean", "%", write),
        Column("expected score", "%", lambda score: DASH if score is None else write(score)),
    )
    rows = []
    for arch in results.architectures:
        fresh, expected, confirmed = fresh_scores(results, arch), expected_by_trial(results, arch), []
        for trial in results.trials_of(arch).to_dict("records"):
            if scores := fresh.get(trial["trial_id"]):
                name = f"{trial['trial_id']}{' (chosen)' if trial['trial_id'] == chosen.get(arch) else ''}"
                mean = sum(scores) / len(scores)
                confirmed.append((name, trial["val_accuracy"], scores, mean, expected.get(trial["trial_id"])))
        rows += sorted(confirmed, key=lambda row: -(row[3] if row[4] is None else row[4]))
    return Table("confirmed-table", "Trials that were confirmed", columns, rows)


def trials_table(results: StudyResults) -> Table:
    """Return a row a trial."""
    whole = partial(number, form=".0f")
    columns = (
        Column("Trial"),
        *hyperparameter_columns(results.study),
        Column("ended", write=lambda status: _ENDS.get(status, str(status))),
        Column("epochs", write=whole),
        Column("best epoch", write=whole),
        Column("score", "%", percent_column(results.study)),
        Column("lowest loss", "nats", partial(number, form=".4f")),
        Column("training", "s", partial(number, form=",.1f")),
    )
    shown = ("status", "epochs", "best_epoch", "val_accuracy", "val_loss", "seconds")
    rows = [
        (
            f"{trial['trial_id']}{' (baseline)' if trial['is_baseline'] else ''}",
            *(trial.get(name) for name in (*results.study.titles(), *shown)),
        )
        for trial in results.trials.to_dict("records")
    ]
    return Table("trials", "All trials", columns, rows)


def budget_table(results: StudyResults, summary: Summary) -> Table:
    """Return a row a network: what its search spent, and its best score at the end and at equal epochs.

    The equal number of epochs is the total of the network that had the fewest, among those that had any.
    """
    write, count = percent_column(results.study), partial(number, form=",d")
    histories = {arch: results.history_of(arch) for arch in summary.budget}
    fewest = min((len(history) for history in histories.values() if len(history)), default=None)
    equal = f"after {fewest:,} epochs" if fewest else "at equal epochs"
    columns = (
        Column("Network"),
        Column("trials", write=count),
        Column("epochs", write=count),
        Column("training", "s", partial(number, form=",.0f")),
        Column("multiply-accumulates", write=si),
        Column("best score", "%", write),
        Column(f"best score {equal}", "%", write),
    )
    rows = [
        (
            results.architectures[arch],
            spent.trials,
            spent.epochs,
            spent.seconds,
            spent.macs,
            _best(histories[arch], None),
            _best(histories[arch], fewest),
        )
        for arch, spent in summary.budget.items()
    ]
    return Table("budget-table", "What the search spent on each network", columns, rows)


def _best(history: pd.DataFrame, epochs: int | None) -> float | None:
    return best_score(history, epochs) if len(history) else None
