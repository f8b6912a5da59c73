"""Batch normalisation, ReLU and pool in one beside torch's layers: in C on a CPU, in Triton on a GPU.

Without a GPU Triton's kernels run in its interpreter, see tests/conftest.py.
"""

import copy
import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest
import torch
from torch import Tensor, nn
from torch._subclasses.fake_tensor import FakeTensor, FakeTensorMode
from torch.fx.experimental.proxy_tensor import make_fx
from torch.nn import functional as F

from benchmarks.plain import plain_network
from models.kernels import available as kernels
from models.kernels.norm_relu_pool import cpu as norm_relu_pool_cpu
from models.kernels.norm_relu_pool import layer
from models.networks import layers as blocks
from models.networks.layers import conv_bn_relu
from models.networks.registry import ARCHITECTURES
from tests.builders import CPU, channels_last

Kernel = Callable[[Tensor, nn.BatchNorm2d, int], Tensor]
GPU = torch.device("cuda" if torch.cuda.is_available() else "cpu")
# Shares of the norm. Triton's interpreter cuts bfloat16 off where a GPU rounds, as C does.
TOLERANCE = {torch.float32: 1e-5, torch.bfloat16: 8e-3 if GPU.type == "cpu" else 2.4e-3}
TOLERANCE_OF_C = {torch.float32: 1e-5, torch.bfloat16: 2.4e-3}
NeedsC = pytest.mark.skipif(shutil.which("cc") is None, reason="there is no C compiler")
BothTypes = pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16], ids=["fp32", "bf16"])


@pytest.fixture(params=["C", "Triton"])
def kernel(request: pytest.FixtureRequest) -> tuple[Kernel, torch.device]:
    if request.param == "C":
        if shutil.which("cc") is None:
            pytest.skip("there is no C compiler")
        return norm_relu_pool_cpu.norm_relu_pool, CPU
    pytest.importorskip("triton")
    from models.kernels.norm_relu_pool.gpu import norm_relu_pool

    return norm_relu_pool, GPU


def fast_features(*layers: nn.Module) -> blocks.Features:
    features = blocks.Features(*layers)
    kernels.use_kernels(features, True)
    return features


def trained_norm(channels: int, device: torch.device = CPU) -> nn.BatchNorm2d:
    """With weights of both signs, as training can make them."""
    norm = nn.BatchNorm2d(channels, momentum=0.3, eps=1e-3)
    with torch.random.fork_rng():
        torch.manual_seed(1)
        nn.init.normal_(norm.weight)
        nn.init.normal_(norm.bias)
    return norm.to(device)


def torchs(images: Tensor, norm: nn.BatchNorm2d, side: int) -> Tensor:
    output = F.relu(norm(images.float()))
    return F.max_pool2d(output, side) if side > 1 else output


@BothTypes
@pytest.mark.parametrize(
    ("shape", "side"),
    [
        ((4, 32, 8, 8), 1),
        ((4, 64, 8, 8), 2),
        ((1, 192, 4, 6), 2),
        ((3, 16, 8, 4), 4),
        pytest.param((1, 64, 8, 8), 8, marks=pytest.mark.slow),
        ((2, 80, 7, 9), 1),
        pytest.param((5, 16, 16, 16), 1, id="many programs share a sum"),
    ],
)
def test_normalises_and_pools_as_torch_does(
    kernel: tuple[Kernel, torch.device], shape: tuple[int, ...], side: int, dtype: torch.dtype
) -> None:
    norm_relu_pool, device = kernel
    is_c = norm_relu_pool is norm_relu_pool_cpu.norm_relu_pool
    _agree_with_torch(norm_relu_pool, device, shape, side, dtype, TOLERANCE_OF_C if is_c else TOLERANCE)


def _agree_with_torch(
    norm_relu_pool: Kernel,
    device: torch.device,
    shape: tuple[int, ...],
    side: int,
    dtype: torch.dtype,
    tolerances: dict[torch.dtype, float],
) -> None:
    images, norm = channels_last(device, *shape, dtype=dtype).requires_grad_(), trained_norm(shape[1], device)
    other = copy.deepcopy(norm)
    ours = norm_relu_pool(images, norm, side)
    expected = torchs(images, other, side)
    above = torch.randn_like(expected)
    gradients = torch.autograd.grad(ours, (images, norm.weight, norm.bias), above.to(dtype))
    others = torch.autograd.grad(expected, (images, other.weight, other.bias), above.to(dtype).float())

    assert ours.dtype == dtype
    assert ours.is_contiguous(memory_format=torch.channels_last)
    tolerance = tolerances[dtype]
    for mine, theirs in zip((ours, *gradients), (expected, *others), strict=True):
        assert (mine.float() - theirs).norm() <= tolerance * theirs.norm()
    for name, buffer in norm.named_buffers():
        torch.testing.assert_close(buffer, other.get_buffer(name), rtol=1e-4, atol=1e-5)


@pytest.mark.slow
def test_programs_of_triton_share_more_tiles_than_there_are_programs(monkeypatch: pytest.MonkeyPatch) -> None:
    """Seven tiles forward and backward: two programs have three each, and the last has one."""
    pytest.importorskip("triton")
    from models.kernels.norm_relu_pool import gpu

    monkeypatch.setattr(gpu, "PROGRAMS", 3)
    assert gpu._Tile(16, 1).shares(5 * 16 * 20) == (3, 3)
    _agree_with_torch(gpu.norm_relu_pool, GPU, (5, 16, 16, 20), 1, torch.float32, TOLERANCE)


def test_triton_takes_any_number_of_channels() -> None:
    pytest.importorskip("triton")
    from models.kernels.norm_relu_pool.gpu import norm_relu_pool

    for shape, side in (((3, 5, 8, 4), 4), ((2, 70, 7, 9), 1)):
        images, norm = channels_last(GPU, *shape), trained_norm(shape[1], GPU)
        expected = torchs(images, copy.deepcopy(norm), side)
        torch.testing.assert_close(norm_relu_pool(images, norm, side), expected, rtol=1e-4, atol=1e-4)


def test_the_first_of_equal_pixels_gets_the_gradient(kernel: tuple[Kernel, torch.device]) -> None:
    norm_relu_pool, device = kernel
    norm = nn.BatchNorm2d(16, device=device)
    images = torch.zeros(1, 16, 4, 4, device=device)
    images[:, :, :2, :2] = 1  # equal in one window; all other windows are below 0 once normalised
    images.requires_grad_()
    output = norm_relu_pool(images, norm, 2)
    above = torch.rand_like(output)
    (ours,) = torch.autograd.grad(output, images, above)
    (expected,) = torch.autograd.grad(torchs(images, copy.deepcopy(norm), 2), images, above)
    torch.testing.assert_close(ours, expected)


def test_an_activation_of_0_passes_no_gradient_on(kernel: tuple[Kernel, torch.device]) -> None:
    norm_relu_pool, device = kernel
    norm = nn.BatchNorm2d(16, device=device)
    images = torch.tensor([-1.0, 0.0, 1.0, 0.0], device=device).repeat(1, 16, 4, 1).requires_grad_()
    ours, expected = (
        torch.autograd.grad(layers(images, norm, 1).sum(), (images, norm.weight, norm.bias))
        for layers in (norm_relu_pool, torchs)
    )
    torch.testing.assert_close(ours, expected)


@BothTypes
@pytest.mark.parametrize("value", [torch.inf, torch.nan], ids=str)
@pytest.mark.filterwarnings("ignore:invalid value encountered:RuntimeWarning")
def test_what_is_not_finite_is_not_hidden(
    kernel: tuple[Kernel, torch.device], value: float, dtype: torch.dtype
) -> None:
    norm_relu_pool, device = kernel
    norm = nn.BatchNorm2d(16, device=device)
    images = channels_last(device, 2, 16, 4, 4, dtype=dtype)
    images[1, 3, 2, 1] = value
    images.requires_grad_()
    output = norm_relu_pool(images, norm, 2)
    others = [channel for channel in range(16) if channel != 3]
    assert output[:, 3].isnan().all()
    assert output[:, others].isfinite().all()
    (gradient,) = torch.autograd.grad(output, images, torch.ones_like(output))
    assert gradient[:, 3].isnan().any()


@BothTypes
def test_sums_cancel_no_more_than_torchs_where_the_mean_is_far_from_0(
    kernel: tuple[Kernel, torch.device], dtype: torch.dtype
) -> None:
    norm_relu_pool, device = kernel
    norm = trained_norm(16, device)
    images = (channels_last(device, 8, 16, 16, 16) + 100).to(dtype).requires_grad_()
    ours, expected = norm_relu_pool(images, norm, 1), torchs(images, copy.deepcopy(norm), 1)
    assert (ours - expected).norm() <= 5 * TOLERANCE[dtype] * expected.norm()


@NeedsC
@BothTypes
def test_a_cpu_gives_the_same_bits_for_any_number_of_threads(dtype: torch.dtype) -> None:
    def results(threads: int) -> list[Tensor]:
        torch.set_num_threads(threads)
        images, norm = channels_last(CPU, 5, 48, 8, 8, dtype=dtype).requires_grad_(), trained_norm(48)
        output = norm_relu_pool_cpu.norm_relu_pool(images, norm, 2)
        gradients = torch.autograd.grad(output, (images, norm.weight, norm.bias), output.detach())
        return [output, *gradients, *norm.buffers()]

    before = torch.get_num_threads()
    try:
        for one, three in zip(results(1), results(3), strict=True):
            assert torch.equal(one, three)
    finally:
        torch.set_num_threads(before)


@NeedsC
@pytest.mark.parametrize("name", ["alexnet", "mobilenet"])
def test_a_network_trains_as_with_the_layers_of_torch(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[str] = []

    def watched(function: Any, *arguments: Any) -> None:
        calls.append(function.__name__)
        run_c(function, *arguments)

    run_c = norm_relu_pool_cpu.run_c
    monkeypatch.setattr(norm_relu_pool_cpu, "run_c", watched)
    with torch.random.fork_rng():
        torch.manual_seed(0)
        ours, plain = ARCHITECTURES[name].build(10, {"dropout": 0.0}), plain_network(ARCHITECTURES[name], 10, 0.0)
    plain.load_state_dict(ours.state_dict())
    kernels.use_kernels(ours, True)
    images = channels_last(CPU, 16, 3, 32, 32)
    for model in (ours, plain):
        F.cross_entropy(model(images), torch.arange(16) % 10).backward()
    norms = sum(isinstance(layer, nn.BatchNorm2d) for layer in ours.modules())
    assert calls == ["forward"] * norms + ["backward"] * norms
    for mine, theirs in zip(ours.parameters(), plain.parameters(), strict=True):
        assert mine.grad is not None and theirs.grad is not None
        # Of activations at 0 some lie above in one and below in the other.
        assert (mine.grad - theirs.grad).norm() <= 1e-2 * theirs.grad.norm() + 1e-5
    torch.testing.assert_close(dict(ours.named_buffers()), dict(plain.named_buffers()))


def changed(norm: nn.BatchNorm2d, **attributes: Any) -> nn.BatchNorm2d:
    for name, value in attributes.items():
        setattr(norm, name, value)
    return norm


@pytest.mark.parametrize(
    ("images", "norm"),
    [
        (channels_last(CPU, 4, 20, 8, 8), nn.BatchNorm2d(20)),
        (channels_last(CPU, 4, 32, 9, 8), nn.BatchNorm2d(32)),
        (channels_last(CPU, 4, 32, 8, 8, dtype=torch.float64), nn.BatchNorm2d(32).double()),
        (channels_last(CPU, 4, 32, 8, 8, dtype=torch.bfloat16), nn.BatchNorm2d(32).bfloat16()),
        (channels_last(CPU, 4, 32, 8, 8), nn.BatchNorm2d(32, affine=False)),
        (channels_last(CPU, 4, 32, 8, 8), changed(nn.BatchNorm2d(32), bias=None)),
        (channels_last(CPU, 4, 32, 8, 8), nn.BatchNorm2d(32, track_running_stats=False)),
        (channels_last(CPU, 4, 32, 8, 8), nn.BatchNorm2d(32, momentum=None)),
        (channels_last(CPU, 4, 32, 8, 8), changed(nn.BatchNorm2d(32), running_mean=torch.zeros(64)[::2])),
        (channels_last(CPU, 4, 32, 8, 8), changed(nn.BatchNorm2d(32), training=False)),
    ],
    ids=[
        *("20 channels", "9 pixels high", "float64", "bfloat16 weights", "no weights", "no bias"),
        *("no statistics", "no momentum", "statistics with gaps", "frozen"),
    ],
)
def test_what_there_is_no_code_for_runs_in_torch(images: Tensor, norm: nn.BatchNorm2d) -> None:
    other = copy.deepcopy(norm)
    features, plain = fast_features(norm, nn.ReLU(), nn.MaxPool2d(2)), nn.Sequential(other, nn.ReLU(), nn.MaxPool2d(2))
    for mine, theirs in zip((features(images), *norm.buffers()), (plain(images), *other.buffers()), strict=True):
        assert torch.equal(mine, theirs)


@pytest.mark.parametrize(
    "layers",
    [
        [nn.Identity()],
        [nn.GELU(), nn.MaxPool2d(2)],
        [nn.ReLU6()],
        [nn.ReLU(), nn.Conv2d(16, 16, 3)],
        [nn.ReLU(), nn.MaxPool2d(2, stride=1)],
        [nn.ReLU(), nn.MaxPool2d(2, padding=1)],
        [nn.ReLU(), nn.MaxPool2d(2, dilation=2)],
        [nn.ReLU(), nn.MaxPool2d(3, ceil_mode=True)],
        [nn.ReLU(), nn.MaxPool2d((2, 4))],
        [nn.ReLU(), nn.AvgPool2d(2)],
        [],
    ],
    ids=str,
)
def test_whatever_follows_a_normalisation_is_run(layers: list[nn.Module]) -> None:
    features = fast_features(nn.BatchNorm2d(16), *layers)
    plain = nn.Sequential(*copy.deepcopy(features))
    images = channels_last(CPU, 2, 16, 8, 8)
    torch.testing.assert_close(features(images), plain(images), rtol=1e-5, atol=1e-5)


def test_a_normalisation_of_another_kind_is_run_as_it_is() -> None:
    class Doubled(nn.BatchNorm2d):
        def forward(self, images: Tensor) -> Tensor:
            return 2 * super().forward(images)

    images = channels_last(CPU, 2, 16, 8, 8)
    plain = 2 * torchs(images, nn.BatchNorm2d(16), 1)
    torch.testing.assert_close(fast_features(Doubled(16), nn.ReLU())(images), plain, rtol=1e-5, atol=1e-5)


def test_the_wrong_number_of_channels_is_refused_as_torch_does() -> None:
    with pytest.raises(RuntimeError, match="16"):
        fast_features(nn.BatchNorm2d(16), nn.ReLU())(channels_last(CPU, 2, 64, 4, 4))


def test_an_image_without_a_batch_is_refused_as_torch_does() -> None:
    with pytest.raises(ValueError, match="expected 4D input"):
        fast_features(nn.BatchNorm2d(16), nn.ReLU())(torch.zeros(16, 8, 8))


@NeedsC
def test_on_a_cpu_neither_defaults_nor_how_saved_tensors_are_kept_matter() -> None:
    norm_relu_pool = norm_relu_pool_cpu.norm_relu_pool
    images, norm = channels_last(CPU, 4, 16, 8, 8).requires_grad_(), trained_norm(16)
    (expected,) = torch.autograd.grad(norm_relu_pool(images, norm, 2).square().sum(), images)
    torch.set_default_dtype(torch.float64)
    try:
        with torch.autograd.graph.saved_tensors_hooks(lambda kept: kept, Tensor.contiguous):
            output = norm_relu_pool(images, norm, 2).square().sum()
        (ours,) = torch.autograd.grad(output, images, retain_graph=True)
        (again,) = torch.autograd.grad(output, images)
    finally:
        torch.set_default_dtype(torch.float32)
    assert torch.equal(ours, expected) and torch.equal(again, expected)


@NeedsC
def test_on_a_cpu_an_outlier_in_the_first_pixel_costs_no_accuracy() -> None:
    images, norm = channels_last(CPU, 16, 16, 16, 16), trained_norm(16)
    images[0, :, 0, 0] = 1e3
    expected = torchs(images, copy.deepcopy(norm), 1)
    assert (norm_relu_pool_cpu.norm_relu_pool(images, norm, 1) - expected).norm() <= 1e-4 * expected.norm()


@NeedsC
def test_bfloat16_is_rounded_to_the_nearest_of_two_the_even() -> None:
    norm = nn.BatchNorm2d(16)
    with torch.no_grad():
        norm.weight.zero_()
        norm.bias.copy_(1 + torch.arange(16) / 512)
    output = norm_relu_pool_cpu.norm_relu_pool(channels_last(CPU, 2, 16, 2, 2, dtype=torch.bfloat16), norm, 1)
    assert torch.equal(output[0, :, 0, 0], norm.bias.detach().bfloat16())


def test_a_channel_of_one_pixel_is_refused_as_torch_does() -> None:
    with pytest.raises(ValueError, match="more than 1 value per channel"):
        fast_features(nn.BatchNorm2d(16), nn.ReLU())(torch.zeros(1, 16, 1, 1))


@pytest.fixture
def compiles_anew() -> Iterator[None]:
    for remembered in (kernels.can_compile_c, norm_relu_pool_cpu.library):
        remembered.cache_clear()
    yield
    for remembered in (kernels.can_compile_c, norm_relu_pool_cpu.library):
        remembered.cache_clear()


@pytest.mark.usefixtures("compiles_anew")
@pytest.mark.parametrize(
    ("compiler", "why"),
    [
        (None, "cc"),
        ("echo no such option >&2; exit 1", "no such option"),
        ('while [ "$1" != -o ]; do shift; done; echo nothing > "$2"', "norm_relu_pool.so"),
        ("/bin/sleep SECONDS; /bin/sleep SECONDS", "cc did not end within 0 s"),
    ],
    ids=["no compiler", "a compiler that fails", "code that cannot be loaded", "a compiler that hangs"],
)
def test_without_a_compiler_torch_trains_and_says_so_once(
    compiler: str | None, why: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    if compiler and "sleep" in compiler:
        monkeypatch.setattr(norm_relu_pool_cpu, "LONGEST_SECONDS", 0.1)
    seconds = f"4321.{os.getpid()}"  # which no sleep of another test takes
    if compiler:
        script = tmp_path / "cc"
        script.write_text(f"#!/bin/sh\n{compiler.replace('SECONDS', seconds)}\n")
        script.chmod(0o755)
    features = fast_features(*conv_bn_relu(3, 16), nn.MaxPool2d(2))
    plain = nn.Sequential(*copy.deepcopy(features))
    images = channels_last(CPU, 4, 3, 8, 8)
    with pytest.warns(RuntimeWarning, match=f"training is slower: .*{why}"):
        first = features(images)
    torch.testing.assert_close(first, plain(images))
    features(images)
    assert not [process for process in psutil.process_iter(["cmdline"]) if seconds in (process.info["cmdline"] or ())]


@NeedsC
def test_tensors_without_memory_are_left_to_torch() -> None:
    """The C code would read the memory of a FakeTensor, which has none."""
    with FakeTensorMode():
        norm, images = nn.BatchNorm2d(16), torch.empty(4, 16, 8, 8)
        output: Tensor = layer.norm_relu_pool(images, norm, 2)
    assert output.shape == (4, 16, 4, 4) and isinstance(output, FakeTensor)


@NeedsC
def test_transforms_and_traces_see_torchs_operations() -> None:
    norm, images = trained_norm(16), torch.rand(4, 16, 8, 8, generator=torch.Generator().manual_seed(0))

    def total(images: Tensor) -> Tensor:
        output: Tensor = layer.norm_relu_pool(images, norm, 2)
        return output.square().sum()

    network = fast_features(norm, nn.ReLU(), nn.MaxPool2d(2))
    several = {f"0.{name}": torch.stack([values, values]) for name, values in norm.named_buffers()}
    outputs = torch.func.vmap(lambda images, buffers: torch.func.functional_call(network, buffers, (images,)))(
        torch.stack([images, images.flip(0)]), several
    )
    torch.testing.assert_close(outputs[0], torchs(images, norm, 2))
    assert "batch_norm" in str(make_fx(total)(images).graph)
    assert "NormReluPool" in type(total(images).grad_fn.next_functions[0][0].next_functions[0][0]).__name__  # type: ignore[union-attr]


def test_a_second_derivative_is_refused(kernel: tuple[Kernel, torch.device]) -> None:
    """Without the refusal it would be wrong, because the backward pass is no operation of torch."""
    run, device = kernel
    images = torch.rand(2, 16, 4, 4, device=device, requires_grad=True)
    (gradient,) = torch.autograd.grad(
        run(images, trained_norm(16, device), 2).square().sum(), images, create_graph=True
    )
    with pytest.raises(RuntimeError, match="once_differentiable"):
        gradient.sum().backward()
