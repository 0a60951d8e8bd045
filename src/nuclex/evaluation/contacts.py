"""Does a model that saw no structure know base pairs all the same: contact scores, decoded and scored like predictions.

Contact scores have no unit, so they are measured in standard deviations of their molecule and squeezed between 0 and 1.
What must be chosen (the threshold; of attention, the head) is chosen on some validation structures, never on the test.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Literal, get_args

import numpy as np
from numpy.typing import NDArray

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
Head = tuple[int, int]
GRID = {"lowest": 0.05, "highest": 0.95, "step": 0.05}
"""The thresholds that are tried."""
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
    if spread <= 1e-9 * np.abs(score_LL).max(initial=0):
        return np.zeros_like(score_LL)
    above_LL = np.maximum((score_LL - score_LL[places].mean()) / spread, 0)
    np.fill_diagonal(above_LL, 0)
    return above_LL / (above_LL + HALF)


def contact_benchmark(
    bundle: Bundle,
    task: Task,
    method: Contacts = "jacobian",
    *,
    tuned_on: int = 32,
    rules: DecodingConfig | None = None,
) -> Measured:
    """Fold the test split of a structure task by contact scores, and score it as a trained model is scored.

    ``tuned_on`` validation structures, drawn by their ids, decide on the threshold and, of ``attention``, on layer and
    head. Which pairs may form and how they are chosen is what ``rules`` say; their thresholds are of probabilities and
    do not count. InputError for a task of another shape, and where the model cannot be asked (``inference.contacts``).
    """
    if method not in get_args(Contacts):
        raise InputError(f"method: found {method!r}; allowed: {', '.join(get_args(Contacts))}")
    if task.shape is not Shape.PAIR_MAP:
        raise InputError(f"{task.name}: asks for a {task.shape}; contacts answer with base pairs")
    if tuned_on < 1:
        raise InputError(f"tuned_on: found {tuned_on}; 1 or more structures are needed")
    decoding = (rules or DecodingConfig()).model_copy(update=GRID)
    some = draw(task.examples("validation"), tuned_on, key(0, "contacts"))
    config = bundle.model.config
    heads = [(layer, head) for layer in range(config.mixers.count("attention")) for head in range(config.heads)]
    choices = heads if method == "attention" else [(0, 0)]
    asked = _Asked(bundle, method, decoding)
    choice, threshold = asked.best(some, choices)
    structures = (
        decoding.pairs(next(asked.maps(example, [choice])), example.sequence, threshold)
        for example in task.examples("test")
    )
    settings: dict[str, Any] = {"method": method, "threshold": threshold, "tuned_on": len(some)}
    if method == "attention":
        settings |= {"layer": choice[0], "head": choice[1]}
    return measured_pairs(task.examples("test"), structures, settings)


@dataclass(frozen=True)
class _Asked:
    """A model, how it is asked, and how what it says is decoded."""

    bundle: Bundle
    method: Contacts
    decoding: DecodingConfig

    def maps(self, example: Example, choices: Sequence[Head]) -> Iterator[NDArray[np.float64]]:
        """Scores (L, L) from 0 to 1 by each of these heads, one at a time; the Jacobian is one choice."""
        scores = (
            attention_contacts(self.bundle, example.sequence, choices)
            if self.method == "attention"
            else iter([jacobian_contacts(self.bundle, example.sequence)])
        )
        return (squeezed(score_LL, self.decoding.min_loop) for score_LL in scores)

    def best(self, examples: Sequence[Example], choices: Sequence[Head]) -> tuple[Head, float]:
        """The head and the threshold with the best mean; the first of equals."""
        rows = [
            [self._at_all(map_LL, example) for map_LL in self.maps(example, choices)] for example in examples
        ]  # by example, choice, threshold
        found = []
        for place in range(len(choices)):
            means = [mean_score(column) for column in zip(*(row[place] for row in rows), strict=True)]
            threshold = self.decoding.best(means)
            found.append((means[threshold].strict.f1, -place, threshold))
        _, place, threshold = max(found)
        return choices[-place], self.decoding.thresholds[threshold]

    def _at_all(self, map_LL: NDArray[np.float64], example: Example) -> list[PairScore]:
        structures = self.decoding.pairs_at_all(map_LL, example.sequence)
        return [score_pairs(pairs, example.pairs, len(example.sequence)) for pairs in structures]
