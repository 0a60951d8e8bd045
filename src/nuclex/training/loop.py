"""The one training loop: pre-training and fine-tuning, interrupted or not, give the same weights.

Nothing random is carried from step to step: data order, masking and dropout are keyed by (seed, step), so a run that
was stopped and resumed does on a CPU bit for bit what the run that was never stopped does.
"""

from __future__ import annotations

import contextlib
import math
import signal
import time
from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Generic, Literal, TypeVar

import torch
from pydantic import Field
from torch import Tensor, nn

from nuclex.core.artifact import atomic_folder, clear_leftovers, write_json
from nuclex.core.config import Config
from nuclex.core.errors import NonFiniteError, StoppedError
from nuclex.core.progress import bar
from nuclex.core.randomness import key
from nuclex.training.checkpoint import (
    Place,
    latest_checkpoint,
    load_checkpoint,
    prune,
    save_checkpoint,
    unshared,
)
from nuclex.training.optimizer import OptimizerConfig, build_optimizer
from nuclex.training.schedule import ScheduleConfig, learning_rate
from nuclex.training.tracking import TrackerName, open_trackers

Micro = TypeVar("Micro")
BEST_WEIGHTS, BEST_NUMBERS = "model.safetensors", "numbers.json"


class TrainingConfig(Config):
    """How long, how precisely, and how often to look and to save."""

    steps: int = Field(default=1000, ge=1, description="optimizer updates")
    optimizer: OptimizerConfig = OptimizerConfig()
    schedule: ScheduleConfig = ScheduleConfig()
    precision: Literal["fp32", "bf16"] = "fp32"
    evaluate_every: int = Field(default=250, ge=1, description="updates between two looks at the validation set")
    checkpoint_every: int = Field(default=500, ge=1)
    keep_checkpoints: int = Field(default=2, ge=1)
    log_every: int = Field(default=10, ge=1)
    track: tuple[TrackerName, ...] = ()


class Work(ABC, Generic[Micro]):
    """What is to be learnt: batches that are a pure function of (epoch, batch, rank, world), and their loss."""

    @abstractmethod
    def batches(self, epoch: int) -> int:
        """Optimizer updates in this epoch."""

    @abstractmethod
    def micro_batches(self, epoch: int, batch: int, rank: int, world: int) -> Sequence[Micro]:
        """The forward passes of one device for one update."""

    @abstractmethod
    def targets(self, micro: Micro) -> int:
        """How many predictions the loss of this micro-batch sums over."""

    @abstractmethod
    def tokens(self, micro: Micro) -> int:
        """How many tokens the model reads in it."""

    @abstractmethod
    def loss(self, model: nn.Module, micro: Micro) -> Tensor:
        """The SUM of the losses of its predictions."""

    @abstractmethod
    def evaluate(self, model: nn.Module) -> dict[str, float]:
        """Validation numbers; ``score`` among them says which model is best (the higher the better)."""

    def prepare(self, model: nn.Module, step: int) -> None:
        """Called before update ``step``; may freeze or thaw parts of the model."""


@dataclass
class Outcome:
    """What a finished run leaves: where it stands and its last and best validation numbers."""

    place: Place
    last: dict[str, float] = field(default_factory=dict)


def train(model: nn.Module, work: Work[Any], config: TrainingConfig, run: Path, identity: dict[str, Any]) -> Outcome:
    """Train ``model`` in place until ``config.steps``; the newest sound checkpoint in ``run`` is taken up first.

    Raises StoppedError after SIGINT or SIGTERM (a checkpoint is written first) and NonFiniteError when the loss or
    the gradient is not finite (the weights are those of the step before).
    """
    optimizer = build_optimizer(model.named_parameters(), config.optimizer)
    checkpoints = run / "checkpoints"
    clear_leftovers(run)
    clear_leftovers(checkpoints)
    found = latest_checkpoint(checkpoints) if checkpoints.is_dir() else None
    place = load_checkpoint(found, model, optimizer, identity) if found is not None else Place()
    trackers = open_trackers(run, config.track, place.step if found is not None else None)
    loop = _Loop(model, work, config, optimizer, place, int(identity["seed"]))

    def save() -> None:
        save_checkpoint(checkpoints, model, optimizer, place, identity)
        prune(checkpoints, config.keep_checkpoints, place.step)

    try:
        with _signals() as caught, loop.own_random(), bar("training", config.steps, place.step) as progress:
            while place.step < config.steps:
                record = loop.update()
                progress.advance(1, f"loss {record['loss']:.3f}, {record['tokens_per_s']:.0f} tokens/s")
                last = place.step == config.steps
                if place.step % config.log_every == 0 or last:
                    _tell(trackers, record)
                if place.step % config.evaluate_every == 0 or last:
                    place.last = loop.evaluate(run)
                    _tell(trackers, {"step": place.step, **place.last})
                if caught or last or place.step % config.checkpoint_every == 0:
                    save()
                if caught and not last:
                    name = signal.Signals(caught[0]).name
                    raise StoppedError(f"{name}: stopped after step {place.step}; continue with --resume", caught[0])
    finally:
        for tracker in trackers:
            tracker.close()
    return Outcome(place, place.last)


def best_weights(run: Path) -> Path:
    """The folder where the weights of the best validation score are kept."""
    return run / "checkpoints" / "best"


class _Loop:
    """One update at a time, over the batches in order."""

    def __init__(
        self,
        model: nn.Module,
        work: Work[Any],
        config: TrainingConfig,
        optimizer: torch.optim.Optimizer,
        place: Place,
        seed: int,
    ) -> None:
        self.model, self.work, self.config, self.optimizer = model, work, config, optimizer
        self.place, self.seed = place, seed
        self.device = next(model.parameters()).device

    def own_random(self) -> contextlib.AbstractContextManager[None]:
        """Dropout's draws inside the block leave the caller's random numbers as they were."""
        return torch.random.fork_rng(devices=[self.device] if self.device.type == "cuda" else [])

    def update(self) -> dict[str, Any]:
        """Forward, backward, clip, step: one optimizer update; returns what to write down."""
        place, config, began = self.place, self.config, time.perf_counter()
        while place.batch >= self.work.batches(place.epoch):
            place.epoch, place.batch = place.epoch + 1, 0
        self.work.prepare(self.model, place.step)
        self.model.train()
        rate = learning_rate(config.schedule, place.step, config.steps)
        for group in self.optimizer.param_groups:
            group["lr"] = rate
        micros = self.work.micro_batches(place.epoch, place.batch, 0, 1)
        loss = self._accumulate(micros)
        norm = nn.utils.clip_grad_norm_(self.model.parameters(), config.optimizer.clip or math.inf).item()
        if not (math.isfinite(loss) and math.isfinite(norm)):
            where = f"epoch {place.epoch}, batch {place.batch}, step {place.step + 1}"
            raise NonFiniteError(f"{where}: the loss is {loss}, the gradient norm {norm}; lower the learning rate")
        self.optimizer.step()
        self.optimizer.zero_grad(set_to_none=True)
        tokens, seconds = sum(self.work.tokens(micro) for micro in micros), time.perf_counter() - began
        place.step, place.batch, place.tokens = place.step + 1, place.batch + 1, place.tokens + tokens
        place.seconds += seconds
        record = {"step": place.step, "epoch": place.epoch, "loss": loss, "rate": rate, "gradient_norm": norm}
        return {**record, "tokens": place.tokens, "seconds": place.seconds, "tokens_per_s": tokens / seconds}

    def _accumulate(self, micros: Sequence[Any]) -> float:
        """Sum the gradients of all micro-batches, each divided by the targets of the whole batch; the mean loss."""
        total, mean = max(sum(self.work.targets(micro) for micro in micros), 1), 0.0
        for number, micro in enumerate(micros):
            torch.manual_seed(key(self.seed, self.place.step, number))
            with self._precision():
                loss = self.work.loss(self.model, micro) / total
            if loss.requires_grad:
                loss.backward()
            mean += loss.item()
        return mean

    def evaluate(self, run: Path) -> dict[str, float]:
        """Validation numbers; keeps the weights when the score is the best so far."""
        self.model.eval()
        with torch.no_grad(), self._precision():
            numbers = self.work.evaluate(self.model)
        score = numbers.get("score")
        best = -math.inf if self.place.best_score is None else self.place.best_score
        if score is not None and score > best:  # a score that is not a number is never the best
            self.place.best_score, self.place.best_step = score, self.place.step
            save_weights(best_weights(run), self.model, {"step": self.place.step, **numbers})
        return numbers

    def _precision(self) -> contextlib.AbstractContextManager[Any]:
        if self.config.precision == "fp32":
            return contextlib.nullcontext()
        return torch.autocast(self.device.type, dtype=torch.bfloat16)


def save_weights(folder: Path, model: nn.Module, numbers: dict[str, Any]) -> None:
    """Write the model's weights (and the numbers they reached) as one summed folder."""
    from safetensors.torch import save_file

    with atomic_folder(folder, replace=True) as temporary:
        save_file({name: value.cpu().contiguous() for name, value in unshared(model).items()}, temporary / BEST_WEIGHTS)
        write_json(temporary / BEST_NUMBERS, numbers)


@contextlib.contextmanager
def _signals() -> Iterator[list[int]]:
    """Collect SIGINT and SIGTERM in a list instead of dying, so that the step in progress ends first."""
    caught: list[int] = []
    previous = {}
    try:
        for number in (signal.SIGINT, signal.SIGTERM):
            previous[number] = signal.signal(number, lambda received, frame: caught.append(received))
    except ValueError:  # not the main thread: the caller's thread handles its own signals
        pass
    try:
        yield caught
    finally:
        for number, handler in previous.items():
            signal.signal(number, handler)


def _tell(trackers: Sequence[Any], record: dict[str, Any]) -> None:
    for tracker in trackers:
        tracker.record(record)
