"""Energy is what counters say, and nothing where there is none. The folders are those of Linux's powercap, made up."""

import sys
import time
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch

from nuclex.training.energy import Meter


def counter(root: Path, folder: str, name: str, energy: int, most: int = 1_000_000_000) -> Path:
    place = root / folder
    place.mkdir(parents=True)
    (place / "name").write_text(f"{name}\n")
    (place / "max_energy_range_uj").write_text(f"{most}\n")
    (place / "energy_uj").write_text(f"{energy}\n")
    return place / "energy_uj"


def test_packages_are_added_and_their_parts_are_not(tmp_path: Path) -> None:
    first, second = counter(tmp_path, "intel-rapl:0", "package-0", 5), counter(tmp_path, "intel-rapl:1", "package-1", 0)
    others = [
        counter(tmp_path, "intel-rapl:0:0", "core", 0),
        counter(tmp_path, "intel-rapl:2", "psys", 0),
        counter(tmp_path, "intel-rapl-mmio:0", "package-0", 0),
    ]
    meter = Meter("cpu", tmp_path)
    first.write_text("2000005\n")
    second.write_text("500000\n")
    for one in others:
        one.write_text("900000000\n")
    assert meter.told() == {"processors": 2.5}


def test_a_counter_that_went_round_is_followed(tmp_path: Path) -> None:
    file = counter(tmp_path, "intel-rapl:0", "package-0", 9_000_000, most=10_000_000)
    meter = Meter("cpu", tmp_path, look_s=0.01)
    for energy in (1_000_000, 9_500_000, 500_000):  # 2 J on, past the end; 8.5; 1, past it again
        new = tmp_path / "new"
        new.write_text(f"{energy}\n")
        new.replace(file)  # as a whole, like a file of the kernel
        deadline = time.monotonic() + 60
        while meter._packages[0].last != energy and time.monotonic() < deadline:
            time.sleep(0.01)
    assert meter.told() == {"processors": pytest.approx(2 + 8.5 + 1)}


@pytest.mark.parametrize("text", ["", "much\n", None])
def test_a_counter_that_cannot_be_read_gives_no_number(text: str | None, tmp_path: Path) -> None:
    file = counter(tmp_path, "intel-rapl:0", "package-0", 1)
    counter(tmp_path, "intel-rapl:1", "package-1", 1)
    meter = Meter("cpu", tmp_path)
    file.unlink() if text is None else file.write_text(text)
    assert meter.told() == {}, "half of the machine is no answer"


def test_a_machine_without_counters_tells_nothing(tmp_path: Path) -> None:
    assert Meter("cpu", tmp_path / "none").told() == {}


class RefusedError(Exception):
    """What NVML raises."""


def gpu(monkeypatch: pytest.MonkeyPatch, readings: list[Any]) -> list[str]:
    asked: list[str] = []

    def energy(handle: str) -> int:
        asked.append(handle)
        found = readings.pop(0)
        if isinstance(found, Exception):
            raise found
        return int(found)

    library = SimpleNamespace(
        NVMLError=RefusedError,
        nvmlInit=lambda: None,
        nvmlDeviceGetHandleByUUID=lambda uuid: uuid,
        nvmlDeviceGetTotalEnergyConsumption=energy,
    )
    monkeypatch.setitem(sys.modules, "pynvml", library)
    monkeypatch.setattr(torch.cuda, "get_device_properties", lambda device: SimpleNamespace(uuid="1234-ab"))
    return asked


def test_a_gpu_is_asked_by_its_own_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked = gpu(monkeypatch, [7_000, 10_500])
    assert Meter("cuda:1", tmp_path).told() == {"gpu": 3.5}
    assert asked == ["GPU-1234-ab"] * 2


def test_a_gpu_that_does_not_count_tells_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    gpu(monkeypatch, [RefusedError("not supported")])
    assert Meter("cuda", tmp_path).told() == {}
    gpu(monkeypatch, [5, RefusedError("lost")])
    assert Meter("cuda", tmp_path).told() == {}
    monkeypatch.setitem(sys.modules, "pynvml", None)
    assert Meter("cuda", tmp_path).told() == {}, "without its reader"
