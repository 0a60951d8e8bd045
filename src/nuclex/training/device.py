"""Where to compute: the device that was asked for, or the best one there is."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Iterator

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


@contextlib.contextmanager
def within_memory() -> Iterator[None]:
    """Turn what torch says when memory ends into an InputError that says what to make smaller."""
    try:
        yield
    except (RuntimeError, MemoryError) as error:
        text = str(error)
        ended = isinstance(error, torch.OutOfMemoryError | MemoryError) or "can't allocate memory" in text
        if not ended:
            raise
        wanted = re.search(r"[Tt]ried to allocate ([\d.]+ ?\w+)", text)
        more = f" ({wanted[1]} more were asked for)" if wanted else ""
        raise InputError(
            f"memory: there is too little of it{more}; take a smaller model, smaller batches (micro_tokens) or shorter "
            "sequences"
        ) from error
