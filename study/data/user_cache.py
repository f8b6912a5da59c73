"""Finds the folder of the user's cache."""

from pathlib import Path

from platformdirs import user_cache_path


def user_cache() -> Path:
    """Returns the cache of this project, such as ~/.cache/fairverdict.

    The cache under the project's former name is used as long as it is the only one.
    """
    folder, former = user_cache_path("fairverdict"), user_cache_path("netverdict")
    return former if former.is_dir() and not folder.is_dir() else folder
