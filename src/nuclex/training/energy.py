"""What a run took from the socket, where the machine counts it: the processors' own counters, and the GPU's.

Nothing is estimated: where no counter can be read there is no number. Processors of Intel and AMD count the joules of
each package (RAPL), which Linux shows as files that often only root may read; an NVIDIA GPU counts millijoules, which
the package nvidia-ml-py reads. Both count everything that runs there, not this process alone. Memory, fans, disks and
the losses of power supplies are in neither.

Source: Linux, Documentation/power/powercap; NVML API Reference, nvmlDeviceGetTotalEnergyConsumption.
"""

from __future__ import annotations

import threading
import weakref
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

POWERCAP = Path("/sys/class/powercap")
LOOK_S = 20.0
"""How often the processors' counters are read: the smallest go round after a few minutes at full load."""


class Meter:
    """Counts from when it is made until ``told`` is asked."""

    def __init__(self, device: str, powercap: Path = POWERCAP, look_s: float = LOOK_S) -> None:
        self._packages = [one for folder in sorted(powercap.glob("*-rapl:*")) if (one := _package(folder))]
        self._gpu = _gpu_counter(device)
        self._ended = threading.Event()
        if self._packages:  # a reader of its own, which ends with the meter
            threading.Thread(target=_watch, args=(self._packages, self._ended, look_s), daemon=True).start()
            weakref.finalize(self, self._ended.set)

    def told(self) -> dict[str, float]:
        """Joules by what was counted: ``processors``, ``gpu``; without what could not be read."""
        self._ended.set()
        found = {}
        if self._packages and all(one.look() for one in self._packages):
            found["processors"] = round(sum(one.joules for one in self._packages), 3)
        if self._gpu is not None and (gained := self._gpu()) is not None:
            found["gpu"] = round(gained / 1000, 3)
        return found


@dataclass
class _Package:
    """One counter of microjoules that begins again at 0 after ``most``."""

    file: Path
    most: int
    last: int
    joules: float = 0.0
    lost: bool = False
    lock: threading.Lock = field(default_factory=threading.Lock)

    def look(self) -> bool:
        """Add what came since the last look; False once the counter could not be read."""
        with self.lock:
            now = _number(self.file)
            if now is None:
                self.lost = True
            else:
                self.joules += (now - self.last if now >= self.last else now - self.last + self.most) / 1e6
                self.last = now
            return not self.lost


def _package(folder: Path) -> _Package | None:
    """The counter of a whole package; None of its parts (``intel-rapl:0:1``) and where it cannot be read."""
    if folder.name.count(":") != 1:
        return None
    last, most = _number(folder / "energy_uj"), _number(folder / "max_energy_range_uj")
    if last is None or most is None or not _is_package(folder):
        return None
    return _Package(folder / "energy_uj", most, last)


def _is_package(folder: Path) -> bool:
    """Not ``psys``, the whole board, which holds the packages already; nor the same counters read from memory."""
    try:
        name = (folder / "name").read_text(encoding="ascii", errors="replace")
    except OSError:
        return False
    return name.startswith("package") and "mmio" not in folder.name


def _number(path: Path) -> int | None:
    try:
        return int(path.read_text(encoding="ascii", errors="replace"))
    except (OSError, ValueError):
        return None


def _watch(packages: list[_Package], ended: threading.Event, look_s: float) -> None:
    while not ended.wait(look_s):
        for one in packages:
            one.look()


def _gpu_counter(device: str) -> Callable[[], int | None] | None:
    """What tells the millijoules of a GPU from now on; None on a CPU, without a counter or without its reader."""
    import torch

    if torch.device(device).type != "cuda":
        return None
    try:
        import pynvml
    except ImportError:
        return None
    try:
        pynvml.nvmlInit()
        uuid = str(torch.cuda.get_device_properties(device).uuid)
        handle = pynvml.nvmlDeviceGetHandleByUUID(f"GPU-{uuid.removeprefix('GPU-')}")
        begin = pynvml.nvmlDeviceGetTotalEnergyConsumption(handle)
    except pynvml.NVMLError:  # older than Volta, part of a GPU (MIG), or hidden
        return None

    def gained() -> int | None:
        try:
            return int(pynvml.nvmlDeviceGetTotalEnergyConsumption(handle) - begin)
        except pynvml.NVMLError:  # a GPU that fell off the bus is no reason to lose what was trained
            return None

    return gained
