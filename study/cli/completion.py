"""`fairverdict completion SHELL`: print a script that completes the command in bash or zsh.

Add `eval "$(fairverdict completion bash)"` to ~/.bashrc, or `eval "$(fairverdict completion zsh)"` to ~/.zshrc.
"""

import sys
from collections.abc import Sequence

from study.cli.command_line import flag, parser
from study.errors import say_error, unknown
from study.settings.check import CHOICES

SHELLS = ("bash", "zsh")
_FOLDERS = ("data_dir", "results_dir", "storage")
# The shell itself completes a word as a path if the function finds nothing (-o default).
# zsh runs the same script in its emulation of bash's completion.
_ZSH = "autoload -U +X compinit && compinit\nautoload -U +X bashcompinit && bashcompinit\n"
_SCRIPT = """\
_fairverdict() {{
    local word="${{COMP_WORDS[COMP_CWORD]}}" before="${{COMP_WORDS[COMP_CWORD-1]}}" words=""
    case "$COMP_CWORD:${{COMP_WORDS[1]}}:$before" in
        1:*) words="{commands} --help --version";;
{values}
        *:completion:*) words="{shells}";;
        *:run:*) words="{flags}";;
        *) COMPREPLY=(); return;;
    esac
    COMPREPLY=($(compgen -W "$words" -- "$word"))
}}
complete -o default -o filenames -F _fairverdict fairverdict
"""


def script(shell: str, commands: Sequence[str]) -> str:
    """Return the script for one of SHELLS, which completes these commands, the flags and values of `run`, and paths."""
    values = [f'        *:run:{flag(name)}) words="{" ".join(known)}";;' for name, known in CHOICES.items()]
    folders = "|".join(f"*:run:{flag(name)}" for name in _FOLDERS)
    values.append(f'        {folders}) COMPREPLY=($(compgen -d -- "$word")); return;;')
    values.append(f"        *:run:{flag('study_file')}) COMPREPLY=(); return;;")
    flags = [name for action in parser()._actions for name in action.option_strings]
    return _ZSH * (shell == "zsh") + _SCRIPT.format(
        commands=" ".join(commands), values="\n".join(values), shells=" ".join(SHELLS), flags=" ".join(flags)
    )


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line and return its exit status."""
    from study.cli.commands import COMMANDS  # here, because it names this module

    words = list(sys.argv[1:] if arguments is None else arguments)
    if words in (["-h"], ["--help"]):
        print(__doc__)
        return 0
    if len(words) != 1 or words[0] not in SHELLS:
        say_error(f"error: {unknown('shell', ' '.join(words), SHELLS)}")
        return 2
    print(script(words[0], list(COMMANDS)), end="")
    return 0
