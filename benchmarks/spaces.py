"""The search spaces that learning curves are recorded in, one for each number of hyperparameters."""

from collections.abc import Iterable

from optuna.distributions import FloatDistribution

from models.networks.hyperparameters import Value
from models.networks.registry import ARCHITECTURES
from models.training.recipe import TrainingConfig, baseline_values
from study.settings.search_space import SEARCH_SPACE, SearchSpace

# The documented baseline has neither weight decay nor label smoothing, so it lies at an edge of the larger space.
OF_FOUR = SearchSpace(
    {
        **SEARCH_SPACE.ranges,
        "weight_decay": FloatDistribution(0.0, 2e-3),
        "label_smoothing": FloatDistribution(0.0, 0.3),
    }
)
SPACES = {len(space.ranges): space for space in (SEARCH_SPACE, OF_FOUR)}


def space_of(columns: Iterable[str]) -> SearchSpace:
    """Returns the largest space whose hyperparameters are all among the columns of a table of curves.

    Raises:
        ValueError: a learning rate or a dropout has no column.
    """
    names = set(columns)
    for _, space in sorted(SPACES.items(), reverse=True):
        if names.issuperset(space.ranges):
            return space
    raise ValueError("the table needs a column for each hyperparameter: at least lr and dropout")


def baseline_of(arch: str, space: SearchSpace) -> dict[str, Value]:
    """Returns the documented baseline of a network, with a value for each hyperparameter of the space."""
    documented = baseline_values(ARCHITECTURES[arch].baseline)
    recipe = TrainingConfig(documented, max_epochs=1)
    return {name: documented[name] if name in documented else recipe.constant(name) for name in space.ranges}
