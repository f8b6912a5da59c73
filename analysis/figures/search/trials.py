"""How a figure shows a trial: its marker, its title, and the place of its values on a scale."""

import math
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

import pandas as pd

from analysis.numbers import number, percent

# How a trial ended, and its marker in the search space and among the trial lengths.
ENDS = {
    "COMPLETE": ("reached the cap", "o", "o"),
    "STOPPED_EARLY": ("out of patience", "o", "d"),
    "PRUNED": ("stopped at a rung", "X", "x"),
    "DIVERGED": ("diverged", "v", "v"),
    "FAILED": ("failed", "v", "v"),
}


def trial_title(trial: Mapping[Any, Any], titles: Mapping[str, str] = MappingProxyType({})) -> str:
    """Describe a trial in a line: the hyperparameters that have titles, its score, and how it ended."""
    values = [f"{title} {number(trial[name])}" for name, title in titles.items() if not pd.isna(trial.get(name))]
    if not pd.isna(trial["val_accuracy"]):
        values.append(f"validation accuracy {percent(trial['val_accuracy'], 2)} %")
    epochs = int(trial["epochs"])
    values.append(f"{ENDS[trial['status']][0]} after {epochs} epoch{'s' if epochs != 1 else ''}")
    return f"{trial['trial_id']}: {', '.join(values)}"


def position(value: Any, scale: Mapping[str, Any]) -> float:
    """Return the place of a value on its axis: a number itself, the index of a choice, or NaN if it is missing.

    Args:
        value: the value of a hyperparameter.
        scale: `low`, `high` and `log` of its range, or its `choices`.
    """
    if "choices" not in scale:
        return float("nan") if value is None else float(value)
    return next((float(index) for index, choice in enumerate(scale["choices"]) if value == choice), float("nan"))


def share(value: Any, scale: Mapping[str, Any]) -> float:
    """Return the place of a value within its range, from 0 at the low end to 1 at the high end; NaN if it is missing.

    A choice is in the middle of its share of the range.
    """
    at = position(value, scale)
    if "choices" in scale:
        return (at + 0.5) / len(scale["choices"])
    low, high = scale["low"], scale["high"]
    if scale["log"]:
        low, high, at = math.log(low), math.log(high), math.log(at)
    # A range of one value has it in the middle.
    return float((at - low) / (high - low)) if high > low else 0.5 + 0 * at
