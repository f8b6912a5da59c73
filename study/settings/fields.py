"""Read from a dataclass of settings what it says about each setting: its type and its help."""

import ast
import inspect
import re
from functools import cache
from itertools import pairwise
from types import NoneType, UnionType
from typing import Any, Literal, Union, get_args, get_origin


@cache
def helps(owner: type) -> dict[str, str]:
    """Return the help of each field of a dataclass, by its name, on one line.

    The help is the string under the field, or the field's entry under "Attributes:" in the docstring of the class.
    """
    listed = inspect.cleandoc(owner.__doc__ or "").partition("\nAttributes:\n")[2]
    found = dict(re.findall(r"^    (\w+): (.*(?:\n {8}.*)*)", listed, re.MULTILINE))
    (made,) = ast.parse(inspect.cleandoc(inspect.getsource(owner))).body
    assert isinstance(made, ast.ClassDef)
    for setting, line in pairwise(made.body):
        if isinstance(setting, ast.AnnAssign) and isinstance(line, ast.Expr):
            assert isinstance(setting.target, ast.Name) and isinstance(line.value, ast.Constant)
            found[setting.target.id] = str(line.value.value)
    return {name: " ".join(text.split()) for name, text in found.items()}


def may_be_none(kind: Any) -> bool:
    """Return whether a setting of this type may be None."""
    return NoneType in get_args(kind)


def words(kind: Any) -> tuple[str, ...]:
    """Return the words that a setting of this type may have beside values of another type, such as "auto"."""
    parts = get_args(kind) if get_origin(kind) in (Union, UnionType) else ()
    return tuple(word for part in parts if get_origin(part) is Literal for word in get_args(part))


def plain_type(kind: Any) -> Any:
    """Return the type of a setting that is neither None nor one of its words."""
    if get_origin(kind) not in (Union, UnionType):
        return kind
    return next(part for part in get_args(kind) if part is not NoneType and get_origin(part) is not Literal)
