"""Numbers with and without what was seen before, also where they are of all sequences together."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from nuclex.core.config import load_config
from nuclex.core.errors import InputError
from nuclex.evaluation.benchmark import Question, System
from nuclex.evaluation.benchmark_lines import NUMBERS
from nuclex.evaluation.leaks import TRAINING, Found, Leaks
from nuclex.evaluation.suite import SuiteConfig
from nuclex.metrics import r_squared
from nuclex.training.finetune import FinetuneConfig
from nuclex.workflows.asking import Entry, _refuse_other, _with_leaks

TRUTH = [1.0, 2.0, 3.0, 4.0, 5.0, 6.0]
PAIRS = [(a, b) for a in "ACGU" for b in "ACGU" if a != b]
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


def begun(change: Callable[[dict[str, Any]], None], run: Path, *, finished: bool) -> FinetuneConfig:
    """A run that was begun with a recipe as it was written once; returns the recipe of today."""
    config: FinetuneConfig = load_config(FinetuneConfig, "finetune/simulated-structure", {"bundle": "some/bundle"})
    data = config.to_data()
    change(data)
    run.mkdir()
    (run / "config.json").write_text(json.dumps(data))
    if finished:
        (run / "results.json").write_text("{}")
    return config


def older(data: dict[str, Any]) -> None:
    """A recipe of before some keys were known, with which a default now stands."""
    del data["training"]["anomaly"], data["decoding"]["tune"], data["task"]["seed"]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda data: data["batching"].update(examples=5), r"batching\.examples was 5, now it is \d+"),
        (lambda data: data.update(forgotten=3), "forgotten was 3, now it is None"),
        (lambda data: data["training"].update(steps="many"), r"training\.steps was 'many'"),
    ],
)
def test_another_recipe_is_refused(change: Callable[[dict[str, Any]], None], message: str, tmp_path: Path) -> None:
    config = begun(change, tmp_path / "run", finished=True)
    with pytest.raises(InputError, match=rf"was begun with another recipe \({message}"):
        _refuse_other(tmp_path / "run", config)


def test_a_finished_run_of_before_a_key_was_known_is_of_the_same_recipe(tmp_path: Path) -> None:
    config = begun(older, tmp_path / "run", finished=True)
    assert json.loads((tmp_path / "run" / "config.json").read_text()) != config.to_data()
    _refuse_other(tmp_path / "run", config)
    other = load_config(
        FinetuneConfig, "finetune/simulated-structure", {"bundle": "some/bundle", "decoding.tune": "relaxed"}
    )
    with pytest.raises(InputError, match=r"decoding\.tune was 'strict', now it is 'relaxed'"):
        _refuse_other(tmp_path / "run", other)
    unfinished = begun(older, tmp_path / "unfinished", finished=False)
    with pytest.raises(InputError, match="was begun with another recipe"):  # what is left would be learned otherwise
        _refuse_other(tmp_path / "unfinished", unfinished)


def test_without_learning_the_whole_table_is_the_test(tmp_path: Path) -> None:
    rows = "".join(f"{'ACGU' * 3}{a}{b},{'ACGU' * 3}{b}{b},0.{n}\n" for n, (a, b) in enumerate(PAIRS))
    (tmp_path / "own.csv").write_text(f"sequence,alternative,label\n{rows}")
    changes = {"task.train": str(tmp_path / "own.csv"), "task.by": "change"}
    entry = {"name": "own", "recipe": "finetune/own-variant", "zero_shot": True, "set": changes}
    for more, expected in (([], len(PAIRS)), ([{**entry, "name": "twin", "zero_shot": False}], 2)):
        suite = load_config(SuiteConfig, None, {"title": "t", "entries": [entry, *more]})
        task = Entry(suite, suite.entries[0], {}, tmp_path).task()
        assert len(task.examples("test")) == expected
