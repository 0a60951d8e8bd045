"""How well a pre-trained model foretells held-out sequences, as its bundle says, and which models that compares.

A perplexity is a number about a model and about what it was measured on. Two of them are compared only where all of
that is equal: the sequences, how they are cut into tokens, and what the model was trained to foretell.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from nuclex.bundle import Bundle
from nuclex.tokenizers.base import tokenizer_hash


@dataclass(frozen=True)
class HeldOut:
    """What the record of a bundle says of its model on the validation split of its own corpus.

    ``perplexity`` is e to the mean cost in nats a token, over ``tokens`` tokens; ``window`` is the longest input, in
    tokens, that was read at once. None stands where the record does not say.
    """

    model: str
    parameters: int
    perplexity: float
    loss: float | None
    training_tokens: int | None
    """How many tokens it had read by then, each as often as it was read."""
    window: int | None
    tokens: int | None
    corpus: str | None
    """The corpus's fingerprint, which sequences and splits are part of."""
    sequences: str | None
    """Which of the validation split: all of them, or how many were drawn with which seed."""
    tokenizer: str
    """The tokenizer's hash."""
    objective: str | None

    @property
    def measured_on(self) -> tuple[str | int, ...] | None:
        """All that is equal for models that can be compared; None where the record does not say all of it."""
        parts = (self.corpus, self.sequences, self.tokens, self.tokenizer, self.objective)
        known = tuple(part for part in parts if part is not None)
        return known if len(known) == len(parts) else None


def held_out(name: str, bundle: Bundle) -> HeldOut | None:
    """The model of a bundle on held-out sequences, from its record; None where that has no such perplexity.

    None, too, of a fine-tuned bundle, whose weights are no longer those that were measured.
    """
    record = bundle.record
    perplexity = _number(record.metrics, "validation_perplexity")
    if perplexity is None or bundle.task is not None:
        return None
    steps = (_whole(record.provenance, "steps"), _whole(record.metrics, "step"))
    at_the_end = steps[1] is None or steps[0] == steps[1]  # the best weights may be older than the run
    return HeldOut(
        model=name,
        parameters=sum(parameter.numel() for parameter in bundle.model.parameters()),
        perplexity=perplexity,
        loss=_number(record.metrics, "validation_loss"),
        training_tokens=_whole(record.provenance, "tokens") if at_the_end else None,
        window=_whole(record.recipe, "sampling", "max_tokens"),
        tokens=_whole(record.metrics, "validation_tokens"),
        corpus=_text(record.corpus, "fingerprint"),
        sequences=_sequences(record.recipe, record.corpus),
        tokenizer=tokenizer_hash(bundle.tokenizer),
        objective=_text(record.recipe, "objective", "kind"),
    )


def comparable(found: Sequence[HeldOut]) -> list[int | None]:
    """The number of each model's group, from 1: those of one group were measured alike; None: it cannot be told."""
    groups = list(dict.fromkeys(one.measured_on for one in found if one.measured_on is not None))
    return [None if one.measured_on is None else groups.index(one.measured_on) + 1 for one in found]


def _sequences(recipe: Mapping[str, Any], corpus: Mapping[str, Any] | None) -> str | None:
    """Which sequences of the validation split were scored (``training.pretrain.build_work`` draws them)."""
    drawn, seed = _whole(recipe, "validation_sequences"), _whole(recipe, "seed")
    there = _whole(corpus, "split", "validation", "sequences")
    if drawn is None:
        return None
    if there is not None and drawn >= there:
        return "all"
    return None if seed is None else f"{drawn} drawn with seed {seed}"


def _found(table: Any, *keys: str) -> Any:
    """What stands under the keys; None where there is nothing."""
    for key in keys:
        table = table.get(key) if isinstance(table, Mapping) else None
    return table


def _number(table: Any, *keys: str) -> float | None:
    value = _found(table, *keys)
    return float(value) if isinstance(value, int | float) and math.isfinite(value) else None


def _whole(table: Any, *keys: str) -> int | None:
    value = _number(table, *keys)
    return int(value) if value is not None and value == int(value) else None


def _text(table: Any, *keys: str) -> str | None:
    value = _found(table, *keys)
    return value if isinstance(value, str) else None
