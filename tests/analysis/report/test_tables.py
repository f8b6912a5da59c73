"""Tables show whatever hyperparameters were searched."""

from dataclasses import replace
from pathlib import Path

from analysis.report.digest import searched
from analysis.report.search_tables import importance_table, trials_table
from analysis.report.tables import quality_table
from analysis.results.load import load_results
from analysis.results.study_json import Choices, Range
from analysis.verdict.summary import summarise
from analysis.verdict.summary_json import ImportanceSummary, Share
from analysis.verdict.wording import chosen_trials
from tests.analysis.example_study import write_example


def test_any_hyperparameters_have_columns_of_their_own(tmp_path: Path) -> None:
    results = load_results(write_example(tmp_path / "s", seeds=1, trials=3))
    space = {
        "lr": Range(low=1e-4, high=1e-2, log=True),
        "width": Range(low=8, high=64, log=False, title="channels"),
        "pool": Choices(choices=["max", "mean"]),
    }
    study = results.study.model_copy(update={"search": results.study.search.model_copy(update={"space": space})})
    trials = results.trials.assign(width=[8, 16, 32] * 2, pool=["max", "mean", "max"] * 2)
    config = {"lr": float(trials["lr"][2]), "width": 32, "pool": "max"}
    groups = {name: replace(group, config=config) for name, group in results.groups.items()}
    changed = replace(results, study=study, trials=trials, groups=groups)
    columns = ["learning rate", "channels", "pool"]

    table = trials_table(changed)
    assert [column.title for column in table.columns[1:4]] == columns
    assert [cells[2:4] for cells in table.cells()[:3]] == [["8", "max"], ["16", "mean"], ["32", "max"]]
    assert chosen_trials(changed) == {"alexnet": "alexnet-2"}
    quality = quality_table(changed, summarise(changed))
    assert [column.title for column in quality.columns[5:8]] == columns
    assert quality.cells()[0][6:8] == ["32", "max"]
    shares = {"lr": Share(share=0.5, ci95=(0.4, 0.61)), "pool": Share(share=0.25, ci95=(0.0, 0.3))}
    found = {arch: ImportanceSummary(trials=16, shares=shares) for arch in results.architectures}
    summary = summarise(changed)
    shown = importance_table(changed, summary.model_copy(update={"importance": found})).cells()
    assert shown[0][1:] == ["16", "50 [40, 61]", "\N{EN DASH}", "25 [0, 30]"]
    unknown = importance_table(changed, summary).cells()
    assert unknown[0][1:] == ["3", "unknown: it takes at least 16 trials with a score"]
    rate = "learning rate 0.0001 to 0.01 (log-uniform)"
    assert searched(study) == f"{rate}, channels 8 to 64 (uniform), pool max or mean"
