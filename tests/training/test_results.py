"""What is said at the end: the right rows, the right units, the difference on the same sequences."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import sklearn.metrics as sk

from nuclex.core.errors import CorruptError
from nuclex.metrics import bootstrap, paired_difference
from nuclex.models.answering import AnsweringModel
from nuclex.tasks import Example, Shape, Task
from nuclex.tokenizers import NucleotideConfig
from nuclex.training.classes import ClassAnswers
from nuclex.training.results import compare, headline, plain, read_arm, units_of, write_arm
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


def test_of_two_classes_the_second_is_asked_about() -> None:
    """Against scikit-learn; intervals of sums are compared with the plain bootstrap where they are made."""
    task, answers = toy()
    guesses = "xxxyyyyyyx"
    found = compare(task, answers, {"pretrained": measured(guesses)})["test"]["all"]["pretrained"]
    truth, guess = list(TRUTH), list(guesses)
    wanted = {
        "precision": sk.precision_score(truth, guess, pos_label="y"),
        "recall": sk.recall_score(truth, guess, pos_label="y"),
        "specificity": sk.recall_score(truth, guess, pos_label="x"),
        "f1": sk.f1_score(truth, guess, pos_label="y"),
        "macro_f1": sk.f1_score(truth, guess, average="macro"),
        "weighted_f1": sk.f1_score(truth, guess, average="weighted"),
        "matthews": sk.matthews_corrcoef(truth, guess),
        "balanced_accuracy": sk.balanced_accuracy_score(truth, guess),
    }
    assert found["positive"] == "y"
    for name, value in wanted.items():
        assert found[name]["value"] == pytest.approx(value), name
        assert found[name]["low"] < value < found[name]["high"], name
        assert found[name]["method"].endswith("of 9 clusters"), "ACGT and ACGU are one"


def grouped(names: Sequence[str | None]) -> list[Example]:
    return [Example("ACGU"[place % 4] * (place + 1), "x", f"e{place}", name) for place, name in enumerate(names)]


def test_relatives_are_drawn_together_where_there_are_enough_of_them() -> None:
    names = [f"family {place // 2}" for place in range(20)]
    units_N, drawn = units_of(grouped(names))
    assert [len(set(units_N[place : place + 2].tolist())) for place in range(0, 20, 2)] == [1] * 10
    assert len(set(units_N.tolist())) == 10
    assert drawn == "groups of relatives among the test sequences, as the task names them"
    for few in ([*names[:18], "family 0", "family 0"], [*names[:19], None], [None] * 20):
        units_N, drawn = units_of(grouped(few))
        assert len(set(units_N.tolist())) == 20
        assert drawn == "distinct test sequences"


def test_equal_sequences_join_the_groups_they_stand_in() -> None:
    examples = grouped([f"family {place}" for place in range(12)])
    twin = Example(examples[3].sequence.replace("U", "T").lower(), "x", "twin", "family 7")
    units_N, drawn = units_of([*examples, twin])
    assert len(set(units_N.tolist())) == 11
    assert units_N[3] == units_N[7] == units_N[12]
    assert drawn.startswith("groups")


def test_the_unit_of_every_interval_is_told() -> None:
    train = (Example("AAAA", "x", "t0"), Example("TTTT", "y", "t1"))
    test = [Example("ACGU"[place % 4] * (2 + place // 2), "xy"[place % 2], f"e{place}") for place in range(22)]
    test = [replace(example, group=f"g{place // 2}") for place, example in enumerate(test)]
    task = Task("toy", Shape.CLASS, {"train": train, "validation": train, "test": tuple(test)}, ("x", "y"))
    answers = ClassAnswers(task, {split: Reading.of(part, TOKENIZER, None) for split, part in task.splits.items()}, 99)
    right_N = np.array([place % 3 > 0 for place in range(22)], dtype=np.float64)
    told = Measured([{"predicted": "x"} for _ in test], {"accuracy": right_N}, {})
    results = compare(task, answers, {"pretrained": told, "scratch": told})
    assert results["unit"].startswith("95 % bootstrap over groups of relatives among the test sequences")
    everything = results["test"]["all"]
    assert (everything["n"], everything["distinct"], everything["units"]) == (22, 22, 11)
    wanted = bootstrap(right_N, clusters=np.arange(22) // 2)
    assert everything["pretrained"]["accuracy"]["low"] == wanted.low
    assert everything["difference"]["accuracy"]["units"] == 11
    assert everything["pretrained"]["macro_f1"]["method"].endswith("of 11 clusters")


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


def test_the_frozen_model_is_quoted_beside_the_others() -> None:
    task, answers = toy()
    arms = {"frozen": measured("x" * 10), "pretrained": measured(TRUTH), "scratch": measured("y" * 10)}
    quoted = headline(compare(task, answers, arms), answers)
    assert [quoted[f"{arm}_accuracy"] for arm in arms] == [0.5, 1.0, 0.5]


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
