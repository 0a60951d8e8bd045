"""What is said at the end: the right rows, the right units, the difference on the same sequences."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from nuclex.core.errors import CorruptError
from nuclex.metrics import bootstrap, paired_difference
from nuclex.models.answering import AnsweringModel
from nuclex.tasks import Example, Shape, Task
from nuclex.tokenizers import NucleotideConfig
from nuclex.training.classes import ClassAnswers
from nuclex.training.results import compare, headline, plain, read_arm, write_arm
from nuclex.training.supervised import Measured, Reading

SEQUENCES = ["AAAA", "CCCC", "GGGG", "ACGT", "ACGU", "CCAA", "CCAC", "CCAG", "GGAA", "GGAC"]
TRUTH = "xyxyyxyxyx"
TOKENIZER = NucleotideConfig().build()


def toy() -> tuple[Task, ClassAnswers]:
    train = (Example("AAAA", "x", "t0"), Example("TTTT", "y", "t1"))
    test = tuple(Example(s, c, f"e{n}") for n, (s, c) in enumerate(zip(SEQUENCES, TRUTH, strict=True)))
    task = Task("toy", Shape.CLASS, {"train": train, "validation": train, "test": test}, ("x", "y"))
    readings = {split: Reading.of(examples, TOKENIZER, None) for split, examples in task.splits.items()}
    return task, ClassAnswers(task, readings, 1000)


def measured(guesses: str) -> Measured:
    right = np.array([a == b for a, b in zip(guesses, TRUTH, strict=True)], dtype=np.float64)
    rows: list[dict[str, Any]] = [{"predicted": guess} for guess in guesses]
    return Measured(rows, {"accuracy": right}, {})


def test_all_and_unseen_are_measured_apart() -> None:
    task, answers = toy()
    results = compare(task, answers, {"pretrained": measured(TRUTH), "scratch": measured("y" * 10)})
    everything, unseen = results["test"]["all"], results["test"]["unseen"]
    assert (everything["n"], everything["distinct"]) == (10, 9)  # ACGT and ACGU are the same
    assert (unseen["n"], unseen["distinct"]) == (9, 8)  # AAAA was trained on
    assert everything["pretrained"]["accuracy"]["value"] == 1
    assert everything["scratch"]["accuracy"]["value"] == 0.5
    assert unseen["scratch"]["accuracy"]["value"] == pytest.approx(5 / 9)
    assert everything["scratch"]["classes"]["y"] == {
        "precision": 0.5,
        "recall": 1.0,
        "f1": pytest.approx(2 / 3),
        "n": 5,
    }
    assert everything["scratch"]["macro_f1"]["value"] == pytest.approx(1 / 3)


def test_what_an_arm_found_is_kept_whole(tmp_path: Path) -> None:
    told = Measured(
        [{"id": "a", "truth": 0.1}, {"id": "b", "truth": [[0, 4]]}], {"mcc": np.array([np.nan, 0.3])}, {"t": 1}
    )
    identity = {"start": "abc", "seed": 0}
    assert read_arm(tmp_path, identity) is None
    write_arm(tmp_path, identity, {"score": 0.1 + 0.2}, told)
    numbers, found = read_arm(tmp_path, identity) or ({}, measured(""))
    assert (numbers, found.rows, found.settings) == ({"score": 0.1 + 0.2}, told.rows, told.settings)
    np.testing.assert_array_equal(found.scores["mcc"], told.scores["mcc"])
    assert read_arm(tmp_path, {**identity, "seed": 1}) is None


@pytest.mark.parametrize("damage", ["", "[]", "{"])
@pytest.mark.parametrize("name", ["test.jsonl", "arm.json"])
def test_a_damaged_arm_is_named(tmp_path: Path, name: str, damage: str) -> None:
    write_arm(tmp_path, {"seed": 0}, {}, Measured([{"id": "a"}], {"mcc": np.ones(1)}, {}))
    (tmp_path / name).write_text(damage)
    with pytest.raises(CorruptError, match=re.escape(f"{tmp_path}: arm.json or test.jsonl is not readable")):
        read_arm(tmp_path, {"seed": 0})


def test_equal_sequences_are_one_unit() -> None:
    task, answers = toy()
    arms = {"pretrained": measured("xyxyyxyxxx"), "scratch": measured("xxxyyxxxyx")}
    results = compare(task, answers, arms)
    clusters = [0, 1, 2, 3, 3, 5, 6, 7, 8, 9]
    a, b = (arm.scores["accuracy"] for arm in arms.values())
    interval = bootstrap(a, clusters=clusters)
    found = results["test"]["all"]["pretrained"]["accuracy"]
    assert (found["value"], found["low"], found["high"]) == (interval.value, interval.low, interval.high)
    pair = paired_difference(a, b, clusters=clusters)
    difference = results["test"]["all"]["difference"]["accuracy"]
    assert (difference["difference"]["value"], difference["p_value"]) == (pair.difference.value, pair.p_value)
    quoted = headline(results, answers)
    assert quoted["pretrained_accuracy"] == found["value"]
    assert quoted["difference"] == pair.difference.value
    assert quoted["unseen_n"] == 9


def test_one_arm_has_no_difference() -> None:
    task, answers = toy()
    quoted = headline(compare(task, answers, {"scratch": measured(TRUTH)}), answers)
    assert quoted["scratch_accuracy"] == 1
    assert not {"difference", "pretrained_accuracy"} & quoted.keys()


def test_numbers_that_json_cannot_hold_become_null() -> None:
    value: dict[str, Any] = {"a": [float("nan"), np.float64(2.5), float("inf")], "b": (np.int64(3), "x", None, True)}
    assert json.loads(json.dumps(plain(value), allow_nan=False)) == {"a": [None, 2.5, None], "b": [3, "x", None, True]}


def test_validation_numbers_of_classes_by_hand(monkeypatch: pytest.MonkeyPatch) -> None:
    _, answers = toy()
    probability_NC = np.array([[0.8, 0.2], [0.8, 0.2]])  # right about the first, wrong about the second
    monkeypatch.setattr("nuclex.training.classes.class_probabilities", lambda *given: probability_NC)
    found = answers.validate(AnsweringModel.__new__(AnsweringModel))
    loss = -(np.log(0.8) + np.log(0.2)) / 2
    assert found["validation_loss"] == pytest.approx(loss)
    assert found["validation_accuracy"] == 0.5
    assert found["validation_f1"] == pytest.approx(1 / 3)
    assert found["score"] == pytest.approx(1 / 3 - 1e-6 * loss, abs=1e-12)
