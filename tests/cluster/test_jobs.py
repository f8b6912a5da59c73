"""`ray job submit --working-dir`: a study of a network in that folder, with results that outlive Ray's copy of it."""

from collections.abc import Callable
from pathlib import Path

import pandas as pd

from tests.cluster.machines import Machine

MODULE = """
from torch import nn

def Net(num_classes):
    return nn.Sequential(nn.AvgPool2d(4), nn.Flatten(), nn.Linear(192, num_classes))
"""
STUDY = [
    *("--dataset", "digits", "--train-size", "150", "--archs", "mynets:Net", "--trials", "1", "--max-epochs", "1"),
    *("--seeds", "1", "--confirm", "0", "--address", "auto"),
]


def test_a_job_with_a_working_folder(machine: Callable[[int], Machine], tmp_path: Path) -> None:
    head = machine(1)
    head.ray_start("--head", "--port=6379", "--num-cpus=1", "--dashboard-host=127.0.0.1")
    project = head.files / "project"
    project.mkdir()
    (project / "mynets.py").write_text(MODULE)
    submit = ["ray", "job", "submit", "--working-dir", str(project), "--", "python", "-m", "study.run", *STUDY]

    refused = head.run(submit, RAY_AUTH_MODE="token")
    assert refused.returncode != 0
    assert "exit code 2" in refused.stdout
    lines = {line for line in refused.stdout.splitlines() if line.startswith("error: ")}
    assert lines == {
        "error: --results-dir results lies in Ray's copy of the job's working folder, which Ray may delete: give a"
        " folder outside it, such as --results-dir '~/results'"
    }

    done = head.run([*submit, "--results-dir", "~/results", "--name", "mine"], RAY_AUTH_MODE="token")
    assert done.returncode == 0, done.stdout
    study = head.files / "results" / "mine"
    assert list(pd.read_csv(study / "trials.csv")["status"]) == ["COMPLETE"]
    assert (study / "report" / "report.html").exists()
