"""Loads a network that a study trained, and predicts with it as the study did."""

import importlib.util
import sys
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath

import numpy as np
import torch
from torch import nn

from analysis.results.run_folders import FinalRun
from analysis.results.study_folder import StudyFolder
from analysis.results.study_json import read_study
from models.data import ChannelStatistics
from models.kernels.available import use_kernels
from models.networks.inspection.fingerprint import difference, fingerprint, shape_difference, shapes
from models.networks.registry import ARCHITECTURES
from models.precision import Precision, resolve, training_device
from models.training.inference import BATCH_SIZE, CPU_BATCH_SIZE, DeviceImages, predict_logits
from study.errors import BadInput, one_line, unknown
from study.settings.config import StudyConfig
from study.settings.networks import architecture_of


@dataclass(frozen=True)
class Predictor:
    """Holds a trained network and all that its predictions depend on.

    Attributes:
        run: name of the final run that trained it, such as "mobilenet-tuned/seed-3".
        arch: name of the network.
        classes: class names in the order of the logits.
        bit_depth: bits that the study read 16-bit images with; None is 16.
        image_size: pixels of a side of its images.
        warning: how the network's code differs from the code that was trained; None if it does not.
        made: the final run, without its weights.
        network: in eval mode, on the device that predicts.
        statistics: the normalisation of its images.
        precision: number format of the study's predictions.
    """

    run: str
    arch: str
    classes: list[str]
    bit_depth: int | None
    image_size: int
    warning: str | None
    made: FinalRun
    network: nn.Module
    statistics: ChannelStatistics
    precision: Precision
    _n_test: int

    def logits(self, pixels: np.ndarray) -> np.ndarray:
        """Return the logits float32 [n, classes] of images uint8 [n, image_size, image_size, 3].

        The images are predicted in batches as large as the study's, because bfloat16 rounds otherwise in batches of
        another size. So an image has the logits that it had in the study, whatever it is predicted with.
        """
        device, n = training_device(), len(pixels)
        size = min(CPU_BATCH_SIZE if device.type == "cpu" else BATCH_SIZE, self._n_test)
        if (rest := n % size) and rest != self._n_test % size:
            pixels = np.concatenate([pixels, np.zeros((size - rest, *pixels.shape[1:]), np.uint8)])
        images = DeviceImages(pixels, self.statistics, device)
        everything = torch.arange(len(images), device=device)
        batches = [predict_logits(self.network, images, part, self.precision) for part in everything.split(size)]
        logits: np.ndarray = torch.cat(batches).cpu().numpy()
        return logits[:n]


def probabilities(logits: np.ndarray) -> np.ndarray:
    """Return the probabilities float64 [n, classes] that logits [n, classes] mean."""
    powers: np.ndarray = np.exp(logits.astype(np.float64) - logits.max(axis=1, keepdims=True))
    shares: np.ndarray = powers / powers.sum(axis=1, keepdims=True)
    return shares


def load_predictor(folder: StudyFolder, run: str | None) -> Predictor:
    """Load the network of a final run.

    Args:
        folder: the study.
        run: name of the run; None takes the weights that best.json names, which are the winner's.

    Raises:
        BadInput: if there is no such run, the study has no winner, or the network is not registered or is another.
        DamagedFile: if a file of the study is damaged.
    """
    study = read_study(folder)
    name = _winner(folder) if run is None else run.strip("/").removeprefix("final/")
    made = _read_run(folder, name)
    arch, config = made.metrics["arch"], made.metrics["config"]
    if (normalisation := made.metrics.get("normalisation")) is None:
        raise BadInput(f"an older version made {name} and did not keep its normalisation: run the study anew")
    begun_with = StudyConfig.from_json(folder.read_study()["config"])
    if begun_with.networks.get(arch, {}).get("factory") is None and arch not in ARCHITECTURES:
        raise BadInput(f"the network {arch!r} is not known here: name the file that registers it, --networks FILE")
    architecture = architecture_of(begun_with, arch)
    n_classes = len(study.data.classes)
    network = architecture.build(n_classes, config)
    weights = {key: torch.from_numpy(value) for key, value in made.weights.items()}
    found = {key: list(value.shape) for key, value in weights.items()}
    if (changed := shape_difference(shapes(network), found)) is not None:
        raise BadInput(f"the network {arch!r} is not the network that was trained: {changed}. Put the old code back")
    network.load_state_dict(weights)
    network = network.eval().to(device=training_device(), memory_format=torch.channels_last)  # type: ignore[call-overload]
    use_kernels(network, made.metrics.get("kernels") == "fast")
    begun = (study.architectures[arch].model_extra or {}).get("fingerprint")
    changed = None if begun is None else difference(begun, fingerprint(architecture, n_classes))
    mean, deviation = (np.array(normalisation[key], np.float32) for key in ("mean", "deviation"))
    return Predictor(
        run=name,
        arch=arch,
        classes=study.data.classes,
        bit_depth=study.config.bit_depth,
        image_size=study.config.image_size,
        warning=None if changed is None else f"the network {arch!r} has changed since it was trained: {changed}",
        made=replace(made, weights={}),
        network=network,
        statistics=ChannelStatistics(mean, deviation),
        precision=resolve(study.config.precision, training_device()),
        _n_test=study.data.n_test,
    )


def register_networks(path: Path) -> None:
    """Run a user's Python file, which registers networks. Raises BadInput if the file fails."""
    spec = importlib.util.spec_from_file_location(path.stem, path)
    if not path.is_file() or spec is None or spec.loader is None:
        raise BadInput(f"--networks {str(path)!r} is not a Python file: name the file that registers the network")
    module = importlib.util.module_from_spec(spec)
    sys.path.insert(0, str(path.parent.absolute()))  # it may import the files beside it, as a program may
    sys.modules[path.stem] = module
    try:
        spec.loader.exec_module(module)
    except Exception as error:  # the user's code may raise anything
        raise BadInput(f"--networks {str(path)!r}: {type(error).__name__}: {one_line(error)}: mend the file") from error


def _winner(folder: StudyFolder) -> str:
    """Return the name of the run whose weights best.json names."""
    best = folder.read_best()
    if best is None:
        example = next(iter(_names(folder)), "NETWORK-tuned/seed-0")
        raise BadInput(f"{folder.path} has no winner (no final/best.json): name a final run, such as --run {example}")
    return PurePosixPath(best["weights"]).parent.relative_to("final").as_posix()


def _names(folder: StudyFolder) -> list[str]:
    return [f"{group}/seed-{seed}" for group, seeds in folder.final.numbers().items() for seed in seeds]


def _read_run(folder: StudyFolder, name: str) -> FinalRun:
    """Read a final run. A tuned configuration that equals the baseline is in the baseline's folder."""
    known = _names(folder)
    group, _, seed = name.partition("/seed-")
    if name not in known and group.endswith("-tuned"):
        baseline = group.removesuffix("-tuned") + "-baseline"
        if f"{baseline}/seed-{seed}" in known:
            made = folder.final.read(baseline, int(seed), weights=True)
            if made.metrics["is_tuned"]:
                return made
    if name not in known:
        raise BadInput(unknown("final run", name, known, "" if known else f"{folder.path} has none yet"))
    return folder.final.read(group, int(seed), weights=True)
