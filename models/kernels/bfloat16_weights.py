"""Mixed precision training (Micikevicius et al., 2018) on a GPU, with Adam as one pass over each weight.

Under autocast every step casts each weight to bfloat16 and each gradient back to float32. torch's fused Adam gives each
block of the GPU 65,536 values, which leaves much of the GPU idle. Here Adam reads gradients in bfloat16, and writes the
weights in float32 and, for the next step, in bfloat16. README.md in this folder says what this saves.
"""

import math
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from typing import Any

import torch
import triton
import triton.language as tl
from torch import Tensor, nn
from torch.nn import functional as F
from torch.overrides import TorchFunctionMode

# The layers that compute in bfloat16 under autocast. Batch normalisation keeps float32 weights.
CAST_LAYERS = (nn.Conv2d, nn.Linear)
# Values that one program of the Adam kernel updates.
BLOCK = 1024


@triton.jit
def _adam_kernel(
    weight, copy, gradient, first, second, steps, n, lr, eps,
    BETA1: tl.constexpr, BETA2: tl.constexpr, LOG_BETA1: tl.constexpr, LOG_BETA2: tl.constexpr, BLOCK: tl.constexpr,
):  # fmt: skip
    """Make one step of Adam (algorithm 1 of Kingma and Ba, 2015), with epsilon outside of the root, as in torch."""
    i = tl.program_id(0) * BLOCK + tl.arange(0, BLOCK)
    inside = i < n
    g = tl.load(gradient + i, inside, 0.0).to(tl.float32)
    m = tl.load(first + i, inside, 0.0)
    v = tl.load(second + i, inside, 0.0)
    w = tl.load(weight + i, inside, 0.0)
    m = BETA1 * m + (1 - BETA1) * g
    v = BETA2 * v + (1 - BETA2) * g * g
    # In float64, because 1 - beta2 ** t is small in the first steps.
    t = tl.load(steps).to(tl.float64)
    correction1 = 1 - tl.exp(t * LOG_BETA1)
    correction2 = 1 - tl.exp(t * LOG_BETA2)
    w -= (lr / correction1.to(tl.float32)) * m / (tl.sqrt(v) / tl.sqrt(correction2).to(tl.float32) + eps)
    tl.store(first + i, m, inside)
    tl.store(second + i, v, inside)
    tl.store(weight + i, w, inside)
    tl.store(copy + i, w, inside)


class Bfloat16Weights:
    """Trains a network with bfloat16 copies of the weights of its convolutions and linear layers.

    In the backward pass a second stream computes the gradients of the weights and updates the weights at once. It runs
    beside the first stream: matrix products keep the multiprocessors busy, Adam and batch normalisation the memory.

    Nothing but training may change the weights as long as the copies are in use.

    Args:
        model: all its parameters lie on one device.
        optimizer: torch's Adam of the network's parameters, without amsgrad and weight decay; its state is kept, in
            place and in torch's form.
    """

    def __init__(self, model: nn.Module, optimizer: torch.optim.Adam) -> None:
        self._model = model
        self._group = optimizer.param_groups[0]
        layers = (layer for layer in model.modules() if isinstance(layer, CAST_LAYERS))
        cast = {id(parameter) for layer in layers for parameter in layer.parameters()}
        weights = {name: weight for name, weight in model.named_parameters() if id(weight) in cast}
        self._copies = {name: weight.detach().bfloat16().requires_grad_() for name, weight in weights.items()}
        self._updates = {
            id(self._copies[name]): (weight, _state(optimizer, weight)) for name, weight in weights.items()
        }
        self._steps = [state["step"] for _, state in self._updates.values()]
        device = next(model.parameters()).device
        self._second = _second_stream(device) if device.type == "cuda" else None
        self._lent: list[Tensor] = []

    @torch.no_grad()
    def start(self) -> None:
        """Begin a step, which `finish` ends; between them lie one call and its backward pass."""
        torch._foreach_add_(self._steps, 1)

    def __call__(self, images: Tensor) -> Tensor:
        """Return the logits [n, n_classes] that the network gives with the copies in the place of its weights."""
        with _Layers(self):
            logits: Tensor = torch.func.functional_call(self._model, self._copies, (images,))
        return logits

    def finish(self) -> None:
        """Wait for the second stream, and update the weights that no convolution or linear layer used."""
        if self._second is not None:
            torch.cuda.current_stream().wait_stream(self._second)
        self._lent.clear()
        for copy in self._copies.values():
            if copy.grad is not None:
                gradient, copy.grad = copy.grad, None
                self.update(copy, gradient)

    @contextmanager
    def beside(self, *used: Tensor) -> Iterator[None]:
        """Run the block in the second stream, after all work that the first stream has queued so far.

        Args:
            used: tensors of the first stream that the block reads. They are kept until `finish`, because autograd adds
                to a gradient in place if nothing else holds it, for example at a skip connection.
        """
        self._lent += used
        if self._second is None:
            yield
            return
        self._second.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(self._second):
            yield

    def update_layer(self, weight: Tensor, to_weight: Tensor, bias: Tensor | None, to_bias: Tensor) -> None:
        """Update a layer's weight and bias in the second stream, after the first has read them last in this step."""
        with self.beside():
            self.update(weight, to_weight)
            if bias is not None:
                self.update(bias, to_bias)

    @torch.no_grad()
    def update(self, copy: Tensor, gradient: Tensor) -> None:
        """Make the step of Adam for the weight of this copy, given the gradient of the copy's shape."""
        weight, state = self._updates[id(copy)]
        if gradient.stride() != copy.stride():
            gradient = torch.empty_like(copy).copy_(gradient)
        betas, n = self._group["betas"], weight.numel()
        _adam_kernel[(triton.cdiv(n, BLOCK),)](
            weight, copy, gradient, state["exp_avg"], state["exp_avg_sq"], state["step"],
            n, self._group["lr"], self._group["eps"], *betas, *(math.log(beta) for beta in betas),
            BLOCK, enable_fp_fusion=False,
        )  # fmt: skip

    def is_copy(self, tensor: object) -> bool:
        """Return whether the tensor is the copy of a weight."""
        return id(tensor) in self._updates


class _Layers(TorchFunctionMode):
    """Gives convolutions and linear layers of copies the backward pass of this file.

    Raises RuntimeError if two layers share a weight, because neither layer knows the whole gradient.
    """

    def __init__(self, weights: Bfloat16Weights) -> None:
        super().__init__()
        self._weights = weights
        self._seen: set[int] = set()

    def __torch_function__(self, function: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if function in (F.conv2d, F.linear) and not kwargs and self._weights.is_copy(args[1]):
            if id(args[1]) in self._seen:
                raise RuntimeError("two layers share a weight: the network may not be registered as capturable")
            self._seen.add(id(args[1]))
            if function is F.linear and len(args) == 3 and args[0].ndim == 2:
                return _Linear.apply(self._weights, args[0].bfloat16(), *args[1:])
            if function is F.conv2d and len(args) == 7 and all(isinstance(size, tuple) for size in args[3:6]):
                return _Convolution.apply(self._weights, args[0].bfloat16(), *args[1:])
        return function(*args, **(kwargs or {}))


class _Linear(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, weights: Bfloat16Weights, x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
        ctx.save_for_backward(x)
        ctx.copies = weights, weight, bias
        return F.linear(x, weight, bias)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
        (x,) = ctx.saved_tensors
        weights, weight, bias = ctx.copies
        with weights.beside(x, gradient):
            to_weight, to_bias = gradient.t() @ x, gradient.sum(0)
        to_x = gradient @ weight if ctx.needs_input_grad[1] else None
        weights.update_layer(weight, to_weight, bias, to_bias)
        return None, to_x, None, None


class _Convolution(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any, weights: Bfloat16Weights, x: Tensor, weight: Tensor, bias: Tensor | None, *sizes: Any
    ) -> Tensor:
        ctx.save_for_backward(x)
        ctx.copies = weights, weight, bias
        ctx.sizes = sizes
        return F.conv2d(x, weight, bias, *sizes)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
        (x,) = ctx.saved_tensors
        weights, weight, bias = ctx.copies
        stride, padding, dilation, groups = ctx.sizes

        def backward(*wanted: bool) -> tuple[Tensor, ...]:
            sizes = (stride, padding, dilation, False, (0, 0), groups)
            bias_size = None if bias is None else bias.shape
            outputs: tuple[Tensor, ...] = torch.ops.aten.convolution_backward(
                gradient, x, weight, bias_size, *sizes, wanted
            )
            return outputs

        with weights.beside(x, gradient):
            _, to_weight, to_bias = backward(False, True, bias is not None)
        to_x = backward(True, False, False)[0] if ctx.needs_input_grad[1] else None
        weights.update_layer(weight, to_weight, bias, to_bias)
        return (None, to_x, *(None for _ in range(6)))


@cache
def _second_stream(device: torch.device) -> torch.cuda.Stream:
    """Return the one second stream of this process; freed memory is reused only in the stream it was used in."""
    return torch.cuda.Stream(device)


def _state(optimizer: torch.optim.Adam, weight: Tensor) -> dict[str, Any]:
    """Return the optimizer's state of a weight; create it as torch does if there is none."""
    state: dict[str, Any] = optimizer.state[weight]
    if not state:
        state["step"] = torch.zeros((), device=weight.device)
        state["exp_avg"], state["exp_avg_sq"] = torch.zeros_like(weight), torch.zeros_like(weight)
    return state
