"""A study that ends within its budget: fewer trials, confirmations and seeds, by one rule for every network."""

from dataclasses import replace
from pathlib import Path

import pytest

from analysis.retraining.step_time import StepTime
from study import planning
from study.cluster.capacity import Resources
from study.data.datasets import Sizes
from study.errors import BadInput
from study.plan.budget import budget_text, fit
from study.plan.forecast import look_ahead
from study.run import main
from study.settings.config import PRESETS, StudyConfig

FULL = PRESETS["full"]
CIFAR10 = Sizes(50_000, 10_000, 10)
TIMES = {"alexnet": StepTime(0.05, 0.0002), "mobilenet": StepTime(0.01, 0.0001)}


def seconds(config: StudyConfig) -> float:
    outlook = look_ahead(config, CIFAR10, Resources(1.0, 0.0, 2), TIMES)
    assert outlook is not None
    return outlook.seconds.high


def hours(share: float) -> float:
    """Return this share of the time that the full preset takes."""
    return share * seconds(FULL) / 3600


def one_more(config: StudyConfig, asked: StudyConfig) -> list[StudyConfig]:
    """Return the settings with one trial, or one seed, more than planned, as far as that many were asked for."""
    more = [replace(config, trials=config.trials + 1), replace(config, seeds=config.seeds + 1)]
    return [one for one in more if one.trials <= asked.trials and one.seeds <= asked.seeds]


@pytest.mark.parametrize("share", [0.35, 0.5, 0.8, 0.99])
def test_the_high_end_fits_and_hardly_more_would(share: float) -> None:
    config = replace(FULL, budget_hours=hours(share))
    planned = fit(config, frozenset(), seconds)
    assert 0.85 * share < seconds(planned) / seconds(FULL) <= share
    assert planned.seeds >= 5 and planned.trials >= 2
    assert replace(planned, trials=32, confirm=3, seeds=10) == config


def test_all_three_are_lowered_to_the_same_share() -> None:
    def flat(config: StudyConfig) -> float:
        return float(config.trials)

    planned = fit(replace(FULL, budget_hours=25 / 3600), frozenset(), flat)
    assert (planned.trials, planned.confirm, planned.seeds) == (25, 2, 8)
    planned = fit(replace(FULL, budget_hours=2 / 3600), frozenset(), flat)
    assert (planned.trials, planned.confirm, planned.seeds) == (2, 0, 5)


def test_what_fits_stays_whole() -> None:
    config = replace(FULL, budget_hours=hours(1.01))
    assert fit(config, frozenset(), seconds) == config
    assert budget_text(config, replace(config, budget_hours=2.0)) == (
        "all of it: 32 trials, 3 confirmed trials and 10 seeds fit into 2 hours"
    )


def test_what_is_given_stays_and_the_others_shrink() -> None:
    config = replace(FULL, trials=8, budget_hours=hours(0.4))
    planned = fit(config, {"trials"}, seconds)
    assert planned.trials == 8 and planned.seeds < 10
    assert all(seconds(one) > 3600 * hours(0.4) for one in one_more(planned, config))
    few = fit(replace(FULL, seeds=3, budget_hours=hours(0.3)), {"seeds"}, seconds)
    assert few.seeds == 3 and few.trials < 32


def test_fewer_seeds_than_five_are_not_raised() -> None:
    planned = fit(replace(FULL, seeds=3, budget_hours=hours(0.3)), frozenset(), seconds)
    assert planned.seeds == 3


def test_a_budget_leaves_looks_alone_and_counts_the_last_one() -> None:
    config = replace(FULL, seeds="auto", budget_hours=hours(0.8))
    planned = fit(config, frozenset(), seconds)
    assert planned.seeds == "auto" and 2 <= planned.trials < 32
    assert seconds(planned) == seconds(replace(planned, seeds=20)) <= 0.8 * seconds(FULL)
    assert "seeds" not in budget_text(config, planned)
    with pytest.raises(BadInput, match="2 trials, no confirmed trials and up to 20 seeds for each network take up to"):
        fit(replace(config, budget_hours=hours(0.05)), frozenset(), seconds)


def test_a_study_of_baselines_has_fewer_seeds_alone() -> None:
    config = replace(FULL, baseline=True, seeds=30, budget_hours=hours(0.1))
    planned = fit(config, frozenset(), seconds)
    assert (planned.trials, planned.confirm) == (32, 3) and 5 <= planned.seeds < 30
    assert budget_text(config, planned).startswith(f"{planned.seeds} of 30 seeds fit into ")


def test_what_cannot_be_done_in_time_is_refused_with_what_would_do() -> None:
    with pytest.raises(BadInput) as error:
        fit(replace(FULL, budget_hours=0.1), frozenset(), seconds)
    line = str(error.value)
    least = "--budget-hours 0.1 is too short: 2 trials, no confirmed trials and 5 seeds for each network take up to "
    assert line.startswith(least) and line.endswith(" Give more hours, or lower --max-epochs or --train-size")
    needed = float(line.removeprefix(least).split()[0])
    planned = fit(replace(FULL, budget_hours=needed), frozenset(), seconds)
    assert (planned.trials, planned.confirm, planned.seeds) == (2, 0, 5)


def test_the_line_names_what_was_lowered() -> None:
    config = replace(FULL, budget_hours=2.0)
    assert budget_text(config, replace(config, trials=12, confirm=1, seeds=5)) == (
        "12 of 32 trials, 1 of 3 confirmed trials, 5 of 10 seeds fit into 2 hours"
    )
    assert budget_text(config, replace(config, seeds=5, budget_hours=1.0)) == "5 of 10 seeds fit into 1 hour"


@pytest.mark.parametrize(
    ("budget", "status", "line"),
    [
        ("0.5", 0, "  budget        all of it: 4 trials, no confirmed trials and 6 seeds fit into 0.5 hours"),
        ("0.06", 0, "  budget        3 of 4 trials, 5 of 6 seeds fit into 0.06 hours"),
        ("0.02", 2, "error: --budget-hours 0.02 is too short: 2 trials, no confirmed trials and 5 seeds for each"),
        ("unknown", 2, "error: --budget-hours cannot plan this study: a training step of a network failed here"),
    ],
)
def test_the_plan_says_what_fits(
    budget: str, status: int, line: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str],
    tmp_path: Path,
) -> None:  # fmt: skip
    """A step takes 20 ms: 15 steps an epoch and 32 epochs a run, 10 s each."""
    monkeypatch.chdir(tmp_path)
    times = {} if budget == "unknown" else {"mobilenet": StepTime(0.02, 0.0)}
    monkeypatch.setattr(planning, "step_times", lambda *_: times)
    words = ["--preset", "quick", "--archs", "mobilenet", "--concurrency", "1", "--dry-run"]
    hours = "1" if budget == "unknown" else budget
    preset = replace(PRESETS["quick"], trials=4, seeds=6)
    monkeypatch.setitem(PRESETS, "quick", preset)
    assert main([*words, "--budget-hours", hours]) == status
    output = capsys.readouterr()
    assert any(one.startswith(line) for one in (output.out + output.err).splitlines())
