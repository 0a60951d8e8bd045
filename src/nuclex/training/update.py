"""One optimizer update at a time: forward, backward, clip, step, and the average that follows the weights."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Sequence
from functools import partial
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from nuclex.core.randomness import key
from nuclex.training.anomalies import Anomaly, History
from nuclex.training.average import Average
from nuclex.training.checkpoint import Place
from nuclex.training.clipping import clip_gradients
from nuclex.training.duration import TrainingConfig
from nuclex.training.optimizer import set_rate
from nuclex.training.precision import Computing
from nuclex.training.schedule import learning_rate
from nuclex.training.work import Work


class Learner(NamedTuple):
    """What changes the weights, and the average of them where one is kept."""

    optimizer: torch.optim.Optimizer
    average: Average | None = None


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
        self.optimizer, self.average = learner.optimizer, learner.average
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
        norm = clip_gradients(self.model, config.optimizer)
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
        if self.average is not None:
            self.average.update(self.model, place.step)
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
        """Validation numbers of the weights as they are (in ``looked_at``), frozen as in the last update."""
        self.work.prepare(self.model, max(self.place.step - 1, 0))
        self.model.eval()
        with torch.no_grad(), self.computing.context():
            return self.work.evaluate(self.model)

    def looked_at(self) -> contextlib.AbstractContextManager[None]:
        """Inside the block the model has the weights that are scored: the average's, where the recipe says so."""
        average = self.average if self.config.ema.validate_average else None
        return average.instead(self.model) if average is not None else contextlib.nullcontext()
