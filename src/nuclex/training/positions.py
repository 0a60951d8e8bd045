"""Learning a label at each nucleotide: only what was measured counts, and each sequence as much as any other."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict
from typing import Any, ClassVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F

from nuclex.bio.regions import Spans, best_path, spans_of
from nuclex.core.errors import InputError
from nuclex.metrics import bootstrap, bootstrap_statistic, confusion_matrix, per_class
from nuclex.metrics.regions import exact_share, region_report
from nuclex.models import Layout
from nuclex.models.answering import AnsweringModel
from nuclex.tasks import Task
from nuclex.training.letters import Letters
from nuclex.training.majority import majorities
from nuclex.training.pairs import check_one_token_a_nucleotide
from nuclex.training.supervised import TIE, Answers, Measured, Reading

Floats = NDArray[np.float64]
Scores = Callable[[AnsweringModel, Reading, int], Iterator[tuple[int, Floats]]]
"""How a model scores the tokens of each sequence: its number with (T, C), in any order."""


class PositionClassAnswers(Answers):
    """A class at each position, learned by tokens and measured by letters.

    Where the task's classes are regions that follow each other, the answer is the most probable way through them.
    ``scores`` are by default those of a head that scores each token.
    """

    compared: ClassVar[tuple[str, ...]] = ("accuracy",)
    """The share of a sequence's scored positions whose class is right."""

    def __init__(
        self, task: Task, readings: dict[str, Reading], micro_tokens: int, scores: Scores | None = None
    ) -> None:
        self.task, self.readings, self.micro_tokens = task, readings, micro_tokens
        self.scores = scores or all_positions
        number = {"": -1, **{name: place for place, name in enumerate(task.classes)}}
        self.labels = {
            split: [np.array([number[name] for name in example.track.tolist()]) for example in reading.examples]
            for split, reading in readings.items()
        }
        self.letters = {split: Letters(reading, f"{task.name}, {split} split") for split, reading in readings.items()}
        self.asked = {split: self.letters[split].labels(self.labels[split]) for split in ("train", "validation")}

    def loss(self, model: AnsweringModel, index_N: NDArray[np.int64]) -> Tensor:
        """Sum over sequences of the mean of -ln p(true class) over scored tokens, in nats."""
        label_T, weight_T = weighed([self.asked["train"][index] for index in index_N.tolist()])
        logits_TC = position_logits(model, self.readings["train"], index_N)
        truth_T = torch.from_numpy(label_T.clip(min=0)).to(logits_TC.device)
        return (F.cross_entropy(logits_TC, truth_T, reduction="none") * weight_T.to(logits_TC)).sum()

    def validate(self, model: AnsweringModel) -> dict[str, float]:
        """Loss, accuracy and macro F1 over all scored positions; the score is the F1, ties going to the lower loss."""
        losses, counts = [], []
        for index, logits_LC in self.scores(model, self.readings["validation"], self.micro_tokens):
            label_L = self.asked["validation"][index]
            log_p_LC = torch.from_numpy(logits_LC[label_L >= 0]).log_softmax(-1)
            losses.append(-float(log_p_LC[range(len(log_p_LC)), label_L[label_L >= 0]].mean()))
            guess_L = called(logits_LC, self.task.classes, self.task.regions)[self.letters["validation"].token[index]]
            counts.append(self._counts(self.labels["validation"][index], guess_L))
        total_CC, loss = np.sum(counts, axis=0), float(np.mean(losses))
        f1, right = macro_f1(total_CC[None]), float(np.trace(total_CC) / total_CC.sum())
        return {"validation_loss": loss, "validation_accuracy": right, "validation_f1": f1, "score": f1 - TIE * loss}

    def measure(self, model: AnsweringModel) -> Measured:
        """The class of every position of every test sequence."""
        guesses: dict[int, NDArray[np.int64]] = {}
        for index, logits_LC in self.scores(model, self.readings["test"], self.micro_tokens):
            guess_L = called(logits_LC, self.task.classes, self.task.regions)
            guesses[index] = guess_L[self.letters["test"].token[index]]
        return self.measured([guesses[index] for index in range(len(guesses))])

    def baselines(self) -> dict[str, Measured]:
        """What the position of a letter says by itself."""
        lengths = [len(label_L) for label_L in self.labels["test"]]
        found = majorities(self.labels["train"], lengths, len(self.task.classes))
        return {name: self.measured(guesses) for name, guesses in found.items()}

    def measured(self, guesses: Sequence[NDArray[np.int64]]) -> Measured:
        """What such calls of the test sequences' letters, numbers of classes (L,), are worth."""
        names, rows = np.array(self.task.classes), []
        for example, label_L, guess_L in zip(self.task.examples("test"), self.labels["test"], guesses, strict=True):
            row: dict[str, Any] = {
                "id": example.id,
                "sequence": example.sequence,
                "truth": example.track.tolist(),
                "predicted": names[guess_L].tolist(),
                "counts": self._counts(label_L, guess_L).tolist(),
            }
            if self.task.regions:
                row |= {"regions": spans_of(row["predicted"], self.task.regions), "stratum": example.stratum}
            rows.append(row)
        counts_NCC = np.array([row["counts"] for row in rows])
        right_N = np.trace(counts_NCC, axis1=1, axis2=2) / counts_NCC.sum((1, 2))
        if not self.task.regions:
            return Measured(rows, {"accuracy": right_N}, {})
        scores = {"accuracy": right_N, "exact_borders": exact_share(*self._spans(rows), self.task.regions)}
        return Measured(rows, scores, {"regions": self.task.regions})

    def pooled(self, measured: Measured, which_N: NDArray[np.int64], clusters_N: NDArray[np.int64]) -> dict[str, Any]:
        """Macro F1 over all scored positions with its interval, and numbers for every class.

        Of regions also those of ``metrics.region_report``, and where sequences are of several kinds ``strata``, the
        accuracy and these by each.
        """
        rows = [measured.rows[row] for row in which_N.tolist()]
        counts_NCC = np.array([row["counts"] for row in rows])
        each = per_class(counts_NCC.sum(0))
        columns = zip(each.precision, each.recall, each.f1, each.support, strict=True)
        found = {
            "macro_f1": asdict(bootstrap_statistic(macro_f1, [counts_NCC], clusters=clusters_N)),
            "positions": int(counts_NCC.sum()),
            "classes": {
                name: {"precision": float(p), "recall": float(r), "f1": float(f), "n": int(n)}
                for name, (p, r, f, n) in zip(self.task.classes, columns, strict=True)
            },
        }
        if not self.task.regions:
            return found
        strata = sorted({row["stratum"] for row in rows if row["stratum"]})
        of_each = {name: np.array([row["stratum"] == name for row in rows]) for name in strata if len(strata) > 1}
        right_N = measured.scores["accuracy"][which_N]
        found["strata"] = {
            name: {
                "n": int(here_N.sum()),
                "accuracy": asdict(bootstrap(right_N[here_N], clusters=clusters_N[here_N])),
                **self._regions([row for row, here in zip(rows, here_N, strict=True) if here], clusters_N[here_N]),
            }
            for name, here_N in of_each.items()
        }
        return {**found, **self._regions(rows, clusters_N)}

    def _regions(self, rows: Sequence[dict[str, Any]], clusters_N: NDArray[np.int64]) -> dict[str, Any]:
        return region_report(*self._spans(rows), self.task.regions, clusters_N)

    def _spans(self, rows: Sequence[dict[str, Any]]) -> tuple[list[Spans], list[Spans]]:
        """Where the regions of each row are, and where they were called."""
        return [spans_of(row["truth"], self.task.regions) for row in rows], [row["regions"] for row in rows]

    def _counts(self, label_L: NDArray[np.int64], guess_L: NDArray[np.int64]) -> NDArray[np.int64]:
        where_L = label_L >= 0
        return confusion_matrix(label_L[where_L], guess_L[where_L], len(self.task.classes))


def called(logits_LC: Floats, classes: Sequence[str], regions: Sequence[str]) -> NDArray[np.int64]:
    """The class of each token (L,): the most probable one, of regions that of the most probable way through them."""
    return best_path(logits_LC, classes, regions) if regions else logits_LC.argmax(1)


def scored(track_L: NDArray[Any]) -> NDArray[np.bool_]:
    """Where something was measured: class numbers of 0 and above, numbers that are some."""
    return track_L >= 0 if track_L.dtype.kind == "i" else np.isfinite(track_L)


def weighed(tracks: Sequence[NDArray[Any]]) -> tuple[NDArray[Any], Tensor]:
    """The labels of some sequences end to end, and what each position weighs: 1 a sequence, shared by the scored."""
    weights = [scored(track) / scored(track).sum() for track in tracks]
    return np.concatenate(tracks), torch.from_numpy(np.concatenate(weights))


def macro_f1(counts_NCC: NDArray[np.int64]) -> float:
    """The mean F1 of the classes that occur or are foretold, from confusion matrices that are summed."""
    total_CC = counts_NCC.sum(0)
    occurs_C = (total_CC.sum(0) + total_CC.sum(1)) > 0
    return float(per_class(total_CC).f1[occurs_C].mean())


def position_logits(model: AnsweringModel, reading: Reading, index_N: NDArray[np.int64]) -> Tensor:
    """Scores (T, C), float32, of the nucleotides of these sequences, end to end."""
    device = next(model.parameters()).device
    batch = reading.batch(index_N)
    tokens_T = torch.from_numpy(batch.tokens_T).to(device)
    return model.position_logits(tokens_T, Layout.of(batch.lengths_N, device)).float()


def all_positions(model: AnsweringModel, reading: Reading, micro_tokens: int) -> Iterator[tuple[int, Floats]]:
    """Every sequence's number and the (L, C) scores of its positions, in order of length; nothing is kept."""
    model.eval()
    for index_N in reading.packs(np.arange(len(reading.examples)), micro_tokens):
        with torch.no_grad():
            logits_TC = position_logits(model, reading, index_N).cpu().double().numpy()  # mps has no float64
        ends_N = np.cumsum(reading.tokens_N[index_N] - 2)
        yield from zip(index_N.tolist(), np.split(logits_TC, ends_N[:-1]), strict=True)


def checked(readings: dict[str, Reading], name: str) -> dict[str, Reading]:
    """The same readings; InputError where a tokenizer joins nucleotides, of which each has a label."""
    for split, reading in readings.items():
        check_positions(reading, f"{name}, {split} split")
    return readings


def check_positions(reading: Reading, where: str) -> None:
    """InputError where a tokenizer joins nucleotides, of which each has a label."""
    try:
        check_one_token_a_nucleotide(reading, where)
    except InputError as error:
        found = str(error).partition("; ")[0]
        raise InputError(f"{found}; labels of positions need a tokenizer with one token a nucleotide") from None
