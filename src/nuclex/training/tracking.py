"""What a run writes down as it goes: metrics.jsonl always; TensorBoard and Weights & Biases when asked for."""

from __future__ import annotations

import json
from abc import ABC, abstractmethod
from pathlib import Path
from typing import Any, Literal

from nuclex.core.artifact import atomic_file
from nuclex.core.errors import missing_extra

TrackerName = Literal["tensorboard", "wandb"]


class Tracker(ABC):
    """Somewhere numbers go: one flat record of named values a time."""

    @abstractmethod
    def record(self, values: dict[str, Any]) -> None:
        """Take one record; ``values["step"]`` is the update it belongs to."""

    @abstractmethod
    def close(self) -> None:
        """No more records will come."""


class JsonLines(Tracker):
    """One JSON object a line; on resume, lines from beyond the checkpoint's step are dropped first."""

    def __init__(self, path: Path, resume_step: int | None = None) -> None:
        kept = []
        if resume_step is not None and path.is_file():
            kept = [line for line in path.read_text("utf-8").splitlines() if _step_of(line) <= resume_step]
        with atomic_file(path) as temporary:  # a kill must not take the lines of the steps that are done
            temporary.write_text("".join(f"{line}\n" for line in kept), encoding="utf-8")
        self._handle = path.open("a", encoding="utf-8")

    def record(self, values: dict[str, Any]) -> None:
        """Append one line and flush it."""
        self._handle.write(json.dumps(values) + "\n")
        self._handle.flush()

    def close(self) -> None:
        """Close the file."""
        self._handle.close()


class TensorBoard(Tracker):
    """Scalars as TensorBoard event files in the run folder."""

    def __init__(self, folder: Path, resume_step: int | None = None) -> None:
        try:
            from torch.utils.tensorboard import SummaryWriter
        except ImportError:
            raise missing_extra("tensorboard", "track", "tracking with TensorBoard") from None
        self._writer = SummaryWriter(str(folder), purge_step=None if resume_step is None else resume_step + 1)

    def record(self, values: dict[str, Any]) -> None:
        """Write every number of the record as a scalar."""
        for name, value in values.items():
            if name != "step" and isinstance(value, int | float):
                self._writer.add_scalar(name, value, values["step"])

    def close(self) -> None:
        """Flush and close the event file."""
        self._writer.close()


class WeightsAndBiases(Tracker):
    """Scalars to Weights & Biases; WANDB_MODE=offline keeps them on this machine."""

    def __init__(self, folder: Path) -> None:
        try:
            import wandb
        except ImportError:
            raise missing_extra("wandb", "wandb", "tracking with Weights & Biases") from None
        self._run = wandb.init(dir=str(folder), project="nuclex", name=folder.resolve().name, resume="allow")

    def record(self, values: dict[str, Any]) -> None:
        """Log the record at its step."""
        self._run.log(values, step=values["step"])

    def close(self) -> None:
        """Finish the run."""
        self._run.finish()


def open_trackers(run: Path, names: tuple[TrackerName, ...], resume_step: int | None) -> list[Tracker]:
    """metrics.jsonl, and the adapters that the config names."""
    adapters = [TensorBoard(run, resume_step) if name == "tensorboard" else WeightsAndBiases(run) for name in names]
    return [JsonLines(run / "metrics.jsonl", resume_step), *adapters]


def read_metrics(run: str | Path) -> list[dict[str, Any]]:
    """All records of a run's metrics.jsonl; a line cut off by a kill is left out."""
    lines = (Path(run) / "metrics.jsonl").read_text(encoding="utf-8").splitlines()
    return [json.loads(line) for line in lines if _step_of(line) < float("inf")]


def _step_of(line: str) -> float:
    try:
        return float(json.loads(line)["step"])
    except (ValueError, KeyError, TypeError):
        return float("inf")
