"""The sampler of one network: it proposes the next configuration, and keeps the network's Optuna study."""

import heapq
import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from itertools import chain, islice

import numpy as np
import optuna
from optuna.trial import FrozenTrial, TrialState, create_trial
from threadpoolctl import threadpool_limits
from torch.quasirandom import SobolEngine

from models.networks.hyperparameters import Value
from models.randomness import integer, stream
from study.errors import BadInput
from study.search.trial import Trial
from study.settings.search_space import STARTUP_TRIALS, SearchSpace

# The Gaussian process sees at most this many trials, the best and the newest, because its time grows faster than their
# number.
HISTORY = 100
BEST = 25
# The Gaussian process sees at most this many running trials, the newest: each draws from its posterior anew.
RUNNING = 32
# If more than MANY_RUNNING trials run, the Gaussian process compares this many points before it climbs from the best of
# them, in place of Optuna's 2,048: each point takes 128 draws for every running trial.
POINTS, MANY_RUNNING = 512, 8
# If at least CROWD trials run, one fit serves a proposal for each FIT_EVERY of them, but no more than it sees scores.
# The fit weighs SETS sets of parameters, and surfaces are drawn at DRAWN points.
CROWD, FIT_EVERY = 64, 8
SETS, DRAWN = 128, 256
# A proposal lies at least this far from every trial, as a share of the distance between as many evenly spread trials.
NEAREST = 0.25
# At most this many points of the sequence, or of a surface, are tried: a space of few configurations runs out.
SUBSTITUTES = 100

# Configurations of an earlier study, each with the score that its Gaussian process saw.
Told = Sequence[tuple[Mapping[str, Value], float]]


class Sampler:
    """Proposes configurations: spread out at first, then those for which a Gaussian process expects an improvement.

    The first configurations are points of a scrambled Sobol sequence (Owen, 1998) in the unit cube. Then Optuna's
    GPSampler is fitted to the scores of the ended trials, and takes the running trials into account. If its proposal
    almost repeats a trial, which would only draw chance again, the next point of the sequence takes its place.

    If fewer than CROWD trials run, the proposal for trial n is a function of the study's seed, n, the other trials, and
    what the sampler was told. So a sampler that is rebuilt from a ledger goes on as the first one would have.

    If CROWD trials or more run, each proposal is the highest point of a surface that is drawn from a Gaussian process
    (parallel Thompson sampling, Kandasamy et al., 2018), among the points apart from all trials. One fit serves several
    proposals, so these also depend on the trials that had ended at the time of the fit. A sampler that is rebuilt makes
    a fit of its own.

    A proposal that `allows` refuses is replaced in the same way.

    Args:
        arch: name of the network, and of its Optuna study.
        space: the ranges to choose from.
        seed: the study's seed.
        startup_trials: this many trials end with a score before the Gaussian process proposes.
        allows: returns whether a configuration may be tried; None if all may.
        told: configurations and scores of an earlier study. The Gaussian process sees them, and nothing else does: they
            are no trials, and a proposal may repeat one of them.

    Attributes:
        study: the Optuna study, which optuna.db shows.
    """

    def __init__(
        self,
        arch: str,
        space: SearchSpace,
        seed: int,
        startup_trials: int = STARTUP_TRIALS,
        allows: Callable[[Mapping[str, Value]], bool] | None = None,
        told: Told = (),
    ) -> None:
        self.study = optuna.create_study(study_name=arch, direction="maximize")
        self._space = space
        self._seed = seed
        self._startup_trials = startup_trials
        self._allows = allows
        # The told configurations have numbers below 0, so that they are older than every trial.
        self._configs = {number: dict(values) for number, (values, _) in enumerate(told, start=-len(told))}
        self._places: list[tuple[float, ...]] = []
        self._running: dict[int, optuna.Trial] = {}
        self._scores = {number: score for number, (_, score) in enumerate(told, start=-len(told))}
        self._drawn: list[list[dict[str, Value]]] = []

    def suggest(self, number: int) -> dict[str, Value]:
        """Return the configuration of the trial of this number, which counts as running from now on.

        Raises:
            BadInput: if `allows` refuses the proposal and all its substitutes.
        """
        substitutes = islice(self._spread_out(number), SUBSTITUTES)
        if len(self._scores) >= self._startup_trials:
            is_crowd = len(self._running) >= CROWD and any(map(self._space.varies, self._space.ranges))
            proposals = self._draw(number) if is_crowd else [self._improve(number)]
            values = self._choose(chain(proposals, substitutes))
        elif self._allows is None:
            values = next(substitutes)
        else:
            values = self._choose(substitutes)
        self._take_up(number, values)
        return values

    def begin(self, trial: Trial) -> None:
        """Take up a trial whose configuration is given."""
        self._take_up(trial.number, trial.values)

    def end(self, trial: Trial) -> None:
        """Tell Optuna how a trial ended.

        A trial that ended by itself is COMPLETE with its score. A trial that a rung stopped is PRUNED with its score
        after each epoch. A trial that diverged is PRUNED without scores. A trial that failed is FAIL. The Gaussian
        process sees the last score of each, 0 if the trial diverged, and nothing if it failed.
        """
        running = self._running.pop(trial.number)
        scores = trial.scores()
        if trial.status != "DIVERGED":
            for epoch, score in enumerate(scores, start=1):
                running.report(score, epoch)
        if trial.status == "FAILED":
            self.study.tell(running, state=TrialState.FAIL)
            return
        assert trial.told is not None
        self._scores[trial.number] = trial.told
        if trial.status in ("COMPLETE", "STOPPED_EARLY"):
            self.study.tell(running, scores[-1])
        else:
            self.study.tell(running, state=TrialState.PRUNED)

    def _take_up(self, number: int, values: Mapping[str, Value]) -> None:
        self._configs[number] = {name: values[name] for name in self._space.ranges}
        self._places.append(self._space.place(values))
        self.study.enqueue_trial(self._configs[number])
        self._running[number] = self.study.ask(dict(self._space.ranges))

    def _spread_out(self, number: int) -> Iterator[dict[str, Value]]:
        """Yield the points of the sequence, from the one of this number on."""
        seed = integer(stream(self._seed, "sampler", self.study.study_name, "spread out"))
        sequence = SobolEngine(len(self._space.ranges), scramble=True, seed=seed).fast_forward(number)
        while True:
            yield self._space.at(sequence.draw(1)[0].tolist())

    def _choose(self, proposals: Iterable[dict[str, Value]]) -> dict[str, Value]:
        """Return the first proposal that is allowed and apart from all trials; if none is, the first allowed one."""
        allows = self._allows or (lambda values: True)
        near = []
        for values in proposals:
            if not self._is_apart(values):
                near.append(values)
            elif allows(values):
                return values
        if (allowed := next(filter(allows, near), None)) is None:
            raise BadInput(
                f"{self.study.study_name!r} has too few configurations within the limits: none of {SUBSTITUTES}"
                " proposals is. Begin anew with higher limits, or with a search space of smaller networks"
            )
        return allowed

    def _is_apart(self, values: Mapping[str, Value]) -> bool:
        # Around all trials together this leaves four fifths of a square, so that a point of it is always found.
        place = self._space.place(values)
        nearest = min((math.dist(place, other) for other in self._places), default=math.inf)
        spacing: float = max(len(self._places), 1) ** (-1 / max(self._space.numeric, 1))
        return nearest >= NEAREST * spacing

    def _improve(self, number: int) -> dict[str, Value]:
        """Ask the Gaussian process, by way of a study in which every ended trial is complete with its score."""
        self._drawn.clear()
        seed = integer(stream(self._seed, "sampler", self.study.study_name, number))
        sampler = optuna.samplers.GPSampler(seed=seed, n_startup_trials=1)
        if len(self._running) > MANY_RUNNING:
            sampler._n_preliminary_samples = POINTS
        study = optuna.create_study(direction="maximize", sampler=sampler)
        study.add_trials([self._as_told(number, self._scores[number]) for number in self._shown()])
        study.add_trials([self._as_told(number) for number in sorted(self._running)[-RUNNING:]])
        # The matrices are tiny: extra BLAS threads would only take CPU from the training runs.
        with threadpool_limits(1):
            return study.ask(dict(self._space.ranges)).params

    def _draw(self, number: int) -> list[dict[str, Value]]:
        """Return the highest points, in order, of a surface drawn from a Gaussian process fitted to ended trials."""
        if not self._drawn:
            # Here, since they import SciPy, which no first step needs.
            from analysis.statistics.search_luck.places import Places
            from analysis.statistics.search_luck.surfaces import Fit

            seed = stream(self._seed, "sampler", self.study.study_name, number)
            sequence, rng = SobolEngine(len(self._space.ranges), True, integer(seed)), np.random.default_rng(seed)
            spread = (self._space.at(point) for point in sequence.draw(DRAWN).tolist())
            points = [*{self._space.place(values): values for values in spread}.values()]
            shown = self._shown()
            places = Places.described(self._space.to_json())
            told, drawn = places.of([self._configs[number] for number in shown]), places.of(points)
            scores = np.array([self._scores[number] for number in shown])
            with threadpool_limits(1):
                fit = Fit.of(scores, places.distances(told, told), rng, SETS)
                count = min(len(self._running) // FIT_EVERY, len(shown))
                surfaces = fit.draw(places.distances(drawn, told), places.distances(drawn, drawn), count, rng)
            highest = np.argsort(-surfaces.scores, axis=1)[:, :SUBSTITUTES]
            self._drawn = [[points[index] for index in row] for row in highest]
        return self._drawn.pop()

    def _shown(self) -> list[int]:
        """Return the trials with the highest scores and the newest, in order; all of them if they are few."""
        best = heapq.nlargest(BEST, self._scores, key=lambda number: (self._scores[number], number))
        newest = heapq.nlargest(HISTORY - BEST, self._scores)
        return sorted({*best, *newest})

    def _as_told(self, number: int, value: float | None = None) -> FrozenTrial:
        return create_trial(
            state=TrialState.RUNNING if value is None else TrialState.COMPLETE,
            params=self._configs[number],
            distributions=dict(self._space.ranges),
            value=value,
        )
