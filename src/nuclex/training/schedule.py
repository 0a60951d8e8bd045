"""The learning rate as a pure function of the step: warm-up, then a decay."""

from __future__ import annotations

import math
from typing import Literal

from pydantic import Field

from nuclex.core.config import Config


class ScheduleConfig(Config):
    """A linear warm-up, then cosine, linear or no decay to a final rate; rates are absolute."""

    kind: Literal["cosine", "linear", "constant"] = "cosine"
    rate: float = Field(default=1e-4, gt=0, description="the highest learning rate, reached when the warm-up ends")
    warmup: int = Field(default=0, ge=0, description="steps of linear warm-up")
    initial_rate: float = Field(default=0.0, ge=0, description="learning rate at step 0 of the warm-up")
    final_rate: float = Field(default=0.0, ge=0, description="learning rate when the decay ends")
    decay: int | None = Field(default=None, ge=1, description="steps of decay; None = all that remain")
    cycles: float = Field(default=0.5, gt=0, description="cosine periods over the decay; 0.5 ends at the final rate")


def learning_rate(schedule: ScheduleConfig, step: int, steps: int) -> float:
    """The rate of update number ``step`` (0-based) in a run of ``steps``; past the decay it stays where it ended.

    >>> half = ScheduleConfig(rate=1.0, warmup=2)
    >>> [round(learning_rate(half, step, 6), 3) for step in range(6)]
    [0.0, 0.5, 1.0, 0.854, 0.5, 0.146]
    """
    if step < schedule.warmup:
        return schedule.initial_rate + (schedule.rate - schedule.initial_rate) * step / schedule.warmup
    if schedule.kind == "constant":
        return schedule.rate
    length = schedule.decay if schedule.decay is not None else max(steps - schedule.warmup, 1)
    done = min((step - schedule.warmup) / length, 1.0)
    share = 1 - done if schedule.kind == "linear" else 0.5 * (1 + math.cos(2 * math.pi * schedule.cycles * done))
    return schedule.final_rate + (schedule.rate - schedule.final_rate) * share
