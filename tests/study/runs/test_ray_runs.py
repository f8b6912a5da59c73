"""Checks how runs follow each other on the workers."""

from pathlib import Path

import psutil
import pytest

from tests.processes import Programs

ROOT = Path(__file__).parents[3]

# What the scripts below have in common; checkpoints lie in the folder that they are given.
SETTING = """
import os, signal, sys, time
from functools import partial
from pathlib import Path
import study, ray
from analysis.retraining.plans import RunPlan
from study.runs import ray_runs as ray_runs_module
from study.runs.ray_runs import RayRuns
from models.networks.registry import Architecture
from models.training.recipe import TrainingConfig
from study.storage.checkpoints import CheckpointStore
from study.cluster.session import ray_session
from study.cluster.health.placement import Placement
from study.cluster.worker import WorkerSettings
from tests.builders import ToyNet, noise

N_TEST = 30
folder = Path(sys.argv[1])
recipe = TrainingConfig({"lr": 1e-2, "dropout": 0.1}, 2)
baselines = [RunPlan("toy", "baseline", seed, recipe, is_tuned=False) for seed in range(3)]


# Kills the worker of its first run after an epoch, and of each further run at once.
class Mortal(ToyNet):
    def forward(self, images):
        if self.training and sys.argv[0].endswith("default_worker.py") and (folder / "told").exists():
            is_first = not (folder / "died").exists()
            if is_first or (folder / "ended").exists():
                (folder / "died").touch()
                os.kill(os.getpid(), signal.SIGKILL)
        return super().forward(images)


# Lets the network know that the driver has its first epoch, or that its first run has ended.
def tell(plan, result):
    (folder / ("told" if result.epoch == 1 else "ended")).touch()
    return f"{plan.seed}:{result.epoch}"


class Told(ToyNet):
    def forward(self, images):
        if not self.training and len(images) == N_TEST:
            (folder / f"worker-{os.getpid()}").touch()
        return super().forward(images)


def ray_runs(slots):
    settings = WorkerSettings(
        ray.put(noise(60)), ray.put(noise(N_TEST)), 3, 0, "fp32", 1, CheckpointStore(sys.argv[1])
    )
    architectures = {
        "toy": Architecture("toy", "Toy", Told, baseline={"dropout": 0.1}),
        "mortal": Architecture("mortal", "Mortal", Mortal, baseline={"dropout": 0.1}),
    }
    return RayRuns(architectures, settings, Placement(1, 0, print), lambda: slots)
"""


ONE_AFTER_THE_OTHER = """
with ray_session(None):
    runs = ray_runs(slots=1).make(baselines, lambda plan, result: None)
    next(runs)
    following, last = (folder / f"{plan.name}.pt" for plan in baselines[1:])
    while not following.exists():
        time.sleep(0.05)
    print(following.exists(), last.exists(), 1 + len(list(runs)), len([*folder.glob("worker-*")]))

    # The first run loses its worker once it has made progress, and the second before.
    ray_runs_module.Attempts = partial(ray_runs_module.Attempts, retries=0)
    mortals = [RunPlan("mortal", "baseline", seed, recipe, is_tuned=False) for seed in (0, 1)]
    told = []
    for plan, ended in ray_runs(slots=1).make(mortals, lambda plan, result: told.append(tell(plan, result))):
        print(type(ended).__name__, getattr(ended, "reason", "").partition(":")[0])
    print(*told, flush=True)
    sys.stdin.read()
"""


@pytest.mark.slow
def test_a_worker_goes_on_while_its_last_run_is_written_and_may_be_lost(programs: Programs, tmp_path: Path) -> None:
    """It alone goes on: another, for which there is a processor here, would have to import everything first.

    A run whose worker is lost is made again as long as it makes progress. Show also that the end of a test ends a Ray
    that lives.
    """
    session = programs.start("-c", SETTING + ONE_AFTER_THE_OTHER, str(tmp_path), cwd=ROOT)
    said = [session.stdout.readline() for _ in range(4)]
    expected = ["True False 3 1", "FinalRun ", "FailedRun WorkerCrashedError", "0:1 0:2"]
    assert said == [f"{line}\n" for line in expected], session.stderr.read()

    processes, folders = session.processes(), session.session_directories()
    assert session.workers("raylet") and folders
    programs.end()
    _, alive = psutil.wait_procs(processes, timeout=1)
    assert not [process for process in alive if process.status() != psutil.STATUS_ZOMBIE]
    assert not [folder for folder in folders if folder.exists()]
