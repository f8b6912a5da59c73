"""Predictions of a network on images that are kept as bytes."""

import warnings

import numpy as np
import torch
from torch import Tensor, nn

from models.data import ChannelStatistics
from models.precision import Precision, autocast

# At most 64 images at a time on a CPU, because their activations fit in the caches: on one thread 128 images at a time
# took 1.2 times as long (AlexNet) and 1.2 to 1.7 times (MobileNet-like). On two threads 128 were 2 and 9 % faster in
# bfloat16, and slower in float32.
CPU_BATCH_SIZE = 64
BATCH_SIZE = 500


class DeviceImages:
    """Holds images uint8 [n, size, size, 3] on a device; indexing gives normalised float32 batches, channels last.

    On a CPU the bytes are not copied: many processes can share one read-only array.
    """

    def __init__(self, images: np.ndarray, statistics: ChannelStatistics, device: torch.device) -> None:
        with warnings.catch_warnings():
            # The warning does not apply: nothing here writes to the shared memory.
            warnings.filterwarnings("ignore", message="The given NumPy array is not writable")
            self._bytes = torch.from_numpy(images).to(device)
        self._mean = torch.from_numpy(statistics.mean).to(device)
        self._deviation = torch.from_numpy(statistics.deviation).to(device)

    @property
    def device(self) -> torch.device:
        """Return the device that the images lie on."""
        return self._bytes.device

    @property
    def shape(self) -> tuple[int, int]:
        """Return height and width of an image, in pixels."""
        return self._bytes.shape[1], self._bytes.shape[2]

    def __len__(self) -> int:
        return len(self._bytes)

    def __getitem__(self, index: Tensor) -> Tensor:
        """Return images [len(index), 3, size, size] whose channels have mean 0 and deviation 1 in training."""
        return ((self._bytes[index] - self._mean) / self._deviation).permute(0, 3, 1, 2)


# In inference_mode autocast would cast the weights again for every batch: 4 % of AlexNet's time.
@torch.no_grad()
def predict_logits(model: nn.Module, images: DeviceImages, index: Tensor, precision: Precision) -> Tensor:
    """Return the logits float32 [len(index), n_classes] of the network in eval mode; leave it in eval mode."""
    model.eval()
    size = CPU_BATCH_SIZE if images.device.type == "cpu" else BATCH_SIZE
    with autocast(precision, images.device):
        return torch.cat([model(images[batch]).float() for batch in index.split(size)])
