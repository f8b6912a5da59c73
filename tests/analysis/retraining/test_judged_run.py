"""One final run from its plan to its judgement."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import save_file

from analysis.results.run_folders import FinalRun
from analysis.retraining.plans import RunPlan
from analysis.retraining.run import train_and_judge
from models.data import ChannelStatistics
from models.networks.starting import Start
from models.precision import training_device
from models.training.history import EpochResult
from models.training.inference import DeviceImages, predict_logits
from models.training.loop import TrainingRun
from models.training.recipe import TrainingConfig
from tests.builders import TOY, coloured, training_run


def _run(start: Start) -> FinalRun:
    recipe = TrainingConfig({"lr": 1e-2, "dropout": 0.1}, max_epochs=2, batch_size=16)

    def train_epochs(run: TrainingRun) -> Iterator[EpochResult]:
        while run.outcome is None:
            yield run.train_epoch()

    *_, run = train_and_judge(
        RunPlan("toy", "baseline", 0, recipe, is_tuned=False),
        replace(TOY, start=start),
        seed=0,
        precision="fp32",
        kernels="auto",
        n_classes=3,
        train=coloured(60),
        read_test=lambda: coloured(30, seed=1),
        train_epochs=train_epochs,
    )
    assert isinstance(run, FinalRun)
    return run


def test_a_judged_run_keeps_the_normalisation_that_its_predictions_repeat_with(tmp_path: Path) -> None:
    weights = training_run().best_weights()
    save_file({name: value.contiguous() for name, value in weights.items()}, tmp_path / "start.safetensors")
    told = {"weights": str(tmp_path / "start.safetensors"), "freeze": ["layers.2."], "normalisation": "none"}
    run = _run(Start.from_json(told))
    kept = run.metrics["normalisation"]
    assert kept == {"mean": [0.0] * 3, "deviation": [255.0] * 3}
    np.testing.assert_array_equal(run.weights["layers.2.weight"], weights["layers.2.weight"].numpy())
    model = TOY.build(3, {"dropout": 0.1})
    model.load_state_dict({name: torch.from_numpy(value) for name, value in run.weights.items()})
    statistics = ChannelStatistics(*(np.array(kept[key], np.float32) for key in ("mean", "deviation")))
    images = DeviceImages(coloured(30, seed=1).images, statistics, training_device())
    logits = predict_logits(model.to(images.device), images, torch.arange(30, device=images.device), "fp32")
    np.testing.assert_allclose(logits.cpu().numpy(), run.logits, rtol=1e-5)


def test_a_judged_run_keeps_the_statistics_of_its_own_training_images() -> None:
    mean = _run(Start()).metrics["normalisation"]["mean"]
    assert 60 < min(mean) <= max(mean) < 80
