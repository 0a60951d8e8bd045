"""The one training loop: pre-training and fine-tuning, interrupted or not, give the same weights.

Nothing random is carried from step to step: data order, masking and dropout are keyed by (seed, step), so a run that
was stopped and resumed does on a CPU bit for bit what the run that was never stopped does. Checkpoints are written
between updates only; whatever an update needed (batches left out, a roll-back) is done again if it was cut off.
"""

from __future__ import annotations

import contextlib
import math
import shutil
import time
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, Generic, TypeVar

import torch
from torch import Tensor, nn

from nuclex.core.artifact import atomic_folder, clear_leftovers, verify_folder, write_json
from nuclex.core.errors import CorruptError, NonFiniteError, StoppedError
from nuclex.core.progress import bar, say
from nuclex.core.randomness import key
from nuclex.training.anomalies import Anomaly, History
from nuclex.training.checkpoint import (
    Place,
    checkpoint_name,
    latest_checkpoint,
    load_checkpoint,
    prune,
    save_checkpoint,
    unshared,
)
from nuclex.training.duration import TrainingConfig
from nuclex.training.optimizer import build_optimizer, set_rate
from nuclex.training.precision import Computing
from nuclex.training.schedule import learning_rate
from nuclex.training.stopping import Cut, Stopping
from nuclex.training.tracking import Trackers, open_trackers

Micro = TypeVar("Micro")
BEST_WEIGHTS, BEST_NUMBERS = "model.safetensors", "numbers.json"


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

    def members(self, micro: Micro) -> Sequence[int | str]:
        """Which sequences are in it: rows of a corpus, or names; for the record when a batch is refused."""
        return ()

    def prepare(self, model: nn.Module, step: int) -> None:
        """Called before update ``step`` and before looks at what it left; freezes parts of the model."""

    def rates(self, model: nn.Module) -> Mapping[str, float]:
        """The learning rate of parameters by name, as a share of the schedule's; 1 where nothing is said."""
        return {}


@dataclass
class Outcome:
    """What a finished run leaves: where it stands and its last and best validation numbers."""

    place: Place
    last: dict[str, float] = field(default_factory=dict)


def train(model: nn.Module, work: Work[Any], config: TrainingConfig, run: Path, identity: dict[str, Any]) -> Outcome:
    """Train ``model`` in place to the end of ``config``; the newest sound checkpoint in ``run`` is taken up first.

    Raises StoppedError after SIGINT or SIGTERM and NonFiniteError where a batch ends the run; both leave a checkpoint
    of the last finished step. CorruptError where there are checkpoints and none of them is whole.
    """
    config = config.counted(work.batches)
    optimizer = build_optimizer(model.named_parameters(), config.optimizer, work.rates(model))
    clear_leftovers(run)
    clear_leftovers(run / "checkpoints")
    found, place = _taken_up(model, optimizer, run, identity)
    trackers = open_trackers(run, config.track, place.step if found is not None else None, place.lines)
    loop = _Loop(model, work, config, optimizer, place, int(identity["seed"]))
    between = _Between(loop, run, identity, trackers, resumed=found is not None)
    try:
        with between.stopping.listening(), loop.own_random(), bar("training", config.steps, place.step) as progress:
            while not between.attend():
                made = loop.update()
                if isinstance(made, Anomaly):
                    between.refuse(made)
                    continue
                note = f"loss {made['loss']:.3f}, {made['tokens_per_s']:.0f} tokens/s"
                progress.advance(place.step - progress.done, note)
                if place.step % config.log_every == 0 or place.step == config.steps:
                    between.tell(made)
    finally:
        for tracker in trackers:
            tracker.close()
    return Outcome(place, place.last)


def _taken_up(
    model: nn.Module, optimizer: torch.optim.Optimizer, run: Path, identity: dict[str, Any]
) -> tuple[Path | None, Place]:
    """The newest sound checkpoint, taken up; one from before the best weights were made where those are damaged.

    Where there is none from before, the run goes on without them, and says so.
    """
    folder, best = run / "checkpoints", best_weights(run)
    found = latest_checkpoint(folder)
    if found is None:
        return None, Place()
    place = load_checkpoint(found, model, optimizer, identity)
    if place.best_step is None:
        return found, place
    try:
        verify_folder(best)  # now, and not when the run has ended
    except CorruptError as error:
        earlier = latest_checkpoint(folder, place.best_step - 1)
        if earlier is not None:
            say(f"refused damaged best weights: {error}; they are made again, going on from {earlier.name}")
            place = load_checkpoint(earlier, model, optimizer, identity)
        else:
            place.best_score, place.best_step, place.looked = None, None, 0
            say(f"refused damaged best weights: {error}; from here on the best that comes is kept, theirs are lost")
        shutil.rmtree(best, ignore_errors=True)
        return earlier or found, place
    return found, place


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
        self.computing = Computing(model, config.precision)
        work.prepare(model, max(place.step - 1, 0))  # as the last update left it

    def own_random(self) -> contextlib.AbstractContextManager[None]:
        """Dropout's draws inside the block leave the caller's random numbers as they were."""
        return torch.random.fork_rng(devices=[self.device] if self.device.type == "cuda" else [])

    def update(self) -> dict[str, Any] | Anomaly:
        """Forward, backward, clip, step: one optimizer update, and what to write down; or the batch that forbids it."""
        place, config, began = self.place, self.config, time.perf_counter()
        while place.batch >= self.work.batches(place.epoch):
            place.epoch, place.batch = place.epoch + 1, 0
        self.model.train()
        self.work.prepare(self.model, place.step)
        rate = self.rate()
        set_rate(self.optimizer, rate)
        micros = self.work.micro_batches(place.epoch, place.batch, 0, 1)
        loss = self._accumulate(micros)
        norm = nn.utils.clip_grad_norm_(self.model.parameters(), config.optimizer.clip or math.inf).item()
        history = History(place.losses, place.norms)
        if reason := history.oddity(loss, norm, config.anomaly):
            self.optimizer.zero_grad(set_to_none=True)
            members = dict.fromkeys(name for micro in micros for name in self.work.members(micro))
            return Anomaly(reason, place.step + 1, place.epoch, place.batch, (loss, norm), tuple(members))
        self.optimizer.step()
        self.optimizer.zero_grad(set_to_none=True)
        history.add(loss, norm, config.anomaly)
        tokens, seconds = sum(self.work.tokens(micro) for micro in micros), time.perf_counter() - began
        place.step, place.batch, place.tokens = place.step + 1, place.batch + 1, place.tokens + tokens
        place.seconds, place.refused = place.seconds + seconds, 0
        record = {"step": place.step, "epoch": place.epoch, "loss": loss, "rate": rate, "gradient_norm": norm}
        return {**record, "tokens": place.tokens, "seconds": place.seconds, "tokens_per_s": tokens / seconds}

    def rate(self) -> float:
        """The learning rate of the next update."""
        schedule, place = self.config.schedule, self.place
        an_epoch = max(self.work.batches(0), 1) if schedule.per == "epoch" else 1
        return learning_rate(schedule, place.step, self.config.steps, an_epoch=an_epoch, reductions=place.reductions)

    def _accumulate(self, micros: Sequence[Any]) -> float:
        """Sum the gradients of all micro-batches, each divided by the targets of the whole batch; the mean loss."""
        self.computing.begin()
        total, mean = max(sum(self.work.targets(micro) for micro in micros), 1), 0.0
        for number, micro in enumerate(micros):
            torch.manual_seed(key(self.seed, self.place.step, number))
            mean += self.computing.gradients(partial(self._share, micro, total))
        return mean

    def _share(self, micro: Any, total: int, model: nn.Module) -> Tensor:
        return self.work.loss(model, micro) / total

    def evaluate(self) -> dict[str, float]:
        """Validation numbers of the weights as they are, frozen as in the last update."""
        self.work.prepare(self.model, max(self.place.step - 1, 0))
        self.model.eval()
        with torch.no_grad(), self.computing.context():
            return self.work.evaluate(self.model)


class _Between:
    """What happens between two updates: looking, saving, stopping, and what is done about a refused batch."""

    def __init__(self, loop: _Loop, run: Path, identity: dict[str, Any], trackers: Trackers, *, resumed: bool) -> None:
        self.loop, self.place, self.config = loop, loop.place, loop.config
        self.run, self.identity, self.trackers = run, identity, trackers
        self.checkpoints, self.stopping = run / "checkpoints", Stopping()
        self._saved = (self.place.step, self.place.looked) if resumed else None
        if self.config.anomaly.policy == "roll-back" and not self._has_anchor():
            self.place.anchor = self.place.step
            if not resumed:
                self._save()

    def attend(self) -> bool:
        """Look and save where it is time to; whether the run is over. StoppedError where a signal asked for it."""
        place, config = self.place, self.config
        if place.step != place.looked and (place.step % config.evaluate_every == 0 or self._over):
            with contextlib.suppress(Cut):  # it is done again when the run is taken up
                self._look()
        regular = place.step % config.checkpoint_every == 0
        if place.step and (regular or self._over or self.stopping.number is not None):
            if regular and self._saved != (place.step, place.looked):
                place.anchor, place.returns = place.step, 0
            self._save()
        if self.stopping.number is not None:
            name = self.stopping.name
            raise StoppedError(f"{name}: stopped after step {place.step}; continue with --resume", self.stopping.number)
        return self._over

    @property
    def _over(self) -> bool:
        patience = self.config.stop_after
        return self.place.step >= self.config.steps or bool(patience and self.place.stale >= patience)

    def tell(self, record: dict[str, Any]) -> None:
        """Write one record down."""
        for tracker in self.trackers:
            tracker.record(record)
        self.place.lines = self.trackers[0].lines

    def refuse(self, found: Anomaly) -> None:
        """Leave a batch out, or go back before it, or end the run (NonFiniteError), as the recipe says."""
        place, rules = self.place, self.config.anomaly
        back = rules.policy == "roll-back"
        if rules.policy == "stop" or (place.returns if back else place.refused) >= rules.patience:
            self.tell(found.record("stop", place.step))
            if place.step:
                self._save()
            raise NonFiniteError(found.last_words(rules, place.step))
        drawn = place.step + place.skipped + 1
        if back:
            self._go_back()
        place.epoch, place.batch = found.epoch, found.batch + 1
        place.skipped, place.refused = drawn - place.step, place.refused + 1
        self.tell(found.record(rules.policy, place.step))
        went = f"back to step {place.step}, going on behind it" if back else "it is left out"
        say(f"{found.place}: {found.reason}; {went} ({place.skipped} batches left out so far)")

    def _has_anchor(self) -> bool:
        anchor = self.place.anchor
        return anchor is not None and (self.checkpoints / checkpoint_name(anchor)).is_dir()

    def _go_back(self) -> None:
        """Be again where the anchor is, apart from what was found and spent since; its checkpoint stays the newest."""
        place = self.place
        lasting = {name: getattr(place, name) for name in ("best_score", "best_step", "seconds", "refused", "anchor")}
        returns = place.returns + 1
        path = latest_checkpoint(self.checkpoints, place.anchor)
        if path is None:
            raise CorruptError(f"{self.checkpoints}: the checkpoint of step {place.anchor} to go back to is missing")
        earlier = load_checkpoint(path, self.loop.model, self.loop.optimizer, self.identity)
        vars(place).update({**vars(earlier), **lasting, "returns": returns})
        prune(self.checkpoints, self.config.keep_checkpoints, place.step)
        self.trackers[0].rewind(place.lines)
        self._saved = (place.step, place.looked)

    def _look(self) -> None:
        """Validation numbers; keeps the weights when the score is the best so far."""
        place = self.place
        with self.stopping.cutting():
            numbers = self.loop.evaluate()
        score = numbers.get("score")
        best = -math.inf if place.best_score is None else place.best_score
        place.stale, place.waited = place.stale + 1, place.waited + 1
        if score is not None and score > best:  # a score that is not a number is never the best
            place.best_score, place.best_step, place.stale, place.waited = score, place.step, 0, 0
            save_weights(best_weights(self.run), self.loop.model, {"step": place.step, **numbers})
        if self.config.schedule.kind == "plateau" and place.waited >= self.config.schedule.patience:
            place.waited, place.reductions = 0, place.reductions + 1
        place.last, place.looked = numbers, place.step
        self.tell({"step": place.step, **numbers})

    def _save(self) -> None:
        """Write a checkpoint unless there is this one; only then the old ones go."""
        place = self.place
        if self._saved == (place.step, place.looked):
            return
        self.trackers[0].sync()
        save_checkpoint(self.checkpoints, self.loop.model, self.loop.optimizer, place, self.identity)
        self._saved = (place.step, place.looked)
        spared = [place.anchor] if self.config.anomaly.policy == "roll-back" and place.anchor is not None else []
        prune(self.checkpoints, self.config.keep_checkpoints, place.step, spared)


def save_weights(folder: Path, model: nn.Module, numbers: dict[str, Any]) -> None:
    """Write the model's weights (and the numbers they reached) as one summed folder."""
    from safetensors.torch import save_file

    with atomic_folder(folder, replace=True) as temporary:
        save_file({name: value.cpu().contiguous() for name, value in unshared(model).items()}, temporary / BEST_WEIGHTS)
        write_json(temporary / BEST_NUMBERS, numbers)
