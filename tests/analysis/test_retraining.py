"""How runs follow each other on the workers. What becomes of them is in tests/study."""

import subprocess
import sys
from pathlib import Path

import pytest

from tests.processes import Study

ROOT = Path(__file__).parents[2]

ONE_AFTER_THE_OTHER = """
import sys, time
from dataclasses import replace
from pathlib import Path
import study, ray
from analysis.retraining import Retraining, RunPlan
from models.data import Dataset
from models.training import TrainingConfig
from study.checkpoints import CheckpointStore
from study.cluster import ray_session
from study.resources import Resources
from study.trainable import WorkerSettings
from tests.builders import TOY, noise

plans = [RunPlan("toy", "baseline", seed, TrainingConfig(1e-2, 0.1, 2), is_tuned=False) for seed in range(3)]
with ray_session(None):
    dataset = ray.put(Dataset("noise", ("a", "b", "c"), noise(60), noise(30)))
    settings = WorkerSettings(dataset, 0, "fp32", 1, CheckpointStore(sys.argv[1]))
    retraining = Retraining({"toy": TOY}, settings, Resources(1, 0, 1), lambda: 1)
    runs = retraining.make(plans, lambda plan, result: None)
    next(runs)
    deadline = time.monotonic() + 150
    following = Path(sys.argv[1], plans[1].name + ".pt")
    while not following.exists() and time.monotonic() < deadline:
        time.sleep(0.05)
    print(following.exists(), Path(sys.argv[1], plans[2].name + ".pt").exists(), 1 + len(list(runs)))
"""


def test_a_worker_goes_on_while_its_last_run_is_being_written(tmp_path: Path) -> None:
    command = [sys.executable, "-c", ONE_AFTER_THE_OTHER, str(tmp_path)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=280)
    assert done.stdout.split() == ["True", "False", "3"], done.stderr


FAST_AND_SLOW = """
import os, sys, time
from models.registry import Architecture, register
from study.run import main
from tests.builders import ToyNet

class Slow(ToyNet):
    def forward(self, images):
        while self.training and os.path.exists(os.environ["SLOW"]):
            time.sleep(0.1)
        return super().forward(images)

register(Architecture("fast", "Fast", ToyNet, baseline_dropout=0.1))
register(Architecture("slow", "Slow", Slow, baseline_dropout=0.1))
sys.exit(main(sys.argv[1:]))
"""


def test_a_worker_that_would_wait_for_the_other_networks_last_trial_confirms(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    slow = tmp_path / "slow"
    slow.touch()
    monkeypatch.setenv("SLOW", str(slow))
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    arguments = ["--dataset", "digits", "--train-size", "150", "--trials", "1", "--max-epochs", "2", "--seeds", "1"]
    arguments += ["--archs", "fast", "slow", "--confirm", "1", "--concurrency", "2", "--name", "early"]
    study = Study(arguments, tmp_path, program=["-c", FAST_AND_SLOW])
    folder = tmp_path / "results" / "early"
    study.wait_for(lambda: list(folder.glob("tune/checkpoints/confirm/*/seed-0.pt")))
    (begun,) = folder.glob("tune/checkpoints/confirm/*")
    assert begun.name.startswith("fast-")
    assert (folder / "tune" / "journal.jsonl").read_text().count('"end"') == 1, "the other's trial still runs"
    slow.unlink()
    done = study.finish()
    assert done.returncode == 0, done.stderr
    confirmed = sorted(path.parent.name.partition("-")[0] for path in folder.glob("confirm/*/seed-*"))
    assert confirmed == ["fast", "fast", "slow", "slow"]
    assert (folder / "confirm" / begun.name).is_dir()
