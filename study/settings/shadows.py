"""Finds files of the current folder that Python would import in place of an installed package.

`python -m` puts the current folder first on its path, and so does each of Ray's workers, however the study is started.
"""

from pathlib import Path

from study.errors import BadInput

# The packages that a study and its workers import by name: this project's own, then the libraries.
_PACKAGES = (
    *("analysis", "models", "study"),
    *("PIL", "jinja2", "joblib", "matplotlib", "numpy", "optuna", "pandas", "platformdirs", "psutil", "pyarrow"),
    *("pydantic", "ray", "rich", "safetensors", "scipy", "sklearn", "sqlalchemy", "threadpoolctl", "torch"),
    *("torchvision",),
)


def check_nothing_hides_packages() -> None:
    """Raise BadInput if a file of the current folder has the name of a package that a study needs."""
    try:
        here = Path.cwd()
    except FileNotFoundError:
        raise BadInput("the current folder was removed: go to another folder") from None
    if here == Path(__file__).resolve().parents[2]:
        return
    for name in _PACKAGES:
        for path in (here / f"{name}.py", here / name / "__init__.py"):
            if path.is_file():
                raise BadInput(f"{path} hides the package {name!r}: rename it, or start the study in another folder")
