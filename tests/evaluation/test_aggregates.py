"""TinyDNABERT's two sums over many questions: by hand, by its own table, and against a second bootstrap."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from nuclex.evaluation.aggregates import (
    NONE_AT_HAND,
    aggregates,
    aggregates_section,
    aggregates_table,
    relative_gain,
    share_of,
)
from nuclex.evaluation.benchmark import Benchmark, Question, System
from nuclex.evaluation.suite import QuotedConfig, load_suite

KEYS = ("truth", "predicted")
TASK = {"name": "toy", "notes": {}, "counts": {}, "shape": "class", "classes": ("0", "1")}


def test_the_published_table_gives_the_published_sums() -> None:
    """Facts: means .6122, .5112 and .685 of 18 tasks, +19.77 % over random weights, 89.38 % of the best known."""
    suite = load_suite("nucleotide-transformer")
    named = {"TinyDNABERT": [], "TinyDNABERT from random weights": [], "best known there": []}
    for entry in suite.entries:
        for quoted in entry.quoted:
            named[quoted.model].append(quoted.value)
            assert quoted.best == (quoted.model == "best known there")
    assert [len(values) for values in named.values()] == [18, 18, 18]
    own, random, best = named.values()
    assert float(relative_gain(own, random)) == pytest.approx(0.1977, abs=2e-4)  # of values with 3 digits
    assert float(share_of(own, best)) == pytest.approx(0.8938, abs=2e-4)


def test_ratios_by_hand() -> None:
    assert float(relative_gain([0.2, 0.4], [0.1, 0.1])) == pytest.approx(2.0)  # 0.3 by 0.1, not the mean of 1 and 3
    assert share_of([[0.1, 0.3], [0.2, 0.6]], [0.5, 0.3]).tolist() == pytest.approx([0.5, 1.0])
    assert np.isnan(relative_gain([0.5], [0.0]))
    assert np.isnan(relative_gain([0.5], [-0.1])), "a gain over what is worse than nothing is no number"


def answers(right: list[bool], name: str = "e") -> list[dict[str, Any]]:
    """Rows whose truth is 0 and 1 by turns, answered rightly or not."""
    rows = []
    for number, good in enumerate(right):
        truth = number % 2
        predicted = truth if good else 1 - truth
        rows.append({"id": f"{name}{number}", "truth": str(truth), "predicted": str(predicted), "scores": {}})
    return rows


def asked(name: str, units: int, arms: dict[str, list[list[dict[str, Any]]]], **parts: Any) -> Question:
    systems = tuple(System("a", arm, tuple(seeds), ({},) * len(seeds)) for arm, seeds in arms.items())
    length = len(next(iter(arms.values()))[0])
    return Question(name, "", TASK, ("right",), np.arange(length) % units, systems, **parts)


BEST = QuotedConfig(model="best", metric="matthews", value=0.8, source="x", best=True)
OTHER = QuotedConfig(model="other", metric="matthews", value=0.1, source="x")


def first_wrong(count: int) -> list[dict[str, Any]]:
    """80 answers, half of each class, the first ``count`` of them wrong, as many of each class: MCC 1 - count / 40."""
    return answers([number >= count for number in range(80)])


def two() -> tuple[Question, Question]:
    """Matthews correlations of 0.8 and, from random weights, 0.6; of two seeds 0.6 and 0.2, and 0.2 and 0.2."""
    first = asked("first", 80, {"pretrained": [first_wrong(8)], "scratch": [first_wrong(16)]}, quoted=(OTHER, BEST))
    arms = {
        "pretrained": [first_wrong(16), first_wrong(32)],
        "scratch": [first_wrong(32), first_wrong(32)],
        "frozen": [first_wrong(0), first_wrong(0)],
    }
    return first, asked("second", 80, arms, stands_in_for="another")


def test_sums_of_two_questions_by_hand() -> None:
    (found,) = aggregates(two())
    # first: 0.8 and 0.6; second: the mean of 0.6 and 0.2, and 0.2
    assert (found.pretrained, found.scratch) == (pytest.approx((0.8 + 0.4) / 2), pytest.approx((0.6 + 0.2) / 2))
    assert found.gain.value == pytest.approx(0.6 / 0.4 - 1)
    assert (found.questions, found.stand_ins, found.quoted) == (("first", "second"), ("second",), ("first",))
    assert found.share is not None
    assert found.share.value == pytest.approx(0.8 / 0.8), "of the one question whose best number is known"
    assert found.gain.n == 160
    assert found.gain.low < found.gain.value < found.gain.high


def test_the_interval_is_that_of_drawing_units_of_each_question_by_hand() -> None:
    questions, rng, draws = two(), np.random.default_rng(5), 20_000
    means = np.zeros((2, draws))
    for question in questions:
        drawn_R80 = rng.integers(0, 80, (draws, 80))
        for place, system in enumerate(question.systems[:2]):
            each = []
            for rows in system.rows:
                truth, guess = (np.array([float(row[part]) for row in rows])[drawn_R80] for part in KEYS)
                truth, guess = (side - side.mean(axis=1, keepdims=True) for side in (truth, guess))
                size = np.sqrt((truth**2).sum(axis=1) * (guess**2).sum(axis=1))
                each.append(np.divide((truth * guess).sum(axis=1), size, out=np.zeros(draws), where=size > 0))
            means[place] += np.mean(each, axis=0) / 2
    gains = means[0] / means[1] - 1
    (found,) = aggregates(questions, level=0.8)
    assert found.gain.low == pytest.approx(np.quantile(gains, 0.1), abs=0.05)
    assert found.gain.high == pytest.approx(np.quantile(gains, 0.9), abs=0.25)


def test_equal_starts_gain_nothing_and_nothing_else() -> None:
    rows = first_wrong(12)
    (found,) = aggregates([asked("q", 80, {"pretrained": [rows], "scratch": [rows]})])
    assert (found.gain.value, found.gain.low, found.gain.high) == (0, 0, 0), "both are drawn together"


def test_a_twin_that_knows_nothing_gives_no_interval() -> None:
    (found,) = aggregates([asked("q", 80, {"pretrained": [first_wrong(2)], "scratch": [first_wrong(40)]})])
    assert np.isnan(found.gain.low)
    assert found.gain.method.startswith("none: the mean to compare with is not above 0 in ")


def test_what_is_no_class_or_has_no_twin_is_left_out() -> None:
    number = [{"id": "a", "truth": 0.5, "predicted": 0.4, "scores": {}}] * 4
    scalar = asked("scalar", 4, {"pretrained": [number], "scratch": [number]})
    lone = asked("lone", 80, {"pretrained": [first_wrong(2)]})
    assert list(aggregates([scalar, lone])) == []


def test_the_report_names_stand_ins_and_says_what_nobody_published() -> None:
    _, second = two()
    found = Benchmark("t", "", 0.95, {"a": "x"}, (second,), (), (), (), (), (), aggregates=tuple(aggregates([second])))
    (section,) = aggregates_section(found)
    (table,) = section.tables
    assert table.rows[0][-2:] == (0, NONE_AT_HAND) == (0, "no published number at hand")
    assert "Stand-ins: second (for another)." in " ".join(table.notes)
    assert aggregates_section(Benchmark("t", "", 0.95, {}, (), (), (), (), (), ())) == []
    assert aggregates_table(()).rows == ()
