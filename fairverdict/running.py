"""Runs a study from Python: `run` starts the command in a process of its own and returns what it wrote.

A process of its own has its own signals, threads and Ray, so nothing of them stays in a notebook's kernel.
"""

import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from threading import Thread
from typing import IO, Any

from fairverdict.hidden import ROOT, refusing
from fairverdict.notebook import Lines
from fairverdict.studies import Study

_INTERRUPTED = 130
# The settings that a study file has as tables, and no flag.
_TABLES = ("recipe", "space", "networks")
# These flags are not settings of a study.
_OF_COMMAND = {
    **dict.fromkeys(("help", "version"), "it belongs to the command line"),
    **dict.fromkeys(("dry_run", "print_config"), "it starts no study: use the command line, fairverdict run"),
    "study_file": "give the file as the first argument, config",
    "quiet": "give progress=False",
    "searches": "it makes several studies: use the command line, fairverdict run --searches",
}
# The last line of a study that did not end well.
_ENDINGS = ("error: ", "the study failed: ", "interrupted")
# These make colours or links of plain lines.
_OF_TERMINALS = ("FORCE_COLOR", "TTY_COMPATIBLE", "TTY_INTERACTIVE")


class StudyFailed(RuntimeError):
    """Says in one line why the study cannot be finished, or which runs failed."""


def run(
    config: Mapping[str, Any] | str | os.PathLike[str] | None = None,
    *,
    results_dir: str | os.PathLike[str] = "results",
    name: str | None = None,
    resume: bool = False,
    progress: bool = True,
    **settings: Any,
) -> Study:
    """Run a study to its end, as `python -m study.run` does, in a process of its own.

    Ctrl-C, or a kernel's interrupt, ends the study in order. So does the end of this session. `resume=True` goes on
    with it.

    Args:
        config: a study file (TOML, or another study's study.json), or settings by name; None takes the defaults.
        results_dir: folder of the studies.
        name: name of the study's folder; `<dataset>-<date>-<time>` if None.
        resume: True goes on with the study `name`, or with the newest one. If there is none and `config` or `settings`
            say what to begin, it begins.
        progress: False prints warnings alone.
        settings: the settings of the command line, such as `trials=8`, `archs=("alexnet", "mobilenet")` or
            `preset="quick"`, and the tables of a study file, such as `recipe={"optimizer": "sgd"}`. They win over
            `config`.

    Returns:
        The study, whose folder has the report.

    Raises:
        ValueError: for bad input, with the line that the command prints.
        StudyFailed: if the study or a run of it failed.
        KeyboardInterrupt: if the study was interrupted; the line says how to go on.
    """
    with ExitStack() as stack:
        words = [f"--results-dir={os.fspath(results_dir)}"]
        words += [] if name is None else [f"--name={name}"]
        words += [word for word, is_given in (("--resume", resume), ("--quiet", not progress)) if is_given]
        given: dict[str, Any] = {}
        if isinstance(config, Mapping):
            given = {**config.get("study", {}), **{key: value for key, value in config.items() if key != "study"}}
        elif config is not None:
            words.append(f"--config={os.fspath(config)}")
        given |= settings
        tables = {key: value for key in _TABLES if (value := given.pop(key, None))}
        if tables and config is not None and not isinstance(config, Mapping):
            raise ValueError(f"{next(iter(tables))} is a table of the study file {os.fspath(config)}: write it there")
        file = stack.enter_context(_study_file(tables)) if tables else None
        words += [] if file is None else [f"--config={file}"]
        for key, value in given.items():
            if value is False and config is not None and not isinstance(config, Mapping):
                raise ValueError(f"{key}=False cannot take back a setting of {os.fspath(config)}: write it there")
            words += _words(key, value)
        lines = Lines(progress)
        status, said = _run(words, lines)
        last = said[-1] if said else f"the study's process ended with status {status}"
        last = last.replace(f"{file}: ", "")
    if status == _INTERRUPTED:
        raise KeyboardInterrupt(last)
    if status == 2:
        raise ValueError(last.removeprefix("error: "))
    if status:
        raise StudyFailed(last.removeprefix("error: "))
    return Study.open(Path(lines.last.rpartition("Report: ")[2]).parents[1])


def _words(name: str, value: Any) -> list[str]:
    """Return a setting as the words of a command line."""
    if name in _OF_COMMAND:
        raise ValueError(f"{name} is no setting of a study: {_OF_COMMAND[name]}")
    with refusing():
        from study.cli.command_line import flag as flag_of
    flag = flag_of(name)
    if isinstance(value, bool):
        return [flag] if value else []
    if isinstance(value, list | tuple):
        words = [_word(item) for item in value]
        if name in ("archs", "add_arch"):
            _check_networks(words)
        return [flag, *words]
    return [f"{flag}={_word(value)}"]


def _word(value: Any) -> str:
    """Return a value as a word. A class or function is named by its import path."""
    if value is None:
        return "none"
    if not callable(value):
        word = str(value)
    elif hasattr(value, "__qualname__"):
        word = f"{value.__module__}:{value.__qualname__}"
    else:
        raise ValueError(f"{value!r} has no import path: write a function that returns it into a file, and give that")
    if word.startswith("__main__:"):
        raise ValueError(_of_this_session(word.partition(":")[2], "defined"))
    return word


def _check_networks(names: list[str]) -> None:
    """Raise ValueError if a network is registered in this session alone."""
    registered = getattr(sys.modules.get("models.networks.registry"), "ARCHITECTURES", {})
    for name in names:
        if name in registered and name not in ("alexnet", "mobilenet"):
            raise ValueError(_of_this_session(name, "registered"))


def _of_this_session(name: str, how: str) -> str:
    return (
        f"{name} is {how} in this session, and a study runs in processes of its own: put it into a file such as"
        f" my_code.py, and give its import path, such as 'my_code:{name}'"
    )


@contextmanager
def _study_file(tables: Mapping[str, Any]) -> Iterator[Path]:
    """Yield a temporary study file with these tables."""
    with refusing():
        from study.settings.file.whole import toml_value

        text = "".join(f"{name} = {toml_value(table)}\n" for name, table in tables.items())
    with tempfile.TemporaryDirectory(prefix="fairverdict-") as folder:
        path = Path(folder) / "study.toml"
        path.write_text(text, encoding="utf-8")
        yield path


def _run(words: list[str], lines: Lines) -> tuple[int, list[str]]:
    """Run the command and show its lines. Return its exit status and the lines of its error stream."""
    environment = {key: value for key, value in os.environ.items() if key not in _OF_TERMINALS}
    if not {"site-packages", "dist-packages"} & set(ROOT.parts):
        # A copy that is not installed. The workers of Ray import it, too.
        environment["PYTHONPATH"] = os.pathsep.join(filter(None, (str(ROOT), environment.get("PYTHONPATH"))))
    said: list[str] = []
    # The module is not looked for in the current folder (-P). In a session of its own, the process gets a signal once:
    # from here, and not from the terminal, too.
    with subprocess.Popen(
        [sys.executable, "-P", "-m", "fairverdict.child", *words],
        env=environment,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        errors="replace",
        start_new_session=True,
    ) as process:
        assert process.stdin is not None and process.stdout is not None and process.stderr is not None
        warnings = Thread(target=_take_errors, args=(process.stderr, said))
        warnings.start()
        is_interrupted = False
        while True:
            try:
                for line in process.stdout:
                    lines.show(line.rstrip("\n"))
                warnings.join()
                status = process.wait()
                break
            except KeyboardInterrupt:
                is_interrupted = True
                process.send_signal(signal.SIGINT)
            except BaseException:
                process.terminate()
                raise
    return (_INTERRUPTED if is_interrupted else status), said


def _take_errors(stream: IO[str], said: list[str]) -> None:
    """Print the lines of the error stream, without the last line of a study that did not end well: it is raised."""
    for line in stream:
        said.append(line.rstrip("\n"))
        if not line.startswith(_ENDINGS):
            print(said[-1], file=sys.stderr, flush=True)
