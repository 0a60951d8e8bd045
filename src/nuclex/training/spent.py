"""What a run took, measured: seconds by the clock and of the processor, memory, energy, and on what it was computed."""

from __future__ import annotations

import platform
import resource
import sys
import time
from pathlib import Path
from typing import Any

import torch

from nuclex.training.energy import Meter


class Clock:
    """Runs from when it is made; what it tells is of this process alone, not of those that a run was stopped in."""

    def __init__(self, device: str) -> None:
        self._device, self._meter = device, Meter(device)
        self._wall, self._cpu = time.perf_counter(), time.process_time()

    def told(self) -> dict[str, Any]:
        """Seconds since then (``cpu_seconds`` summed over threads), and the most memory of the process so far.

        ``energy_joules`` has what counters of the machine say (``Meter``); it is not there where none can be read.
        """
        device = self._device
        memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)
        found = {
            "device": device,
            "processor": processor(),
            "wall_seconds": round(time.perf_counter() - self._wall, 3),
            "cpu_seconds": round(time.process_time() - self._cpu, 3),
            "peak_memory_bytes": int(memory),
        }
        if torch.device(device).type == "cuda":
            found["device"] = f"{device}: {torch.cuda.get_device_name(device)}"
            found["peak_device_memory_bytes"] = int(torch.cuda.max_memory_allocated(device))
        if energy := self._meter.told():
            found["energy_joules"] = energy
        return found


def processor() -> str:
    """The processor's name, as the system has it."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        lines = []
    named = (line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    return next(named, platform.processor() or platform.machine())
