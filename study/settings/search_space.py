"""The choices of the search: a range for each hyperparameter, and the rungs that stop trials.

`SEARCH_SPACE` is this study's choice. Everything that searches, writes or draws takes any number of hyperparameters,
numbers or categories, by their names.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any, cast

from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution

from models.networks.hyperparameters import Value
from models.training.recipe import GRACE_STEPS

Range = FloatDistribution | IntDistribution | CategoricalDistribution
# A value lies on the grid of a range with steps if it is a whole number of steps above its low end, up to rounding.
_NEARLY_WHOLE = 1e-8


@dataclass(frozen=True)
class SearchSpace:
    """Holds the ranges that a configuration is chosen from.

    Attributes:
        ranges: the range of each hyperparameter, as Optuna describes it.
    """

    ranges: Mapping[str, Range]

    @property
    def numeric(self) -> int:
        """Return the number of hyperparameters that are numbers."""
        return sum(not isinstance(scale, CategoricalDistribution) for scale in self.ranges.values())

    def place(self, values: Mapping[str, Value]) -> tuple[float, ...]:
        """Return where a configuration lies, in coordinates whose distances say how alike two of them are.

        A number has one coordinate, from 0 at the low end of its range to 1 at the high end. A category has one
        coordinate for each choice, so that two choices lie 1 apart.
        """
        return tuple(place for name, scale in self.ranges.items() for place in _place(scale, values[name]))

    def at(self, point: Sequence[float]) -> dict[str, Value]:
        """Return the configuration at a point of the unit cube, which has one coordinate a hyperparameter."""
        pairs = zip(self.ranges.items(), point, strict=True)
        return {name: _at(scale, share) for (name, scale), share in pairs}

    def varies(self, name: str) -> bool:
        """Return whether a hyperparameter is searched; one choice alone keeps it fixed."""
        return not self.ranges[name].single()

    def holds(self, name: str, value: Value) -> bool:
        """Return whether a value lies in the range of a hyperparameter."""
        scale = self.ranges[name]
        if isinstance(scale, CategoricalDistribution):
            return value in scale.choices
        if isinstance(value, str | bool) or (isinstance(scale, IntDistribution) and not isinstance(value, int)):
            return False
        steps = (value - scale.low) / (scale.step or 1.0)
        on_grid = scale.step is None or abs(steps - round(steps)) < _NEARLY_WHOLE
        return on_grid and scale.low <= value <= scale.high

    @classmethod
    def from_json(cls, ranges: Mapping[str, Any]) -> "SearchSpace":
        """Return the space of these ranges, each as `to_json` returns it or a study file has it."""
        return cls({name: _range(told) for name, told in ranges.items()})

    def to_json(self) -> dict[str, Any]:
        """Return the ranges as study.json has them."""
        return {name: _described(scale) for name, scale in self.ranges.items()}


def _range(told: Mapping[str, Any]) -> Range:
    if "choices" in told:
        return CategoricalDistribution(told["choices"])
    low, high, is_log = told["low"], told["high"], told.get("log", False)
    if told.get("type") == "int":
        return IntDistribution(low, high, is_log, told.get("step", 1))
    return FloatDistribution(low, high, is_log, told.get("step"))


def _described(scale: Range) -> dict[str, Any]:
    if isinstance(scale, CategoricalDistribution):
        return {"choices": list(scale.choices)}
    ends = {"low": scale.low, "high": scale.high, "log": scale.log}
    if isinstance(scale, IntDistribution):
        return {"type": "int", **ends, **({} if scale.step == 1 else {"step": scale.step})}
    # Without a type, as in the studies of older versions, which had no other numbers.
    return ends if scale.step is None else {"type": "float", **ends, "step": scale.step}


def _ends(scale: FloatDistribution | IntDistribution) -> tuple[float, float]:
    """Return the ends of a range; each value on a grid has a bin around it that is as wide as the step."""
    margin = (scale.step or 0) / 2
    return scale.low - margin, scale.high + margin


def _place(scale: Range, value: Value) -> tuple[float, ...]:
    if isinstance(scale, CategoricalDistribution):
        return tuple(math.sqrt(0.5) * (value == choice) for choice in scale.choices)
    low, high = _ends(scale)
    number = float(value)
    return (math.log(number / low) / math.log(high / low) if scale.log else (number - low) / (high - low),)


def _at(scale: Range, share: float) -> Value:
    if isinstance(scale, CategoricalDistribution):
        return cast(Value, scale.choices[min(int(share * len(scale.choices)), len(scale.choices) - 1)])
    low, high = _ends(scale)
    number = low * (high / low) ** share if scale.log else low + share * (high - low)
    if scale.step is not None:
        steps = math.floor((number - scale.low) / scale.step + 0.5)
        # In decimals, since 3 * 0.1 has a last digit too many in binary.
        number = type(scale.low)(Decimal(str(scale.low)) + steps * Decimal(str(scale.step)))
    return min(max(number, scale.low), scale.high)


@dataclass(frozen=True)
class Rungs:
    """Holds the rungs of ASHA (Li et al., 2020), each `reduction_factor` times later than the rung before it.

    The first rung lies late, because good low learning rates start slowly: earlier rungs lost the best configurations
    of AlexNet (benchmarks/RESULTS.md).

    Attributes:
        grace_period: epochs at the first rung, unless the next attributes move it.
        grace_share: the first rung lies at this share of the cap on epochs if that is sooner.
        reduction_factor: one trial in this many goes on.
        tolerance: a trial goes on if its accuracy is at most this much below the others: late proposals are so alike
            that their order is mostly noise. Two accuracies of 1,000 images differ by about that much by chance.
        grace_steps: the first rung lies after at least this many optimizer steps, however few of them an epoch has.
    """

    grace_period: int = 8
    grace_share: float = 0.4
    reduction_factor: int = 2
    tolerance: float = 0.02
    grace_steps: int = GRACE_STEPS

    def first(self, max_epochs: int, steps_per_epoch: float = math.inf) -> int:
        """Return the epochs at the first rung under this cap; the cap itself, which stops nothing, if none is below."""
        epochs = min(self.grace_period, math.ceil(self.grace_share * max_epochs))
        return min(max_epochs, max(epochs, math.ceil(self.grace_steps / steps_per_epoch)))


SEARCH_SPACE = SearchSpace({"lr": FloatDistribution(1e-4, 1e-2, log=True), "dropout": FloatDistribution(0.0, 0.7)})
RUNGS = Rungs()
# At least 1 trial ends before the Gaussian process proposes, because it needs a score. benchmarks/RESULTS.md compares
# larger numbers.
STARTUP_TRIALS = 1
