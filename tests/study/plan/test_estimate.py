"""The time of a study as plain arithmetic: a range before it starts, and a forecast that learns."""

import pytest

from study.plan.estimate import OVERHEAD_SECONDS, Forecast, Lengths, Work, estimate

FULL = Lengths(max_epochs=50, patience=5, first_rung=8, reduction_factor=2)


@pytest.mark.parametrize(
    ("lengths", "trial", "run"),
    [
        # A half goes on at each of the rungs 8, 16 and 32: 8 + 8/2 + 16/4 + 18/8.
        (FULL, (18.25, 50), (12, 50)),
        # No rung lies below the cap, so every trial may train to it.
        (Lengths(6, 5, 6, 2), (6, 6), (6, 6)),
        # A third goes on at 2: 2 + 4/3, then 3/9 up to the cap.
        (Lengths(9, 1, 2, 3), (2 + 4 / 3 + 3 / 9, 9), (4, 9)),
    ],
)
def test_lengths_of_trials_and_runs(lengths: Lengths, trial: tuple[float, float], run: tuple[float, float]) -> None:
    assert (lengths.trial.low, lengths.trial.high) == pytest.approx(trial)
    assert (lengths.run.low, lengths.run.high) == run


def test_the_range_of_a_study() -> None:
    """An epoch takes 10 s. Trials have 18.25 to 50 epochs, runs 12 to 50. Two at a time are up to 1.5 times slower."""
    works = {"a": Work(10.0, trials=4, confirmations=2, finals=6)}
    found = estimate(works, FULL, concurrency=2, slowdown=1.5)
    assert found.low == pytest.approx((4 * 182.5 + 8 * 120) / 2 + OVERHEAD_SECONDS[0])
    assert found.high == pytest.approx(12 * (750 + 2) / 2 + 3 * 750 / 2 + OVERHEAD_SECONDS[1])


def test_a_stage_without_runs_takes_no_time() -> None:
    works = {"a": Work(10.0, 0, 0, 1), "b": Work(90.0, 0, 0, 0)}
    found = estimate(works, FULL, concurrency=1, slowdown=1.0)
    assert (found.low, found.high) == (120 + OVERHEAD_SECONDS[0], 500 + 2 + OVERHEAD_SECONDS[1])


def test_more_runs_at_a_time_take_less_time() -> None:
    works = {arch: Work(10.0, 8, 6, 10) for arch in ("a", "b")}
    times = [estimate(works, FULL, concurrency, 1.0) for concurrency in (1, 2, 8)]
    assert sorted(times, key=lambda time: -time.low) == times
    assert sorted(times, key=lambda time: -time.high) == times


def test_a_forecast_learns_from_the_runs_that_have_ended() -> None:
    """Epochs take 4 s instead of 2, and runs train 20 epochs instead of 31, the middle of 12 and 50."""
    forecast = Forecast({"a": Work(2.0, 4, 2, 6)}, FULL, concurrency=2)
    assert forecast.run_seconds("Final runs", "a") == 62
    assert forecast.seconds_after("Search", pace=0.5) == 8 * 62 / 2 + OVERHEAD_SECONDS[0]
    forecast.learn("a", epoch_seconds=4.0, run_epochs=20.0)
    assert forecast.run_seconds("Final runs", "a") == 80
    assert forecast.seconds_after("Search", pace=0.5) == 8 * 80 / 2 + OVERHEAD_SECONDS[0]
    assert forecast.seconds_after("Confirmation", pace=1.0) == 6 * 80 + OVERHEAD_SECONDS[0]
    assert forecast.seconds_after("Final runs", pace=1.0) == OVERHEAD_SECONDS[0]
    assert forecast.run_seconds("Final runs", "other") is None
