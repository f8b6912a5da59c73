"""Which device trains, and in which number format."""

from contextlib import AbstractContextManager
from typing import Literal

import torch

Precision = Literal["fp32", "bf16"]


def training_device() -> torch.device:
    """The first CUDA device this process can see, else the CPU."""
    return torch.device("cuda" if torch.cuda.is_available() else "cpu")


def has_fast_bf16(device: torch.device) -> bool:
    """Whether the device multiplies bfloat16 matrices in hardware (AVX-512 BF16, AMX, or CUDA from Ampere on)."""
    if device.type == "cuda":
        return torch.cuda.get_device_capability(device) >= (8, 0)
    return bool(torch.cpu.get_capabilities().get("avx512_bf16", False))


def resolve(precision: str, device: torch.device) -> Precision:
    """Turns "auto" into "bf16" where the device is fast at it and "fp32" elsewhere; keeps the other two."""
    if precision == "auto":
        return "bf16" if has_fast_bf16(device) else "fp32"
    if precision not in ("fp32", "bf16"):
        raise ValueError(f"precision {precision!r} is none of auto, fp32, bf16")
    return "bf16" if precision == "bf16" else "fp32"


def autocast(precision: Precision, device: torch.device) -> AbstractContextManager[object]:
    """Runs matrix products and convolutions in bfloat16 if asked to; weights and the loss stay float32."""
    return torch.autocast(device.type, dtype=torch.bfloat16, enabled=precision == "bf16")
