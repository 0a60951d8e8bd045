"""What a run writes down as it goes: metrics.jsonl always; TensorBoard and Weights & Biases when asked for."""

from __future__ import annotations

import json
import os
import secrets
from abc import ABC, abstractmethod
from pathlib import Path
from typing import Any, Literal

from nuclex.core.artifact import atomic_file, write_json
from nuclex.core.errors import CorruptError, missing_extra
from nuclex.core.plain import from_json
from nuclex.core.progress import say

TrackerName = Literal["tensorboard", "wandb"]
WANDB_MARK = "wandb.json"


class Tracker(ABC):
    """Somewhere numbers go: one flat record of named values a time."""

    @abstractmethod
    def record(self, values: dict[str, Any]) -> None:
        """Take one record; ``values["step"]`` is the update it belongs to."""

    @abstractmethod
    def close(self) -> None:
        """No more records will come."""


class JsonLines(Tracker):
    """One JSON object a line; on resume, what was written after the checkpoint is dropped first.

    That is every line of a step beyond ``resume_step`` and, where it is known, every line after the first ``lines``:
    an evaluation that a signal cut short is done again, and so is its line. ``lines`` counts what is in the file.
    """

    def __init__(self, path: Path, resume_step: int | None = None, lines: int | None = None) -> None:
        self._path = path
        kept = [line for line in self._read() if _step_of(line) <= resume_step] if resume_step is not None else []
        if resume_step is not None and len(kept) < (lines or 0):
            say(f"{path}: holds {len(kept)} readable lines up to step {resume_step}, the checkpoint knows of {lines}")
        self._begin(kept[:lines])

    def _read(self) -> list[str]:
        return self._path.read_text("utf-8", errors="replace").splitlines() if self._path.is_file() else []

    def _begin(self, lines: list[str]) -> None:
        with atomic_file(self._path) as temporary:  # a kill must not take the lines of the steps that are done
            temporary.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
        self._handle = self._path.open("a", encoding="utf-8")
        self.lines = len(lines)

    def record(self, values: dict[str, Any]) -> None:
        """Append one line and flush it."""
        self._handle.write(json.dumps(values) + "\n")
        self._handle.flush()
        self.lines += 1

    def sync(self) -> None:
        """Bring all lines to the disk, so that no checkpoint knows of more than there are after a power failure."""
        os.fsync(self._handle.fileno())

    def rewind(self, lines: int) -> None:
        """Keep the first ``lines`` lines, and of the rest what was written down about anomalies."""
        self.close()
        found = self._read()
        self._begin([*found[:lines], *(line for line in found[lines:] if "anomaly" in json.loads(line))])

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
    """Scalars to Weights & Biases; WANDB_MODE=offline keeps them on this machine.

    The run's id stays in ``wandb.json``, so that a resumed run goes on where it was. Weights & Biases takes no steps
    that go back: what is done again after a kill or a roll-back is ignored there; metrics.jsonl has it.
    """

    def __init__(self, folder: Path, *, resume: bool = False) -> None:
        try:
            import wandb
        except ImportError:
            raise missing_extra("wandb", "wandb", "tracking with Weights & Biases") from None
        name, mark = folder.resolve().name, folder / WANDB_MARK
        if not (resume and mark.is_file()):
            with atomic_file(mark) as temporary:  # before the run begins: a killed one is found again
                write_json(temporary, {"id": secrets.token_hex(8)})
        try:
            known = str(from_json(mark.read_bytes())["id"])
        except (ValueError, KeyError, TypeError):
            raise CorruptError(f"{mark}: is not readable; it was edited or damaged") from None
        self._run = wandb.init(dir=str(folder), project="nuclex", name=name, id=known, resume="allow")

    def record(self, values: dict[str, Any]) -> None:
        """Log the record at its step."""
        self._run.log(values, step=values["step"])

    def close(self) -> None:
        """Finish the run."""
        self._run.finish()


Trackers = tuple[JsonLines, *tuple[Tracker, ...]]
"""metrics.jsonl first, then what the config names."""


def open_trackers(
    run: Path, names: tuple[TrackerName, ...], resume_step: int | None, lines: int | None = None
) -> Trackers:
    """metrics.jsonl, and the adapters that the config names."""
    resume = resume_step is not None
    adapters = [
        TensorBoard(run, resume_step) if name == "tensorboard" else WeightsAndBiases(run, resume=resume)
        for name in names
    ]
    return JsonLines(run / "metrics.jsonl", resume_step, lines), *adapters


def read_metrics(run: str | Path) -> list[dict[str, Any]]:
    """All records of a run's metrics.jsonl; a line cut off by a kill is left out."""
    lines = (Path(run) / "metrics.jsonl").read_text(encoding="utf-8", errors="replace").splitlines()
    return [json.loads(line) for line in lines if _step_of(line) < float("inf")]


def _step_of(line: str) -> float:
    try:
        return float(json.loads(line)["step"])
    except (ValueError, KeyError, TypeError, OverflowError, RecursionError):
        return float("inf")
