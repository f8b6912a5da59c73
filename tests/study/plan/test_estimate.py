"""The time of a study as plain arithmetic: a range before it starts, and a forecast that learns."""

import math
from pathlib import Path

import pandas as pd
import pytest

from study.plan.estimate import OVERHEAD_SECONDS, Forecast, Lengths, Work, estimate

CURVES = Path(__file__).parents[3] / "benchmarks"
# At the most, the mean epochs of a run with patience 5 and a cap of 50.
LONG = 12 + (1 - 0.992**38) / 0.008
FULL = Lengths(max_epochs=50, patience=5, first_rung=8, reduction_factor=2)


@pytest.mark.parametrize(
    ("lengths", "trial", "run"),
    [
        # A half goes on at each of the rungs 8, 16 and 32: 8 + 8/2 + 16/4 + 18/8.
        (FULL, (18.25, LONG), (12, LONG)),
        # No rung lies below the cap, so every trial may train to it.
        (Lengths(6, 5, 6, 2), (6, 6), (6, 6)),
        # A third goes on at 2: 2 + 4/3, then 3/9 up to the cap.
        (Lengths(9, 1, 2, 3), (2 + 4 / 3 + 3 / 9, 8.62), (4, 8.62)),
    ],
)
def test_lengths_of_trials_and_runs(lengths: Lengths, trial: tuple[float, float], run: tuple[float, float]) -> None:
    assert (lengths.trial.low, lengths.trial.high) == pytest.approx(trial, rel=1e-3)
    assert (lengths.run.low, lengths.run.high) == pytest.approx(run, rel=1e-3)


@pytest.mark.parametrize("patience", [1, 2, 3, 4, 5])
@pytest.mark.parametrize("cap", [8, 12, 20])
def test_recorded_runs_are_no_longer_than_the_most_that_is_expected(patience: int, cap: int) -> None:
    table = pd.concat([pd.read_csv(path).assign(data=path.name) for path in CURVES.glob("curves*.csv")])
    for arch, own in table.fillna({"run": 0}).groupby("arch"):
        runs = own.groupby(["data", "lr", "dropout", "run"])["val_loss"]
        epochs = [epochs_of(losses.tolist(), patience, cap) for _, losses in runs]
        assert len(epochs) == {"alexnet": 3 * 49 + 3 * 25, "mobilenet": 3 * 49 + 3 * 49 + 3 * 33}[str(arch)]
        assert sum(epochs) / len(epochs) <= Lengths(cap, patience, cap, 2).run.high, arch


def epochs_of(losses: list[float], patience: int, cap: int) -> int:
    """Return the epochs of a run with these validation losses: to the cap, or until it runs out of patience."""
    best = 0
    for epoch, loss in enumerate(losses[:cap]):
        if loss < losses[best]:
            best = epoch
        elif epoch - best >= patience:
            return epoch + 1
    return min(cap, len(losses))


def test_the_range_of_a_study() -> None:
    """An epoch takes 10 s. Trials have 18.25 to 44.9 epochs, runs 12 to 44.9. Two at a time may be 1.5 times slower."""
    works = {"a": Work(10.0, trials=4, confirmations=2, finals=6)}
    alone, beside = (estimate(works, FULL, 2, slowdown) for slowdown in (1.0, 1.5))
    least = (4 * 182.5 + 8 * 120) / 2
    longest = 12 * (10 * LONG + 2) / 2 + 3 * 10 * LONG / 2
    assert alone.low == beside.low == pytest.approx(least + OVERHEAD_SECONDS[0])
    assert alone.high == pytest.approx(longest + OVERHEAD_SECONDS[1], rel=1e-3)
    both = math.exp(math.hypot(math.log(longest / least), math.log(1.5)))
    assert beside.high == pytest.approx(least * both + OVERHEAD_SECONDS[1], rel=1e-3)
    assert alone.high < beside.high < 1.5 * alone.high


def test_a_stage_without_runs_takes_no_time() -> None:
    works = {"a": Work(10.0, 0, 0, 1), "b": Work(90.0, 0, 0, 0)}
    found = estimate(works, FULL, concurrency=1, slowdown=1.0)
    assert found.low == 120 + OVERHEAD_SECONDS[0]
    assert found.high == pytest.approx(10 * LONG + 2 + OVERHEAD_SECONDS[1], rel=1e-3)
    done = estimate({"a": Work(10.0, 0, 0, 0)}, FULL, concurrency=2, slowdown=1.5)
    assert (done.low, done.high) == OVERHEAD_SECONDS


def test_more_runs_at_a_time_take_less_time() -> None:
    works = {arch: Work(10.0, 8, 6, 10) for arch in ("a", "b")}
    times = [estimate(works, FULL, concurrency, 1.0) for concurrency in (1, 2, 8)]
    assert sorted(times, key=lambda time: -time.low) == times
    assert sorted(times, key=lambda time: -time.high) == times


def test_a_forecast_learns_from_the_runs_that_have_ended() -> None:
    """Epochs take 4 s instead of 2, and runs train 20 epochs instead of the middle of 12 and 44.9."""
    forecast = Forecast({"a": Work(2.0, 4, 2, 6)}, FULL, concurrency=2)
    middle = pytest.approx(12 + LONG, rel=1e-3)
    assert forecast.run_seconds("Final runs", "a") == middle
    assert (forecast.seconds_after("Search", pace=0.5) - OVERHEAD_SECONDS[0]) / 4 == middle
    forecast.learn("a", epoch_seconds=4.0, run_epochs=20.0)
    assert forecast.run_seconds("Final runs", "a") == 80
    assert forecast.seconds_after("Search", pace=0.5) == 8 * 80 / 2 + OVERHEAD_SECONDS[0]
    assert forecast.seconds_after("Confirmation", pace=1.0) == 6 * 80 + OVERHEAD_SECONDS[0]
    assert forecast.seconds_after("Final runs", pace=1.0) == OVERHEAD_SECONDS[0]
    assert forecast.run_seconds("Final runs", "other") is None
