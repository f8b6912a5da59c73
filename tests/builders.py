"""Small data, a small network and single results: what many tests begin with."""

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from models.data import LabelledImages, TrainingData, stratified_split
from models.networks.layers import Features, GlobalAveragePool, conv_bn_relu
from models.networks.registry import Architecture
from models.precision import has_fast_bf16
from models.randomness import RunSeeds
from models.training.history import EpochResult
from models.training.loop import TrainingRun
from models.training.proof import Setting
from models.training.recipe import TrainingConfig

CPU = torch.device("cpu")
# A step of AlexNet takes seconds if the processor emulates bfloat16. Small networks alone train with it then.
FAST_BF16 = pytest.mark.skipif(not has_fast_bf16(CPU), reason="this processor emulates bfloat16")


class ToyNet(nn.Module):
    """Two linear layers over 4x4 averages: trains in a millisecond."""

    def __init__(self, num_classes: int, dropout: float) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            nn.AvgPool2d(8), nn.Flatten(), nn.Linear(48, 16), nn.ReLU(), nn.Dropout(dropout), nn.Linear(16, num_classes)
        )

    def forward(self, images: Tensor) -> Tensor:
        logits: Tensor = self.layers(images)
        return logits


class SmallNet(nn.Module):
    """Two blocks, the second on images of 8 pixels a row; as small as Triton's interpreter needs it."""

    def __init__(self, num_classes: int, dropout: float) -> None:
        super().__init__()
        self.pool = nn.AvgPool2d(2)
        self.features = Features(*conv_bn_relu(3, 16), nn.MaxPool2d(2), *conv_bn_relu(16, 16))
        self.head = nn.Sequential(GlobalAveragePool(), nn.Flatten(), nn.Dropout(dropout), nn.Linear(16, num_classes))

    def forward(self, images: Tensor) -> Tensor:
        logits: Tensor = self.head(self.features(self.pool(images)))
        return logits


class Undecided(nn.Module):
    """Decides in Python by what it sees, which ONNX cannot describe."""

    def __init__(self, num_classes: int, dropout: float = 0.0) -> None:
        super().__init__()
        self.layer = nn.Linear(3 * 32 * 32, num_classes)

    def forward(self, images: Tensor) -> Tensor:
        logits: Tensor = self.layer(images.flatten(1))
        return logits if logits.sum() > 0 else -logits


TOY = Architecture("toy", "Toy", ToyNet, baseline={"dropout": 0.1})
SMALL = Architecture("small", "Small", SmallNet, {"dropout": 0.1}, capturable=True)


def noise(n: int, n_classes: int = 3, seed: int = 0, size: int = 32) -> LabelledImages:
    """Random images whose labels say nothing about them, every class equally often."""
    rng = np.random.default_rng(seed)
    return LabelledImages(rng.integers(0, 256, (n, size, size, 3), np.uint8), np.arange(n) % n_classes)


def coloured(n: int, seed: int = 0) -> LabelledImages:
    """Noise in which a third of the images is a little redder, a third greener, a third bluer."""
    data = noise(n, 3, seed)
    images = data.images // 2
    images[np.arange(n), :, :, data.labels] += 25
    return LabelledImages(images, data.labels)


def training_data(source: LabelledImages, seed: int = 0) -> TrainingData:
    return TrainingData.from_split(source, stratified_split(source.labels, seed), int(source.labels.max()) + 1)


def training_run(
    architecture: Architecture = TOY,
    data: TrainingData | None = None,
    config: TrainingConfig | None = None,
    seed: int = 0,
    precision: str = "fp32",
    device: torch.device = CPU,
    kernels: Setting = "auto",
) -> TrainingRun:
    return TrainingRun(
        architecture,
        config or TrainingConfig({"lr": 1e-2, "dropout": 0.1}, max_epochs=4, batch_size=16),
        data or training_data(noise(60)),
        RunSeeds.of(seed, "test"),
        device,
        "bf16" if precision == "bf16" else "fp32",
        kernels,
    )


def channels_last(device: torch.device, *shape: int, dtype: torch.dtype = torch.float32) -> Tensor:
    """Random images of mean 3 and deviation 2, the same ones for the same shape."""
    values = 2 * torch.randn(shape, device=device, generator=torch.Generator(device).manual_seed(0)) + 3
    return values.to(dtype, memory_format=torch.channels_last)


def epoch(number: int, val_loss: float = 1.0, val_accuracy: float = 0.5, train_loss: float = 1.0) -> EpochResult:
    return EpochResult(number, train_loss, val_loss, val_accuracy, seconds=0.25)


def train(run: TrainingRun) -> TrainingRun:
    """Train a run to its end."""
    while run.outcome is None:
        run.train_epoch()
    return run


def bits(weights: dict[str, Tensor]) -> dict[str, bytes]:
    """The bytes of each tensor, by its name."""
    return {name: value.detach().numpy().tobytes() for name, value in weights.items()}
