"""What a study does not need for its first step must not delay it."""

import subprocess
import sys

import pytest


@pytest.mark.parametrize(
    ("modules", "unneeded"),
    [
        ("study.run", {"matplotlib", "scipy", "sklearn", "torchvision"}),
        ("study.trainable, analysis.retraining", {"matplotlib", "scipy", "sklearn", "torchvision", "optuna"}),
    ],
    ids=["command", "worker"],
)
def test_nothing_is_imported_that_is_not_needed(modules: str, unneeded: set[str]) -> None:
    code = f"import sys, {modules}; print(*sys.modules)"
    printed = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    loaded = {module.partition(".")[0] for module in printed.split()}
    assert {"torch", "ray"} <= loaded
    assert not loaded & unneeded
