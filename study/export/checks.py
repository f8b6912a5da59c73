"""Compares the answers of an ONNX file with PyTorch's, and with the predictions that the study kept."""

import copy
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from analysis.results.study_folder import Samples
from models.onnx_network import INPUT
from models.training.inference import DeviceImages, predict_logits
from study.errors import StudyFailed
from study.predict.predictor import Predictor

# At most this difference in float32, or 1e-5 of the largest logit if that is over 10: the order of sums differs.
EXACT = 1e-4
# At most this share of the largest logit if the other side rounded its products, as bfloat16 and the TF32 of GPUs do.
# 11 runs on digits differed by up to 1.4 % of it. A network with other weights differs by about all of it.
ROUNDED = 0.1
# A number that no batch size divides.
RANDOM_IMAGES = 67


@dataclass(frozen=True)
class Agreement:
    """Says how far the answers of the ONNX file are from other answers about the same images.

    Attributes:
        sentence: the comparison in words.
        difference: the largest difference of two logits or probabilities.
        limit: the largest difference that is allowed.
    """

    sentence: str
    difference: float
    limit: float


def check(
    session: Any, predictor: Predictor, samples: Samples | None, *, softmax: bool, made_on_gpu: bool
) -> list[Agreement]:
    """Compare an ONNX file with the network that it was made from.

    Args:
        session: an ONNX Runtime session of the file.
        predictor: the network, and the predictions that the study kept.
        samples: the test images that the study kept, if any.
        softmax: true if the file returns probabilities.
        made_on_gpu: true if the study predicted on a GPU.

    Returns:
        The comparison with PyTorch in float32, then the comparison with the kept predictions if there are samples.

    Raises:
        StudyFailed: if the answers differ by more than a limit.
    """
    size, n_kept = predictor.image_size, 0 if samples is None else len(samples.images)
    random = np.random.default_rng(0).integers(0, 256, (RANDOM_IMAGES, size, size, 3), np.uint8)
    images = random if samples is None else np.concatenate([random, samples.images])
    given = np.concatenate([session.run(None, {INPUT: part})[0] for part in (images[:1], images[1:])])
    in_torch = _answers(_in_fp32(predictor, images), softmax)
    of_study = f"{n_kept} test images of the study"
    both = f"{RANDOM_IMAGES} random images" + (f" and {of_study}" if n_kept else "")
    found = [_agreement(f"{both}: the file and PyTorch in fp32", given, in_torch, _exact_limit(in_torch))]
    if samples is not None:
        kept = _answers(predictor.made.logits[samples.positions], softmax)
        is_exact = predictor.precision == "fp32" and not made_on_gpu
        limit = _exact_limit(kept) if is_exact else ROUNDED * float(np.abs(kept).max())
        made = f"predictions.npz, made in {predictor.precision}{' on a GPU' if made_on_gpu else ''},"
        found.append(_agreement(f"{of_study}: the file and {made}", given[RANDOM_IMAGES:], kept, limit))
    for agreement in found:
        if not agreement.difference <= agreement.limit:  # NaN is no agreement
            raise StudyFailed(f"the ONNX form does not predict as the network does: {agreement.sentence}")
    return found


def _agreement(sides: str, given: np.ndarray, other: np.ndarray, limit: float) -> Agreement:
    difference = float(np.abs(given - other).max())
    same = int((given.argmax(axis=1) == other.argmax(axis=1)).sum())
    sentence = (
        f"{sides} differ by at most {difference:.1e} (limit {limit:.1e}) and give the same class for {same} of"
        f" {len(given)} images."
    )
    return Agreement(sentence, difference, limit)


def _exact_limit(answers: np.ndarray) -> float:
    return EXACT * max(1.0, float(np.abs(answers).max()) / 10)


def _in_fp32(predictor: Predictor, images: np.ndarray) -> np.ndarray:
    """Return PyTorch's logits on the CPU in float32."""
    network = copy.deepcopy(predictor.network).cpu()
    on_cpu = DeviceImages(images, predictor.statistics, torch.device("cpu"))
    logits: np.ndarray = predict_logits(network, on_cpu, torch.arange(len(images)), "fp32").numpy()
    return logits


def _answers(logits: np.ndarray, softmax: bool) -> np.ndarray:
    if not softmax:
        return logits
    answers: np.ndarray = torch.from_numpy(logits).softmax(dim=1).numpy()
    return answers
