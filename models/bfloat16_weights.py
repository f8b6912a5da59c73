"""Mixed precision training (Micikevicius et al., 2018) on a GPU, with Adam as one pass over each weight.

Under autocast every step casts each weight to bfloat16 and each of its gradients back to float32, and torch's fused
Adam gives a block of the GPU 65,536 values, which leaves much of it idle: on an H200 150 of the 885 us of AlexNet's
step. Here Adam takes gradients in bfloat16, and writes the weights in float32 and, for the next step, in bfloat16.
"""

import math
from typing import Any

import torch
import triton
import triton.language as tl
from torch import Tensor, nn

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

    The weights themselves may change by `update` alone as long as this is used.

    Args:
        model: on a GPU.
        optimizer: torch's Adam of its parameters, neither amsgrad nor with weight decay; what state it has is kept, in
            place and in its own form.
    """

    def __init__(self, model: nn.Module, optimizer: torch.optim.Adam) -> None:
        self._model = model
        self._group = optimizer.param_groups[0]
        layers = (layer for layer in model.modules() if isinstance(layer, CAST_LAYERS))
        cast = {id(parameter) for layer in layers for parameter in layer.parameters()}
        self._weights = {name: weight for name, weight in model.named_parameters() if id(weight) in cast}
        self._copies = {name: weight.detach().bfloat16().requires_grad_() for name, weight in self._weights.items()}
        self._states = {name: _state(optimizer, weight) for name, weight in self._weights.items()}
        self._steps = [state["step"] for state in self._states.values()]

    def __call__(self, images: Tensor) -> Tensor:
        """The logits of the network with the copies in the place of its weights."""
        logits: Tensor = torch.func.functional_call(self._model, self._copies, (images,))
        return logits

    def gradient(self, name: str) -> Tensor | None:
        """Of the copy of the parameter of this name, bfloat16; None unless one was computed since the last update."""
        return self._copies[name].grad

    @torch.no_grad()
    def update(self) -> None:
        """Makes a step of Adam on the weights, from the gradients of their copies, which are then dropped."""
        torch._foreach_add_(self._steps, 1)
        betas = self._group["betas"]
        for name, weight in self._weights.items():
            copy, state, n = self._copies[name], self._states[name], weight.numel()
            gradient, copy.grad = copy.grad, None
            _adam_kernel[(triton.cdiv(n, BLOCK),)](
                weight, copy, gradient, state["exp_avg"], state["exp_avg_sq"], state["step"],
                n, self._group["lr"], self._group["eps"], *betas, *(math.log(beta) for beta in betas),
                BLOCK, enable_fp_fusion=False,
            )  # fmt: skip


def _state(optimizer: torch.optim.Adam, weight: Tensor) -> dict[str, Any]:
    """The optimizer's state of a weight, made as it makes it if there is none."""
    state: dict[str, Any] = optimizer.state[weight]
    if not state:
        state["step"] = torch.zeros((), device=weight.device)
        state["exp_avg"], state["exp_avg_sq"] = torch.zeros_like(weight), torch.zeros_like(weight)
    return state
