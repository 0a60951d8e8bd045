"""Batches that would break a run: a loss or gradient that is no finite number, or one far out of the ordinary.

Such a batch is found before the optimizer sees its gradient, so the weights never change by it. What happens then is
the recipe's choice. ``roll-back`` does what was done by hand for PaLM (arXiv:2204.02311, section 5.1): go back to an
earlier checkpoint and leave out the batches around the spike.
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

from pydantic import Field

from nuclex.core.config import Config

LEAST_DEVIATION = 1e-3
"""The smallest standard deviation that counts, as a share of the mean: a loss that stands still makes no spikes."""


class AnomalyConfig(Config):
    """What to do with a batch that cannot be learned from, and what counts as one besides a loss of NaN."""

    policy: Literal["stop", "skip", "roll-back"] = Field(
        default="stop",
        description="end the run (exit code 6), leave the batch out, or go back to the last regular checkpoint and "
        "leave out all batches since",
    )
    deviations: float = Field(
        default=0.0,
        ge=0,
        description="a loss or gradient norm more than so many standard deviations above its mean over the last "
        "updates is a spike; 0 = only what is not finite is refused; 6 is usual",
    )
    window: int = Field(default=128, ge=8, description="updates that a spike is compared with; half of them are needed")
    patience: int = Field(
        default=10, ge=1, description="batches left out in a row, or returns to one checkpoint, before the run ends"
    )


@dataclass(frozen=True)
class Anomaly:
    """One batch that was refused: where it stands, what it gave, and the sequences that are in it."""

    reason: str
    step: int
    epoch: int
    batch: int
    numbers: tuple[float, float]
    members: tuple[int | str, ...]

    @property
    def place(self) -> str:
        """Where it happened, for a sentence."""
        return f"epoch {self.epoch}, batch {self.batch}, step {self.step}"

    def record(self, done: str, step: int) -> dict[str, Any]:
        """A line for metrics.jsonl that belongs to update ``step``; numbers that JSON cannot hold are words."""
        loss, norm = (number if math.isfinite(number) else str(number) for number in self.numbers)
        found = {"epoch": self.epoch, "batch": self.batch, "at_step": self.step, "loss": loss, "gradient_norm": norm}
        return {"step": step, "anomaly": {"done": done, **found, "sequences": list(self.members)}}

    def last_words(self, rules: AnomalyConfig, step: int) -> str:
        """The sentence with which a run ends."""
        advice = "lower the learning rate, or go on with --resume --training.anomaly.policy skip"
        if rules.policy != "stop":
            again = "batches were left out" if rules.policy == "skip" else "the run went back"
            advice = f"{again} {rules.patience} times in a row; lower the learning rate"
        return f"{self.place}: {self.reason}; the weights are those of step {step}; {advice}"


@dataclass
class History:
    """Loss and gradient norm of the last updates that were made, oldest first; kept in checkpoints."""

    losses: list[float]
    norms: list[float]

    def add(self, loss: float, norm: float, config: AnomalyConfig) -> None:
        """Take the numbers of an update that was made; nothing is kept where no spikes are looked for."""
        length = config.window if config.deviations else 0
        for past, value in ((self.losses, loss), (self.norms, norm)):
            past.append(value)
            del past[: max(len(past) - length, 0)]

    def oddity(self, loss: float, norm: float, config: AnomalyConfig) -> str | None:
        """What is wrong with these numbers, or None.

        >>> History([], []).oddity(1.0, float("nan"), AnomalyConfig())
        'the loss is 1.0, the gradient norm nan'
        >>> calm = History([2.0, 2.2] * 8, [1.0] * 16)
        >>> calm.oddity(2.5, 1.0, AnomalyConfig(deviations=6, window=16)) is None
        True
        >>> calm.oddity(2.9, 1.0, AnomalyConfig(deviations=6, window=16))
        'the loss is 2.9, 8.0 standard deviations above its last 16 values'
        """
        if not (math.isfinite(loss) and math.isfinite(norm)):
            return f"the loss is {loss}, the gradient norm {norm}"
        if config.deviations:
            for name, value, past in (("loss", loss, self.losses), ("gradient norm", norm, self.norms)):
                if len(past) >= config.window // 2 and (far := _deviations(value, past)) > config.deviations:
                    return f"the {name} is {value:.6g}, {far:.1f} standard deviations above its last {len(past)} values"
        return None


def _deviations(value: float, past: Sequence[float]) -> float:
    mean = statistics.fmean(past)
    return (value - mean) / max(statistics.pstdev(past, mean), LEAST_DEVIATION * abs(mean), 1e-12)
