"""Learning base pairs: RiNALMo's loss, decoding and threshold (doi:10.1038/s41467-025-60872-5), scored strictly too."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict
from typing import Any, ClassVar, Literal, Self

import numpy as np
import torch
from numpy.typing import NDArray
from pydantic import Field, model_validator
from torch import Tensor
from torch.nn import functional as F

from nuclex.bio.folding import greedy_pairs, matching_pairs, mea_pairs
from nuclex.bio.secondary_structure import Pairs, as_dot_bracket
from nuclex.bundle import Bundle
from nuclex.core.config import Config
from nuclex.core.errors import CorruptError, InputError
from nuclex.metrics import PairScore, Ratio, bootstrap, mean_score, score_pairs, score_pseudoknots
from nuclex.models.answering import AnsweringModel
from nuclex.tasks import Example, Task
from nuclex.training.supervised import TIE, Answers, Measured, Reading


class DecodingConfig(Config):
    """How pair probabilities become one structure, and which thresholds are tried on validation (RiNALMo's grid)."""

    method: Literal["greedy", "mea", "matching"] = Field(
        default="greedy",
        description="the most probable pair first, the best nested structure, or the best with pseudoknots",
    )
    gamma: float | None = Field(
        default=None, gt=0, description="mea and matching: what a pair weighs; None = 1 / threshold - 1"
    )
    lowest: float = Field(default=0.01, ge=0, le=1)
    highest: float = Field(default=0.29, ge=0, le=1)
    step: float = Field(default=0.01, gt=0, le=1)
    tune: Literal["strict", "relaxed", "pairing-ratio"] = Field(
        default="strict",
        description="the F1 that the threshold maximises, or pairing-ratio: as many pairs predicted as are true",
    )
    min_loop: int = Field(default=3, ge=0, description="fewest nucleotides between the two of a pair")
    canonical: bool = Field(default=True, description="A-U, G-C and G-U only")

    @model_validator(mode="after")
    def _order(self) -> Self:
        if self.lowest > self.highest:
            raise ValueError(f"lowest {self.lowest} is above highest {self.highest}")
        if self.gamma is not None and self.method == "greedy":
            raise ValueError(f"gamma {self.gamma}: the greedy method has none; give method = 'mea' or 'matching'")
        return self

    @property
    def thresholds(self) -> list[float]:
        """All thresholds, ascending.

        >>> DecodingConfig(lowest=0.1, highest=0.3, step=0.1).thresholds
        [0.1, 0.2, 0.3]
        """
        count = int(np.floor((self.highest - self.lowest) / self.step + 1e-9)) + 1
        return [round(self.lowest + number * self.step, 10) for number in range(count)]

    def pairs(self, probability_LL: NDArray[np.floating], sequence: str, threshold: float) -> Pairs:
        """The structure (P, 2) at a threshold."""
        limits: dict[str, Any] = {"min_loop": self.min_loop, "canonical": self.canonical}
        if self.method == "greedy":
            return greedy_pairs(probability_LL, sequence, threshold=threshold, **limits)
        decode = mea_pairs if self.method == "mea" else matching_pairs
        return decode(probability_LL, sequence, threshold=threshold, gamma=self.gamma, **limits)

    def pairs_at_all(self, probability_LL: NDArray[np.floating], sequence: str) -> list[Pairs]:
        """The structure at every threshold, in their order."""
        if self.method != "greedy":
            return [self.pairs(probability_LL, sequence, threshold) for threshold in self.thresholds]
        # a higher threshold gives those pairs of the lowest one that are more probable
        pairs_P2 = self.pairs(probability_LL, sequence, self.lowest)
        probability_P = probability_LL[pairs_P2[:, 0], pairs_P2[:, 1]]
        return [pairs_P2[probability_P > threshold] for threshold in self.thresholds]

    def best(self, means: Sequence[PairScore]) -> int:
        """Which of the mean scores, one a threshold, is the one to keep; of equals, that of the lowest threshold.

        The greatest F1, or with ``pairing-ratio`` the one whose number of predicted pairs over all structures,
        divided by that of true pairs, is nearest to 1 (the balance that RiNALMo's paper speaks of).
        """
        if self.tune == "pairing-ratio":
            return int(np.argmin([abs(mean.predicted - mean.true) for mean in means]))
        return int(np.argmax([_part(mean, self.tune, "f1") for mean in means]))


class PairAnswers(Answers):
    """One structure a sequence."""

    compared: ClassVar[tuple[str, ...]] = ("strict_f1", "relaxed_f1")
    """F1 of exact pairs, then with one position of slack."""

    def __init__(self, task: Task, readings: dict[str, Reading], decoding: DecodingConfig) -> None:
        self.task, self.readings, self.decoding = task, readings, decoding
        for split, reading in readings.items():
            check_one_token_a_nucleotide(reading, f"{task.name}, {split} split")

    def micros(self, index_N: NDArray[np.int64]) -> list[NDArray[np.int64]]:
        """One structure at a time: maps of unequal size do not share a pass."""
        return [index_N[place : place + 1] for place in range(len(index_N))]

    def loss(self, model: AnsweringModel, index_N: NDArray[np.int64]) -> Tensor:
        """Sum over structures of the mean binary cross entropy of the pairs i < j.

        The mean within a structure makes a long RNA count as much as a short one, as its metric does.
        """
        reading = self.readings["train"]
        device = next(model.parameters()).device
        losses = []
        for index in index_N.tolist():
            logits_LL = model.pair_logits(reading.tokens_of(index, device)).float()
            losses.append(pair_loss(logits_LL, reading.examples[index].pairs))
        return torch.stack(losses).sum()

    def validate(self, model: AnsweringModel) -> dict[str, float]:
        """Loss, and F1 at the best threshold; the score is that F1, ties going to the lower loss.

        With ``pairing-ratio`` the threshold balances the pairs, and the score is the strict F1 there.
        """
        losses, scores = [], []
        reading = self.readings["validation"]
        for example, logits_LL in pair_logits(model, reading):
            losses.append(float(pair_loss(logits_LL, example.pairs)))
            structures = self.decoding.pairs_at_all(_probability(logits_LL), example.sequence)
            scores.append([score_pairs(pairs, example.pairs, len(example.sequence)) for pairs in structures])
        means = [mean_score(column) for column in zip(*scores, strict=True)]
        place = self.decoding.best(means)
        loss, best = float(np.mean(losses)), means[place]
        chosen = best.relaxed.f1 if self.decoding.tune == "relaxed" else best.strict.f1
        return {
            "validation_loss": loss,
            "validation_f1": best.strict.f1,
            "validation_relaxed_f1": best.relaxed.f1,
            "validation_mcc": best.mcc,
            "pairing_ratio": best.predicted / max(best.true, 1),
            "threshold": self.decoding.thresholds[place],
            "score": chosen - TIE * loss,
        }

    def measure(self, model: AnsweringModel) -> Measured:
        """Tune the threshold on validation, then fold every test sequence with it."""
        numbers = self.validate(model)
        threshold = numbers["threshold"]
        found = pair_probabilities(model, self.readings["test"])
        structures = (self.decoding.pairs(probability, example.sequence, threshold) for example, probability in found)
        settings = {"threshold": threshold, "decoding": self.decoding.to_data()}
        return measured_pairs(self.readings["test"].examples, structures, settings)

    def pooled(self, measured: Measured, which_N: NDArray[np.int64], clusters_N: NDArray[np.int64]) -> dict[str, Any]:
        """How many base pairs there are and were predicted, means weighted by length, and the pseudoknots alone."""
        return pooled_pairs(measured, which_N, clusters_N)


def measured_pairs(
    examples: Sequence[Example], structures: Iterable[Pairs], settings: Mapping[str, Any] | None = None
) -> Measured:
    """The scores of predicted structures (P, 2), one an example and each a matching, wherever they came from."""
    rows: list[dict[str, Any]] = []
    scores: list[PairScore] = []
    for example, pairs in zip(examples, structures, strict=True):
        score = score_pairs(pairs, example.pairs, len(example.sequence))
        scores.append(score)
        rows.append(
            {
                "id": example.id,
                "group": example.group,
                "sequence": example.sequence,
                "truth": example.pairs.tolist(),
                "predicted": pairs.tolist(),
                "dot_bracket": as_dot_bracket(pairs, len(example.sequence)),
                "strict_f1": score.strict.f1,
            }
        )
    columns = {
        f"{kind}_{name}": np.array([float(_part(score, kind, name)) for score in scores])
        for kind in ("strict", "relaxed")
        for name in ("f1", "precision", "recall")
    }
    columns["mcc"] = np.array([score.mcc for score in scores])
    return Measured(rows, columns, dict(settings or {}))


def pooled_pairs(measured: Measured, which_N: NDArray[np.int64], clusters_N: NDArray[np.int64]) -> dict[str, Any]:
    """Of these test sequences: numbers of pairs, means weighted by length, and the pseudoknots alone; plain data."""
    rows = [measured.rows[row] for row in which_N.tolist()]
    length_N = np.array([len(row["sequence"]) for row in rows])
    weighted = {
        name: asdict(bootstrap(Ratio(measured.scores[name][which_N] * length_N, length_N), clusters=clusters_N))
        for name in ("strict_f1", "relaxed_f1", "mcc")
    }
    return {
        "pairs": {name: sum(len(row[name]) for row in rows) for name in ("truth", "predicted")},
        "length_weighted": weighted,
        "pseudoknots": pseudoknot_summary(rows, clusters_N),
    }


def pseudoknot_summary(rows: Sequence[Mapping[str, Any]], clusters_N: NDArray[np.int64]) -> dict[str, Any]:
    """How well the pairs that cross another are found, as plain data.

    ``rows`` hold ``sequence``, ``truth`` and ``predicted``. F1, precision and recall are means over the ``n``
    structures that truly have a pseudoknot, and are left out where there are none; ``false_alarms`` counts the others
    in which one was predicted; ``truth`` and ``predicted`` are pseudoknotted pairs of all structures.
    """
    scores = [score_pseudoknots(row["predicted"], row["truth"], len(row["sequence"])) for row in rows]
    there = [place for place, score in enumerate(scores) if score.true]
    found: dict[str, Any] = {
        "n": len(there),
        "false_alarms": sum(score.true == 0 and score.predicted > 0 for score in scores),
        "truth": sum(score.true for score in scores),
        "predicted": sum(score.predicted for score in scores),
    }
    if there:
        for name in ("f1", "precision", "recall"):
            values_N = np.array([_part(scores[place], "strict", name) for place in there])
            found[f"strict_{name}"] = asdict(bootstrap(values_N, clusters=clusters_N[there]))
    return found


def pair_loss(logits_LL: Tensor, pairs_P2: Pairs) -> Tensor:
    """Mean over all i < j of the binary cross entropy of one structure, in nats; 0 for a single nucleotide."""
    length = len(logits_LL)
    target_LL = torch.zeros_like(logits_LL)
    where_2P = torch.from_numpy(pairs_P2.astype(np.int64)).T.to(logits_LL.device)
    target_LL[where_2P[0], where_2P[1]] = 1
    upper_2K = torch.triu_indices(length, length, 1, device=logits_LL.device)
    total = F.binary_cross_entropy_with_logits(
        logits_LL[upper_2K[0], upper_2K[1]], target_LL[upper_2K[0], upper_2K[1]], reduction="sum"
    )
    return total / max(upper_2K.shape[1], 1)


def pair_logits(model: AnsweringModel, reading: Reading) -> Iterator[tuple[Example, Tensor]]:
    """Every sequence with the (L, L) float32 scores of its pairs, one at a time; nothing is kept."""
    device = next(model.parameters()).device
    model.eval()
    for index, example in enumerate(reading.examples):
        with torch.no_grad():
            logits_LL = model.pair_logits(reading.tokens_of(index, device)).float()
        yield example, logits_LL


def pair_probabilities(model: AnsweringModel, reading: Reading) -> Iterator[tuple[Example, NDArray[np.float64]]]:
    """Every sequence with the (L, L) probabilities of its pairs, one at a time."""
    for example, logits_LL in pair_logits(model, reading):
        yield example, _probability(logits_LL)


def stored_decoding(bundle: Bundle) -> tuple[float, DecodingConfig]:
    """The threshold that was tuned on validation, and the decoding, of a bundle that answers with base pairs."""
    assert bundle.task is not None
    try:
        settings = bundle.task.config["settings"]
        return float(settings["threshold"]), DecodingConfig.from_data(settings["decoding"])
    except (KeyError, TypeError, ValueError):
        raise CorruptError(f"{bundle.path}: the settings of its decoding are not readable") from None


def check_one_token_a_nucleotide(reading: Reading, where: str) -> None:
    """InputError where a tokenizer joins nucleotides: pairs are between nucleotides."""
    for example, tokens in zip(reading.examples, reading.table.lengths_N.tolist(), strict=True):
        if tokens != len(example.sequence):
            raise InputError(
                f"{where}: {example.id!r} has {len(example.sequence)} nucleotides but {tokens} tokens; "
                "base pairs need a tokenizer with one token a nucleotide"
            )


def _probability(logits_LL: Tensor) -> NDArray[np.float64]:
    return logits_LL.cpu().double().sigmoid().numpy()  # mps has no float64


def _part(score: PairScore, kind: str, name: str) -> float:
    match = score.strict if kind == "strict" else score.relaxed
    return {"f1": match.f1, "precision": match.precision, "recall": match.recall}[name]
