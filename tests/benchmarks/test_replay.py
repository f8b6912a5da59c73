"""Searches played on recorded curves: what a side is shown, when it counts as there, and what it costs."""

import json
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
import optuna
import pandas as pd
import pytest

from benchmarks import curves, search
from benchmarks.replay import Choice, Curve, Played, Recorded, play
from benchmarks.search_rules import rules
from benchmarks.sides import SIDES, Informed, MakeSide, OptunaAlone, RandomSearch
from benchmarks.smoothed_curves import Truth
from benchmarks.spaces import SPACES, space_of
from benchmarks.this_project import ThisProject
from models.networks.registry import ARCHITECTURES
from models.training.history import EpochResult
from models.training.recipe import TrainingConfig
from study.search.trial import Trial
from study.settings.search_space import SEARCH_SPACE, Rungs
from tests.builders import epoch

BASE = {"lr": 1e-3, "dropout": 0.0}
COLUMNS = ["arch", "lr", "dropout", "epoch", "train_loss", "val_loss", "val_accuracy", "seconds"]


@pytest.fixture(autouse=True)
def quiet() -> None:
    optuna.logging.set_verbosity(optuna.logging.ERROR)


def _table(max_epochs: int = 9) -> pd.DataFrame:
    """Both networks on a grid: best at 1e-3, the slower the lower the rate; low rates run out of patience at 7."""
    rows = []
    for arch in ("alexnet", "mobilenet"):
        for lr in np.logspace(-4, -2, 7):
            for dropout in (0.0, 0.35, 0.7):
                best = 0.6 - 0.1 * abs(np.log10(lr) + 3) - 0.01 * dropout
                for number in range(1, (7 if lr < 2e-4 else max_epochs) + 1):
                    accuracy = best * (1 - np.exp(-number * lr / 1e-3))
                    loss = 2 - accuracy if lr >= 2e-4 or number <= 2 else 3.0
                    rows.append([arch, lr, dropout, number, loss, loss, accuracy, 2.0])
    return pd.DataFrame(rows, columns=COLUMNS)


class _Given:
    """A side that tries what it is told to, and stops trials after so many epochs."""

    def __init__(self, configurations: list[tuple[float, float]], stop_after: int = 1_000) -> None:
        values = [{"lr": lr, "dropout": dropout} for lr, dropout in configurations]
        self.left = [Trial("alexnet", number, dict(pair)) for number, pair in enumerate(values)]
        self.ended: list[Trial] = []
        self._stop_after = stop_after

    def next_trial(self) -> Trial | None:
        return self.left.pop(0) if self.left else None

    def report(self, trial: Trial, row: EpochResult) -> bool:
        trial.history.append(row)
        return len(trial.history) >= self._stop_after

    def end(self, trial: Trial, *, is_stopped: bool) -> None:
        self.ended.append(trial)

    def chosen(self) -> Trial | None:
        return self.ended[-1] if self.ended else None


# --- curves


def test_a_configuration_has_the_curve_nearest_in_the_logarithm_of_its_rate() -> None:
    recorded = Recorded(_table(), "alexnet")
    rates = np.logspace(-4, -2, 7)
    assert recorded(lr=rates[3] * 1.4, dropout=0.0).values == {"lr": pytest.approx(rates[3]), "dropout": 0.0}
    assert recorded(lr=rates[3] * 1.5, dropout=0.0).values == {"lr": pytest.approx(rates[4]), "dropout": 0.0}
    assert recorded(lr=rates[3], dropout=0.2).values["dropout"] == 0.35
    # A tenth of the range of dropout is nearer than a decade, which is half the range of the rate.
    assert recorded(lr=rates[3], dropout=0.07).values == {"lr": pytest.approx(rates[3]), "dropout": 0.0}


def test_a_repetition_draws_one_run_of_a_configuration_and_is_judged_by_what_is_expected() -> None:
    runs = [_table().assign(run=run, val_accuracy=run / 10) for run in range(3)]
    recorded = Recorded(pd.concat(runs), "alexnet", lambda places: np.arange(len(places)) / 100)
    drawn = [recorded(seed, lr=1e-3, dropout=0.0) for seed in range(60)]
    assert {curve.full_score() for curve in drawn} == {0, 0.1, 0.2}
    assert len({curve.expected_score() for curve in drawn}) == 1
    assert drawn[7].full_score() == recorded(7, lr=1e-3, dropout=0.0).full_score()
    assert recorded(0, lr=1e-3, dropout=0.7).expected_score() != drawn[0].expected_score()
    unknown = Recorded(_table(), "alexnet")(lr=1e-3, dropout=0.0)
    assert unknown.expected_score() == pytest.approx(0.6, abs=1e-3)


def test_a_table_without_the_network_is_refused() -> None:
    with pytest.raises(ValueError, match="no curve of 'other'"):
        Recorded(_table(), "other")


def test_a_curve_ends_at_the_cap_out_of_patience_or_where_its_record_does() -> None:
    falling = [epoch(number, 1 / number) for number in range(1, 20)]
    rising = [epoch(number, float(number)) for number in range(1, 20)]
    for rows, cap, length in ((falling, 12, 12), (rising, 12, 6), (falling[:4], 12, 4)):
        curve = Curve(BASE, rows, TrainingConfig(BASE, cap, patience=5))
        assert curve.row(length) == rows[length - 1]
        assert curve.row(length + 1) is None


def test_the_full_score_is_that_of_the_lowest_loss() -> None:
    rows = [epoch(1, 0.5, 0.6), epoch(2, 0.3, 0.7), epoch(3, 0.4, 0.9)]
    assert Curve(BASE, rows, TrainingConfig(BASE, 9)).full_score() == 0.7
    diverged = [epoch(1, float("nan"), 0.9)]
    assert Curve(BASE, diverged, TrainingConfig(BASE, 9)).full_score() == 0


# --- the clock


def test_time_and_epochs_of_two_workers() -> None:
    """By hand: 9 and 7 epochs side by side, then 9 more beginning at 14 s; each takes 2 s.

    At 18 s the first worker reports first.
    """
    played = play(_Given([(1e-3, 0.0), (1e-4, 0.0), (1e-3, 0.7)]), Recorded(_table(), "alexnet"), workers=2)
    assert (played.epochs, played.seconds) == (25, 32.0)
    assert [(choice.epochs, choice.seconds) for choice in played.choices] == [(14, 14.0), (17, 18.0), (25, 32.0)]
    assert play(_Given([(1e-3, 0.0)] * 3), Recorded(_table(), "alexnet"), workers=1).seconds == 54


def test_a_choice_is_judged_by_its_full_curve_though_it_was_stopped() -> None:
    recorded = Recorded(_table(), "alexnet")
    played = play(_Given([(1e-3, 0.0), (5e-4, 0.0)], stop_after=2), recorded, workers=1)
    assert played.epochs == 4
    assert [choice.score for choice in played.choices] == [
        recorded(lr=1e-3, dropout=0.0).full_score(),
        recorded(lr=5e-4, dropout=0.0).full_score(),
    ]
    assert played.best_tried == recorded(lr=1e-3, dropout=0.0).full_score()
    assert played.is_best_stopped


def test_what_is_stopped_at_its_last_epoch_has_lost_nothing() -> None:
    assert not play(_Given([(1e-3, 0.0)], stop_after=9), Recorded(_table(), "alexnet"), workers=1).is_best_stopped
    assert play(_Given([(1e-3, 0.0)], stop_after=8), Recorded(_table(), "alexnet"), workers=1).is_best_stopped


def test_a_target_counts_from_when_the_choice_stays_at_it() -> None:
    choices = [Choice(epoch, float(epoch), score, 0.5) for epoch, score in enumerate((0.5, 0.7, 0.4, 0.6, 0.8), 1)]
    played = Played(choices, 9, 9.0, 0.8, is_best_stopped=False)
    assert played.reached(0.6) == choices[3]
    assert played.reached(0.75) == choices[4]
    assert played.reached(0.9) is None
    assert replace(played, choices=choices[:3]).reached(0.6) is None


# --- the sides


@pytest.mark.slow
@pytest.mark.parametrize("make", SIDES.values(), ids=list(SIDES))
def test_every_side_ends_all_of_its_trials_and_repeats_itself(make: MakeSide) -> None:
    recorded = Recorded(_table(), "mobilenet")
    one, same = (play(make("mobilenet", SEARCH_SPACE, 12, 9, 3), recorded, workers=2) for _ in range(2))
    assert one == same
    assert 12 <= one.epochs <= 12 * 9
    assert one.choices
    assert one.score <= one.best_tried
    assert play(make("mobilenet", SEARCH_SPACE, 12, 9, 4), recorded, workers=2) != one


RULES = rules(partial(ThisProject))


@pytest.mark.slow
@pytest.mark.parametrize(
    "rule",
    [
        "TPE, 5 trials to start",
        "may repeat itself",
        "next best, no Sobol point",
        "stopped trials extrapolated",
        "5 trials to start",
        "first rung 6",
        "no rungs",
    ],
)
def test_rules_make_other_searches(rule: str) -> None:
    recorded = Recorded(_table(20), "mobilenet")
    assert play(RULES[rule]("mobilenet", SEARCH_SPACE, 20, 20, 3), recorded, 2) != play(
        ThisProject("mobilenet", SEARCH_SPACE, 20, 20, 3), recorded, 2
    )


def test_random_search_trains_everything_to_its_end_and_misses_nothing() -> None:
    played = play(RandomSearch("alexnet", SEARCH_SPACE, 12, 9, 0), Recorded(_table(), "alexnet"), workers=2)
    assert not played.is_best_stopped
    assert played.score == played.best_tried


def test_a_side_that_is_told_every_expected_score_begins_with_the_highest() -> None:
    table = _table()
    source = Recorded(table, "alexnet", Truth.smooth(table, "alexnet").surface)
    side = Informed(source, "alexnet", SEARCH_SPACE, 12, 9, 0)
    played = play(side, source, workers=1)
    assert side.trials[0].values == {"lr": pytest.approx(1e-3), "dropout": 0.0}
    assert played.score == played.best_tried == pytest.approx(0.6, abs=0.001)
    assert len({tuple(trial.values.values()) for trial in side.trials}) == 12
    most = Informed(source, "alexnet", SEARCH_SPACE, 99, 9, 0)
    play(most, source, workers=1)
    assert len(most.trials) == len(source.values) == 21


def test_without_rungs_this_project_trains_everything_to_its_end() -> None:
    """Also where a curve ended by another patience than the project's."""
    table = _table()
    table = table[(table.lr > 2e-4) | (table.epoch <= 4)]
    played = play(
        ThisProject("alexnet", SEARCH_SPACE, 12, 9, 0, Rungs(1_000, 1.0), chooses_by_score=True),
        Recorded(table, "alexnet"),
        workers=2,
    )
    assert not played.is_best_stopped
    assert played.score == played.best_tried


def test_the_first_trial_of_this_project_is_the_baseline() -> None:
    side = ThisProject("alexnet", SEARCH_SPACE, 2, 9, 0)
    first = side.next_trial()
    assert first is not None
    assert first.values == {"lr": 1e-3, **ARCHITECTURES["alexnet"].baseline}


def test_optuna_chooses_among_the_trials_it_did_not_prune() -> None:
    side = OptunaAlone("alexnet", SEARCH_SPACE, 12, 9, 0)
    played = play(side, Recorded(_table(), "alexnet"), workers=1)
    assert 5 <= len(side.ended) < 12
    assert side.chosen() in side.ended
    assert played.epochs < 12 * 7


# --- the commands


@pytest.mark.slow
def test_search_replays_any_such_table(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    _table().to_csv(tmp_path / "curves.csv", index=False)
    target = tmp_path / "rows.json"
    command = ["--curves", str(tmp_path / "curves.csv"), "--quick", "--json", str(target)]
    assert search.main(command) == 0
    rows = json.loads(target.read_text())
    sides = [*SIDES, search.INFORMED]
    assert [(row["arch"], row["side"]) for row in rows] == [(arch, side) for arch in ARCHITECTURES for side in sides]
    for row in rows:
        assert row["repetitions"] == 4
        assert (row["epochs_until"] is None) == (row["reached"] < 0.5)
        assert 0 <= row["reached_ci95"][0] <= row["reached"] <= row["reached_ci95"][1] <= 1
        if row["side"] == search.REFERENCE:
            assert row["reached"] >= 0.5, "the target is below the median of what it finds"
            assert row["best_stopped"] == row["lost_points"] == 0
            assert row["epochs_to_random"] == row["epochs"]
        assert 0 <= row["expected_loss_ci95"][0] <= row["expected_loss"] <= row["expected_loss_ci95"][1]
    assert "alexnet: 4 repetitions" in capsys.readouterr().out


@pytest.mark.slow
def test_curves_of_few_images_move_this_projects_first_rung(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """On 128 of them, with a step an epoch, no rung lies below the cap: nothing is stopped."""
    table = _table()
    table[table.arch == "alexnet"].to_csv(tmp_path / "curves.csv", index=False)
    target = tmp_path / "rows.json"
    epochs = {}
    for images in ("128", "12800"):
        command = ["--curves", str(tmp_path / "curves.csv"), "--repetitions", "1", "--trials", "8", "--processes", "1"]
        command += ["--json", str(target)]
        assert search.main([*command, "--train-images", images]) == 0
        rows = json.loads(target.read_text())
        epochs[images] = {row["side"]: row["epochs"] for row in rows}
    assert epochs["128"]["this project"] > epochs["12800"]["this project"]
    assert epochs["128"][search.REFERENCE] == epochs["12800"][search.REFERENCE]


@pytest.mark.slow
def test_recording_goes_on_with_what_is_missing(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    target = tmp_path / "curves.csv"
    small = ["--train-images", "30", "--validation-images", "20", "--max-epochs", "1", "--processes", "1"]
    assert curves.main(["--output", str(target), "--configurations", "0", *small]) == 0
    first = pd.read_csv(target)
    assert list(first.columns) == ["arch", "lr", "dropout", "run", *curves.MEASURED]
    assert set(first.arch) == set(ARCHITECTURES)
    assert curves.main(["--output", str(target), "--configurations", "1", *small]) == 0
    both = pd.read_csv(target)
    assert both[:2].equals(first)
    assert len(both) == 4
    assert curves.main(["--output", str(target), "--configurations", "0", "--seeds", "2", *small]) == 0
    with pytest.raises(SystemExit):
        curves.main(["--output", str(target), "--dimensions", "4", *small])
    again = pd.read_csv(target)
    assert again[:4].equals(both)
    assert list(again.run) == [0, 0, 0, 0, 1, 1]
    assert capsys.readouterr().out.count("1 epochs") == 6


@pytest.mark.parametrize("dimensions", SPACES)
def test_the_curves_of_a_space_begin_with_its_baseline(dimensions: int) -> None:
    space = SPACES[dimensions]
    tasks = curves.tasks(space, [*ARCHITECTURES], 48, 30)
    assert tasks[:10] == curves.tasks(space, [*ARCHITECTURES], 4, 30), "more configurations keep the first"
    assert len({task.key for task in tasks}) == 98
    for task in tasks:
        assert list(task.values) == list(space.ranges)
        assert all(space.holds(name, value) for name, value in task.values.items())
    (first, second), baselines = tasks[:2], [architecture.baseline for architecture in ARCHITECTURES.values()]
    assert [dict(task.values) for task in (first, second)] == [
        {"lr": 1e-3, **baseline, **dict.fromkeys([*space.ranges][2:], 0.0)} for baseline in baselines
    ]


def test_a_table_of_more_hyperparameters_is_searched_in_all_of_them() -> None:
    """Each network has the curves of a grid in the plane, and is the better the more its labels are smoothed."""
    tables = [
        _table().assign(weight_decay=decay, label_smoothing=smoothing)
        for decay in (0.0, 2e-3)
        for smoothing in (0, 0.3)
    ]
    table = pd.concat(tables).assign(val_accuracy=lambda table: table.val_accuracy + table.label_smoothing)
    recorded = Recorded(table, "alexnet", Truth.smooth(table, "alexnet").surface)
    assert recorded.space == SPACES[4]
    place = {"lr": 1e-3, "dropout": 0.0, "weight_decay": 1.1e-3, "label_smoothing": 0.2}
    nearest = {"lr": pytest.approx(1e-3), "dropout": 0.0, "weight_decay": 2e-3, "label_smoothing": 0.3}
    assert recorded(**place).values == nearest
    assert recorded.expected is not None
    assert recorded.expected.max() == pytest.approx(0.9, abs=0.01)
    for make in (*SIDES.values(), RULES["TPE, 5 trials to start"]):
        side = make("alexnet", recorded.space, 12, 9, 0)
        played = play(side, recorded, workers=2)
        assert played.best_tried > 0.8, "three quarters of what can be gained"
        chosen = side.chosen()
        assert chosen is not None and list(chosen.values) == list(recorded.space.ranges)


def test_only_the_sides_that_are_named_are_replayed(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    _table().to_csv(tmp_path / "curves.csv", index=False)
    target = tmp_path / "rows.json"
    command = ["--curves", str(tmp_path / "curves.csv"), "--quick", "--json", str(target), "--sides"]
    assert search.main([*command, "Optuna, Hyperband"]) == 0
    sides = [row["side"] for row in json.loads(target.read_text())]
    assert sides == [search.REFERENCE, "Optuna, Hyperband", search.INFORMED] * 2
    with pytest.raises(SystemExit):
        search.main([*command, "Hyperband"])
    assert "no side is called Hyperband: choose from " in capsys.readouterr().err


@pytest.mark.parametrize(
    ("file", "dimensions", "configurations"),
    [("curves-700.csv", 2, {"mobilenet": 48, "alexnet": 24}), ("curves-700-of-4.csv", 4, {"mobilenet": 32})],
)
def test_the_recorded_curves_of_three_seeds_are_whole(
    file: str, dimensions: int, configurations: dict[str, int]
) -> None:
    table = pd.read_csv(Path(search.__file__).with_name(file))
    space = space_of(table.columns)
    assert space == SPACES[dimensions]
    wanted = [task for arch, n in configurations.items() for task in curves.tasks(space, [arch], n, 20, seeds=3)]
    recorded = table[["arch", *space.ranges, "run"]].itertuples(index=False, name=None)
    assert set(recorded) == {task.key for task in wanted}
    for _, run in table.groupby(["arch", *space.ranges, "run"]):
        assert list(run.epoch) == list(range(1, len(run) + 1))


def test_a_table_without_a_column_for_dropout_is_refused() -> None:
    with pytest.raises(ValueError, match="at least lr and dropout"):
        Recorded(_table().drop(columns="dropout"), "alexnet")


@pytest.mark.slow
def test_a_live_curve_is_trained_as_it_is_asked_for() -> None:
    data = curves.load(None, 30, 20)
    live = curves.Live(data, "mobilenet", 3)
    assert live(0, lr=1e-3, dropout=0.1) is live(0, lr=1e-3, dropout=0.1), "trained once"
    played = play(RandomSearch("mobilenet", SEARCH_SPACE, 2, 3, 0), partial(live, 0), workers=2)
    assert played.epochs == 6
    assert played.seconds > 0
