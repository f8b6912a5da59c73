"""The command that a user typed, for help, usage, and the lines that name a command to go on with."""

import sys
from pathlib import Path


def typed_command(module: str) -> str:
    """Return `fairverdict NAME` if the console script runs, else `python -m MODULE`.

    Args:
        module: the module of the command. The last part of its name is NAME, as in study.predict.
    """
    is_script = Path(sys.argv[0]).name == "fairverdict"
    return f"fairverdict {module.rpartition('.')[2]}" if is_script else f"python -m {module}"
