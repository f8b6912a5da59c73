"""The hyperparameters of a network: the values that its factory gets, beside those that training reads."""

from collections.abc import Mapping

# The factory gets `dropout`, and every hyperparameter whose name begins with this.
PREFIX = "model."

Value = float | int | str
"""A hyperparameter's value: a number, or the name of a category."""


def belongs_to_network(name: str) -> bool:
    """Return whether the network's factory gets this hyperparameter."""
    return name == "dropout" or name.startswith(PREFIX)


def of_network(values: Mapping[str, Value]) -> dict[str, Value]:
    """Return the hyperparameters that the factory gets, by the names that it knows."""
    return {name.removeprefix(PREFIX): value for name, value in values.items() if belongs_to_network(name)}
