"""Turns what can go wrong with a user's folder into one line."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]


def check_nothing_is_hidden() -> None:
    """Raise ImportError if Python finds another module under the name of one of this project's packages.

    A notebook has its folder on Python's path, so a `models` folder of the user's may come first.
    """
    for name in ("analysis", "models", "study"):
        spec = find_spec(name)
        places = [] if spec is None else [spec.origin or "", *(spec.submodule_search_locations or ())]
        if not any(Path(place).resolve().is_relative_to(ROOT / name) for place in places if place):
            found = next(filter(None, places), "nothing")
            raise ImportError(
                f"{found} hides the module {name!r} of fairverdict: rename it, or start Python in another folder"
            )


@contextmanager
def refusing() -> Iterator[None]:
    """Turn an error of bad input or of a damaged file into a ValueError with the same line.

    Variables of the environment that an import sets for Ray are taken back.
    """
    check_nothing_is_hidden()
    before = set(os.environ)

    from analysis.results.errors import UnusableStudy
    from analysis.results.files import DamagedFile
    from study.errors import BadInput

    try:
        yield
    except (BadInput, DamagedFile, UnusableStudy) as error:
        raise ValueError(str(error)) from None
    finally:
        for name in os.environ.keys() - before:
            del os.environ[name]
