"""Numbers with and without what was seen before, also where they are of all sequences together."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from nuclex.evaluation.benchmark import Question, System
from nuclex.evaluation.benchmark_lines import NUMBERS
from nuclex.evaluation.leaks import TRAINING, Found, Leaks
from nuclex.metrics import r_squared
from nuclex.workflows.asking import _with_leaks

TRUTH = [1.0, 2.0, 3.0, 4.0, 5.0, 6.0]
GUESS = [1.5, 2.0, 2.0, 4.5, 5.0, 9.0]


def scalar_question() -> Question:
    rows = [
        {"id": str(n), "truth": t, "predicted": g, "scores": {"negative_squared_error": -((t - g) ** 2)}}
        for n, (t, g) in enumerate(zip(TRUTH, GUESS, strict=True))
    ]
    system = System("m", "pretrained", (rows, rows), ({"r_squared": {}}, {"r_squared": {}}))
    return Question("q", "", {}, ("negative_squared_error",), np.arange(6), (system,))


def leaks_of(*seen: int) -> Leaks:
    reasons_N = np.isin(np.arange(6), seen).astype(np.int8)
    return Leaks("q", 6, {TRAINING: Found(reasons_N, np.full(6, np.nan), 9)}, {"identity": 1.0})


@pytest.mark.parametrize("seen", [(5,), (0, 1), ()])
def test_r_squared_is_quoted_with_and_without(seen: tuple[int, ...]) -> None:
    question = scalar_question()
    assert (question.chief, question.headline) == ("negative_squared_error", "r_squared")
    told = _with_leaks(question, leaks_of(*seen), 0.9).leaks
    assert told is not None
    found: dict[str, Any] = told["numbers"]["m, fine-tuned"]
    clean = [n for n in range(6) if n not in seen]
    for subset, places in {"all": range(6), "without_leaks": clean}.items():
        truth, guess = ([values[n] for n in places] for values in (TRUTH, GUESS))
        assert found[subset]["r_squared"]["value"] == pytest.approx(r_squared(truth, guess))
        assert found[subset]["negative_squared_error"]["n"] == len(places)
    if len(seen) == 1:  # one sequence has no variance to explain
        assert found["leaks_only"]["r_squared"]["value"] is None
    assert ("leaks_only" in found) == bool(seen)


def test_a_metric_that_a_few_sequences_do_not_have_is_none(monkeypatch: pytest.MonkeyPatch) -> None:
    question = scalar_question()
    monkeypatch.setitem(NUMBERS, "r_squared", lambda truth, guess: r_squared(truth[:0], guess))  # type: ignore[arg-type]
    told = _with_leaks(question, leaks_of(1), 0.95).leaks
    assert told is not None
    assert told["numbers"]["m, fine-tuned"]["all"]["r_squared"]["value"] is None
