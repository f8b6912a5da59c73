"""Where configurations come from, and the database that Optuna's dashboard opens."""

import math
from collections.abc import Callable, Mapping, Sequence
from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np
import optuna
import pytest
from optuna._gp import acqf
from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution
from optuna.trial import TrialState
from threadpoolctl import threadpool_info, threadpool_limits

from analysis.report.search_tables import CROWD as NAMED_CROWD
from analysis.results.optuna_database import OptunaDatabase, Search, open_database
from analysis.statistics.search_luck.surfaces import Fit
from models.networks.hyperparameters import Value
from study.search.sampler import BEST, CROWD, HISTORY, MANY_RUNNING, NEAREST, POINTS, RUNNING, Sampler
from study.search.trial import Status, Trial
from study.settings.search_space import SEARCH_SPACE, SearchSpace
from tests.builders import epoch


@pytest.fixture(autouse=True)
def quiet() -> None:
    optuna.logging.set_verbosity(optuna.logging.ERROR)


def _ended(number: int, score: float, status: Status = "COMPLETE", arch: str = "alexnet") -> Trial:
    history = [epoch(1, 1.0, score / 2), epoch(2, 0.5, score)]
    if status == "DIVERGED":
        history.append(epoch(3, float("nan"), 0.1))
    config = {"lr": 1e-4 * 1.2**number, "dropout": 0.7 * (number % 7) / 7}
    return Trial(arch, number, config, status=status, history=history)


def _sampler(history: Sequence[Trial] = (), arch: str = "alexnet", seed: int = 0) -> Sampler:
    sampler = Sampler(arch, SEARCH_SPACE, seed)
    for trial in history:
        sampler.begin(trial)
        if trial.status:
            sampler.end(trial)
    return sampler


PAST = [_ended(number, 0.3 + 0.05 * (number * 5 % 9)) for number in range(12)]


@pytest.mark.parametrize("number", [0, 1, 5, 12])
def test_a_suggestion_is_a_function_of_seed_number_and_history(number: int) -> None:
    one, same = (_sampler(PAST[:number]).suggest(number) for _ in range(2))
    assert one == same


def test_each_start_is_another() -> None:
    one = _sampler().suggest(1)
    assert _sampler(seed=1).suggest(1) != one
    assert _sampler(arch="mobilenet").suggest(1) != one
    assert _sampler().suggest(2) != one


def test_once_a_trial_has_a_score_a_model_proposes() -> None:
    """One that failed has none; one that runs has none yet."""
    start = [_ended(1, 0.6, "FAILED"), Trial("alexnet", 2, {"lr": 2e-3, "dropout": 0.25})]
    evenly_spread = _sampler().suggest(5)
    assert _sampler(start).suggest(5) == evenly_spread
    for status in ("COMPLETE", "PRUNED", "DIVERGED"):
        assert _sampler([*start, _ended(4, 0.3, status)]).suggest(5) != evenly_spread


def test_what_an_earlier_study_tells_is_seen_by_the_model_alone() -> None:
    told = [(trial.values, trial.told or 0.0) for trial in PAST]
    one, same = (Sampler("alexnet", SEARCH_SPACE, 0, told=told) for _ in range(2))
    proposed = one.suggest(1)
    assert proposed == same.suggest(1)
    assert proposed not in (_sampler().suggest(1), Sampler("alexnet", SEARCH_SPACE, 0, told=told[:6]).suggest(1))
    assert [trial.state for trial in one.study.trials] == [TrialState.RUNNING]


def test_a_told_configuration_may_be_proposed_again() -> None:
    """A sampler whose own trial lies there proposes another configuration."""
    best = {"lr": 1e-3, "dropout": 0.35}
    steep = [
        ({"lr": 1e-4 * 100**share, "dropout": dropout}, 0.9 - abs(share - 0.5) - abs(dropout - 0.35))
        for share in (0.0, 0.25, 0.5, 0.75, 1.0)
        for dropout in (0.0, 0.35, 0.7)
    ]
    place = SEARCH_SPACE.place(best)
    proposed = Sampler("alexnet", SEARCH_SPACE, 0, told=steep).suggest(1)
    assert math.dist(SEARCH_SPACE.place(proposed), place) < NEAREST / 2
    again = Sampler("alexnet", SEARCH_SPACE, 0, told=steep)
    again.begin(Trial("alexnet", 0, best))
    assert math.dist(SEARCH_SPACE.place(again.suggest(1)), place) > NEAREST / 2


def test_what_is_running_is_taken_into_account() -> None:
    """The model proposes something else; if it did not, points of the start would take the place of its proposals."""
    sampler = _sampler(PAST)
    suggested = [sampler.suggest(number) for number in range(12, 16)]
    evenly_spread = [_sampler().suggest(number) for number in range(12, 16)]
    assert not [values for values in suggested if values in evenly_spread]


@pytest.mark.slow
def test_no_trial_all_but_repeats_another() -> None:
    """On a plateau, where the model expects the most, beside a cliff."""
    for seed in range(2):
        sampler, places = Sampler("alexnet", SEARCH_SPACE, seed), []
        for number in range(1, 25):
            values = sampler.suggest(number)
            places.append(SEARCH_SPACE.place(values))
            score = 0.5 if values["lr"] < 3e-4 and values["dropout"] < 0.3 else 0.1
            sampler.end(Trial("alexnet", number, values, status="COMPLETE", history=[epoch(1, 1.0, score)]))
        assert min(math.dist(*pair) for pair in combinations(places, 2)) >= NEAREST / math.sqrt(24)


def test_earlier_suggestions_leave_no_trace_in_the_generator() -> None:
    """A sampler that suggested trials 1 to 3 itself goes on as one that was told of them."""
    live = _sampler([PAST[0]])
    trials = [PAST[0]]
    for number in (1, 2, 3):
        trial = Trial("alexnet", number, live.suggest(number), status="COMPLETE", history=[epoch(1, 1.0, 0.5)])
        live.end(trial)
        trials.append(trial)
    assert live.suggest(4) == _sampler(trials).suggest(4)


def test_suggestions_stay_in_their_ranges_and_fill_them() -> None:
    sampler = Sampler("alexnet", SEARCH_SPACE, seed=0)
    drawn = []
    for number in range(60):
        drawn.append(sampler.suggest(number))
        # Failed trials teach nothing, so all is drawn at random.
        sampler.end(Trial("alexnet", number, drawn[-1], status="FAILED"))
    rates, dropouts = ([values[name] for values in drawn] for name in ("lr", "dropout"))
    assert 1e-4 <= min(rates) < 2e-4
    assert 5e-3 < max(rates) <= 1e-2
    assert 20 <= sum(rate < 1e-3 for rate in rates) <= 40, "uniform in the logarithm"
    assert 0 <= min(dropouts) < 0.1
    assert 0.6 < max(dropouts) <= 0.7


def _next_rates(history: Sequence[Trial]) -> list[float]:
    return [_sampler(history, seed=seed).suggest(len(history))["lr"] for seed in range(8)]


@pytest.mark.parametrize("low_is_better", [True, False])
def test_it_goes_where_scores_are_high(low_is_better: bool) -> None:
    history = [_ended(number, 1 - number / 24 if low_is_better else number / 24) for number in range(24)]
    assert sum((rate < 1e-3) == low_is_better for rate in _next_rates(history)) >= 7


def test_a_few_evaluations_find_the_optimum() -> None:
    """Of a smooth surface with its top at a rate of 2e-4 and a dropout of 0.2, and a cliff beside it."""

    def score(lr: float, dropout: float) -> float:
        return 0.1 if lr > 3e-3 else 0.6 - 0.1 * math.log10(lr / 2e-4) ** 2 - 0.1 * (dropout - 0.2) ** 2

    for seed in range(3):
        sampler = Sampler("alexnet", SEARCH_SPACE, seed)
        best = 0.0
        for number in range(1, 13):
            values = sampler.suggest(number)
            best = max(best, score(**values))
            history = [epoch(1, 1.0, score(**values))]
            sampler.end(Trial("alexnet", number, values, status="COMPLETE", history=history))
        assert best > 0.595, f"after 12 trials, seed {seed}"


def test_a_pruned_trial_counts_with_its_last_score_and_a_diverged_one_as_the_worst() -> None:
    """Whatever the scores of the one that diverged were before."""

    def low_rates(of_the_good: Status) -> int:
        history = [
            _ended(number, 0.9 if number < 12 else 0.5, of_the_good if number < 12 else "COMPLETE")
            for number in range(24)
        ]
        return sum(rate < 1e-3 for rate in _next_rates(history))

    assert min(low_rates("COMPLETE"), low_rates("PRUNED")) >= 6
    assert low_rates("DIVERGED") <= 2


def test_a_proposal_takes_one_thread(monkeypatch: pytest.MonkeyPatch) -> None:
    """Others would spin on processors that are training; afterwards all is as it was."""
    threads: list[int] = []

    class Watched(optuna.samplers.GPSampler):
        def sample_relative(self, *arguments: Any) -> dict[str, Any]:
            threads.extend(pool["num_threads"] for pool in threadpool_info())
            return super().sample_relative(*arguments)

    monkeypatch.setattr(optuna.samplers, "GPSampler", Watched)
    with threadpool_limits(2):
        _sampler(PAST).suggest(12)
        assert max(pool["num_threads"] for pool in threadpool_info()) == 2
    assert set(threads) == {1}


@pytest.mark.parametrize("score", [0.0, 0.1])
def test_scores_that_are_all_alike_are_no_obstacle(score: float) -> None:
    history = [_ended(number, score, "COMPLETE" if score else "DIVERGED") for number in range(5)]
    values = _sampler(history).suggest(5)
    assert all(SEARCH_SPACE.holds(name, value) for name, value in values.items())


def _as_search(sampler: Sampler) -> Search:
    return Search(sampler.study.study_name, "accuracy", {}, sampler.study.trials)


def test_the_database_holds_what_optuna_was_told(tmp_path: Path) -> None:
    history = [
        _ended(0, 0.5),
        _ended(1, 0.6, "STOPPED_EARLY"),
        _ended(2, 0.2, "PRUNED"),
        _ended(3, 0.4, "DIVERGED"),
        _ended(4, 0.4, "FAILED"),
        Trial("alexnet", 5, {"lr": 2e-3, "dropout": 0.25}),
    ]
    samplers = [_sampler(history), _sampler(history[:1], arch="mobilenet")]
    OptunaDatabase(tmp_path / "optuna.db").update([_as_search(sampler) for sampler in samplers])
    storage = open_database(tmp_path / "optuna.db")
    assert sorted(optuna.get_all_study_names(storage)) == ["alexnet", "mobilenet"]
    study = optuna.load_study(study_name="alexnet", storage=storage)
    assert [trial.number for trial in study.trials] == list(range(6))
    assert [trial.state for trial in study.trials] == [
        *(TrialState.COMPLETE, TrialState.COMPLETE, TrialState.PRUNED),
        *(TrialState.PRUNED, TrialState.FAIL, TrialState.RUNNING),
    ]
    assert [study.trials[number].value for number in (0, 1)] == [0.5, 0.6]
    assert [trial.intermediate_values for trial in study.trials] == [
        {1: 0.25, 2: 0.5},
        {1: 0.3, 2: 0.6},
        {1: 0.1, 2: 0.2},
        {},
        {1: 0.2, 2: 0.4},
        {},
    ]
    assert [trial.params for trial in study.trials] == [trial.values for trial in history]
    assert study.best_trial.number == 1
    assert len(optuna.load_study(study_name="mobilenet", storage=storage).trials) == 1
    open_files = [path.resolve().name for path in Path("/proc/self/fd").iterdir()]
    assert "optuna.db" not in open_files, "no connection stays open"


def test_a_database_of_an_earlier_session_is_replaced_and_nothing_is_left_beside_it(tmp_path: Path) -> None:
    for count in (1, 3):
        OptunaDatabase(tmp_path / "optuna.db").update([_as_search(_sampler(PAST[:count]))])
    assert [path.name for path in tmp_path.iterdir()] == ["optuna.db"]
    study = optuna.load_study(study_name="alexnet", storage=open_database(tmp_path / "optuna.db"))
    assert len(study.trials) == 3


def _long_history(length: int, best: int) -> list[Trial]:
    """Low scores at high learning rates, and the first `best` trials far better, around a lower one."""
    rng = np.random.default_rng(0)
    across, along = SEARCH_SPACE.place({"lr": 3.5e-4, "dropout": 0.2})
    trials = []
    for number in range(length):
        place, score = (rng.uniform(0.5, 1), rng.random()), 0.3 * rng.random()
        if number < best:
            distance = 0.05 + 0.005 * number
            place = (across + distance * math.cos(number), along + distance * math.sin(number))
            score = 0.9 - distance**2
        history = [epoch(1, 1.0, score)]
        trials.append(Trial("alexnet", number, SEARCH_SPACE.at(place), status="COMPLETE", history=history))
    return trials


def test_the_best_of_a_long_history_are_not_forgotten() -> None:
    history = _long_history(HISTORY + 150, best=20)
    lrs = [_sampler(history, seed=seed).suggest(len(history))["lr"] for seed in range(8)]
    assert sum(2e-4 < lr < 6e-4 for lr in lrs) >= 6


def test_what_is_suggested_after_a_long_history_does_not_depend_on_when_trials_ended() -> None:
    history = _long_history(HISTORY + 30, best=20)
    shuffled = Sampler("alexnet", SEARCH_SPACE, 0)
    for trial in history:
        shuffled.begin(trial)
    for trial in reversed(history):
        shuffled.end(trial)
    assert shuffled.suggest(len(history)) == _sampler(history).suggest(len(history))
    assert [trial.number for trial in shuffled.study.trials] == list(range(len(history) + 1))


def test_the_model_is_shown_no_more_the_longer_the_history(monkeypatch: pytest.MonkeyPatch) -> None:
    shown = []
    ask = optuna.Study.ask

    def counted(study: optuna.Study, *args: Any) -> optuna.Trial:
        shown.append(len(study.get_trials(deepcopy=False)))
        return ask(study, *args)

    monkeypatch.setattr(optuna.Study, "ask", counted)
    for length in (HISTORY - BEST, HISTORY + 1, HISTORY + 100):
        sampler = _sampler(_long_history(length, best=5))
        shown.clear()
        sampler.suggest(length)
        assert HISTORY - BEST <= shown[0] <= HISTORY


def test_of_many_running_trials_the_model_sees_the_newest(monkeypatch: pytest.MonkeyPatch) -> None:
    seen = []

    class Watched(optuna.samplers.GPSampler):
        def sample_relative(self, study: optuna.Study, *arguments: Any) -> dict[str, Any]:
            running = study.get_trials(deepcopy=False, states=(TrialState.RUNNING,))
            seen.extend(trial.params["dropout"] for trial in running if trial.params)
            return {}

    monkeypatch.setattr(optuna.samplers, "GPSampler", Watched)
    sampler = _sampler(PAST)
    for number in range(RUNNING + 5):
        sampler.begin(Trial("alexnet", 100 + number, {"lr": 1e-3, "dropout": number / 100}))
    sampler.suggest(12)
    assert seen == [number / 100 for number in range(5, RUNNING + 5)]


@pytest.mark.parametrize(("running", "points"), [(MANY_RUNNING, 2_048), (MANY_RUNNING + 1, POINTS)])
def test_with_many_running_trials_fewer_points_are_compared(
    monkeypatch: pytest.MonkeyPatch, running: int, points: int
) -> None:
    compared = []
    compare = acqf.BaseAcquisitionFunc.eval_acqf_no_grad

    def watched(self: Any, x: np.ndarray) -> np.ndarray:
        compared.append(len(x))
        return compare(self, x)

    monkeypatch.setattr(acqf.BaseAcquisitionFunc, "eval_acqf_no_grad", watched)
    sampler = _sampler(PAST)
    for number in range(running):
        sampler.begin(Trial("alexnet", 100 + number, {"lr": 1e-3, "dropout": number / 100}))
    sampler.suggest(12)
    assert max(compared) == points


def _crowd(low_is_better: bool, allows: Callable[[Mapping[str, Value]], bool] | None = None) -> Sampler:
    """Return a sampler with CROWD running trials after 40 that have ended, whose score depends on the learning rate."""
    sampler = Sampler("alexnet", SEARCH_SPACE, 0, allows=allows)
    for number in range(40 + CROWD):
        share, dropout = ((number * step) % 1 for step in (0.618, 0.755))
        score = 0.5 + 0.4 * (1 - share if low_is_better else share)
        config = {"lr": 1e-4 * 100**share, "dropout": 0.7 * dropout}
        trial = Trial("alexnet", number, config, history=[epoch(1, 1.0, score)])
        sampler.begin(trial)
        if number < 40:
            trial.status = "COMPLETE"
            sampler.end(trial)
    return sampler


@pytest.mark.parametrize("low_is_better", [True, False])
def test_in_a_crowd_proposals_go_where_scores_are_high(low_is_better: bool) -> None:
    sampler = _crowd(low_is_better)
    rates = [math.log10(float(sampler.suggest(number)["lr"])) + 3 for number in range(104, 124)]
    assert np.mean(rates) < -0.5 if low_is_better else np.mean(rates) > 0.5


def test_the_report_names_the_crowd() -> None:
    assert NAMED_CROWD == CROWD


def test_in_a_crowd_only_what_is_allowed_is_proposed() -> None:
    sampler = _crowd(True, allows=lambda values: float(values["lr"]) > 1e-3)
    assert all(float(sampler.suggest(number)["lr"]) > 1e-3 for number in range(104, 120))


def test_in_a_crowd_a_fit_of_one_score_serves_one_proposal() -> None:
    sampler = Sampler("alexnet", SEARCH_SPACE, 0)
    for number in range(CROWD + 1):
        sampler.suggest(number)
    sampler.end(Trial("alexnet", 0, {}, status="COMPLETE", history=[epoch(1, 1.0, 0.5)]))
    sampler.suggest(CROWD + 1)
    assert sampler._drawn == []


def test_in_a_crowd_numbers_and_categories_stay_in_their_ranges() -> None:
    ranges = {
        "lr": FloatDistribution(1e-4, 1e-2, log=True),
        "width": IntDistribution(16, 64, step=16),
        "pool": CategoricalDistribution(["max", "average"]),
    }
    space, sampler = SearchSpace(ranges), Sampler("alexnet", SearchSpace(ranges), 0)
    scores = {}
    for number in range(20 + CROWD):
        scores[number] = 0.9 if sampler.suggest(number)["pool"] == "average" else 0.5
    for number in range(20):
        row = epoch(1, 1.0, scores[number])
        sampler.end(Trial("alexnet", number, {}, status="COMPLETE", history=[row]))
    proposed = [sampler.suggest(number) for number in range(100, 120)]
    assert all(space.holds(name, value) for values in proposed for name, value in values.items())
    assert sum(values["pool"] == "average" for values in proposed) > 15


def test_in_a_crowd_a_fixed_configuration_is_no_obstacle() -> None:
    sampler = Sampler("alexnet", SearchSpace({"pool": CategoricalDistribution(["max"])}), 0)
    for number in range(CROWD + 1):
        sampler.suggest(number)
    sampler.end(Trial("alexnet", 0, {}, status="COMPLETE", history=[epoch(1, 1.0, 0.5)]))
    assert sampler.suggest(CROWD + 1) == {"pool": "max"}


def test_in_a_crowd_one_fit_serves_several_proposals_until_the_crowd_has_gone(monkeypatch: pytest.MonkeyPatch) -> None:
    fitted = []

    class Watched(Fit):
        @classmethod
        def of(cls, scores: np.ndarray, *others: Any) -> Fit:
            fitted.append(len(scores))
            return super().of(scores, *others)

    monkeypatch.setattr("analysis.statistics.search_luck.surfaces.Fit", Watched)
    sampler = _crowd(True)
    served = CROWD // 8
    for number in range(104, 104 + served):
        sampler.suggest(number)
    assert fitted == [40]
    sampler.suggest(104 + served)
    assert fitted == [40, 40]
    # The crowd goes, so what is left of the fit is of no use to the next crowd.
    for number in range(40, 60):
        sampler.end(Trial("alexnet", number, {}, status="COMPLETE", history=[epoch(1, 1.0, 0.5)]))
    sampler.suggest(200)
    for number in range(300, 320):
        sampler.begin(Trial("alexnet", number, {"lr": 1e-3, "dropout": 0.1}))
    sampler.suggest(400)
    assert fitted == [40, 40, 60]
