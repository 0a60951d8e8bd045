"""Variants: the reference and what became of it, letter by letter, and splits that no locus crosses."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest

from nuclex.core.errors import InputError
from nuclex.evaluation.suite import load_suite
from nuclex.tasks import SPLITS, SatmutConfig, Shape, Task, UtrVariantsConfig
from nuclex.tasks.base import Example
from nuclex.tasks.variants import _elements, _windows


def every(task: Task) -> list[Example]:
    return [example for split in SPLITS for example in task.examples(split)]


def apart(task: Task) -> list[set[str | None]]:
    groups = [{example.group for example in task.examples(split)} for split in SPLITS]
    assert sum(map(len, groups)) == len(set.union(*groups))
    return groups


@pytest.mark.real
def test_utr_variants_are_what_was_published(mirror: Path) -> None:
    task = UtrVariantsConfig().read()
    assert task.shape is Shape.VARIANT
    examples = every(task)
    assert len(examples) + task.notes["without_label"] == 2135
    assert all(example.alternative not in (None, example.sequence) for example in examples)
    assert {len(example.alternative or "") for example in examples} == {50}
    apart(task)
    assert not task.seen.any()


@pytest.mark.real
def test_harm_is_clinvars_verdict(mirror: Path) -> None:
    task = UtrVariantsConfig(label="harm").read()
    labels = Counter(example.number for example in every(task))
    assert set(labels) == {0.0, 1.0}
    assert sum(labels.values()) + task.notes["without_label"] == 2135
    assert labels[1.0] < labels[0.0]


@pytest.mark.real
def test_saturated_elements_lie_in_one_split(mirror: Path) -> None:
    task = SatmutConfig(barcodes=0, around=41).read()
    examples = every(task)
    assert task.notes["rows"] == 44658
    assert len(examples) == 44658 - 11
    groups = apart(task)
    assert len(set.union(*groups)) == 21
    assert not task.seen.any()
    for example in examples:
        assert example.alternative is not None
        assert len(example.sequence) <= 41
        shorter = len(example.sequence) - len(example.alternative)
        assert shorter in (0, 1)
        if not shorter:
            different = [a != b for a, b in zip(example.sequence, example.alternative, strict=True)]
            assert sum(different) == 1
    inner = [example for example in examples if len(example.sequence) == 41 == len(example.alternative or "")]
    places = Counter(next(n for n in range(41) if e.sequence[n] != (e.alternative or "")[n]) for e in inner)
    assert places.most_common(1)[0][0] == 20


def test_windows_by_hand() -> None:
    letters = "AACCGGTT"
    assert _windows(letters, 3, ("C", "T"), 5, "x") == ("ACCGG", "ACTGG")
    assert _windows(letters, 3, ("C", "-"), 5, "x") == ("ACCGG", "ACGG")
    assert _windows(letters, 0, ("A", "G"), 5, "x") == ("AAC", "GAC")
    assert _windows(letters, 7, ("T", "G"), 4, "x") == ("TT", "TG")
    with pytest.raises(InputError, match="x: the reference has 'C' there, the row says 'G'"):
        _windows(letters, 3, ("G", "T"), 5, "x")
    with pytest.raises(InputError, match="x: the reference has '' there"):
        _windows(letters, 8, ("G", "T"), 5, "x")


def test_overlapping_elements_are_a_locus(tmp_path: Path) -> None:
    text = ">b chr1:5-8 x\nACGT\n>a chr1:8-9 x\nAC\n>c chr1:10-11 x\nAC\n>d chr2:1-20 x\n" + "A" * 20
    path = tmp_path / "e.fa"
    path.write_text(text + "\n>e chr2:2-3 x\nAC\n>f chr2:19-21 x\nACG\n>g chr10:1-2 x\nAA\n")
    assert {name: element.locus for name, element in _elements(path).items()} == {
        "b": "b", "a": "b", "c": "c", "d": "d", "e": "d", "f": "d", "g": "g",
    }  # fmt: skip
    path.write_text(">a chr1:5-9\nACGT\n")
    with pytest.raises(InputError, match=r"e\.fa:1: the header needs the place of the element"):
        _elements(path)


def test_the_suite_asks_each_question_with_and_without_learning() -> None:
    """The same variants and splits both times, and intervals that draw whole references or loci."""
    entries = {entry.name: entry for entry in load_suite("variants").entries}
    for name in ("utr-effect", "utr-harm", "satmut"):
        learned, alone = entries[name], entries[f"{name}-zero-shot"]
        assert (learned.zero_shot, alone.zero_shot) == (False, True)
        assert learned.units == alone.units == "group"
        configs = [entry.finetuning(Path("-"), 0) for entry in (learned, alone)]
        assert configs[0].task == configs[1].task
        assert configs[0].task.shape is Shape.VARIANT
