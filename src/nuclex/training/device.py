"""Where to compute: the device that was asked for, or the best one there is."""

from __future__ import annotations

import torch

from nuclex.core.errors import InputError


def choose_device(name: str = "auto") -> str:
    """``auto`` is CUDA where there is a GPU, else the CPU; a device that is not there is an InputError."""
    if name == "auto":
        return "cuda" if torch.cuda.is_available() else "cpu"
    there = {"cpu": True, "cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available()}
    if not there.get(name, False):
        raise InputError(
            f"device: {name!r} is not available here; available: {', '.join(n for n in there if there[n])}"
        )
    return name
