"""The completion script, as bash runs it."""

import subprocess
import sys
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
        ("fairverdict run --config constr", "constraints.txt"),
        ("fairverdict report stu", "study"),
        ("fairverdict completion z", "zsh"),
    ],
)
def test_a_word_is_completed(script: str, words: str, completed: str) -> None:
    ask = f'COMP_WORDS=({words}); COMP_CWORD={len(words.split()) - 1}; _fairverdict; echo "${{COMPREPLY[@]}}"'
    done = subprocess.run(["bash", "-c", script + ask], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout == completed + "\n"


def test_the_script_of_zsh_is_the_same_in_its_emulation_of_bash(script: str) -> None:
    command = [sys.executable, "-m", "study.cli.commands", "completion", "zsh"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.endswith(f"bashcompinit\n{script}")
