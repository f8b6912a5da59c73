"""Finds files of the current folder that Python would import in place of a module that a study needs.

`python -m` puts the current folder first on its path, and so does each of Ray's workers, however the study is started.
"""

import sys
from pathlib import Path

from study.errors import BadInput

# The packages that a study and its workers import by name: this project's own, then the libraries.
_PACKAGES = {
    *("analysis", "models", "study"),
    *("PIL", "jinja2", "joblib", "matplotlib", "numpy", "optuna", "pandas", "platformdirs", "psutil", "pyarrow"),
    *("pydantic", "ray", "rich", "safetensors", "scipy", "sklearn", "sqlalchemy", "threadpoolctl", "torch"),
    *("torchvision",),
}


def check_nothing_hides_modules() -> None:
    """Raise BadInput if a file of the current folder has the name of a package, or of a module of Python in use.

    The modules in use are those that this process has imported so far, so a later call finds more.
    """
    try:
        here = Path.cwd()
    except FileNotFoundError:
        raise BadInput("the current folder was removed: change into a folder that exists") from None
    if here == Path(__file__).resolve().parents[2]:
        return
    for name in sorted(_PACKAGES | _modules_in_use()):
        for path in (here / f"{name}.py", here / name / "__init__.py"):
            if path.is_file():
                raise BadInput(f"{path} hides the module {name!r}: rename it, or start the study in another folder")


def _modules_in_use() -> set[str]:
    """Return the modules of Python's library that were imported from files. No file hides the other ones."""
    names = sys.stdlib_module_names & sys.modules.keys() - set(sys.builtin_module_names)
    specs = {name: getattr(sys.modules[name], "__spec__", None) for name in names}
    return {name for name, spec in specs.items() if spec is not None and spec.origin not in ("frozen", "built-in")}
