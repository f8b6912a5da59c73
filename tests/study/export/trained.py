"""A study folder with one final run of a network that nobody trained: an export needs no more."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch

from analysis.results.run_folders import EPOCH_COLUMNS, FinalRun
from analysis.results.study_folder import Samples, StudyFolder
from models.data import ChannelStatistics
from models.precision import Precision
from models.training.inference import DeviceImages, predict_logits
from study.settings.config import StudyConfig
from study.settings.networks import architecture_of
from tests.analysis.example_study_json import study_json

CLASSES = ("cat", "dog", "a `very` odd\nname")
N_TEST = 12
STATISTICS = ChannelStatistics(np.array([120, 110, 100], np.float32), np.array([60, 61, 62], np.float32))


def write_trained(
    path: Path,
    arch: str,
    *,
    factory: str | None = None,
    size: int = 32,
    precision: Precision = "fp32",
    classes: Sequence[str] = CLASSES,
) -> StudyFolder:
    """Write a study of one network with the final run `<arch>-baseline/seed-0`, whose weights are best.json's."""
    torch.manual_seed(0)
    folder, values = StudyFolder(path), {"lr": 1e-3, "dropout": 0.25}
    networks = {arch: {"factory": factory}} if factory else {}
    config = StudyConfig(archs=(arch,), networks=networks, image_size=size, precision=precision, seeds=1, baseline=True)
    study = study_json(path.name, {arch: arch.title()}, {arch: values}, classes, 1, 1, 3, False, N_TEST)
    folder.write_study(study | {"id": "0" * 32, "config": config.to_json()})
    network = architecture_of(config, arch).build(len(classes), values).eval()
    images = np.random.default_rng(1).integers(0, 256, (N_TEST, size, size, 3), np.uint8)
    on_cpu = DeviceImages(images, STATISTICS, torch.device("cpu"))
    logits = predict_logits(network, on_cpu, torch.arange(N_TEST), precision).numpy()
    metrics: dict[str, Any] = {
        "arch": arch,
        "config": values,
        "is_tuned": False,
        "status": "COMPLETE",
        "epochs": 3,
        "best_epoch": 3,
        "val_loss": 1.0,
        "val_accuracy": 0.5,
        "seconds": 1.5,
        "normalisation": {"mean": STATISTICS.mean.tolist(), "deviation": STATISTICS.deviation.tolist()},
    }
    history = pd.DataFrame([[1, 1.0, 1.0, 0.5, 0.5, 0.5]], columns=list(EPOCH_COLUMNS))
    labels = logits.argmax(axis=1).astype(np.int64)
    weights = {name: value.numpy() for name, value in network.state_dict().items()}
    folder.final.write(FinalRun(f"{arch}-baseline", 0, metrics, history, logits, labels, weights))
    folder.write_samples(Samples(images[::2], np.arange(N_TEST)[::2]))
    folder.write_best({"weights": f"final/{arch}-baseline/seed-0/model.safetensors"})
    return folder
