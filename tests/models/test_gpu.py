"""Training on a GPU: captured steps are ordinary steps, and the results are those of the CPU."""

import io
from collections.abc import Callable

import numpy as np
import pytest
import torch

from models.data import TrainingData
from models.kernels.available import can_use_triton
from models.networks.registry import ARCHITECTURES, Architecture
from models.training import step
from models.training.loop import TrainingRun
from models.training.proof import Setting
from models.training.recipe import TrainingConfig
from tests.builders import CPU, ToyNet, coloured, training_data, training_run

pytestmark = pytest.mark.skipif(not torch.cuda.is_available(), reason="there is no GPU")

GPU = torch.device("cuda")
EPOCHS = 3
# Sums in another order, and convolutions in TF32, are steps apart after a few epochs.
ALMOST = {"rtol": 1e-2, "atol": 2e-3}
Arch = pytest.mark.parametrize("arch", ["alexnet", "mobilenet"])
BothPrecisions = pytest.mark.parametrize("precision", ["fp32", "bf16"])


@pytest.fixture(scope="module")
def data() -> TrainingData:
    """Twelve steps of a full batch an epoch, and one of a part."""
    return training_data(coloured(1_000))


def run_of(
    arch: str,
    data: TrainingData,
    dropout: float,
    device: torch.device = GPU,
    precision: str = "fp32",
    kernels: Setting = "auto",
) -> TrainingRun:
    config = TrainingConfig({"lr": 1e-4, "dropout": dropout}, EPOCHS, batch_size=64)
    return training_run(ARCHITECTURES[arch], data, config, device=device, precision=precision, kernels=kernels)


def train(run: TrainingRun, epochs: int = EPOCHS) -> np.ndarray:
    """Losses, training and validation, [epochs, 2]."""
    for _ in range(epochs):
        run.train_epoch()
    return np.array([(row.train_loss, row.val_loss) for row in run.history])


@pytest.fixture
def uncaptured(monkeypatch: pytest.MonkeyPatch) -> Callable[[], None]:
    return lambda: monkeypatch.setattr(step, "WARM_UP_STEPS", 10**9)


@Arch
@BothPrecisions
def test_captured_steps_are_ordinary_ones_dropout_masks_included(
    arch: str, precision: str, data: TrainingData, uncaptured: Callable[[], None]
) -> None:
    captured = train(run_of(arch, data, 0.5, precision=precision))
    other_masks = train(run_of(arch, data, 0.45, precision=precision))
    uncaptured()
    ordinary = train(run_of(arch, data, 0.5, precision=precision))
    np.testing.assert_allclose(captured, ordinary, rtol=2e-3)
    assert np.abs(other_masks / ordinary - 1).max() > 5e-3


def test_a_network_that_does_not_say_that_it_may_be_is_not_captured(data: TrainingData) -> None:
    batches = []

    class Counted(ToyNet):
        def forward(self, images: torch.Tensor) -> torch.Tensor:
            if self.training:
                batches.append(len(images))
            return super().forward(images)

    config = TrainingConfig({"lr": 1e-2, "dropout": 0.1}, EPOCHS, batch_size=64)
    train(training_run(Architecture("counted", "Counted", Counted, {"dropout": 0.1}), data, config, device=GPU))
    assert len(batches) == EPOCHS * -(-len(data.split.train) // 64)


@Arch
@BothPrecisions
def test_a_gpu_learns_what_a_cpu_does(arch: str, precision: str, data: TrainingData) -> None:
    on_gpu, on_cpu = (train(run_of(arch, data, 0.0, device, precision)) for device in (GPU, CPU))
    np.testing.assert_allclose(on_gpu, on_cpu, **ALMOST)


@Arch
@BothPrecisions
def test_the_kernels_train_as_the_layers_of_torch_do(arch: str, precision: str, data: TrainingData) -> None:
    ours, theirs = (run_of(arch, data, 0.5, precision=precision, kernels=setting) for setting in ("auto", "off"))
    assert can_use_triton()
    assert (ours.kernels.path, theirs.kernels.path) == ("fast", "torch")
    np.testing.assert_allclose(train(ours), train(theirs), **ALMOST)


@Arch
@BothPrecisions
@pytest.mark.parametrize("saved_on", [GPU, CPU], ids=str)
def test_a_run_goes_on_from_a_state(arch: str, precision: str, saved_on: torch.device, data: TrainingData) -> None:
    first = run_of(arch, data, 0.0, saved_on, precision)
    train(first, 1)
    file = io.BytesIO()
    torch.save(first.state_dict(), file)
    file.seek(0)
    resumed = run_of(arch, data, 0.0, precision=precision)
    resumed.load_state_dict(torch.load(file, map_location="cpu", weights_only=True))
    straight = train(run_of(arch, data, 0.0, precision=precision))
    np.testing.assert_allclose(train(resumed, EPOCHS - 1), straight, **ALMOST)


@BothPrecisions
def test_a_state_taken_up_after_the_capture_is_trained_on(precision: str, data: TrainingData) -> None:
    run = run_of("alexnet", data, 0.0, precision=precision)
    train(run, 1)
    file = io.BytesIO()
    torch.save(run.state_dict(), file)
    straight = train(run, EPOCHS - 1)
    file.seek(0)
    run.load_state_dict(torch.load(file, map_location="cpu", weights_only=True))
    np.testing.assert_allclose(train(run, EPOCHS - 1), straight, rtol=2e-3)
