"""How long a run is and how often it looks and saves: in updates, or in epochs, which become updates when counted."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any, Literal, Self

from pydantic import Field, model_validator

from nuclex.core.config import Config
from nuclex.training.anomalies import AnomalyConfig
from nuclex.training.average import EmaConfig
from nuclex.training.distributed import DistributedConfig
from nuclex.training.optimizer import OptimizerConfig
from nuclex.training.precision import Precision
from nuclex.training.schedule import ScheduleConfig
from nuclex.training.tracking import TrackerName

USUAL_STEPS = 1000
ELEMENTWISE = ("adam", "adamw", "sgd")
"""Optimizers that treat every number of a weight by itself, so that parts of weights do."""


def _usual_steps(given: Mapping[str, Any]) -> int:
    """What ``steps`` is where nothing is said about it."""
    return 0 if given.get("epochs") else USUAL_STEPS


class TrainingConfig(Config):
    """How long, how precisely, and how often to look and to save.

    The length is given in ``steps`` or in ``epochs``, never in both; ``counted`` makes steps of epochs.
    """

    epochs: float = Field(default=0.0, ge=0, description="times the train split is read; 0 = steps says how long")
    steps: int = Field(
        default_factory=_usual_steps, ge=0, description="optimizer updates; 1000 if nothing is said; 0 = as epochs says"
    )
    optimizer: OptimizerConfig = OptimizerConfig()
    schedule: ScheduleConfig = ScheduleConfig()
    precision: Precision = "fp32"
    """``bf16``: matrix products in half precision; ``bf16-weights``: everything but the weights that are kept."""
    evaluate_every: int = Field(
        default=250, ge=0, description="updates between two looks at the validation set; 0 = an epoch"
    )
    checkpoint_every: int = Field(default=500, ge=0, description="updates between two checkpoints; 0 = an epoch")
    stop_after: int = Field(
        default=0, ge=0, description="looks without a better score after which the run ends; 0 = never"
    )
    keep_checkpoints: int = Field(default=2, ge=1)
    best_metric: str = Field(default="score", description="the number of a look that says which weights are best")
    best_mode: Literal["max", "min"] = Field(default="max", description="whether more of it is better, or less")
    keep_best: int = Field(default=1, ge=1, description="above 1: folders best-STEP of so many of the best looks too")
    ema: EmaConfig = EmaConfig()
    log_every: int = Field(default=10, ge=1)
    anomaly: AnomalyConfig = AnomalyConfig()
    distributed: DistributedConfig = DistributedConfig()
    track: tuple[TrackerName, ...] = ()

    @model_validator(mode="after")
    def _one_length(self) -> Self:
        if self.steps and self.epochs:
            found = f"steps is {self.steps} and epochs is {self.epochs:g}"
            raise ValueError(f"{found}, and a run has one length; leave one of them out, or set it to 0")
        if not self.steps and not self.epochs:
            raise ValueError("steps and epochs are both 0; one of them says how long the run is")
        return self

    @model_validator(mode="after")
    def _can_be_shared_out(self) -> Self:
        name, mode = self.optimizer.name.lower(), self.optimizer.clip_mode
        if self.distributed.kind == "fsdp" and name not in ELEMENTWISE:
            allowed = ", ".join(ELEMENTWISE)
            raise ValueError(f"distributed.kind 'fsdp' works with the optimizers {allowed}; found {name!r}")
        if self.distributed.kind == "fsdp" and mode == "agc":
            raise ValueError("distributed.kind 'fsdp' has no whole rows of weights to clip by; found clip_mode 'agc'")
        return self

    def counted(self, batches: Callable[[int], int]) -> Self:
        """The same in updates alone: an epoch is as many as ``batches(0)``, the batches of the first one.

        It is asked only where something is in epochs; what is in updates stays.
        """
        if self.steps and self.evaluate_every and self.checkpoint_every:
            return self
        an_epoch = max(batches(0), 1)
        return self.model_copy(
            update={
                "epochs": 0.0,
                "steps": self.steps or max(updates(self.epochs, an_epoch), 1),
                "evaluate_every": self.evaluate_every or an_epoch,
                "checkpoint_every": self.checkpoint_every or an_epoch,
            }
        )


def updates(epochs: float, an_epoch: int) -> int:
    """Updates after which so many epochs of ``an_epoch`` updates are done, a broken one rounded up.

    >>> updates(3, 2321), updates(0.5, 5), updates(0.1, 30)
    (6963, 3, 3)
    """
    return math.ceil(epochs * an_epoch - 1e-9)
