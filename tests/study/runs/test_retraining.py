"""How runs follow each other on the workers. What becomes of them is in tests/study."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from analysis.results.study_folder import StudyFolder
from tests.processes import Study

ROOT = Path(__file__).parents[3]

# What the scripts below have in common; checkpoints lie in the folder that they are given.
SETTING = """
import os, sys, time
from pathlib import Path
import study, ray
from study.runs.ray_runs import Retraining, RunPlan
from models.networks.registry import Architecture
from models.training.recipe import TrainingConfig
from study.storage.checkpoints import CheckpointStore
from study.cluster.session import ray_session
from study.cluster.capacity import Resources
from study.search.trial_worker import WorkerSettings
from tests.builders import ToyNet, noise

N_TEST = 30
folder = Path(sys.argv[1])
trained_ahead = folder / "final" / "toy-baseline" / "seed-0.pt"
recipe = TrainingConfig({"lr": 1e-2, "dropout": 0.1}, 2)
baselines = [RunPlan("toy", "baseline", seed, recipe, is_tuned=False) for seed in range(3)]


def waiting_net(n_classes, dropout):
    while not trained_ahead.exists():
        time.sleep(0.05)
    return ToyNet(n_classes, dropout)


class Told(ToyNet):
    def forward(self, images):
        if not self.training and len(images) == N_TEST:
            (folder / "predicted").touch()
            (folder / f"worker-{os.getpid()}").touch()
        return super().forward(images)


def retraining(slots):
    settings = WorkerSettings(
        ray.put(noise(60)), ray.put(noise(N_TEST)), 3, 0, "fp32", 1, CheckpointStore(sys.argv[1])
    )
    architectures = {
        "toy": Architecture("toy", "Toy", Told, baseline_dropout=0.1),
        "waiting": Architecture("waiting", "Waiting", waiting_net, baseline_dropout=0.1),
    }
    return Retraining(architectures, settings, Resources(1, 0, slots), lambda: slots)


def confirmations(*archs):
    return [RunPlan(arch, "3", 0, recipe, is_tuned=False, purpose="confirm") for arch in archs]
"""


def _run(script: str, folder: Path) -> "subprocess.CompletedProcess[str]":
    command = [sys.executable, "-c", SETTING + script, str(folder)]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=280)


ONE_AFTER_THE_OTHER = """
with ray_session(None):
    runs = retraining(slots=1).make(baselines, lambda plan, result: None)
    next(runs)
    deadline = time.monotonic() + 150
    following, last = (folder / f"{plan.name}.pt" for plan in baselines[1:])
    while not following.exists() and time.monotonic() < deadline:
        time.sleep(0.05)
    print(following.exists(), last.exists(), 1 + len(list(runs)))
"""


def test_a_worker_goes_on_while_its_last_run_is_being_written(tmp_path: Path) -> None:
    """It alone: another, for which there is a processor here, would have to import everything first."""
    done = _run(ONE_AFTER_THE_OTHER, tmp_path)
    assert done.stdout.split() == ["True", "False", "3"], done.stderr
    assert len([*tmp_path.glob("worker-*")]) == 1


FAST_AND_SLOW = """
import os, sys, time
from models.networks.registry import Architecture, register
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


def _study(tmp_path: Path, name: str, *arguments: str) -> Study:
    common = ["--dataset", "digits", "--train-size", "150", "--max-epochs", "2", "--seeds", "1"]
    common += ["--concurrency", "4", "--cpus-per-trial", "0.5"]
    return Study([*common, "--name", name, *arguments], tmp_path, program=["-c", FAST_AND_SLOW])


def test_workers_that_would_wait_for_the_other_networks_last_trial_confirm_and_train_the_baseline(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    slow = tmp_path / "slow"
    slow.touch()
    monkeypatch.setenv("SLOW", str(slow))
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    study = _study(tmp_path, "early", "--archs", "fast", "slow", "--trials", "1", "--confirm", "1")
    folder = tmp_path / "results" / "early"
    checkpoints = folder / "tune" / "checkpoints"
    study.wait_for((checkpoints / "final" / "fast-baseline" / "seed-0.pt").exists)
    study.wait_for(lambda: len([*checkpoints.glob("confirm/fast-0/seed-*.pt")]) == 2)
    assert (folder / "tune" / "journal.jsonl").read_text().count('"end"') == 1, "the other's trial still runs"
    assert not [*folder.glob("final/*")], "no test image is predicted yet"
    slow.unlink()
    done = study.finish()
    assert done.returncode == 0, done.stderr
    runs = sorted(path.parent.name.partition("-")[0] for path in folder.glob("confirm/*/seed-*"))
    assert runs == ["fast", "fast", "slow", "slow"]

    alone = _study(tmp_path, "alone", "--archs", "fast", "--baseline")
    alone.wait_for((tmp_path / "results" / "alone" / "final" / "fast-baseline" / "seed-0").exists)
    alone.kill()
    alone.wait_until_gone(10)
    early, ordinary = (
        StudyFolder(tmp_path / "results" / name).final.read("fast-baseline", 0) for name in ("early", "alone")
    )
    assert np.array_equal(early.logits, ordinary.logits)
    assert list(early.history["val_loss"]) == list(ordinary.history["val_loss"])


WHILE_ANOTHER_IS_LAST = """
told = []
plans, ahead = confirmations("waiting", "toy"), baselines[:1]
with ray_session(None):
    stages = retraining(slots=2)
    for _ in range(2):
        for plan, run in stages.make(plans, lambda plan, result: told.append((plan.name, result.epoch)), ahead):
            print(plan.arch, type(run).__name__)
        plans, ahead = ahead, []
print(told)
"""


def test_the_baseline_is_trained_beside_the_last_confirmation_and_judged_in_its_stage(tmp_path: Path) -> None:
    done = _run(WHILE_ANOTHER_IS_LAST, tmp_path)
    names = ["confirm/toy-3/seed-0", "confirm/waiting-3/seed-0", "final/toy-baseline/seed-0"]
    *runs, told = done.stdout.splitlines()
    assert runs == ["toy CompletedRun", "waiting CompletedRun", "toy FinalRun"], done.stderr
    assert told == str([(name, epoch) for name in names for epoch in (1, 2)]), "each epoch once"
    written = [(tmp_path / f"{name}.pt").stat().st_mtime_ns for name in names]
    assert written[0] < written[2] < written[1], "runs of the stage are begun first"


NO_SLOT_IS_LEFT = """
with ray_session(None):
    stages = retraining(slots=1)
    stages.begin([], ahead=baselines[:1])
    print([plan.name for plan, _ in stages.make(confirmations("toy"), lambda plan, result: None)])
    print(trained_ahead.exists(), (folder / "predicted").exists())
    print([type(run).__name__ for _, run in stages.make(baselines[:1], lambda plan, result: None)])
    print((folder / "predicted").exists())
"""


def test_a_stage_waits_for_a_slot_that_a_run_trained_ahead_has_which_predicts_no_test_image(tmp_path: Path) -> None:
    done = _run(NO_SLOT_IS_LEFT, tmp_path)
    assert done.stdout.splitlines() == ["['confirm/toy-3/seed-0']", "True False", "['FinalRun']", "True"], done.stderr
