"""Finds files of the current folder that Python would import in place of a module that a study needs.

`python -m` puts the current folder first on its path. Each of Ray's workers does so before its first task, however the
study is started.
"""

import sys
from importlib.util import find_spec
from pathlib import Path

from study.errors import BadInput

_OURS = {"analysis", "models", "study"}
# The packages that a study and its workers import by name: this project's own, then the libraries.
_PACKAGES = {
    *_OURS,
    *("PIL", "jinja2", "joblib", "matplotlib", "numpy", "optuna", "pandas", "platformdirs", "psutil", "pyarrow"),
    *("pydantic", "ray", "rich", "safetensors", "scipy", "sklearn", "sqlalchemy", "threadpoolctl", "torch"),
    *("torchvision",),
}


def check_nothing_hides_modules(address: str | None = None) -> None:
    """Raise BadInput if a file of the current folder has the name of a package, or of a module of Python in use.

    The modules in use are those that this process has imported so far, so a later call finds more. This project's own
    packages are hidden only if Python finds that file first, as `python -m` does. The workers of a Ray of this machine
    have imported them before.

    Args:
        address: the cluster whose workers import the packages late; None for a Ray of this machine.
    """
    try:
        here = Path.cwd()
    except FileNotFoundError:
        raise BadInput("the current folder was removed: change into a folder that exists") from None
    if here == Path(__file__).resolve().parents[2]:
        return
    for name in sorted(_PACKAGES | _modules_in_use()):
        for path in (here / f"{name}.py", here / name / "__init__.py"):
            if path.is_file() and (name not in _OURS or address is not None or _is_found_first(name, path)):
                raise BadInput(f"{path} hides the module {name!r}: rename it, or start the study in another folder")


def _is_found_first(name: str, path: Path) -> bool:
    spec = find_spec(name)
    return spec is not None and spec.origin == str(path)


def _modules_in_use() -> set[str]:
    """Return the modules of Python's library that were imported from files. No file hides the other ones."""
    names = sys.stdlib_module_names & sys.modules.keys() - set(sys.builtin_module_names)
    specs = {name: getattr(sys.modules[name], "__spec__", None) for name in names}
    return {name for name, spec in specs.items() if spec is not None and spec.origin not in ("frozen", "built-in")}
