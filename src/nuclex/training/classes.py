"""Learning classes: cross entropy, macro F1 on validation, and for the test how often which class is called rightly."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from typing import Any, ClassVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F

from nuclex.metrics import bootstrap_sums, precision_recall_f1, sums
from nuclex.metrics.resampling import Floats
from nuclex.models import Layout
from nuclex.models.answering import AnsweringModel
from nuclex.tasks import Example, Task
from nuclex.training.supervised import TIE, Answers, Measured, Reading

TOGETHER: Mapping[str, Callable[[Floats], Floats]] = {
    "macro_f1": sums.macro_f1,
    "weighted_f1": sums.weighted_f1,
    "matthews": sums.matthews,
    "balanced_accuracy": sums.balanced_accuracy,
}
"""What is said of all classes together; weighted F1 is what RiNALMo's code reports for ncRNA families."""
OF_TWO: Mapping[str, Callable[[Floats], Floats]] = {
    "precision": lambda counts: sums.precision(counts)[..., 1],
    "recall": lambda counts: sums.recall(counts)[..., 1],
    "specificity": lambda counts: sums.recall(counts)[..., 0],
    "f1": lambda counts: sums.f1(counts)[..., 1],
}
"""What is said of the positive one of two classes: with accuracy, RiNALMo's table of splice sites."""


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
        """Macro and weighted F1, Matthews correlation, balanced accuracy with intervals, and numbers for every class.

        Of two classes the second, such as "1" behind "0", is the ``positive`` one, and its precision, recall and F1
        and the specificity, the recall of the other, have intervals, too.
        """
        names, two = self.task.classes, len(self.task.classes) == 2
        number = {name: place for place, name in enumerate(names)}
        guess_N = np.array([number[measured.rows[row]["predicted"]] for row in which_N.tolist()])
        counts_N3C = sums.class_counts(self.labels["test"][which_N], guess_N, len(names))
        found = bootstrap_sums({**TOGETHER, **(OF_TWO if two else {})}, counts_N3C, clusters=clusters_N)
        total_3C = counts_N3C.sum(0)
        columns = zip(sums.precision(total_3C), sums.recall(total_3C), sums.f1(total_3C), total_3C[2], strict=True)
        return {
            **{name: asdict(interval) for name, interval in found.items()},
            **({"positive": names[1]} if two else {}),
            "classes": {
                name: {"precision": float(p), "recall": float(r), "f1": float(f), "n": int(n)}
                for name, (p, r, f, n) in zip(names, columns, strict=True)
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
