"""One optimizer update at a time: forward, backward, clip, step, and the average that follows the weights."""

from __future__ import annotations

import contextlib
import time
from functools import partial
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from nuclex.core.randomness import key
from nuclex.training.anomalies import Anomaly, History
from nuclex.training.average import Average
from nuclex.training.checkpoint import Place
from nuclex.training.clipping import clip_gradients
from nuclex.training.distributed import ALONE, Group
from nuclex.training.duration import TrainingConfig
from nuclex.training.optimizer import set_rate
from nuclex.training.precision import Computing
from nuclex.training.schedule import learning_rate
from nuclex.training.work import Work


class Learner(NamedTuple):
    """What changes the weights, the average of them where one is kept, and the devices that do it together."""

    optimizer: torch.optim.Optimizer
    average: Average | None = None
    group: Group = ALONE


class Dealt(NamedTuple):
    """One device's share of an update: forward passes, and the predictions of the whole update on all devices.

    Every device makes as many passes, because the sums wait for all: behind its ``own`` passes a device repeats one
    that counts for nothing.
    """

    micros: list[Any]
    own: int
    targets: int


class Updates:
    """One update at a time, over the batches in order."""

    def __init__(
        self,
        model: nn.Module,
        work: Work[Any],
        config: TrainingConfig,
        learner: Learner,
        place: Place,
        seed: int,
    ) -> None:
        self.model, self.work, self.config = model, work, config
        self.optimizer, self.average, self.group = learner
        self.place, self.seed = place, seed
        self.device = next(model.parameters()).device
        self.computing = Computing(model, config.precision, self.group)
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
        dealt = self._dealt(place.epoch, place.batch)
        loss = self._accumulate(dealt)
        norm = clip_gradients(self.model, config.optimizer)
        tokens = sum(self.work.tokens(micro) for micro in dealt.micros[: dealt.own])
        told = self.group.gathered([loss, tokens, norm])
        loss, tokens, norm = sum(row[0] for row in told), int(sum(row[1] for row in told)), told[0][2]
        history = History(place.losses, place.norms)
        if reason := history.oddity(loss, norm, config.anomaly):
            self.optimizer.zero_grad(set_to_none=True)
            alone = self.group.world == 1
            micros = dealt.micros if alone else self.work.micro_batches(place.epoch, place.batch, 0, 1)
            members = dict.fromkeys(name for micro in micros for name in self.work.members(micro))
            return Anomaly(reason, place.step + 1, place.epoch, place.batch, (loss, norm), tuple(members))
        self.optimizer.step()
        self.optimizer.zero_grad(set_to_none=True)
        history.add(loss, norm, config.anomaly)
        seconds = time.perf_counter() - began
        place.step, place.batch, place.tokens = place.step + 1, place.batch + 1, place.tokens + tokens
        place.seconds, place.refused = place.seconds + seconds, 0
        if self.average is not None:
            self.average.update(self.model, place.step)
        record = {"step": place.step, "epoch": place.epoch, "loss": loss, "rate": rate, "gradient_norm": norm}
        return {**record, "tokens": place.tokens, "seconds": place.seconds, "tokens_per_s": tokens / seconds}

    def rate(self) -> float:
        """The learning rate of the next update."""
        schedule, place = self.config.schedule, self.place
        an_epoch = max(self.work.batches(0), 1) if schedule.per == "epoch" else 1
        return learning_rate(schedule, place.step, self.config.steps, an_epoch=an_epoch, reductions=place.reductions)

    def _dealt(self, epoch: int, batch: int) -> Dealt:
        """What this device computes of a batch, the passes dealt in turn."""
        rank, world = self.group.rank, self.group.world
        micros = list(self.work.micro_batches(epoch, batch, rank, world))
        told = self.group.gathered([len(micros), sum(self.work.targets(micro) for micro in micros)])
        passes, most = int(sum(row[0] for row in told)), int(max(row[0] for row in told))
        own, repeated = len(micros), micros[-1:] or list(self.work.micro_batches(epoch, batch, 0, max(passes, 1)))
        return Dealt(micros + repeated * (most - own), own, max(int(sum(row[1] for row in told)), 1))

    def _accumulate(self, dealt: Dealt) -> float:
        """Sum the gradients of all passes, each divided by the targets of the whole batch; this device's part of the
        mean loss."""
        self.computing.begin()
        mean = 0.0
        for place, micro in enumerate(dealt.micros):
            number = self.group.rank + self.group.world * place  # among the passes of all devices
            torch.manual_seed(key(self.seed, self.place.step, number))
            share = partial(self._share, micro, dealt.targets)
            counts, last = place < dealt.own, place == len(dealt.micros) - 1
            mean += self.computing.gradients(share, counts=counts, last=last)
        return mean

    def _share(self, micro: Any, total: int, model: nn.Module) -> Tensor:
        return self.work.loss(model, micro) / total

    def evaluate(self) -> dict[str, float]:
        """Validation numbers of the weights as they are (in ``looked_at``), frozen as in the last update."""
        self.work.prepare(self.model, max(self.place.step - 1, 0))
        self.model.eval()
        with torch.no_grad(), self.computing.context():
            return self.work.evaluate(self.model)

    def looked_at(self) -> contextlib.AbstractContextManager[None]:
        """Inside the block the model has the weights that are scored: the average's, where the recipe says so."""
        average = self.average if self.config.ema.validate_average else None
        return average.instead(self.model) if average is not None else contextlib.nullcontext()
