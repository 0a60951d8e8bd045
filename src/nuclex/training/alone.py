"""What one side of a pair says by itself: linear models that know the sequence or the partner alone, or add up both.

None of them knows which sequence goes with which partner. A model of pairs that is no better than the sum of both has
learned nothing about pairs, however high its correlation is.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from nuclex.models.answering import AnsweringModel
from nuclex.models.motifs import KmerHead
from nuclex.models.one_hot import OneHot
from nuclex.tasks import SPLITS, Example, Split, Task
from nuclex.training.controls import LETTERS
from nuclex.training.linear import PENALTIES, ridge, shares_of
from nuclex.training.supervised import Reading

Floats = NDArray[np.float64]
MEAN_OF_ALL, SEQUENCE, PARTNER, SUM = "mean-of-train", "sequence-alone", "partner-alone", "sequence-plus-partner"
PARTNER_MEAN, SEQUENCE_MEAN = "mean-of-its-partner", "mean-of-its-sequence"
ALONE = (MEAN_OF_ALL, SEQUENCE, PARTNER, SUM, PARTNER_MEAN, SEQUENCE_MEAN)
"""The mean of all train pairs; ridge regressions on k-mers, on the partner's vector, on both side by side; and the mean
of the train pairs with this partner, or with this sequence, where the test has any that train knows."""


def foretold(task: Task, micro_tokens: int) -> dict[str, Floats]:
    """What each of ``ALONE`` says of the test pairs, in units of the data: (N,) by name.

    Weights are those of the train split, the penalty that of the least squared error on validation.
    """
    truth = {split: np.array([pair.number for pair in task.examples(split)]) for split in SPLITS}
    both = {split: _features(task.examples(split), micro_tokens) for split in SPLITS}
    mean = float(truth["train"].mean())
    found = {MEAN_OF_ALL: np.full(len(truth["test"]), mean)}
    for name, sides in {SEQUENCE: [0], PARTNER: [1], SUM: [0, 1]}.items():
        found[name] = _ridge({split: np.hstack([both[split][side] for side in sides]) for split in SPLITS}, truth)
    for place, name in enumerate((SEQUENCE_MEAN, PARTNER_MEAN)):
        means = _means([_names(pair)[place] for pair in task.examples("train")], truth["train"])
        wanted = [_names(pair)[place] for pair in task.examples("test")]
        if means.keys() & set(wanted):
            found[name] = np.array([means.get(one, mean) for one in wanted])
    return found


def _names(pair: Example) -> tuple[str, str]:
    assert pair.partner is not None
    return pair.letters, pair.partner.name


def _means(names: Sequence[str], value_N: Floats) -> dict[str, float]:
    kept, which_N = np.unique(names, return_inverse=True)
    mean_K = np.bincount(which_N, value_N) / np.bincount(which_N)
    return dict(zip(kept.tolist(), mean_K.tolist(), strict=True))


def _features(pairs: Sequence[Example], micro_tokens: int) -> tuple[Floats, Floats]:
    """Shares of k-mers (N, 340), and the vectors of the partners (N, P)."""
    counting = AnsweringModel(OneHot.of_letters(LETTERS.vocabulary), KmerHead(1))
    vectors = [pair.partner.vector_P for pair in pairs if pair.partner is not None]
    return shares_of(counting, Reading.of(pairs, LETTERS, None), micro_tokens), np.stack(vectors).astype(np.float64)


def _ridge(features: dict[Split, Floats], truth: dict[Split, Floats]) -> Floats:
    mean_F, deviation_F = features["train"].mean(0), features["train"].std(0)
    deviation_F[deviation_F < 1e-9] = 1
    scaled = {split: (features_NF - mean_F) / deviation_F for split, features_NF in features.items()}
    mean, deviation = truth["train"].mean(), truth["train"].std()
    solved, best = ridge(scaled["train"], (truth["train"] - mean) / deviation), (np.inf, np.zeros(0))
    for penalty in PENALTIES:
        weights_F, bias = solved(penalty)
        guess = {split: (scaled[split] @ weights_F + bias) * deviation + mean for split in ("validation", "test")}
        error = float(np.square(guess["validation"] - truth["validation"]).mean())
        best = min(best, (error, guess["test"]), key=lambda one: one[0])
    return best[1]
