"""The error of a study that cannot be used, and the version that wrote a study."""

from typing import Any


class UnusableStudy(Exception):
    """Says in one line why a study cannot be used and what to do about it. A command line ends with status 2."""


def writer(study: dict[str, Any]) -> str:
    """Return which version of this project wrote study.json last: its number and its commit, as far as they are known.

    Args:
        study: the contents of study.json, valid or not.
    """
    resumed = study.get("resumed")
    sessions = [study, *(resumed if isinstance(resumed, list) else [])]
    environments = [session.get("environment") for session in sessions if isinstance(session, dict)]
    environment = next((found for found in reversed(environments) if isinstance(found, dict)), {})
    version, commit = environment.get("version"), environment.get("git_commit")
    name = f"fairverdict {version}" if version else "an unnumbered version of fairverdict"
    return f"{name} (commit {str(commit)[:12]})" if commit else name
