"""Writes a trained network as an ONNX file, once its answers agree with the network's."""

import json
from dataclasses import dataclass
from pathlib import Path

import torch

from analysis.results.files import write_bytes
from analysis.results.study_folder import StudyFolder
from analysis.results.study_json import read_study
from analysis.verdict.shipping.exported import weights_digest
from models.onnx_network import FromBytes, NotExportable, open_session, to_onnx
from study import __version__
from study.errors import BadInput
from study.export.checks import Agreement, check
from study.predict.predictor import Predictor


@dataclass(frozen=True)
class OnnxFile:
    """Describes an ONNX file that was written.

    Attributes:
        path: the file.
        output: "logits" or "probabilities".
        content: its bytes.
        agreements: how far its answers are from the network's.
    """

    path: Path
    output: str
    content: bytes
    agreements: list[Agreement]


def write_onnx(folder: StudyFolder, predictor: Predictor, path: Path, *, softmax: bool) -> OnnxFile:
    """Write a network: images uint8 [n, size, size, 3] in, logits float32 [n, n_classes] out.

    The file is written whole, or not at all. Its metadata hold what a prediction needs and where it is from.

    Args:
        folder: the study.
        predictor: the network.
        path: the file.
        softmax: true returns probabilities instead of logits.

    Raises:
        BadInput: if torch cannot describe the network in ONNX.
        StudyFailed: if the file's answers are not the network's.
    """
    output, size = "probabilities" if softmax else "logits", predictor.image_size
    from_bytes = FromBytes(predictor.network, predictor.statistics, softmax=softmax)
    example = torch.zeros(2, size, size, 3, dtype=torch.uint8)
    try:
        content = to_onnx(from_bytes, example, output, _metadata(folder, predictor, output))
    except NotExportable as error:
        raise BadInput(
            f"the network {predictor.arch!r}: {error}: rewrite what it names in the network's code"
        ) from error
    on_gpu = bool(read_study(folder).environment.gpus)
    agreements = check(open_session(content), predictor, folder.read_samples(), softmax=softmax, made_on_gpu=on_gpu)
    try:
        write_bytes(path, content)
    except OSError as error:
        raise BadInput(f"{path} cannot be written ({error.strerror}): name another file with --output") from error
    return OnnxFile(path, output, content, agreements)


def _metadata(folder: StudyFolder, predictor: Predictor, output: str) -> dict[str, str]:
    """Return the file's metadata. Lists and objects are JSON."""
    study = folder.read_study()
    statistics = predictor.statistics
    values = {
        "classes": predictor.classes,
        "configuration": predictor.made.metrics["config"],
        "normalisation": {"mean": statistics.mean.tolist(), "deviation": statistics.deviation.tolist()},
    }
    return {
        **{key: json.dumps(value, ensure_ascii=False) for key, value in values.items()},
        "image_size": str(predictor.image_size),
        "output": output,
        "network": predictor.arch,
        "run": predictor.run,
        "weights_sha256": weights_digest(folder.final.weights_of(predictor.made.group, predictor.made.seed)),
        "study": str(study["name"]),
        "study_id": str(study.get("id", "")),
        "version": f"fairverdict {__version__}",
    }
