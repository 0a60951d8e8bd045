"""Learning classes: cross entropy, macro F1 on validation, and for the test every class's precision and recall."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from typing import Any, ClassVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F

from nuclex.metrics import (
    balanced_accuracy,
    bootstrap_statistic,
    confusion_matrix,
    matthews,
    per_class,
    precision_recall_f1,
)
from nuclex.models import Layout
from nuclex.models.answering import AnsweringModel
from nuclex.tasks import Example, Task
from nuclex.training.supervised import TIE, Answers, Measured, Reading


class ClassAnswers(Answers):
    """One class a sequence."""

    compared: ClassVar[tuple[str, ...]] = ("accuracy",)
    """Accuracy."""

    def __init__(self, task: Task, readings: dict[str, Reading], micro_tokens: int) -> None:
        self.task, self.readings, self.micro_tokens = task, readings, micro_tokens
        self.labels = {split: _labels(task, reading.examples) for split, reading in readings.items()}

    def loss(self, model: AnsweringModel, index_N: NDArray[np.int64]) -> Tensor:
        """Sum of -ln p(true class), in nats."""
        logits_NC = class_logits(model, self.readings["train"], index_N)
        labels_N = torch.from_numpy(self.labels["train"][index_N]).to(logits_NC.device)
        return F.cross_entropy(logits_NC.float(), labels_N, reduction="sum")

    def validate(self, model: AnsweringModel) -> dict[str, float]:
        """Loss, accuracy and macro F1; the score is the F1, ties going to the lower loss."""
        probability_NC = class_probabilities(model, self.readings["validation"], self.micro_tokens)
        truth_N = self.labels["validation"]
        guess_N = probability_NC.argmax(1)
        true_N = probability_NC[np.arange(len(truth_N)), truth_N]
        loss = float(-np.log(np.maximum(true_N, 1e-300)).mean())
        f1 = precision_recall_f1(truth_N, guess_N, "macro").f1
        right = float((truth_N == guess_N).mean())
        return {"validation_loss": loss, "validation_accuracy": right, "validation_f1": f1, "score": f1 - TIE * loss}

    def measure(self, model: AnsweringModel) -> Measured:
        """The most probable class of every test sequence; nothing is chosen on validation."""
        probability_NC = class_probabilities(model, self.readings["test"], self.micro_tokens)
        guess_N, truth_N = probability_NC.argmax(1), self.labels["test"]
        rows = [
            {
                "id": example.id,
                "truth": example.label,
                "predicted": self.task.classes[guess],
                "probability": float(probability_NC[number, guess]),
            }
            for number, (example, guess) in enumerate(zip(self.task.examples("test"), guess_N, strict=True))
        ]
        return Measured(rows, {"accuracy": (guess_N == truth_N).astype(np.float64)}, {})

    def pooled(self, measured: Measured, which_N: NDArray[np.int64], clusters_N: NDArray[np.int64]) -> dict[str, Any]:
        """Macro F1 with its interval, Matthews correlation, balanced accuracy, and numbers for every class."""
        number = {name: place for place, name in enumerate(self.task.classes)}
        truth_N = self.labels["test"][which_N]
        guess_N = np.array([number[measured.rows[row]["predicted"]] for row in which_N.tolist()])
        macro = bootstrap_statistic(
            lambda truth, guess: precision_recall_f1(truth, guess, "macro").f1, [truth_N, guess_N], clusters=clusters_N
        )
        each = per_class(confusion_matrix(truth_N, guess_N, len(self.task.classes)))
        columns = zip(each.precision, each.recall, each.f1, each.support, strict=True)
        return {
            "macro_f1": asdict(macro),
            "matthews": matthews(truth_N, guess_N),
            "balanced_accuracy": balanced_accuracy(truth_N, guess_N),
            "classes": {
                name: {"precision": float(p), "recall": float(r), "f1": float(f), "n": int(n)}
                for name, (p, r, f, n) in zip(self.task.classes, columns, strict=True)
            },
        }


def class_logits(model: AnsweringModel, reading: Reading, index_N: NDArray[np.int64]) -> Tensor:
    """Scores (N, C), float32, of these sequences."""
    device = next(model.parameters()).device
    batch = reading.batch(index_N)
    tokens_T = torch.from_numpy(batch.tokens_T).to(device)
    return model.class_logits(tokens_T, Layout.of(batch.lengths_N, device)).float()


def class_probabilities(model: AnsweringModel, reading: Reading, micro_tokens: int) -> NDArray[np.float64]:
    """The probability of every class (N, C) for all sequences, in their order."""
    rows: NDArray[np.float64] | None = None
    model.eval()
    with torch.no_grad():
        for index_N in reading.packs(np.arange(len(reading.examples)), micro_tokens):
            part_NC = class_logits(model, reading, index_N).cpu().double().softmax(-1).numpy()  # mps has no float64
            rows = np.empty((len(reading.examples), part_NC.shape[1])) if rows is None else rows
            rows[index_N] = part_NC
    assert rows is not None
    return rows


def _labels(task: Task, examples: Sequence[Example]) -> NDArray[np.int64]:
    number = {name: place for place, name in enumerate(task.classes)}
    return np.array([number[str(example.label)] for example in examples], dtype=np.int64)
