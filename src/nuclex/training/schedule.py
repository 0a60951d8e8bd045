"""The learning rate as a pure function of the step: warm-up, then a decay, once or in cycles, smooth or in steps."""

from __future__ import annotations

import math
from bisect import bisect_right
from typing import Literal, Self

import numpy as np
from pydantic import Field, model_validator

from nuclex.core.config import Config
from nuclex.core.randomness import key

SMOOTH = ("cosine", "linear", "polynomial")


class ScheduleConfig(Config):
    """A linear warm-up, then a decay to a final rate; rates are absolute, times are updates.

    ``cosine``, ``linear`` and ``polynomial`` go down smoothly, and may do so in several cycles. ``step`` and
    ``multistep`` multiply the rate by ``factor`` every so often or at given steps; ``plateau`` does when validation has
    not become better for ``patience`` looks.
    """

    kind: Literal["cosine", "linear", "constant", "polynomial", "step", "multistep", "plateau"] = "cosine"
    rate: float = Field(default=1e-4, gt=0, description="the highest learning rate, reached when the warm-up ends")
    warmup: int = Field(default=0, ge=0, description="steps of linear warm-up")
    initial_rate: float = Field(default=0.0, ge=0, description="learning rate at step 0 of the warm-up")
    final_rate: float = Field(default=0.0, ge=0, description="learning rate when the decay ends; it is never below")
    decay: int | None = Field(
        default=None, ge=1, description="steps of (the first cycle of) decay; None = what is left"
    )
    cooldown: int = Field(
        default=0, ge=0, description="last steps, at the rate where the decay ended; with decay = None"
    )
    cycles: float = Field(default=0.5, gt=0, description="cosine periods over the decay; 0.5 ends at the final rate")
    restarts: int = Field(default=1, ge=1, description="how often a smooth decay is run, each time from the top")
    growth: float = Field(default=1.0, gt=0, description="each cycle is so many times as long as the one before")
    damping: float = Field(default=1.0, gt=0, le=1, description="and begins at so many times its highest rate")
    k_decay: float = Field(default=1.0, gt=0, description="smooth: above 1 stays high for longer (arXiv:2004.05909)")
    power: float = Field(default=1.0, gt=0, description="polynomial: 1 is linear")
    every: int = Field(default=1000, ge=1, description="step: updates from one to the next")
    at: tuple[int, ...] = Field(default=(), description="multistep: the updates from which the rate is lower")
    factor: float = Field(
        default=0.1, gt=0, lt=1, description="step, multistep, plateau: what the rate is multiplied by"
    )
    patience: int = Field(default=10, ge=1, description="plateau: looks at the validation set without a better score")
    noise: float = Field(default=0.0, ge=0, lt=1, description="largest relative change at random; 0 = none")
    noise_from: float = Field(default=0.0, ge=0, le=1, description="share of the run after which noise begins")
    noise_seed: int = 42
    per: Literal["update", "epoch"] = Field(default="update", description="epoch: the same rate for all of an epoch")

    @model_validator(mode="after")
    def _fits(self) -> Self:
        if self.restarts > 1 and self.kind not in SMOOTH:
            raise ValueError(f"restarts is {self.restarts}: only {', '.join(SMOOTH)} run in cycles, not {self.kind!r}")
        if (self.kind == "multistep") != bool(self.at):
            raise ValueError(f"at is for 'multistep', which needs it; found kind {self.kind!r} and at {list(self.at)}")
        if list(self.at) != sorted(set(self.at)) or any(step < 1 for step in self.at):
            raise ValueError(f"at is {list(self.at)}; ascending steps from 1 on are needed")
        return self


def learning_rate(schedule: ScheduleConfig, step: int, steps: int, *, an_epoch: int = 1, reductions: int = 0) -> float:
    """The rate of update number ``step`` (0-based) in a run of ``steps``; past the decay it stays where it ended.

    ``an_epoch`` are the updates of an epoch, for ``per = "epoch"``; ``reductions`` how often a plateau was reached.

    >>> half = ScheduleConfig(rate=1.0, warmup=2)
    >>> [round(learning_rate(half, step, 6), 3) for step in range(6)]
    [0.0, 0.5, 1.0, 0.854, 0.5, 0.146]
    """
    if schedule.per == "epoch":
        step = step // an_epoch * an_epoch
    if step < schedule.warmup:
        rate = schedule.initial_rate + (schedule.rate - schedule.initial_rate) * step / schedule.warmup
    elif schedule.kind in SMOOTH:
        rate = _smooth(schedule, step - schedule.warmup, max(steps - schedule.warmup - schedule.cooldown, 1))
    else:
        times = {
            "step": (step - schedule.warmup) // schedule.every,
            "multistep": bisect_right(schedule.at, step),
            "plateau": reductions,
        }.get(schedule.kind, 0)
        rate = schedule.rate if not times else max(schedule.rate * schedule.factor**times, schedule.final_rate)
    if schedule.noise and step >= schedule.noise_from * steps:
        rate *= 1 + _noise(schedule, step)
    return rate


def _smooth(schedule: ScheduleConfig, done: int, room: int) -> float:
    """The rate ``done`` steps after the warm-up; ``room`` is what all cycles share where ``decay`` says nothing."""
    growth, cycle = schedule.growth, 0
    length = schedule.decay or room / sum(growth**number for number in range(schedule.restarts))
    begun = float(done)
    while begun >= length and cycle < schedule.restarts - 1:
        begun, length, cycle = begun - length, length * growth, cycle + 1
    way = min(begun / length, 1.0) ** schedule.k_decay
    if schedule.kind == "cosine":
        share = 0.5 * (1 + math.cos(2 * math.pi * schedule.cycles * way))
    else:
        share = (1 - way) ** (1.0 if schedule.kind == "linear" else schedule.power)
    top = schedule.rate * schedule.damping**cycle
    return schedule.final_rate + (top - schedule.final_rate) * share


def _noise(schedule: ScheduleConfig, step: int) -> float:
    """A normal number, drawn again until it is within the limit."""
    random = np.random.default_rng(key(schedule.noise_seed, "noise", step))
    while True:
        drawn = float(random.standard_normal())
        if abs(drawn) < schedule.noise:
            return drawn
