"""Tests that a process with other code is told apart, and that it does nothing."""

from pathlib import Path

import pytest
import torch

from study.cluster.health.code import difference, own_code

ROOT = Path(__file__).parents[4]


def test_the_code_names_the_files_and_the_versions() -> None:
    code = own_code()
    assert code["torch"] == torch.__version__
    assert {"Python", "Ray", "models/training/loop.py", "study/errors.py", "analysis/results/files.py"} <= set(code)
    assert "models/kernels/norm_relu_pool/norm_relu_pool.c" in code
    assert difference(code, dict(code)) is None


@pytest.mark.parametrize(
    ("changed", "words"),
    [
        ({"torch": "2.9.0"}, f"torch 2.9.0 instead of {torch.__version__}"),
        ({"models/training/loop.py": "0"}, "another models/training/loop.py"),
        ({"models/new.py": "0"}, "models/new.py is only there"),
        (
            {"Ray": "2.9", "models/data.py": "0", "study/errors.py": "0", "study/run.py": "0", "study/streams.py": "0"},
            f"Ray 2.9 instead of {own_code()['Ray']}, another models/data.py, another study/errors.py and 2 more",
        ),
    ],
)
def test_a_difference_is_named(changed: dict[str, str], words: str) -> None:
    assert difference(own_code(), {**own_code(), **changed}) == words


def test_a_file_that_is_missing_is_named() -> None:
    there = {name: value for name, value in own_code().items() if name != "models/data.py"}
    assert difference(own_code(), there) == "models/data.py is only here"
