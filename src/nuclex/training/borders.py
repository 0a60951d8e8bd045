"""Learning where regions begin and end as HELM's code does: each border a class among places, their losses summed.

It is measured like labels of letters, by the same numbers. What HELM's code reports, a mean over the label values 0, 1
and 2 of its 902, says nothing about borders and is not computed.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import partial
from typing import Any, ClassVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F

from nuclex.bio.regions import OUTSIDE
from nuclex.core.errors import InputError
from nuclex.models.answering import AnsweringModel
from nuclex.tasks import Task
from nuclex.training.classes import class_logits
from nuclex.training.positions import Floats, PositionClassAnswers
from nuclex.training.supervised import Answers, Measured, Reading

Integers = NDArray[np.int64]
UNCLAIMED = -50.0
"""The score of a token for a region whose borders do not hold it; finite, so that no way is impossible."""


class BorderAnswers(Answers):
    """The borders of regions, each as a class among ``positions`` places."""

    compared: ClassVar[tuple[str, ...]] = PositionClassAnswers.compared
    """As of labels of positions."""

    def __init__(self, task: Task, readings: dict[str, Reading], micro_tokens: int, positions: int) -> None:
        self.task, self.readings, self.micro_tokens = task, readings, micro_tokens
        if not task.regions or OUTSIDE in task.classes:
            raise InputError(
                f"head.kind: 'borders' needs regions that fill a sequence, and {task.name!r} has "
                f"{'letters outside of them' if task.regions else 'none'}; give --task.labels helm, or --task.letters "
                "regions, or another head"
            )
        for split, reading in readings.items():
            if (most := int(reading.table.lengths_N.max())) >= positions:
                raise InputError(
                    f"{task.name}, {split} split: a sequence has {most} tokens; this head tells places up to "
                    f"{positions - 1}, leave longer ones out (--task.max_length)"
                )
        columns = columns_of(task.classes, task.regions)
        scores = partial(border_scores, columns=columns)
        self.labels = PositionClassAnswers(task, readings, micro_tokens, scores)
        self.borders = {split: borders_in(rows, columns) for split, rows in self.labels.asked.items()}

    def loss(self, model: AnsweringModel, index_N: Integers) -> Tensor:
        """Sum over sequences and borders of -ln p(true place), in nats; borders of a missing region do not count."""
        return self._loss(model, "train", index_N)

    def validate(self, model: AnsweringModel) -> dict[str, float]:
        """As of labels of positions, but the loss is that of the borders, summed over those of a sequence."""
        found, reading = self.labels.validate(model), self.readings["validation"]
        with torch.no_grad():
            every_N = np.arange(len(reading.examples))
            parts = [float(self._loss(model, "validation", n)) for n in reading.packs(every_N, self.micro_tokens)]
        return {**found, "validation_loss": sum(parts) / len(every_N)}

    def measure(self, model: AnsweringModel) -> Measured:
        """The regions of every test sequence, between their borders."""
        return self.labels.measure(model)

    def pooled(self, measured: Measured, which_N: Integers, clusters_N: Integers) -> dict[str, Any]:
        """As of labels of positions."""
        return self.labels.pooled(measured, which_N, clusters_N)

    def baselines(self) -> dict[str, Measured]:
        """As of labels of positions."""
        return self.labels.baselines()

    def _loss(self, model: AnsweringModel, split: str, index_N: Integers) -> Tensor:
        scores_NBP = class_logits(model, self.readings[split], index_N)
        truth_NB = torch.from_numpy(self.borders[split][index_N]).to(scores_NBP.device)
        return F.cross_entropy(scores_NBP.flatten(0, 1), truth_NB.flatten(), reduction="sum", ignore_index=-1)


def columns_of(classes: Sequence[str], regions: Sequence[str]) -> list[int]:
    """The numbers of the classes in the order of the regions."""
    return [list(classes).index(name) for name in regions if name in classes]


def borders_in(labels: Sequence[Integers], columns: Sequence[int]) -> Integers:
    """The borders (N, B) of regions in rows of token labels (T,), as tokens in front of them; -1 of a missing region.

    The end of the first region, then start and end of each other.

    >>> borders_in([np.array([0, 0, 2, 2, 1]), np.array([2, 2])], [0, 2, 1]).tolist()
    [[2, 2, 4, 4, 5], [-1, 0, 2, -1, -1]]
    """
    found_NB = np.full((len(labels), 2 * len(columns)), -1, dtype=np.int64)
    for row, label_T in enumerate(labels):
        for place, column in enumerate(columns):
            if len(held := np.flatnonzero(label_T == column)):
                found_NB[row, 2 * place : 2 * place + 2] = held[0], held[-1] + 1
    return found_NB[:, 1:]


def border_scores(
    model: AnsweringModel, reading: Reading, micro_tokens: int, *, columns: Sequence[int]
) -> Iterator[tuple[int, Floats]]:
    """Every sequence's number and the (T, C) scores of its tokens: 0 between the borders of a region, else low.

    Borders that contradict each other leave tokens to several regions or to none; the most probable way through the
    regions (``positions.called``) then decides.
    """
    model.eval()
    for index_N in reading.packs(np.arange(len(reading.examples)), micro_tokens):
        with torch.no_grad():
            place_NB = class_logits(model, reading, index_N).argmax(-1).cpu().numpy()
        for index, place_B in zip(index_N.tolist(), place_NB, strict=True):
            scores_TC = np.full((int(reading.table.lengths_N[index]), len(columns)), UNCLAIMED)
            for column, (start, end) in zip(columns, np.append(0, place_B).reshape(-1, 2), strict=True):
                scores_TC[start:end, column] = 0.0
            yield index, scores_TC
