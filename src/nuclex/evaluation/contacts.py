"""Does a model that saw no structure know base pairs all the same: contact scores, decoded and scored like predictions.

Contact scores have no unit, so they are measured in standard deviations of their molecule and squeezed between 0 and 1.
What must be chosen (the threshold; of attention, the head) is chosen on some validation structures, never on the test.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal, get_args

import numpy as np
from numpy.typing import NDArray

from nuclex.bio.secondary_structure import Pairs
from nuclex.bundle import Bundle
from nuclex.core.errors import InputError
from nuclex.core.randomness import key
from nuclex.inference.contacts import attention_contacts, jacobian_contacts
from nuclex.metrics import PairScore, mean_score, score_pairs
from nuclex.tasks import Example, Shape, Task
from nuclex.tasks.base import draw
from nuclex.training.pairs import DecodingConfig, measured_pairs
from nuclex.training.supervised import Measured

Contacts = Literal["jacobian", "attention"]
GRID = DecodingConfig(lowest=0.05, highest=0.95, step=0.05)
HALF = 2.0
"""The score, in standard deviations, that becomes one half."""


def squeezed(score_LL: NDArray[np.float64], min_loop: int = 3) -> NDArray[np.float64]:
    """Contact scores (L, L) as numbers from 0 to 1 in the same order, of those that are above the molecule's mean.

    The others are 0. Mean and deviation are over the pairs with at least ``min_loop`` nucleotides between them.

    >>> squeezed(np.array([[0, 1.0, 3.0], [1.0, 0, 2.0], [3.0, 2.0, 0]]), min_loop=0).round(2).tolist()
    [[0.0, 0.0, 0.38], [0.0, 0.0, 0.0], [0.38, 0.0, 0.0]]
    """
    places = np.triu_indices(len(score_LL), min_loop + 1)
    spread = score_LL[places].std() if len(places[0]) else 0.0
    if spread == 0:
        return np.zeros_like(score_LL)
    above_LL = np.maximum((score_LL - score_LL[places].mean()) / spread, 0)
    np.fill_diagonal(above_LL, 0)
    return above_LL / (above_LL + HALF)


def contact_benchmark(
    bundle: Bundle, task: Task, method: Contacts = "jacobian", *, tuned_on: int = 32, decoding: DecodingConfig = GRID
) -> Measured:
    """Fold the test split of a structure task by contact scores, and score it as a trained model is scored.

    ``tuned_on`` validation structures, drawn by their ids, decide on the threshold and, of ``attention``, on layer and
    head. InputError for a task of another shape, and where the model cannot be asked (``inference.contacts``).
    """
    if method not in get_args(Contacts):
        raise InputError(f"method: found {method!r}; allowed: {', '.join(get_args(Contacts))}")
    if task.shape is not Shape.PAIR_MAP:
        raise InputError(f"{task.name}: asks for a {task.shape}; contacts answer with base pairs")
    some = draw(task.examples("validation"), tuned_on, key(0, "contacts"))
    head, threshold = _chosen(bundle, some, method, decoding)
    structures = (
        decoding.pairs(squeezed(_scores(bundle, example, method)[head]), example.sequence, threshold)
        for example in task.examples("test")
    )
    settings: dict[str, Any] = {"method": method, "threshold": threshold, "tuned_on": len(some)}
    if method == "attention":
        heads = bundle.model.config.heads
        settings |= {"layer": head // heads, "head": head % heads}
    return measured_pairs(task.examples("test"), structures, settings)


def _scores(bundle: Bundle, example: Example, method: Contacts) -> NDArray[np.float64]:
    """Contact scores (choices, L, L): one of the Jacobian, one for each head of attention."""
    if method == "jacobian":
        return jacobian_contacts(bundle, example.sequence)[None]
    maps = attention_contacts(bundle, example.sequence)
    return maps.reshape(-1, *maps.shape[-2:])


def _chosen(
    bundle: Bundle, examples: Sequence[Example], method: Contacts, decoding: DecodingConfig
) -> tuple[int, float]:
    """The head and the threshold with the best mean F1; the first of equals."""
    scores: list[list[list[PairScore]]] = []  # by example, head, threshold
    for example in examples:
        found = _scores(bundle, example, method)
        scores.append([_at_all(decoding, squeezed(score_LL), example) for score_LL in found])
    best = (-1.0, 0, decoding.thresholds[0])
    for head in range(len(scores[0])):
        means = [mean_score(column) for column in zip(*(row[head] for row in scores), strict=True)]
        place = decoding.best(means)
        if means[place].strict.f1 > best[0]:
            best = (means[place].strict.f1, head, decoding.thresholds[place])
    return best[1], best[2]


def _at_all(decoding: DecodingConfig, probability_LL: NDArray[np.float64], example: Example) -> list[PairScore]:
    structures: list[Pairs] = decoding.pairs_at_all(probability_LL, example.sequence)
    return [score_pairs(pairs, example.pairs, len(example.sequence)) for pairs in structures]
