"""One optimizer step on one batch; on a GPU a CUDA graph captures the step once and replays it."""

from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from models.augmentation import change_images
from models.kernels.available import can_use_triton
from models.precision import Precision, autocast
from models.training.inference import DeviceImages

if TYPE_CHECKING:
    from models.kernels.bfloat16_weights import Bfloat16Weights

# At least 3 ordinary steps before the capture, because they let cuDNN, cuBLAS and the optimizer set up their state.
WARM_UP_STEPS = 3


def can_capture(device: torch.device) -> bool:
    """Return whether the device can capture a step as a CUDA graph."""
    return device.type == "cuda"


class TrainingStep:
    """Trains a network on one batch at a time.

    Launching the kernels of a step one by one takes longer than running them. So on a GPU, after some ordinary steps,
    one step of a full batch is captured as a CUDA graph, and later steps replay it: the same kernels, with dropout
    masks from the same random stream. From then on weights and optimizer state may only change in place, and the
    Python code of the network does not run again.

    Args:
        model: the network; it must be in train mode whenever a step is made.
        optimizer: optimizer of the network's parameters; capturable if steps are captured.
        images: the images that batches index.
        labels: int64 [len(images)], on the device of the images.
        precision: number format of matrix products.
        batch_size: images of a full batch, at least 1.
        may_capture: allows a captured step, and with Adam the second stream; they are used if the device is a GPU.
        label_smoothing: share of the target spread over all classes, in [0, 1).

    Attributes:
        loss_sum: sum of the losses of all images since it was last zeroed, in nats, label smoothing included; a
            scalar on the device. Reading it waits for the GPU.
        correct: number of images answered correctly since it was last zeroed, with dropout on and the weights before
            each step; as `loss_sum`.
    """

    def __init__(
        self,
        model: nn.Module,
        optimizer: torch.optim.Optimizer,
        images: DeviceImages,
        labels: Tensor,
        precision: Precision,
        batch_size: int,
        may_capture: bool,
        label_smoothing: float = 0.0,
    ) -> None:
        self.loss_sum = torch.zeros((), device=images.device)
        self.correct = torch.zeros((), device=images.device)
        self._model = model
        self._optimizer = optimizer
        self._images = images
        self._labels = labels
        self._precision = precision
        self._label_smoothing = label_smoothing
        self._batch = torch.zeros(batch_size, dtype=torch.int64, device=images.device)
        self._may_capture = may_capture and can_capture(images.device)
        self._ordinary_steps = 0
        self._graph: torch.cuda.CUDAGraph | None = None
        self._weights: Bfloat16Weights | None = None
        if (
            self._may_capture
            and precision == "bf16"
            and isinstance(optimizer, torch.optim.Adam)
            and not optimizer.param_groups[0]["weight_decay"]
            and can_use_triton()
        ):
            from models.kernels import bfloat16_weights

            self._weights = bfloat16_weights.Bfloat16Weights(model, optimizer)

    def __call__(self, batch: Tensor, changes: Tensor | None = None) -> None:
        """Train on some images.

        Args:
            batch: indices of the images, int64 [at most batch_size].
            changes: how each image is changed first, as models/augmentation.py draws it; a step that changes images
                is never captured.
        """
        if len(batch) < len(self._batch) or changes is not None:
            self._step(batch, changes)
            return
        if self._may_capture and self._graph is None and self._ordinary_steps >= WARM_UP_STEPS:
            self._graph = self._capture()
        if self._graph is None:
            self._ordinary_steps += 1
            self._step(batch)
        else:
            self._batch.copy_(batch)
            self._graph.replay()

    def _capture(self) -> torch.cuda.CUDAGraph:
        graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(graph, stream=torch.cuda.current_stream()):
            self._step(self._batch)
        return graph

    def _step(self, batch: Tensor, changes: Tensor | None = None) -> None:
        self._optimizer.zero_grad(set_to_none=True)
        if self._weights:
            self._weights.start()
        images, labels = self._images[batch], self._labels[batch]
        if changes is not None:
            images = change_images(images, changes)
        with autocast(self._precision, self._images.device):
            logits = (self._weights or self._model)(images)
            loss = F.cross_entropy(logits, labels, label_smoothing=self._label_smoothing)
        loss.backward()
        if self._weights:
            self._weights.finish()
        self._optimizer.step()
        self.loss_sum.add_(loss.detach(), alpha=len(batch))
        self.correct.add_((logits.argmax(dim=1) == labels).sum())


@contextmanager
def side_stream(device: torch.device) -> Iterator[None]:
    """Run the block in a stream of its own on a GPU, because the default stream cannot be captured."""
    if device.type != "cuda":
        yield
        return
    stream, default = _stream_of(device), torch.cuda.current_stream(device)
    stream.wait_stream(default)
    with torch.cuda.stream(stream):
        yield
    default.wait_stream(stream)


@cache
def _stream_of(device: torch.device) -> torch.cuda.Stream:
    """Return the one side stream of this process; freed memory is reused only in the stream it was used in."""
    return torch.cuda.Stream(device)
