"""What may be searched: the values a key can take, how they are drawn, and what is refused."""

from __future__ import annotations

import math
from typing import Any

import pytest
from pydantic import ValidationError

from nuclex.tuning.space import Dimension, dimensions


class Trial:
    """Notes how it is asked, as Optuna's trial is."""

    def __init__(self) -> None:
        self.asked: list[tuple[Any, ...]] = []

    def suggest_categorical(self, key: str, choices: list[Any]) -> Any:
        self.asked.append((key, choices))
        return choices[-1]

    def suggest_int(self, key: str, low: int, high: int, *, step: int, log: bool) -> int:
        self.asked.append((key, low, high, step, log))
        return high

    def suggest_float(self, key: str, low: float, high: float, *, step: float | None, log: bool) -> float:
        self.asked.append((key, low, high, step, log))
        return high


@pytest.mark.parametrize(
    ("given", "asked", "ends"),
    [
        ({"low": 1e-4, "high": 5e-3, "log": True}, ("k", 1e-4, 5e-3, None, True), (1e-4, 5e-3)),
        ({"low": 0, "high": 1.0}, ("k", 0, 1.0, None, False), (0, 1.0)),
        ({"low": 1, "high": 9}, ("k", 1, 9, 1, False), (1, 9)),
        ({"low": 2, "high": 64, "log": True}, ("k", 2, 64, 1, True), (2, 64)),
        ({"low": 0, "high": 8, "step": 2}, ("k", 0, 8, 2, False), (0, 8)),
        ({"low": 0, "high": 1, "step": 0.25}, ("k", 0, 1, 0.25, False), (0, 1)),
        ({"choices": ["adamw", 3, 0.5, False]}, ("k", ["adamw", 3, 0.5, False]), ("adamw", 3, 0.5, False)),
    ],
)
def test_a_dimension_is_drawn_as_it_is_given(given: dict[str, Any], asked: tuple[Any, ...], ends: Any) -> None:
    dimension, trial = Dimension.from_data(given), Trial()
    found = dimension.suggest(trial, "k")
    assert trial.asked == [asked]
    assert found == ends[-1]
    assert [type(one) for one in dimension.ends] == [type(one) for one in ends]
    assert dimension.ends == ends
    assert Dimension.from_data(dimension.to_data()) == dimension


@pytest.mark.parametrize(
    ("given", "sentence"),
    [
        ({}, "low and high are needed, or choices"),
        ({"low": 1}, "low and high are needed, or choices"),
        ({"low": 0, "high": 3, "step": 2}, "high 3 is not low 0 plus steps of 2"),
        ({"low": 2, "high": 1}, "low is 2 and high 1; low must not be above high"),
        ({"low": 0, "high": 1, "log": True}, "log needs a low above 0 and no step"),
        ({"low": 1, "high": 9, "log": True, "step": 2}, "log needs a low above 0 and no step"),
        ({"low": 1, "high": 9, "step": 0}, "step is 0; a step above 0 is needed"),
        ({"choices": [1, 2], "low": 1}, "choices stand alone"),
        ({"choices": ["a", "a"]}, "one of them stands there twice"),
    ],
)
def test_what_cannot_be_drawn_is_refused(given: dict[str, Any], sentence: str) -> None:
    with pytest.raises(ValidationError, match=sentence):
        Dimension.from_data(given)


def test_a_share_becomes_a_whole_number() -> None:
    share = Dimension(low=0.01, high=0.2, of="training.steps")
    assert [share.given(value, 5000) for value in (0.01, 0.153, 0.2)] == [50, 765, 1000]
    assert share.given(0.1234, 300) == 37
    assert Dimension(low=0.0, high=1.0).given(math.pi, None) == math.pi


def test_a_flag_changes_a_part_of_a_dimension() -> None:
    given = {"a.b": {"low": 1, "high": 2, "log": True}, "a": {"b": {"high": 9}, "c": {"choices": [1]}}}
    assert dimensions(given) == {"a.b": {"low": 1, "high": 9, "log": True}, "a.c": {"choices": [1]}}
