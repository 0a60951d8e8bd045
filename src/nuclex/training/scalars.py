"""Learning numbers: squared or Huber loss of standardised targets, and how well the order and the size are foretold."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any, ClassVar, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from pydantic import Field
from torch import Tensor
from torch.nn import functional as F

from nuclex.core.config import Config
from nuclex.core.errors import InputError
from nuclex.metrics import bootstrap_statistic, pearson, r_squared, spearman
from nuclex.models import Layout
from nuclex.models.answering import AnsweringModel
from nuclex.tasks import Example, Shape, Task
from nuclex.training.supervised import TIE, Answers, Measured, Reading

Numbers = NDArray[np.float64]
LARGEST = 1e100
"""A label may not be larger, nor labels closer together than 1 over it: errors are squared."""
STATISTICS: Mapping[str, Callable[..., float]] = {"r_squared": r_squared, "pearson": pearson, "spearman": spearman}


class RegressionConfig(Config):
    """How numbers are learned and given back."""

    loss: Literal["mse", "huber"] = "mse"
    """``mse``: the squared error; ``huber``: half of it up to an error of ``delta``, straight from there on."""
    delta: float = Field(
        default=1.0, gt=0, description="Huber's: in standard deviations of the target, if standardised"
    )
    standardise: bool = Field(default=True, description="learn (target - mean) / deviation, both of the train split")
    score: Literal["error", "spearman"] = Field(
        default="error",
        description="what tells the best weights on validation: R², or the rank correlation (one number a sequence)",
    )
    floor: float | None = Field(default=None, description="what is foretold below becomes this: 0 for a ribosome load")

    def of(self, guess: Tensor, target: Tensor) -> Tensor:
        """The loss of each number, of any shape."""
        if self.loss == "mse":
            return (guess - target).square()
        return F.huber_loss(guess, target, reduction="none", delta=self.delta)


@dataclass(frozen=True)
class Scale:
    """From what a head gives to units of the data: ``value * deviation + mean``, at least ``floor``."""

    mean: float
    deviation: float
    floor: float | None

    @classmethod
    def of(cls, train_N: Numbers, config: RegressionConfig, name: str, *, centred: bool = True) -> Scale:
        """Of the train split's numbers; InputError where they are all the same, or where their squares are no numbers.

        ``centred = False``: the mean stays 0 and the deviation is from 0, so that no change is no effect.
        """
        if np.ptp(train_N) == 0:
            raise InputError(f"{name}: all labels of the train split are {train_N[0]:g}; there is nothing to learn")
        if np.abs(train_N).max() > LARGEST or np.ptp(train_N) < 1 / LARGEST:
            raise InputError(
                f"{name}: the labels of the train split go from {train_N.min():g} to {train_N.max():g}, of which the "
                "squares are no numbers any more; give them in other units, or their logarithms"
            )
        if not config.standardise:
            return cls(0.0, 1.0, config.floor)
        mean = float(train_N.mean()) if centred else 0.0
        return cls(mean, float(np.sqrt(np.square(train_N - mean).mean())), config.floor)

    @classmethod
    def from_settings(cls, settings: Mapping[str, Any]) -> Scale:
        """What ``to_data`` wrote into a bundle; KeyError, TypeError or ValueError where it is not that."""
        floor = settings["floor"]
        return cls(float(settings["mean"]), float(settings["deviation"]), None if floor is None else float(floor))

    def to_data(self) -> dict[str, Any]:
        """Plain data for a bundle."""
        return asdict(self)

    def standardised(self, values: Numbers) -> Numbers:
        """Units of the data to what a head learns."""
        return (values - self.mean) / self.deviation

    def undone(self, values: Numbers) -> Numbers:
        """What a head gives, in units of the data."""
        return np.maximum(values * self.deviation + self.mean, -np.inf if self.floor is None else self.floor)


class ScalarAnswers(Answers):
    """One number a sequence, or a pair of it and its partner; of a variant, that of the changed sequence less that of
    the reference.
    """

    compared: ClassVar[tuple[str, ...]] = ("negative_squared_error",)
    """The squared error with a minus before it, so that more is better here, too."""

    def __init__(self, task: Task, readings: dict[str, Reading], micro_tokens: int, config: RegressionConfig) -> None:
        self.task, self.readings, self.micro_tokens, self.config = task, readings, micro_tokens, config
        variants = task.shape is Shape.VARIANT
        self.changed = {split: changed_sequences(reading) if variants else None for split, reading in readings.items()}
        self.truth = {
            split: np.array([example.number for example in reading.examples]) for split, reading in readings.items()
        }
        self.scale = Scale.of(self.truth["train"], config, task.name, centred=not variants)
        self.quoted = ("r_squared" if config.score == "error" else "spearman",)

    def loss(self, model: AnsweringModel, index_N: NDArray[np.int64]) -> Tensor:
        """Sum over sequences, in squared standard deviations of the target."""
        guess_N = scalars(model, self.readings["train"], index_N, self.changed["train"])
        target_N = torch.from_numpy(self.scale.standardised(self.truth["train"][index_N])).to(guess_N)
        return self.config.of(guess_N, target_N).sum()

    def validate(self, model: AnsweringModel) -> dict[str, float]:
        """Loss, R² and correlations; the score is R² or as ``score`` says, minus the loss where it is not defined."""
        guess_N, truth_N = self._guess(model, "validation"), self.truth["validation"]
        target_N = torch.from_numpy(self.scale.standardised(truth_N))
        loss = float(self.config.of(torch.from_numpy(guess_N), target_N).mean())
        value_N = self.scale.undone(guess_N)
        found = {f"validation_{name}": statistic(truth_N, value_N) for name, statistic in STATISTICS.items()}
        quality = found["validation_r_squared" if self.config.score == "error" else "validation_spearman"]
        score = quality - TIE * loss if np.isfinite(quality) else -loss
        defined = {name: value for name, value in found.items() if np.isfinite(value)}
        return {"validation_loss": loss, **defined, "score": score}

    def measure(self, model: AnsweringModel) -> Measured:
        """The number of every test sequence; nothing is chosen on validation, the scale is the train split's."""
        value_N = self.scale.undone(self._guess(model, "test"))
        return measured_numbers(self.task.examples("test"), value_N, self.scale.to_data())

    def pooled(self, measured: Measured, which_N: NDArray[np.int64], clusters_N: NDArray[np.int64]) -> dict[str, Any]:
        """R², Pearson's and Spearman's correlation, each with an interval where one can be made."""
        columns = [np.array([measured.rows[row][name] for row in which_N.tolist()]) for name in ("truth", "predicted")]
        return {name: interval_of(statistic, columns, clusters_N, name) for name, statistic in STATISTICS.items()}

    def _guess(self, model: AnsweringModel, split: str) -> Numbers:
        return all_scalars(model, self.readings[split], self.micro_tokens, self.changed[split])


def measured_numbers(examples: Sequence[Example], value_N: Numbers, settings: Mapping[str, Any]) -> Measured:
    """What was foretold of these examples, in units of the data, beside the truth."""
    truth_N = np.array([example.number for example in examples])
    rows: list[dict[str, Any]] = []
    for example, value in zip(examples, value_N.tolist(), strict=True):
        beside = {} if example.partner is None else {"partner": example.partner.name}
        rows.append({"id": example.id, **beside, "truth": example.number, "predicted": value})
    error_N = truth_N - value_N
    scores = {"negative_squared_error": -np.square(error_N), "absolute_error": np.abs(error_N)}
    return Measured(rows, scores, dict(settings))


def interval_of(
    statistic: Callable[..., float], columns: list[NDArray[Any]], clusters_N: NDArray[np.int64], name: str
) -> dict[str, Any]:
    """A statistic with its bootstrap interval as plain data; ``method`` says why where there is none.

    A correlation with constant predictions has no value, and few sequences give resamples that have none.
    """
    value = statistic(*columns)
    missing = {"value": value, "low": None, "high": None, "n": len(columns[0]), "level": 0.95}
    if not np.isfinite(value):
        return {**missing, "method": f"none: {name} is not defined, labels or predictions are all the same"}
    try:
        return asdict(bootstrap_statistic(statistic, columns, clusters=clusters_N))
    except InputError as error:
        return {**missing, "method": f"none: {error}"}


def changed_sequences(reading: Reading) -> Reading:
    """The changed sequences of variants, read as their references were."""
    examples = [replace(example, sequence=example.alternative or "") for example in reading.examples]
    return Reading.of(examples, reading.tokenizer, reading.longest)


def scalars(
    model: AnsweringModel, reading: Reading, index_N: NDArray[np.int64], changed: Reading | None = None
) -> Tensor:
    """What the head gives for these sequences, or how much more for what they are changed to: (N,), float32."""
    device = next(model.parameters()).device

    def of(asked: Reading) -> Tensor:
        batch = asked.batch(index_N)
        tokens_T = torch.from_numpy(batch.tokens_T).to(device)
        partners_NP = asked.partners(index_N, device)
        beside = () if partners_NP is None else (partners_NP,)
        return model.scalars(tokens_T, Layout.of(batch.lengths_N, device), *beside).float()

    return of(reading) if changed is None else of(changed) - of(reading)


def all_scalars(model: AnsweringModel, reading: Reading, micro_tokens: int, changed: Reading | None = None) -> Numbers:
    """The same for all sequences, in their order: (N,)."""
    found_N = np.empty(len(reading.examples))
    model.eval()
    with torch.no_grad():
        for index_N in reading.packs(np.arange(len(found_N)), micro_tokens):
            found_N[index_N] = scalars(model, reading, index_N, changed).cpu().double().numpy()  # mps has no float64
    return found_N
