"""Calls a function of the user's own, which returns a data set as arrays."""

import functools
import importlib
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from study.data.named.arrays import KEYS, Arrays, checked
from study.errors import BadInput, one_line


def find_function(name: str) -> Callable[[], Any]:
    """Imports a function by its path, such as "package.module:function", also from the current folder.

    Raises:
        BadInput: if the module cannot be imported or has no such function.
    """
    module, _, function = name.partition(":")
    if (here := str(Path.cwd())) not in sys.path:
        sys.path.insert(0, here)
    try:
        found: Any = getattr(importlib.import_module(module), function, None)
    except (Exception, SystemExit) as error:  # the module is the user's code and may raise anything
        raise BadInput(
            f"--dataset {name}: the module {module!r} cannot be imported ({type(error).__name__}: {one_line(error)}):"
            " mend it, or start in the folder that holds it"
        ) from error
    if not callable(found):
        raise BadInput(f"--dataset {name}: the module {module!r} has no function {function!r}: check its name")
    made: Callable[[], Any] = found
    return made


# The plan counts the images before the study scales them, so that the function is called only once.
@functools.lru_cache(maxsize=1)
def call_function(name: str) -> Arrays:
    """Returns the arrays that a function returns: x_train, y_train, x_test, y_test, by name or in this order.

    Raises:
        BadInput: if the function fails, or does not return these arrays.
    """
    function = find_function(name)
    try:
        made = function()
    except (Exception, SystemExit) as error:  # the function is the user's code and may raise anything
        raise BadInput(f"--dataset {name} failed ({type(error).__name__}: {one_line(error)}): mend it") from error
    if isinstance(made, tuple | list) and len(made) == len(KEYS):
        made = dict(zip(KEYS, made, strict=True))
    if not isinstance(made, Mapping):
        raise BadInput(f"--dataset {name} returned {type(made).__name__}: return the arrays {', '.join(KEYS)}")
    return checked(made, f"--dataset {name}")
