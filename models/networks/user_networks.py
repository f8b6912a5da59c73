"""Networks by import path, `package.module:factory`, and where their code comes from."""

import importlib
import sys
from collections.abc import Callable
from functools import cache, partial
from importlib.metadata import distributions
from pathlib import Path
from types import ModuleType
from typing import Any

from torch import nn

_OURS = tuple(Path(__file__).parents[2] / package for package in ("models", "analysis", "study", "benchmarks"))


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
    except (Exception, SystemExit) as error:  # the user's code may raise anything
        reason = " ".join(str(error).split())
        first, remedy = module_name.partition(".")[0], "mend the module"
        if module_name.endswith(".py"):
            remedy = f"leave .py out, {module_name.removesuffix('.py')}:{name}"
        elif first in (folder.name for folder in _OURS):
            remedy = f"fairverdict has a package {first!r} of its own, so rename yours"
        elif isinstance(error, ModuleNotFoundError) and error.name == first:
            remedy = "start the command in the folder that holds it, or install it"
        raise ValueError(f"{module_name} cannot be imported ({type(error).__name__}: {reason}): {remedy}") from error
    factory = getattr(module, name, None)
    if not callable(factory):
        raise ValueError(f"{module_name} has no function or class {name!r}")
    made: Callable[..., nn.Module] = factory
    return made


def definition_of(factory: Any) -> tuple[str, str]:
    """Return the module and the name of the outermost function or class that defines a factory."""
    while isinstance(factory, partial):
        factory = factory.func
    defined = factory if hasattr(factory, "__qualname__") else type(factory)
    return str(defined.__module__), str(defined.__qualname__).partition(".")[0]


def is_of_user(module_name: str) -> bool:
    """Return whether an imported module is the user's own: not Python's, not installed and not this project's."""
    file = getattr(sys.modules.get(module_name), "__file__", None)
    if file is None or module_name.partition(".")[0] in sys.stdlib_module_names:
        return False
    path = Path(file).resolve()
    if any(path.is_relative_to(folder) for folder in _OURS) or {"site-packages", "dist-packages"} & set(path.parts):
        return False
    return package_of(module_name) is None


def package_of(module_name: str) -> str | None:
    """Return the installed package that an imported module belongs to, such as "timm 1.0.31"; None if there is none.

    A package that is installed as a link to its source is the user's own code.
    """
    return _package(module_name.partition(".")[0])


@cache
def _package(name: str) -> str | None:
    file = getattr(sys.modules.get(name), "__file__", None)
    if file is None:
        return None
    path = Path(file)
    root = path.parents[1] if path.stem == "__init__" else path.parent
    for distribution in distributions(path=[str(root)]):
        files = distribution.read_text("RECORD") or ""
        if any(f"\n{name}{end}" in f"\n{files}" for end in ("/__init__.py,", ".py,")):
            return f"{distribution.metadata['Name']} {distribution.version}"
    return None


def modules_of_user(factory: Any) -> list[ModuleType]:
    """Return the user's own modules that a factory's module uses, its own among them.

    A module that code imports only when it runs is not among them.
    """
    waiting, found = [definition_of(factory)[0]], dict[str, ModuleType]()
    while waiting:
        name = waiting.pop()
        if name in found or not is_of_user(name):
            continue
        found[name] = sys.modules[name]
        for value in vars(found[name]).values():
            used = value.__name__ if isinstance(value, ModuleType) else getattr(value, "__module__", None)
            if isinstance(used, str):
                waiting.append(used)
    return list(found.values())
