"""The completion script, as bash runs it."""

import os
import subprocess
import sys
from contextlib import suppress
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]


@pytest.fixture(scope="module")
def script() -> str:
    command = [sys.executable, "-m", "study.cli.commands", "completion", "bash"]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout


def test_the_script_is_valid(script: str) -> None:
    subprocess.run(["bash", "-n"], input=script, text=True, check=True)


@pytest.mark.parametrize(
    ("words", "completed"),
    [
        ("fairverdict r", "run report"),
        ("fairverdict run --max", "--max-epochs --max-parameters --max-latency-ms"),
        ("fairverdict run --trials 3 --data", "--dataset --data-dir"),
        ("fairverdict run --dataset d", "digits"),
        ("fairverdict run --track w", "wandb"),
        ("fairverdict run --data-dir stu", "study"),
        ("fairverdict completion z", "zsh"),
    ],
)
def test_a_word_is_completed(script: str, words: str, completed: str) -> None:
    ask = f'COMP_WORDS=({words}); COMP_CWORD={len(words.split()) - 1}; _fairverdict; echo "${{COMPREPLY[@]}}"'
    done = subprocess.run(["bash", "-c", script + ask], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout == completed + "\n"


@pytest.mark.parametrize(
    ("typed", "words"),
    [
        ("predict my\to\t", ["predict", "my photos/one cat.jpg"]),
        ("run --config st\t", ["run", "--config", "study.toml"]),
        ("run --results-dir re\tf\t", ["run", "--results-dir", "results/first/"]),
    ],
)
def test_the_shell_completes_paths(script: str, typed: str, words: list[str], tmp_path: Path) -> None:
    for path in ("my photos/one cat.jpg", "study.toml", "results/first/study.json"):
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / path).touch()
    (tmp_path / "completion").write_text(script + "PS1=READY\n")
    terminal, end = os.openpty()
    with (
        subprocess.Popen(
            ["bash", "--noprofile", "--rcfile", "completion", "-i"],
            cwd=tmp_path,
            env={**os.environ, "TERM": "dumb"},
            stdin=end,
            stdout=end,
            stderr=end,
            start_new_session=True,
        ),
        open(terminal, "r+b", buffering=0) as screen,
    ):
        os.close(end)
        shown = b""
        while b"READY" not in shown:
            shown += screen.read(1000)
        # Ctrl-A goes to the begin of the line, where `printf` takes the place of running the command.
        screen.write(f"fairverdict {typed}\x01printf '<%s>' \nexit\n".encode())
        with suppress(OSError):  # the end of a terminal whose program has ended
            while more := screen.read(1000):
                shown += more
    assert "<fairverdict>" + "".join(f"<{word}>" for word in words) in shown.decode()


def test_the_script_of_zsh_is_the_same_in_its_emulation_of_bash(script: str) -> None:
    command = [sys.executable, "-m", "study.cli.commands", "completion", "zsh"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.endswith(f"bashcompinit\n{script}")
