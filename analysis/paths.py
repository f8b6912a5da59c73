"""Paths as users type them."""

import os.path
from pathlib import Path


def user_path(typed: str) -> Path:
    """Return the path that a user typed, with a `~` at its start expanded: a shell leaves it in `--flag=~/folder`."""
    path = Path(os.path.expanduser(typed))
    # Commands that a study prints name the path again, where the folder `./~` would be the home.
    return path.absolute() if str(path).startswith("~") else path
