"""Plans a study that ends within --budget-hours: fewer trials, confirmations and seeds, the same for every network."""

import math
from bisect import bisect_right
from collections.abc import Callable, Set
from dataclasses import replace
from fractions import Fraction

from study.errors import BadInput
from study.settings.config import StudyConfig

# The settings that a budget lowers, with their least values: a search of one trial is no search, and fewer than 5 seeds
# cannot show a difference.
LEAST = {"trials": 2, "confirm": 0, "seeds": 5}


def fit(config: StudyConfig, fixed: Set[str], seconds: Callable[[StudyConfig], float]) -> StudyConfig:
    """Return the settings with as many trials, confirmations and seeds as end within the budget.

    The rule: trials, confirm and seeds are lowered to the same share of what they were, rounded down, and to the
    largest share for which the high end of the estimate is within the budget. A setting that has come to its least
    value stays there, and the others go on.

    Args:
        config: the settings; `budget_hours` is set.
        fixed: the names of settings that stay as they are.
        seconds: returns the high end of the estimate of a study with other trials, confirmations and seeds.

    Raises:
        BadInput: if even the least values do not end within the budget.
    """
    assert config.budget_hours is not None
    budget = 3600 * config.budget_hours
    lowered = ["seeds"] if config.baseline else list(LEAST)
    # The looks of `--seeds auto` stay, and the estimate counts the seeds of the last one.
    kept = fixed | ({"seeds"} if config.seeds == "auto" else set())
    whole = {name: getattr(config, name) for name in lowered if name not in kept}

    def at(share: Fraction) -> StudyConfig:
        values = {name: min(count, max(LEAST[name], math.floor(share * count))) for name, count in whole.items()}
        return replace(config, **values)

    # The settings change at these shares alone.
    shares = sorted({Fraction(0), *(Fraction(k, count) for count in whole.values() for k in range(1, count + 1))})
    fitting = bisect_right(shares, budget, key=lambda share: seconds(at(share)))
    if fitting == 0:
        least = at(shares[0])
        hours = math.ceil(seconds(least) / 36) / 100
        raise BadInput(
            f"--budget-hours {config.budget_hours:g} is too short: {_counts(least)} for each network take up to"
            f" {hours:g} hours on this machine. Give more hours, or lower --max-epochs or --train-size"
        )
    return at(shares[fitting - 1])


def budget_text(asked: StudyConfig, planned: StudyConfig) -> str:
    """Say which share of a study ends within its budget: "12 of 32 trials, 5 of 10 seeds fit into 2 hours"."""
    names = ["seeds"] if asked.baseline else list(LEAST)
    words = {"trials": "trials", "confirm": "confirmed trials", "seeds": "seeds"}
    changed = [
        f"{getattr(planned, name)} of {getattr(asked, name)} {words[name]}"
        for name in names
        if getattr(planned, name) != getattr(asked, name)
    ]
    hours = f"{planned.budget_hours:g} hour{'s' * (planned.budget_hours != 1)}"
    return f"{', '.join(changed) or f'all of it: {_counts(planned)}'} fit into {hours}"


def _counts(config: StudyConfig) -> str:
    seeds = f"up to {config.seed_range[1]} seeds" if config.seeds == "auto" else f"{config.seeds} seeds"
    if config.baseline:
        return seeds
    return f"{config.trials} trials, {config.confirm or 'no'} confirmed trials and {seeds}"
