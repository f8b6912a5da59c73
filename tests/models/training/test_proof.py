"""The proof of the fast code: right kernels pass, and a fault in any of them makes torch's layers train."""

import ctypes
import logging
import shutil
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from models.kernels import convolution, winograd
from models.kernels.norm_relu_pool import cpu, layer
from models.networks.layers import Features, GlobalAveragePool, conv_bn_relu
from models.networks.registry import ARCHITECTURES, Architecture
from models.training import proof, step
from tests.builders import CPU, FAST_BF16, SMALL, TOY, noise, training_data, training_run

NeedsC = pytest.mark.skipif(shutil.which("cc") is None, reason="there is no C compiler")


@pytest.fixture(autouse=True)
def nothing_is_proven_yet(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(proof, "_proven", {})


@pytest.fixture
def no_tiles(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(convolution, "HAS_TILES", False)


def kernels_of(architecture: Architecture = SMALL, precision: str = "fp32", setting: proof.Setting = "auto") -> Any:
    return training_run(architecture, precision=precision, kernels=setting).kernels


@NeedsC
@pytest.mark.parametrize(
    ("name", "precision"),
    [
        ("alexnet", "fp32"),
        pytest.param("alexnet", "bf16", marks=FAST_BF16),
        ("mobilenet", "fp32"),
        ("mobilenet", "bf16"),
    ],
)
def test_the_networks_pass_and_random_states_stay_as_they_were(name: str, precision: str) -> None:
    torch.manual_seed(5)
    before = torch.get_rng_state()
    kernels = kernels_of(ARCHITECTURES[name], precision)
    assert kernels.path == "fast"
    assert kernels.reason.startswith("C")
    assert torch.equal(torch.get_rng_state(), before)


@NeedsC
@pytest.mark.parametrize("precision", ["fp32", "bf16"])
@pytest.mark.parametrize("size", [8, 17, pytest.param(48, marks=pytest.mark.slow)])
def test_the_fast_code_is_right_at_other_sizes(size: int, precision: str) -> None:
    data = training_data(noise(60, size=size))
    kernels = training_run(ARCHITECTURES["mobilenet"], data, precision=precision).kernels
    assert kernels.path == "fast"
    assert [key[-1] for key in proof._proven] == [size]


@NeedsC
def test_a_fault_at_one_size_is_found_there(monkeypatch: pytest.MonkeyPatch) -> None:
    right = cpu.run_c

    def wrong(function: Any, *arguments: Any) -> None:
        right(function, *arguments)
        sizes = next(argument for argument in arguments if isinstance(argument, ctypes.Structure))
        if function.__name__ == "forward" and sizes.width == 48:
            arguments[7].mul_(3)

    monkeypatch.setattr(cpu, "run_c", wrong)
    paths = [
        training_run(ARCHITECTURES["mobilenet"], training_data(noise(60, size=size))).kernels.path for size in (32, 48)
    ]
    assert paths == ["fast", "torch"]


@NeedsC
def test_the_proof_changes_no_number_of_the_run(monkeypatch: pytest.MonkeyPatch) -> None:
    proven = training_run(SMALL)
    monkeypatch.setattr(proof, "_fault", lambda *_: None)
    unproven = training_run(SMALL)
    assert proven.train_epoch().is_same_as(unproven.train_epoch())


def _wrong(call: Callable[..., None]) -> Callable[..., None]:
    """Return the call of C with its output changed: the last tensor of "forward", the gradients of "backward"."""

    def changed(function: Any, *arguments: Any) -> None:
        call(function, *arguments)
        outputs = [argument for argument in arguments if isinstance(argument, Tensor)]
        outputs[-1 if function.__name__ == "forward" else 5].mul_(3)

    return changed


def _nan(call: Callable[..., None]) -> Callable[..., None]:
    def changed(function: Any, *arguments: Any) -> None:
        call(function, *arguments)
        [argument for argument in arguments if isinstance(argument, Tensor)][-1].fill_(torch.nan)

    return changed


def _raising(call: Callable[..., None]) -> Callable[..., None]:
    def changed(*_: Any) -> None:
        raise RuntimeError("an illegal instruction\nand more")

    return changed


FAULTS = pytest.mark.parametrize(
    ("fault", "why"),
    [
        (_wrong, "disagrees with torch's layers"),
        (_nan, "not finite"),
        (_raising, "failed: RuntimeError: an illegal"),
    ],
    ids=["wrong", "NaN", "raises"],
)


@NeedsC
@FAULTS
@pytest.mark.parametrize("precision", ["fp32", "bf16"])
@pytest.mark.usefixtures("no_tiles")
def test_a_fault_in_c_is_said_once_and_torch_trains(
    fault: Callable[..., Any],
    why: str,
    precision: str,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    expected = training_run(SMALL, precision=precision, kernels="off")
    monkeypatch.setattr(cpu, "run_c", fault(cpu.run_c))
    with caplog.at_level(logging.WARNING):
        runs = [training_run(SMALL, precision=precision) for _ in range(2)]
    assert [run.kernels.path for run in runs] == ["torch", "torch"]
    assert why in runs[0].kernels.reason
    (line,) = [record.getMessage() for record in caplog.records]
    assert line.startswith("small trains with torch's layers") and why in line and "\n" not in line
    assert runs[0].train_epoch().is_same_as(expected.train_epoch())


def _wide(num_classes: int = 3, dropout: float = 0.0) -> nn.Module:
    """Build a network with one layer that trains by Winograd's convolution."""
    layers = Features(*conv_bn_relu(3, 64), nn.MaxPool2d(8), *conv_bn_relu(64, 64))
    return nn.Sequential(layers, GlobalAveragePool(), nn.Flatten(), nn.Dropout(dropout), nn.Linear(64, num_classes))


@pytest.mark.parametrize("matrix", ["FROM_TILE", "FROM_KERNEL", "TO_OUTPUT"])
def test_a_fault_in_winograds_convolution(matrix: str, monkeypatch: pytest.MonkeyPatch) -> None:
    wide = Architecture("wide", "Wide", _wide, {"dropout": 0.0})
    kernels = kernels_of(wide)
    assert kernels.path == "fast"
    assert kernels.reason.endswith("Winograd convolution")
    monkeypatch.setattr(proof, "_proven", {})
    changed = getattr(winograd, matrix).clone()
    changed[7] *= 2
    monkeypatch.setattr(winograd, matrix, changed)
    assert kernels_of(wide).path == "torch"


@pytest.mark.parametrize("value", [2.0, torch.nan])
def test_a_fault_in_the_convolution_for_amx(value: float, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(convolution, "HAS_TILES", True)
    assert kernels_of(precision="bf16").path == "fast"
    monkeypatch.setattr(proof, "_proven", {})
    right = convolution.conv2d_weight
    monkeypatch.setattr(convolution, "conv2d_weight", lambda *given, **named: right(*given, **named) * value)
    assert kernels_of(precision="bf16").path == "torch"


def _on_triton(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Let the kernels for a GPU run on CPU tensors in Triton's interpreter, as tests/conftest.py sets it up."""
    pytest.importorskip("triton")
    if torch.cuda.is_available():
        pytest.skip("the interpreter is off where there is a GPU")
    from models.kernels.norm_relu_pool import gpu

    # Patched as in `layer.norm_relu_pool`, which asks for a GPU.
    monkeypatch.setattr(layer.cpu, "norm_relu_pool", lambda *given: gpu.norm_relu_pool(*given))
    monkeypatch.setattr(layer, "can_compile_c", lambda dtype: True)
    monkeypatch.setattr(proof, "can_compile_c", lambda dtype: True)
    # The interpreter takes a second for 16 images.
    monkeypatch.setattr(proof, "IMAGES", 4)
    return gpu


@pytest.mark.parametrize("value", [None, 2.0, torch.nan], ids=str)
def test_a_fault_in_triton(value: float | None, monkeypatch: pytest.MonkeyPatch) -> None:
    gpu = _on_triton(monkeypatch)
    if value is not None:
        right = gpu.norm_relu_pool
        monkeypatch.setattr(gpu, "norm_relu_pool", lambda *given: right(*given) * value)
    assert kernels_of().path == ("fast" if value is None else "torch")


class _Replayed:
    """Stands for a CUDA graph: makes the captured step again, or fails."""

    def __init__(self, again: Callable[[], None]) -> None:
        self.replay = again


def _capture(monkeypatch: pytest.MonkeyPatch, replay: Callable[[step.TrainingStep], None]) -> None:
    monkeypatch.setattr(step, "can_capture", lambda device: True)
    monkeypatch.setattr(step.TrainingStep, "_capture", lambda self: _Replayed(lambda: replay(self)))


def test_a_captured_step_that_is_the_ordinary_one_passes(monkeypatch: pytest.MonkeyPatch) -> None:
    _capture(monkeypatch, lambda self: self._step(self._batch))
    kernels = kernels_of()
    assert kernels.path == "fast" and kernels.reason.endswith("CUDA graph")


def test_a_captured_step_that_does_nothing_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    _capture(monkeypatch, lambda self: None)
    assert kernels_of().path == "torch"


def test_a_capture_that_fails_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    if torch.cuda.is_available():
        pytest.skip("a capture does not fail where there is a GPU")
    monkeypatch.setattr(step, "can_capture", lambda device: True)
    run = training_run(SMALL)
    assert run.kernels.path == "torch" and "failed: " in run.kernels.reason
    assert run.train_epoch().is_finite


@pytest.mark.parametrize("fault", [None, "raises", "wrong"], ids=str)
@pytest.mark.usefixtures("no_tiles")
def test_a_fault_in_the_second_stream(fault: str | None, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("triton")
    from models.kernels import bfloat16_weights

    _capture(monkeypatch, lambda self: self._step(self._batch))
    for module in (step, proof):
        monkeypatch.setattr(module, "can_use_triton", lambda: True)
    update = bfloat16_weights.Bfloat16Weights.update_layer

    def faulty(self: Any, weight: Tensor, to_weight: Tensor, bias: Tensor | None, to_bias: Tensor) -> None:
        if fault == "raises":
            raise RuntimeError("no stream")
        update(self, weight, to_weight * (2 if fault else 1), bias, to_bias)

    monkeypatch.setattr(bfloat16_weights.Bfloat16Weights, "update_layer", faulty)
    kernels = kernels_of(precision="bf16")
    assert kernels.path == ("torch" if fault else "fast"), kernels.reason
    assert fault or kernels.reason.endswith("second stream")


def test_off_runs_no_fast_code(monkeypatch: pytest.MonkeyPatch) -> None:
    def forbidden(*_: Any, **__: Any) -> None:
        raise AssertionError("fast code ran")

    monkeypatch.setattr(convolution, "HAS_TILES", True)
    monkeypatch.setattr(cpu, "run_c", forbidden)
    monkeypatch.setattr(convolution, "side_by_side", forbidden)
    monkeypatch.setattr(step.TrainingStep, "_capture", forbidden)
    monkeypatch.setattr(step, "can_capture", lambda device: True)
    run = training_run(SMALL, precision="bf16", kernels="off")
    assert (run.kernels.path, run.kernels.reason) == ("torch", "switched off")
    assert run.train_epoch().is_finite


def test_a_network_without_fast_code_is_trained_by_torch() -> None:
    assert kernels_of(TOY) == proof.Kernels("torch", "there is no fast code for this network and machine")


def test_another_setting_is_refused() -> None:
    with pytest.raises(ValueError, match="'on' is neither auto nor off"):
        kernels_of(setting="on")  # type: ignore[arg-type]


def test_layers_outside_of_a_run_are_torchs() -> None:
    features = Features(*conv_bn_relu(3, 16))
    images = torch.randn(4, 3, 8, 8)
    weight = next(features.parameters())
    expected = F.relu(F.batch_norm(F.conv2d(images, weight, padding=1), None, None, training=True))
    torch.testing.assert_close(features(images), expected)
    assert images.device == CPU
