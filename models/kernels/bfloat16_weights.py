"""Mixed precision training (Micikevicius et al., 2018) on a GPU, with Adam as one pass over each weight.

Under autocast every step casts each weight to bfloat16 and each of its gradients back to float32, and torch's fused
Adam gives a block of the GPU 65,536 values, which leaves much of it idle: on an H200 150 of the 885 us of AlexNet's
step. Here Adam takes gradients in bfloat16, and writes the weights in float32 and, for the next step, in bfloat16.
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

# The layers that compute in bfloat16 under autocast. Its batch normalisation keeps float32 weights.
CAST_LAYERS = (nn.Conv2d, nn.Linear)
BLOCK = 1024


@triton.jit
def _adam_kernel(
    weight, copy, gradient, first, second, steps, n, lr, eps,
    BETA1: tl.constexpr, BETA2: tl.constexpr, LOG_BETA1: tl.constexpr, LOG_BETA2: tl.constexpr, BLOCK: tl.constexpr,
):  # fmt: skip
    """Algorithm 1 of Kingma and Ba (2015), with epsilon outside of the root, as torch has it."""
    i = tl.program_id(0) * BLOCK + tl.arange(0, BLOCK)
    inside = i < n
    g = tl.load(gradient + i, inside, 0.0).to(tl.float32)
    m = tl.load(first + i, inside, 0.0)
    v = tl.load(second + i, inside, 0.0)
    w = tl.load(weight + i, inside, 0.0)
    m = BETA1 * m + (1 - BETA1) * g
    v = BETA2 * v + (1 - BETA2) * g * g
    # In float64: in the first steps 1 - beta2 ** t is small.
    t = tl.load(steps).to(tl.float64)
    correction1 = 1 - tl.exp(t * LOG_BETA1)
    correction2 = 1 - tl.exp(t * LOG_BETA2)
    w -= (lr / correction1.to(tl.float32)) * m / (tl.sqrt(v) / tl.sqrt(correction2).to(tl.float32) + eps)
    tl.store(first + i, m, inside)
    tl.store(second + i, v, inside)
    tl.store(weight + i, w, inside)
    tl.store(copy + i, w, inside)


class Bfloat16Weights:
    """Copies in bfloat16 of the weights of a network's convolutions and linear layers, to train the network with.

    Backward, the gradients of weights are taken in a second stream, and each is used there and then, beside what the
    first stream goes on with: products leave room for what waits for memory, as Adam and batch normalisation do.

    The weights may change by training alone as long as this is used.

    Args:
        model: of one device.
        optimizer: torch's Adam of its parameters, neither amsgrad nor with weight decay; what state it has is kept, in
            place and in its own form.
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
        """Begins a step, which `finish` ends; between them lie one call and its backward pass."""
        torch._foreach_add_(self._steps, 1)

    def __call__(self, images: Tensor) -> Tensor:
        """The logits of the network with the copies in the place of its weights."""
        with _Layers(self):
            logits: Tensor = torch.func.functional_call(self._model, self._copies, (images,))
        return logits

    def finish(self) -> None:
        """Waits for the second stream, and updates the weights that are used in other ways than by a layer."""
        if self._second is not None:
            torch.cuda.current_stream().wait_stream(self._second)
        self._lent.clear()
        for copy in self._copies.values():
            if copy.grad is not None:
                gradient, copy.grad = copy.grad, None
                self.update(copy, gradient)

    @contextmanager
    def beside(self, *used: Tensor) -> Iterator[None]:
        """Runs the block in the second stream, once the first has come to where it is now.

        Args:
            used: what the block reads of the first stream's. It is kept until `finish`: a gradient that nobody else
                holds any more autograd adds another to in place, as it does where a skip connection begins.
        """
        self._lent += used
        if self._second is None:
            yield
            return
        self._second.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(self._second):
            yield

    def update_layer(self, weight: Tensor, to_weight: Tensor, bias: Tensor | None, to_bias: Tensor) -> None:
        """Updates, in the second stream, copies that the first has read for the last time in this step."""
        with self.beside():
            self.update(weight, to_weight)
            if bias is not None:
                self.update(bias, to_bias)

    @torch.no_grad()
    def update(self, copy: Tensor, gradient: Tensor) -> None:
        """Makes the step of Adam of the weight that this is the copy of."""
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
        return id(tensor) in self._updates


class _Layers(TorchFunctionMode):
    """Within it convolutions and linear layers of copies have a backward pass of their own.

    Raises RuntimeError where two layers share a weight, of which neither knows the whole gradient.
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
    """One a process, since memory that was freed serves only the stream it was used in."""
    return torch.cuda.Stream(device)


def _state(optimizer: torch.optim.Adam, weight: Tensor) -> dict[str, Any]:
    """The optimizer's state of a weight, made as it makes it if there is none."""
    state: dict[str, Any] = optimizer.state[weight]
    if not state:
        state["step"] = torch.zeros((), device=weight.device)
        state["exp_avg"], state["exp_avg_sq"] = torch.zeros_like(weight), torch.zeros_like(weight)
    return state
