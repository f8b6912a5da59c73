"""The device that trains, and its number format."""

from contextlib import AbstractContextManager
from typing import Literal

import torch

Precision = Literal["fp32", "bf16"]


def training_device() -> torch.device:
    """Return the first CUDA device that this process can see, else the CPU."""
    return torch.device("cuda" if torch.cuda.is_available() else "cpu")


def has_fast_bf16(device: torch.device) -> bool:
    """Return whether the device multiplies bfloat16 in hardware (AVX-512 BF16, AMX, or CUDA from Ampere on)."""
    if device.type == "cuda":
        return torch.cuda.get_device_capability(device) >= (8, 0)
    return bool(torch.cpu.get_capabilities().get("avx512_bf16", False))


def resolve(precision: str, device: torch.device) -> Precision:
    """Turn "auto" into "bf16" if the device is fast at it, else into "fp32"; keep the other two.

    Raises:
        ValueError: for any other word.
    """
    if precision == "auto":
        return "bf16" if has_fast_bf16(device) else "fp32"
    if precision not in ("fp32", "bf16"):
        raise ValueError(f"precision {precision!r} is none of auto, fp32, bf16")
    return "bf16" if precision == "bf16" else "fp32"


def autocast(precision: Precision, device: torch.device) -> AbstractContextManager[object]:
    """Return a context that runs products and convolutions in bfloat16 if asked to; weights and loss stay float32."""
    return torch.autocast(device.type, dtype=torch.bfloat16, enabled=precision == "bf16")
