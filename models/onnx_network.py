"""The ONNX form of a network, which ONNX Runtime runs without PyTorch. It needs the packages of the extra `onnx`."""

import copy
import io
import logging
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from importlib.util import find_spec
from types import MappingProxyType
from typing import Any

import torch
from torch import Tensor, nn

from models.data import ChannelStatistics
from models.kernels.available import use_kernels

PACKAGES = ("onnx", "onnxscript", "onnxruntime")
# The name of the input of an ONNX network.
INPUT = "images"


class NotExportable(ValueError):
    """Says in one line why a network has no ONNX form."""


def missing_packages() -> list[str]:
    """Return the packages of the extra `onnx` that are not installed."""
    return [name for name in PACKAGES if find_spec(name) is None]


class FromBytes(nn.Module):
    """Maps images uint8 [n, size, size, 3] to the network's logits [n, n_classes], or to their softmax.

    Args:
        network: maps normalised images [n, 3, size, size] to logits.
        statistics: the normalisation of the images.
        softmax: true returns probabilities.
    """

    mean: Tensor
    deviation: Tensor

    def __init__(self, network: nn.Module, statistics: ChannelStatistics, *, softmax: bool = False) -> None:
        super().__init__()
        self.network = network
        self.register_buffer("mean", torch.from_numpy(statistics.mean))
        self.register_buffer("deviation", torch.from_numpy(statistics.deviation))
        self.softmax = softmax

    def forward(self, images: Tensor) -> Tensor:
        """Normalise the images and predict."""
        logits: Tensor = self.network(((images.float() - self.mean) / self.deviation).permute(0, 3, 1, 2))
        return logits.softmax(dim=1) if self.softmax else logits


def to_onnx(
    network: nn.Module, example: Tensor, output: str = "logits", metadata: Mapping[str, str] = MappingProxyType({})
) -> bytes:
    """Return the ONNX form of a network in eval mode: one file with all weights in float32.

    Args:
        network: stays as it is.
        example: a batch of 2 images. The ONNX form takes batches of any number.
        output: name of the output.
        metadata: texts for the file, by their keys.

    Raises:
        NotExportable: if torch cannot describe the network in ONNX.
    """
    exported = copy.deepcopy(network).cpu().to(memory_format=torch.contiguous_format).eval()
    use_kernels(exported, False)
    try:
        with _quiet():
            program = torch.onnx.export(
                exported,
                (example.cpu(),),
                dynamo=True,
                verbose=False,
                input_names=[INPUT],
                output_names=[output],
                dynamic_shapes=({0: "n"},),
            )
    except torch.onnx.OnnxExporterError as error:
        cause = error.__cause__ or error
        lines = str(cause).strip().splitlines() or [""]
        raise NotExportable(f"torch cannot write it as ONNX ({type(cause).__name__}: {lines[0]})") from error
    assert program is not None
    model = program.model_proto
    _forget_origins(model)
    for key, value in metadata.items():
        entry = model.metadata_props.add()
        entry.key, entry.value = key, value
    content: bytes = model.SerializeToString()
    return content


def open_session(content: bytes, threads: int = 0) -> Any:
    """Return an ONNX Runtime session on the CPU.

    Args:
        content: an ONNX file.
        threads: threads of one operation; 0 lets ONNX Runtime choose.
    """
    import onnxruntime  # here, because the extra may be absent

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads, options.inter_op_num_threads = threads, 1
    return onnxruntime.InferenceSession(content, options, providers=["CPUExecutionProvider"])


@contextmanager
def _quiet() -> Iterator[None]:
    """Print and log nothing, because torch prints whole programs if it cannot export a network."""
    disabled = logging.root.manager.disable
    logging.disable()
    try:
        with redirect_stdout(io.StringIO()), redirect_stderr(io.StringIO()):
            yield
    finally:
        logging.disable(disabled)


def _forget_origins(model: Any) -> None:
    """Remove torch's notes about the code that made each node, which name folders of this machine."""
    graph = model.graph
    for part in (graph, *graph.node, *graph.input, *graph.output, *graph.value_info, *graph.initializer):
        del part.metadata_props[:]
