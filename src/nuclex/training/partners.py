"""Learning a number for each pair of a sequence and a partner, beside what either of them says alone."""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from nuclex.metrics import rmse
from nuclex.models.answering import AnsweringModel, Head
from nuclex.models.partners import PartnerHead
from nuclex.tasks import Task
from nuclex.training.alone import foretold
from nuclex.training.scalars import RegressionConfig, ScalarAnswers, interval_of, measured_numbers
from nuclex.training.supervised import Answers, Measured, Reading


class PartnerAnswers(Answers):
    """One number a pair, learned and measured as that of a sequence is."""

    compared: ClassVar[tuple[str, ...]] = ScalarAnswers.compared

    def __init__(self, task: Task, readings: dict[str, Reading], micro_tokens: int, config: RegressionConfig) -> None:
        self.task, self.readings, self.micro_tokens = task, readings, micro_tokens
        self._numbers = ScalarAnswers(task, readings, micro_tokens, config)
        self.quoted = self._numbers.quoted

    def ready(self, head: Head) -> Head:
        """The head, told to scale partners as those of the train split, each counted once."""
        assert isinstance(head, PartnerHead)
        known = {pair.partner.name: pair.partner.vector_P for pair in self.task.examples("train") if pair.partner}
        head.scale_by(torch.from_numpy(np.stack([known[name] for name in sorted(known)])))
        return head

    def loss(self, model: AnsweringModel, index_N: NDArray[np.int64]) -> Tensor:
        """Sum over pairs, in squared standard deviations of the target."""
        return self._numbers.loss(model, index_N)

    def validate(self, model: AnsweringModel) -> dict[str, float]:
        """Loss, R² and correlations; the score is R² or as ``regression.score`` says."""
        return self._numbers.validate(model)

    def measure(self, model: AnsweringModel) -> Measured:
        """The number of every test pair; the scale is the train split's."""
        return self._numbers.measure(model)

    def pooled(self, measured: Measured, which_N: NDArray[np.int64], clusters_N: NDArray[np.int64]) -> dict[str, Any]:
        """R², both correlations and the root of the mean squared error, each with an interval where one can be made."""
        columns = [np.array([measured.rows[row][name] for row in which_N.tolist()]) for name in ("truth", "predicted")]
        error = interval_of(rmse, columns, clusters_N, "rmse")
        return {**self._numbers.pooled(measured, which_N, clusters_N), "rmse": error}

    def baselines(self) -> dict[str, Measured]:
        """What is known of the test pairs from one side of them, or from both added up (``alone.ALONE``)."""
        pairs, floor = self.task.examples("test"), self._numbers.scale.floor
        least = -np.inf if floor is None else floor
        return {
            name: measured_numbers(pairs, np.maximum(value_N, least), {})
            for name, value_N in foretold(self.task, self.micro_tokens).items()
        }
