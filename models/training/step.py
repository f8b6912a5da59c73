"""One optimizer step on one batch; on a GPU a captured graph of its kernels, replayed."""

from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from models.kernels.available import can_use_triton
from models.precision import Precision, autocast
from models.training.inference import DeviceImages

if TYPE_CHECKING:
    from models.kernels.bfloat16_weights import Bfloat16Weights

# Steps of a full batch that let cuDNN, cuBLAS and the optimizer set up what a capture may not.
WARM_UP_STEPS = 3


class TrainingStep:
    """Trains a network on one batch at a time.

    To launch the kernels of a step one by one takes longer than to run them: on an H200, of torch's own, 3.9 ms of
    either network, where a replay took 1.1 and 0.8. So on a GPU, after some ordinary steps, that of a full batch is
    captured as a CUDA graph, and later ones replay it: the same kernels, with dropout masks from the same stream. From
    then on weights and optimizer state may only change in place, and Python code of the network does not run again.

    Args:
        model: in train mode whenever a step is made.
        optimizer: of its parameters; capturable on a GPU.
        images: what batches index, with their labels int64 [n] on the same device.
        batch_size: images of a full batch.
        is_capturable: whether the network may be captured; see `Architecture.capturable`.

    Attributes:
        loss_sum: the losses of all images since it was last zeroed, a scalar on the device: to read it is to wait.
    """

    def __init__(
        self,
        model: nn.Module,
        optimizer: torch.optim.Adam,
        images: DeviceImages,
        labels: Tensor,
        precision: Precision,
        batch_size: int,
        is_capturable: bool,
    ) -> None:
        self.loss_sum = torch.zeros((), device=images.device)
        self._model = model
        self._optimizer = optimizer
        self._images = images
        self._labels = labels
        self._precision = precision
        self._batch = torch.zeros(batch_size, dtype=torch.int64, device=images.device)
        self._may_capture = is_capturable and images.device.type == "cuda"
        self._ordinary_steps = 0
        self._graph: torch.cuda.CUDAGraph | None = None
        self._weights: Bfloat16Weights | None = None
        if self._may_capture and precision == "bf16" and can_use_triton():
            from models.kernels import bfloat16_weights

            self._weights = bfloat16_weights.Bfloat16Weights(model, optimizer)

    def __call__(self, batch: Tensor) -> None:
        """Trains on the images of these indices, int64 [at most batch_size]."""
        if len(batch) < len(self._batch):
            self._step(batch)
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

    def _step(self, batch: Tensor) -> None:
        self._optimizer.zero_grad(set_to_none=True)
        if self._weights:
            self._weights.start()
        with autocast(self._precision, self._images.device):
            logits = (self._weights or self._model)(self._images[batch])
            loss = F.cross_entropy(logits, self._labels[batch])
        loss.backward()
        if self._weights:
            self._weights.finish()
        self._optimizer.step()
        self.loss_sum.add_(loss.detach(), alpha=len(batch))
