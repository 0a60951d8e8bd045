"""Tables that other programs read back."""

from __future__ import annotations

import csv
import io
import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from nuclex.evaluation.benchmark import Comparison, Line, Question, System
from nuclex.evaluation.report import Table
from nuclex.evaluation.suite import QuotedConfig
from nuclex.evaluation.tables import (
    comparisons_table,
    latex,
    leaks_table,
    markdown,
    metrics_tables,
    numbers_table,
    without_leaks_table,
    write_tables,
)
from nuclex.metrics.statistics import Interval, paired_difference

QUOTED = QuotedConfig(model="Other", metric="accuracy", value=0.9, source="doi:1", note="another split")
INTERVAL = Interval(0.5, 0.4, 0.6, 20, 0.95, "BCa bootstrap")
LINES = (
    Line("q", "a", "pretrained", "accuracy", INTERVAL, 18, 3, 0.02),
    Line("q", "a", "pretrained", "probability", INTERVAL, 18, 3, float("nan")),
)
SYSTEM = System("a", "pretrained", (), ())
LEAKS = {
    "test": 20,
    "leaked": 3,
    "found": {"corpus": {"sequences": 1000, "equal": 2, "reverse_complement": 1, "similar": 0}},
    "numbers": {
        "a, fine-tuned": {
            "all": {"n": 20, "accuracy": vars(INTERVAL)},
            "leaks_only": {"n": 3, "accuracy": {**vars(INTERVAL), "value": 0.75}},
            "without_leaks": {"n": 17, "accuracy": {**vars(INTERVAL), "value": 0.25, "low": None}},
        }
    },
}
QUESTION = Question("q", "", {}, ("accuracy",), np.arange(20), (SYSTEM,), (QUOTED,), LEAKS)


def test_every_number_has_n_interval_and_seeds_and_quoted_ones_their_source() -> None:
    table = numbers_table([QUESTION], LINES)
    rows = list(csv.DictReader(io.StringIO(table.csv(), newline="")))
    assert [rows[0][name] for name in ("value", "value low", "value high", "value n", "units", "seeds", "seed SD")] == [
        "0.5", "0.4", "0.6", "20", "18", "3", "0.02",
    ]  # fmt: skip
    assert rows[1]["seed SD"] == ""
    assert (rows[2]["system"], rows[2]["value"], rows[2]["value low"], rows[2]["seeds"]) == ("Other", "0.9", "", "")
    assert rows[2]["start"] == "quoted"
    assert rows[2]["source"] == "quoted: doi:1 (another split)"
    assert [row["source"] for row in rows[:2]] == ["measured"] * 2
    assert len(numbers_table([QUESTION], LINES, headline_only=True).rows) == 2


def test_every_quoted_metric_stands_beside_the_measured_one() -> None:
    other = replace(QUESTION, quoted=tuple(one.model_copy(update={"metric": "f1"}) for one in QUESTION.quoted))
    lines = (replace(LINES[0], metric="f1"), *LINES, replace(LINES[0], question="else", metric="f1"))
    rows = numbers_table([other], lines, headline_only=True).rows
    assert [row[1:4] for row in rows] == [
        ("a", "fine-tuned", "accuracy"),
        ("a", "fine-tuned", "f1"),
        ("Other", "quoted", "f1"),
    ], "the headline first, then what is quoted; a probability is neither"


def test_numbers_of_the_literature_stay_where_nothing_was_run() -> None:
    quotes = (QUOTED, QUOTED.model_copy(update={"metric": "f1", "model": "Third"}), QUOTED)
    rows = numbers_table([QUESTION], LINES, headline_only=True, unasked={"later": quotes}).rows
    assert [row[:5] for row in rows[2:]] == [
        ("later", "all", "not run", "accuracy", None),
        ("later", "Other", "quoted", "accuracy", 0.9),
        ("later", "Other", "quoted", "accuracy", 0.9),
        ("later", "all", "not run", "f1", None),
        ("later", "Third", "quoted", "f1", 0.9),
    ]


def test_one_line_a_system() -> None:
    (table,) = metrics_tables(QUESTION, LINES)
    assert table.columns == ("system", "start", "n", "seeds", "accuracy")
    assert table.rows == (("a", "fine-tuned", 20, 3, INTERVAL),)


def test_many_metrics_stand_in_several_tables() -> None:
    names = ["accuracy", "macro_f1", "weighted_f1", "matthews", "precision", "recall", "probability"]
    lines = [replace(LINES[0], metric=name) for name in names]
    first, second = metrics_tables(QUESTION, lines)
    assert first.columns[4:] + second.columns[4:] == tuple(names[:-1]), "a mean that is not compared is none of them"
    assert (first.name, second.name, second.rows[0][:2]) == ("metrics-q", "metrics-q-2", ("a", "fine-tuned"))


def test_comparisons_say_what_could_have_been_found() -> None:
    found = paired_difference([1.0, 0.0, 1.0, 1.0], [0.0, 0.0, 1.0, 0.0])
    (row,) = comparisons_table([Comparison("q", "accuracy", "a", "b", found, 3, 0.5)]).rows
    brief = comparisons_table([Comparison("q", "accuracy", "a", "b", found, 3, 0.5)], brief=True)
    assert dict(zip(brief.columns, brief.rows[0], strict=True))["p (Holm)"] == 0.5
    assert not {"p", "units", "seeds"} & set(brief.columns)
    assert row[4] == found.difference
    assert row[5:] == (found.p_value, 0.5, found.effect_size, found.detectable, 4, 3, "not significant")


def test_leaks_are_counted_by_reason_with_the_metric_with_and_without() -> None:
    (counted,) = leaks_table([QUESTION]).rows
    assert counted == ("q", "corpus", 1000, 20, 3, "equal: 2, reverse complement: 1")
    (numbers,) = without_leaks_table([QUESTION]).rows
    assert numbers[:3] == ("q", "a, fine-tuned", "accuracy")
    assert [interval.value for interval in numbers[3:]] == [0.5, 0.25, 0.75]
    assert np.isnan(numbers[4].low)
    clean = replace(QUESTION, leaks={**LEAKS, "numbers": {"a": {"all": {"n": 20, "accuracy": vars(INTERVAL)}}}})
    assert without_leaks_table([clean]).rows == ()
    assert leaks_table([replace(QUESTION, leaks=None)]).rows == ()


@pytest.mark.parametrize("text", ["a_b & 5 %", "x|y", "{\\}", "α ± ~^#$"])
def test_any_text_stays_in_its_cell(text: str) -> None:
    table = Table(("name", "F1"), ((text, 0.5),))
    body = latex(table).splitlines()[4]
    bare = body
    for escaped in ("\\&", "\\_", "\\%", "\\#", "\\$", "\\{", "\\}"):
        bare = bare.replace(escaped, "")
    assert bare.count("&") == 1
    assert body.endswith(r" \\")
    row = markdown(table).splitlines()[2]
    assert row.replace("\\|", "").count("|") == 3


def test_four_formats_are_written(tmp_path: Path) -> None:
    for _ in range(2):  # the second time they replace the first
        write_tables(tmp_path / "tables", {"numbers": numbers_table([QUESTION], LINES)}, {"level": 0.95})
    names = {path.name for path in (tmp_path / "tables").iterdir()}
    assert names == {"manifest.json", "facts.json", *(f"numbers.{kind}" for kind in ("csv", "json", "md", "tex"))}
    rows = json.loads((tmp_path / "tables" / "numbers.json").read_text())
    assert rows[0]["value"] == {**vars(INTERVAL)}
    assert rows[2]["value"] == 0.9
