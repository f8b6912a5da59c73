"""Places of configurations in a search space: coordinates whose distances say how alike two configurations are."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from pydantic import TypeAdapter
from scipy.stats import qmc

from analysis.results.study_json import Choices, Dimension, Range

# Points are spread over a cube this many times as wide as the space, so a twelfth of them is at each edge.
EDGES = 1.2
# The distances of a set of places, one array for each hyperparameter that varies.
Distances = np.ndarray


class Places:
    """Maps the configurations of a search space to places, and measures the distances between places.

    A place has one coordinate for each number, from 0 to 1 over its range, and one for each choice of a category, so
    that two choices lie 1 apart. A hyperparameter that cannot vary has none. The search measures likeness in the same
    way (`study.settings.search_space`).

    Args:
        space: the search space, each hyperparameter as study.json describes it.
    """

    def __init__(self, space: Mapping[str, Dimension]) -> None:
        self._space = {name: one for name, one in space.items() if not _is_fixed(one)}
        self._widths = [len(one.choices) if isinstance(one, Choices) else 1 for one in self._space.values()]
        self.numeric = sum(isinstance(one, Range) for one in self._space.values())

    @classmethod
    def described(cls, space: Mapping[str, Any]) -> "Places":
        """Return the places of a search space that is given as JSON, as in study.json."""
        return cls(TypeAdapter(dict[str, Dimension]).validate_python(dict(space)))

    @property
    def names(self) -> list[str]:
        """Return the names of the hyperparameters that vary."""
        return list(self._space)

    def __len__(self) -> int:
        """Return the number of hyperparameters that vary."""
        return len(self._space)

    def of(self, configs: Sequence[Mapping[str, Any]]) -> np.ndarray:
        """Return the places of configurations, float64 [configurations, coordinates]."""
        columns = [_place(one, [config[name] for config in configs]) for name, one in self._space.items()]
        return np.concatenate(columns, axis=1)

    def spread(self, count: int, rng: np.random.Generator) -> np.ndarray:
        """Return places spread evenly over the space, float64 [count, coordinates]; a count that is a power of 2.

        They are points of a scrambled Sobol sequence (Owen, 1998), moved to the nearest values that the space allows.
        The sequence covers a larger cube, and points outside the space are moved to its edges, where the expected
        improvement is often largest.
        """
        shares = np.clip(0.5 + EDGES * (qmc.Sobol(len(self), rng=rng).random(count) - 0.5), 0, 1)
        columns = [_snapped(one, share) for one, share in zip(self._space.values(), shares.T, strict=True)]
        return np.concatenate(columns, axis=1)

    def sweeps(self, levels: int, others: int, rng: np.random.Generator) -> np.ndarray:
        """Return places at which each hyperparameter in turn takes evenly spaced values.

        Args:
            levels: number of values, evenly spaced on the scale of the search.
            others: number of configurations, spread evenly over the space, whose value is replaced; a power of 2.
            rng: the source of chance.

        Returns:
            The places, by hyperparameter, value and configuration, float64 [sizes multiplied, coordinates].
        """
        space = list(self._space.values())
        spread = qmc.Sobol(len(self), rng=rng).random(others)
        beside = [_snapped(one, share) for one, share in zip(space, spread.T, strict=True)]
        swept = []
        for index, one in enumerate(space):
            columns = [np.tile(column, (levels, 1)) for column in beside]
            columns[index] = np.repeat(_snapped(one, (np.arange(levels) + 0.5) / levels), others, axis=0)
            swept.append(np.concatenate(columns, axis=1))
        return np.concatenate(swept)

    def distances(self, a: np.ndarray, b: np.ndarray) -> Distances:
        """Return the squared distances between two sets of places, float64 [hyperparameters, a, b]."""
        ends = np.cumsum(self._widths)[:-1]
        parts = zip(np.split(a, ends, axis=1), np.split(b, ends, axis=1), strict=True)
        return np.stack([np.sum((one[:, None] - other[None]) ** 2, axis=2) for one, other in parts])


def _is_fixed(one: Dimension) -> bool:
    return len(one.choices) < 2 if isinstance(one, Choices) else one.low == one.high


def _step(one: Range) -> float:
    """Return the distance between two values of a range; 0 if they may lie as near as they like."""
    return float(one.step or (1 if one.type == "int" else 0))


def _ends(one: Range) -> tuple[float, float]:
    """Return the ends of a range; each value on a grid has a bin around it that is as wide as the step."""
    return one.low - _step(one) / 2, one.high + _step(one) / 2


def _place(one: Dimension, values: Sequence[Any]) -> np.ndarray:
    if isinstance(one, Choices):
        return np.array([[np.sqrt(0.5) * (value == choice) for choice in one.choices] for value in values], float)
    # A baseline may lie outside the range that is searched.
    numbers, (low, high) = np.clip(np.asarray(values, float), one.low, one.high)[:, None], _ends(one)
    shares: np.ndarray = np.log(numbers / low) / np.log(high / low) if one.log else (numbers - low) / (high - low)
    return shares


def _snapped(one: Dimension, shares: np.ndarray) -> np.ndarray:
    """Return the places of the values at these shares of a hyperparameter's range, [shares, coordinates]."""
    if isinstance(one, Choices):
        chosen = np.minimum(shares * len(one.choices), len(one.choices) - 1).astype(int)
        return _place(one, [one.choices[index] for index in chosen])
    low, high = _ends(one)
    step = _step(one)
    if step == 0:
        return shares[:, None]
    numbers = low * (high / low) ** shares if one.log else low + shares * (high - low)
    return _place(one, list(np.clip(one.low + step * np.floor((numbers - one.low) / step + 0.5), one.low, one.high)))
