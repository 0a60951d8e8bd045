"""Splice sites: windows with the site in their middle, the published numbers, rows of GS_1."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from nuclex.core.errors import InputError
from nuclex.tasks import SPLITS, SpliceHumanConfig, SpliceRowsConfig


@pytest.mark.real
@pytest.mark.parametrize(("site", "two"), [("donor", "GT"), ("acceptor", "AG")])
def test_human_sites_are_in_the_middle_of_both_classes(mirror: Path, site: str, two: str) -> None:
    task = SpliceHumanConfig.from_data({"site": site}).read()
    counts = task.counts()
    assert counts["train"] + counts["validation"] == 12800
    assert counts["test"] == 3200
    assert counts["validation_seen_in_train"] == 0
    assert task.classes == ("negative", "positive")
    assert Counter(example.label for example in task.examples("test")) == {"negative": 1600, "positive": 1600}
    for split in SPLITS:
        assert {(len(item.sequence), item.sequence[199:201]) for item in task.examples(split)} == {(400, two)}
    assert len({example.id for split in SPLITS for example in task.examples(split)}) == 16000
    assert counts["test_seen_in_train_or_validation"] == 1  # of whole windows none: two that differ in their ends
    whole = SpliceHumanConfig.from_data({"site": site, "window": 602}).read()
    assert whole.counts()["test_seen_in_train_or_validation"] == 0


def rows(path: Path, count: int, seed: int = 0) -> Path:
    random = np.random.default_rng(seed)
    texts = ["".join(random.choice(list("ACGT"), 16)) for _ in range(count)]
    path.write_text("".join(f"id{place};{text};{place % 2}\n" for place, text in enumerate(texts)))
    return path


def test_rows_of_gs1(tmp_path: Path) -> None:
    train, test = rows(tmp_path / "train.csv", 16), rows(tmp_path / "test.csv", 4)
    task = SpliceRowsConfig(train=train, test=test, window=8, validation_share=0.25).read()
    assert [len(task.examples(split)) for split in SPLITS] == [12, 4, 4]
    second = test.read_text().splitlines()[1].split(";")
    assert (task.examples("test")[1].id, task.examples("test")[1].sequence) == ("id1", second[1][4:12])
    assert [example.label for example in task.examples("test")] == ["negative", "positive"] * 2
    assert task.counts()["test_seen_in_train_or_validation"] == 4
    given = SpliceRowsConfig(train=train, validation=test, test=test, window=8).read()
    assert [len(given.examples(split)) for split in SPLITS] == [16, 4, 4]


def test_bare_sequences_with_labels_in_another_file(tmp_path: Path) -> None:
    (tmp_path / "s.fasta").write_text("AAACGTTT\nCCACGTGG\n")
    (tmp_path / "l.fasta").write_text("1\n0\n")
    paths = {"test": tmp_path / "s.fasta", "test_labels": tmp_path / "l.fasta"}
    task = SpliceRowsConfig(train=rows(tmp_path / "train.csv", 16), window=4, **paths).read()
    found = [(example.sequence, example.label) for example in task.examples("test")]
    assert found == [("ACGT", "positive"), ("ACGT", "negative")]
    (tmp_path / "l.fasta").write_text("1\n")
    with pytest.raises(InputError, match=r"l\.fasta: has 1 labels for the 2 sequences of .*s\.fasta"):
        SpliceRowsConfig(train=rows(tmp_path / "train.csv", 16), window=4, **paths).read()


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("a;ACGTACGT;1\nb;ACGTACGT;2\n", r"t\.csv:2: the label is '2'; 0 \(no splice site\) or 1 is needed"),
        ("a;ACGTACGT\n", r"t\.csv:1: found 2 columns; id, sequence and label are needed, ';' between"),
        ("a;ACG;1\n", r"t\.csv:1: has 3 letters; 8 are needed \(window\)"),
        ("a;AC GT ACGT;1\n", r"t\.csv:1: found ' ' at position 2; a sequence of letters is needed"),
        ("a;;1\n", r"t\.csv:1: the sequence is empty; 8 letters are needed \(window\)"),
        ("a;ACGÜACGT;1\n", r"t\.csv:1: found 'Ü' at position 3; a sequence"),
    ],
)
def test_rows_that_are_none_are_named(tmp_path: Path, text: str, sentence: str) -> None:
    (tmp_path / "t.csv").write_text(text)
    with pytest.raises(InputError, match=sentence):
        SpliceRowsConfig(train=tmp_path / "t.csv", test=tmp_path / "t.csv", window=8).read()


def test_rows_that_are_not_there_say_what_they_are_made_from(tmp_path: Path) -> None:
    config = SpliceRowsConfig(train=tmp_path / "Train_donor_400.csv", test=tmp_path / "Test_donor_400.csv")
    with pytest.raises(
        InputError, match=r"Train_donor_400\.csv: no such file; .*the task splice-gs1 .*data fetch splice-gs1"
    ):
        config.read()
