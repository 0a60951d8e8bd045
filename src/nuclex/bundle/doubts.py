"""Reasons to distrust a model that its own record gives: no better than chance or a control, or not measured."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from typing import Any

from nuclex.bundle.measured import ARMS
from nuclex.bundle.record import Record
from nuclex.tokenizers import NucleotideConfig
from nuclex.tokenizers.base import Tokenizer

LANGUAGE_HEAD = (
    "It was fine-tuned for another question, and its language head was not trained along: its likelihoods and "
    "probabilities of letters can have lost their meaning. For these, ask the model that it was made from."
)
SIMULATED = "It was trained on simulated sequences, which a program made up: it knows nothing of any organism."


def doubts(record: Record, tokenizer: Tokenizer, task: Mapping[str, Any] | None) -> list[str]:
    """Sentences for whoever is about to use a model; none where its record gives no reason.

    ``task`` is the config of a fine-tuned head, or None.
    """
    found = [SIMULATED] if record.corpus and record.corpus.get("simulated") else []
    found += failures(record, tokenizer, task)
    if not measured(record, task):
        found.append("Its record holds no measurement, so nobody knows how good it is.")
    return [*found, LANGUAGE_HEAD] if task is not None else found


def failures(record: Record, tokenizer: Tokenizer, task: Mapping[str, Any] | None) -> list[str]:
    """What the model was measured to fail at.

    A loss on validation is held against the letter frequencies of the corpus where a token is a letter, else against
    all tokens alike; a fine-tuned model against each control, where the interval of a paired difference on the test
    sequences reaches 0.
    """
    if task is not None:
        return list(_controls(record))
    loss = record.metrics.get("validation_loss")
    if not isinstance(loss, int | float):
        return []
    chance, guess = _chance(record, tokenizer)
    if loss < chance:
        return []
    return [f"It guesses no better than {guess}: {loss:.3f} nats a token on validation, against {chance:.3f}."]


def measured(record: Record, task: Mapping[str, Any] | None) -> bool:
    """Whether the record says how good the model is at what it is for."""
    if task is None:
        return isinstance(record.metrics.get("validation_loss"), int | float)
    return bool((record.finetuned or {}).get("test")) or any(name.startswith("test_") for name in record.metrics)


def _chance(record: Record, tokenizer: Tokenizer) -> tuple[float, str]:
    """The loss, in nats a token, of who knows only how common letters and (where they are foretold) ends are."""
    corpus = record.corpus or {}
    counts = [int(count) for count in (corpus.get("composition") or {}).values()]
    if not isinstance(tokenizer.config, NucleotideConfig) or not sum(counts):
        return math.log(len(tokenizer)), f"all {len(tokenizer):,} tokens alike"
    if record.recipe.get("objective", {}).get("kind") == "causal":
        counts.append(int(corpus.get("sequences_out") or 0))
    total = sum(counts)
    return -sum(n / total * math.log(n / total) for n in counts if n), "the letter frequencies of its corpus"


def _controls(record: Record) -> Iterator[str]:
    test = (record.finetuned or {}).get("test", {}).get("all", {})
    for control, measures in (test.get("differences") or {}).items():
        for name, values in measures.items():
            value, low, high = (values["difference"].get(end) for end in ("value", "low", "high"))
            if None not in (value, low, high) and low <= 0 <= high:
                yield (
                    f"On {test['n']:,} test sequences it was not shown to differ from {ARMS.get(control, control)}: "
                    f"{name} {value:+.3f} [{low:+.3f}, {high:+.3f}]."
                )
                break  # one measure is enough of a warning
