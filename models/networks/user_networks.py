"""Networks by import path: `package.module:factory`, as torchvision's and timm's factories are called."""

import importlib
import sys
from collections.abc import Callable
from pathlib import Path

from torch import nn


def load_factory(path: str) -> Callable[..., nn.Module]:
    """Import a factory, a callable that returns a module and takes `num_classes`.

    Modules of the current folder are found last, so none takes the place of an installed module.

    Args:
        path: "package.module:name".

    Raises:
        ValueError: if it cannot be imported or is not callable; the message is one line.
    """
    module_name, _, name = path.partition(":")
    if (here := str(Path.cwd())) not in sys.path:
        sys.path.append(here)
    try:
        module = importlib.import_module(module_name)
    except Exception as error:  # the user's code may raise anything
        reason = " ".join(str(error).split())
        raise ValueError(f"{module_name} cannot be imported ({type(error).__name__}: {reason})") from error
    factory = getattr(module, name, None)
    if not callable(factory):
        raise ValueError(f"{module_name} has no function or class {name!r}")
    made: Callable[..., nn.Module] = factory
    return made
