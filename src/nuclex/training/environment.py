"""What a run's numbers depend on besides its recipe: threads, processor, versions; and what of it has changed."""

from __future__ import annotations

import platform
from collections.abc import Iterator
from typing import Any

import torch

from nuclex.core.provenance import package_versions

DECISIVE = ("nuclex", "torch", "numpy", "tokenizers")
"""The packages whose version may change the last bit of a weight."""


def environment(device: torch.device) -> dict[str, Any]:
    """Threads, device, processor (``cpu``: the widest instructions that torch uses) and package versions."""
    return {
        "threads": torch.get_num_threads(),
        "device": device.type,
        "cpu": torch.backends.cpu.get_cpu_capability(),
        "machine": platform.machine(),
        "packages": package_versions(),
    }


def drift(then: dict[str, Any], now: dict[str, Any]) -> str | None:
    """What changed between two environments, in one line; None where nothing did. ``devices`` is how many took part.

    >>> then = {"threads": 2, "cpu": "AVX2", "packages": {"torch": "2.12.0"}}
    >>> drift(then, {"threads": 1, "cpu": "AVX512", "packages": {"torch": "2.12.0"}})
    '1 threads, 2 before; cpu AVX512, AVX2 before'
    """
    changed = [f"{found}, {wanted} before" for wanted, found in _pairs(then, now)]
    return "; ".join(changed) or None


def _pairs(then: dict[str, Any], now: dict[str, Any]) -> Iterator[tuple[Any, str]]:
    if then.get("threads") != now.get("threads"):
        yield then.get("threads"), f"{now.get('threads')} threads"
    if then.get("devices", 1) != now.get("devices", 1):
        yield then.get("devices", 1), f"{now.get('devices', 1)} devices"
    for name in ("device", "cpu", "machine"):
        if then.get(name) != now.get(name):
            yield then.get(name), f"{name} {now.get(name)}"
    for name in DECISIVE:
        before, after = (place.get("packages", {}).get(name) for place in (then, now))
        if before != after:
            yield before, f"{name} {after}"
