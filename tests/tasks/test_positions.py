"""Labels of positions as they are written, and the published numbers of OpenVaccine."""

from __future__ import annotations

import json
import lzma
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from nuclex.core.config import load_config
from nuclex.core.errors import InputError
from nuclex.tasks import SPLITS, OpenvaccineConfig, Shape, TablePositionsConfig

TARGETS = ("reactivity", "deg_Mg_pH10", "deg_pH10", "deg_Mg_50C", "deg_50C")


@pytest.mark.real
def test_openvaccine_is_what_was_published(mirror: Path) -> None:
    task = OpenvaccineConfig(clean=False, validation_fold=2).read()
    assert [len(task.examples(split)) for split in SPLITS] == [2097 - 419, 419, 3634]
    assert task.counts()["test_seen_in_train_or_validation"] == 0
    scored = {(len(item.sequence), int(np.isfinite(item.track).sum())) for item in task.examples("train")}
    assert scored == {(107, 68)}
    tested = [(len(item.sequence), int(np.isfinite(item.track).sum())) for item in task.examples("test")]
    assert {size: tested.count(size) for size in set(tested)} == {(107, 68): 629, (130, 91): 3005}
    groups = [{item.group for item in task.examples(split)} for split in SPLITS[:2]]
    assert not groups[0] & groups[1]


@pytest.mark.real
def test_openvaccines_filter_and_targets(mirror: Path) -> None:
    clean = OpenvaccineConfig(test_length=107).read()
    assert len(clean.examples("train")) + len(clean.examples("validation")) == 1587
    assert len(clean.examples("test")) == 629
    with lzma.open(mirror / "mrna_property/openvaccine/train_fold0.jsonl.xz", "rt") as handle:
        row = next(row for row in map(json.loads, handle) if row["SN_filter"] == 1)
    for target in TARGETS:
        task = OpenvaccineConfig(target=target, test_length=107).read()
        first = task.examples("validation")[0]
        assert first.id == row["seq_id"]
        assert first.track[:68].tolist() == row[target]
        assert np.isnan(first.track[68:]).all()


@pytest.mark.real
def test_openvaccines_targets_together_are_those_alone(mirror: Path) -> None:
    task = OpenvaccineConfig(target=TARGETS).read()
    assert task.targets == TARGETS
    assert task.notes["noisy_left_out"] == 2097 - 1587
    measured = {107: 68, 130: 91}
    for split in SPLITS:
        for item in task.examples(split):
            until = measured[len(item.sequence)]
            assert item.track.shape == (len(item.sequence), 5)
            assert np.isfinite(item.track[:until]).all(), item.id
            assert np.isnan(item.track[until:]).all(), item.id
    with lzma.open(mirror / "mrna_property/openvaccine/ryos_test_3634.json.xz", "rt") as handle:
        columns = json.load(handle)
    for place, item in enumerate(task.examples("test")):
        row = {name: columns[name][str(place)] for name in ("id", "sequence", "seq_scored", *TARGETS)}
        assert (item.id, item.sequence, measured[len(item.sequence)]) == (row["id"], row["sequence"], row["seq_scored"])
        for number, name in enumerate(TARGETS):
            assert item.track[: row["seq_scored"], number].tolist() == row[name][: row["seq_scored"]]
    alone = OpenvaccineConfig(target=("deg_pH10",)).read()
    assert alone.targets == ()
    assert alone.digest == OpenvaccineConfig(target="deg_pH10").read().digest != task.digest
    for split in SPLITS:
        for one, every in zip(alone.examples(split), task.examples(split), strict=True):
            np.testing.assert_array_equal(one.track, every.track[:, 2])


@pytest.mark.parametrize("target", ["half-life", ["reactivity", "reactivity"], ["reactivity", "half-life"], []])
def test_a_target_that_was_not_measured_is_named(target: Any) -> None:
    with pytest.raises(InputError, match=r"target is .*; one of reactivity, deg_Mg_pH10, .* is needed, or several in"):
        load_config(OpenvaccineConfig, None, {"target": target})


def rows(path: Path, labels: list[str], sequence: str = "ACGT") -> Path:
    letters = [sequence[place % 4 :] + sequence[: place % 4] + "A" * (place // 4) for place in range(len(labels))]
    path.write_text("sequence\tlabel\n" + "".join(f"{a}\t{b}\n" for a, b in zip(letters, labels, strict=True)))
    return path


def test_letters_of_positions(tmp_path: Path) -> None:
    path = rows(tmp_path / "a.tsv", ["HH.E", "EE.H", "HEHE", "E..H"])
    task = TablePositionsConfig(train=path, validation_share=0.25, test_share=0.25).read()
    assert task.shape is Shape.PER_POSITION
    assert task.classes == ("E", "H")
    found = {item.id: item.track.tolist() for split in SPLITS for item in task.examples(split)}
    assert found["row-1"] == ["H", "H", "", "E"]
    assert found["row-4"] == ["E", "", "", "H"]


@pytest.mark.parametrize("text", ["0.5 nan -1e-2 NA", "[0.5, nan, -0.01, .]", "0.5;;-0.01;", " 0.5 . -0.01 na "])
def test_numbers_of_positions(tmp_path: Path, text: str) -> None:
    path = rows(tmp_path / "a.tsv", [text] * 4)
    task = TablePositionsConfig(train=path, values="numbers", validation_share=0.25, test_share=0.25).read()
    assert task.classes == ()
    np.testing.assert_array_equal(task.examples("train")[0].track, [0.5, np.nan, -0.01, np.nan])


@pytest.mark.parametrize(
    ("values", "label", "sentence"),
    [
        ("letters", "HHE", r"a\.tsv:2: 'row-1' has 4 nucleotides but 3 labels; one a nucleotide is needed"),
        ("letters", "....", r"a\.tsv:2: the label is '\.\.\.\.'; a letter for each nucleotide, or '\.', is needed"),
        ("letters", "H H E E", r"a\.tsv:2: the label is 'H H E E'"),
        ("letters", "", r"a\.tsv:2: the label is ''"),
        ("numbers", "1 2 3 4 5", r"a\.tsv:2: 'row-1' has 4 nucleotides but 5 labels"),
        ("numbers", "nan nan nan nan", r"a\.tsv:2: no position has a number"),
        ("numbers", "1 2 high 4", r"a\.tsv:2: the label is 'high'; a finite number is needed"),
        ("numbers", "", r"a\.tsv:2: no position has a number"),
    ],
)
def test_what_is_no_row_of_labels_is_named(tmp_path: Path, values: str, label: str, sentence: str) -> None:
    config = TablePositionsConfig.from_data({"train": str(rows(tmp_path / "a.tsv", [label])), "values": values})
    with pytest.raises(InputError, match=sentence):
        config.read()


def test_a_class_that_train_does_not_have_is_refused(tmp_path: Path) -> None:
    paths = [
        rows(tmp_path / f"{split}.tsv", [label]) for split, label in zip(SPLITS, ("HHEE", "HHHH", "HHCE"), strict=True)
    ]
    with pytest.raises(InputError, match="'row-1' is of class 'C', which the train split does not have; allowed: E, H"):
        TablePositionsConfig(train=paths[0], validation=paths[1], test=paths[2]).read()


def columns(path: Path, cells: list[tuple[str, str]]) -> TablePositionsConfig:
    lines = [f"{'ACGT'[n:] + 'ACGT'[:n]}\t{a}\t{b}\n" for n, (a, b) in enumerate(cells)]
    path.write_text("sequence\ta\tb\n" + "".join(lines))
    given = {"train": str(path), "values": "numbers", "label_columns": ["b", "a"], "validation_share": 0.25}
    return load_config(TablePositionsConfig, None, {**given, "test_share": 0.25})


def test_several_columns_of_numbers(tmp_path: Path) -> None:
    task = columns(tmp_path / "a.tsv", [("1 nan 3 4", "[5, 6, nan, 8]"), ("1 2 3 4", ""), ("", "1 2 3 4")] * 2).read()
    assert task.targets == ("b", "a")
    found = {item.id: item.track for split in SPLITS for item in task.examples(split)}
    nothing = [np.nan] * 4
    np.testing.assert_array_equal(found["row-1"], np.array([[5, 6, np.nan, 8], [1, np.nan, 3, 4]]).T)
    np.testing.assert_array_equal(found["row-2"], np.array([nothing, [1, 2, 3, 4]]).T)
    np.testing.assert_array_equal(found["row-3"], np.array([[1, 2, 3, 4], nothing]).T)


@pytest.mark.parametrize(
    ("cells", "sentence"),
    [
        (("1 2 3 4", "1 2 3"), r"a\.tsv:2: the columns of labels have 3 and 4 numbers; as many in each are needed"),
        (("1 2 3", "1 2 3"), r"a\.tsv:2: 'row-1' has 4 nucleotides but 3 labels"),
        (("nan nan nan nan", ""), r"a\.tsv:2: no position has a number; at least one is needed"),
        (("", ""), r"a\.tsv:2: no position has a number; at least one is needed"),
        (("1 2 3 x", "1 2 3 4"), r"a\.tsv:2: the label is 'x'; a finite number is needed"),
    ],
)
def test_what_is_no_row_of_several_numbers_is_named(tmp_path: Path, cells: tuple[str, str], sentence: str) -> None:
    with pytest.raises(InputError, match=sentence):
        columns(tmp_path / "a.tsv", [cells]).read()


@pytest.mark.parametrize(
    ("keys", "sentence"),
    [
        ({"label_columns": ["a", "b"]}, r"label_columns is \['a', 'b'\]; two or more that differ, of values numbers"),
        ({"values": "numbers", "label_columns": ["a"]}, r"label_columns is \['a'\]; two or more that differ"),
        ({"values": "numbers", "label_columns": ["a", "a"]}, r"label_columns is \['a', 'a'\]; two or more"),
        ({"values": "numbers", "label_columns": ["a", "b"], "label_column": "c"}, "label_columns: with them label_col"),
    ],
)
def test_several_columns_are_of_numbers_and_differ(keys: dict[str, Any], sentence: str) -> None:
    with pytest.raises(InputError, match=sentence):
        load_config(TablePositionsConfig, None, {"train": "a.tsv", **keys})
