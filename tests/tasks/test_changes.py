"""Changes of sequences as people write them, against changed sequences written by hand."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from nuclex.core.config import load_config
from nuclex.core.errors import InputError
from nuclex.tasks import SPLITS, Shape, TableVariantConfig, Task
from nuclex.tasks.base import Example
from nuclex.tasks.changes import changed, read_changes


def written(path: Path, text: str) -> Path:
    path.write_text(text)
    return path


def every(task: Task) -> list[Example]:
    return sorted((example for split in SPLITS for example in task.examples(split)), key=lambda example: example.id)


@pytest.mark.parametrize(
    ("text", "after"),
    [
        ("A1G", "GCGTAC"),
        ("a1g", "gCGTAC"),
        ("U4C", "ACGCAC"),
        ("4T>C", "ACGCAC"),
        ("n.4U>C", "ACGCAC"),
        ("C6A", "ACGTAA"),
        ("CG2TT", "ATTTAC"),
        ("CG2T", "ATTAC"),
        ("C2-", "AGTAC"),
        ("2del", "AGTAC"),
        ("2delC", "AGTAC"),
        ("g.2_4del", "AAC"),
        ("2_4delCGT", "AAC"),
        ("2_4delinsG", "AGAC"),
        ("3delinsTT", "ACTTTAC"),
        ("1_2insGG", "AGGCGTAC"),
        ("6_7insT", "ACGTACT"),
        ("A1G, C6A", "GCGTAA"),
        ("A1G,", "GCGTAC"),
        ("C6A;A1G", "GCGTAA"),
        ("A1G:2del:3_4insCC", "GGCCTAC"),
        ("2_3insG,C2A", "AAGGTAC"),
    ],
)
def test_changes_by_hand(text: str, after: str) -> None:
    assert changed("ACGTAC", read_changes(text, "x"), "x") == after


def test_positions_may_be_counted_from_nought() -> None:
    assert changed("ACGTAC", read_changes("A0G,3T>C,0_1insT", "x", 0), "x", 0) == "GTCGCAC"


def test_random_substitutions_are_undone_by_their_opposite() -> None:
    random = np.random.default_rng(0)
    for _ in range(200):
        before = random.choice(list("ACGT"), 20)
        places = np.flatnonzero(random.random(20) < 0.3)
        after = before.copy()
        after[places] = [random.choice([letter for letter in "ACGT" if letter != before[place]]) for place in places]
        if not len(places):
            continue
        there = ",".join(f"{before[place]}{place + 1}{after[place]}" for place in random.permutation(places))
        back = " ".join(f"{place + 1}{after[place]}>{before[place]}" for place in random.permutation(places))
        assert changed("".join(before), read_changes(there, "x"), "x") == "".join(after)
        assert changed("".join(after), read_changes(back, "x"), "x") == "".join(before)


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("", "x: the change is nothing; needed: A12G, 12A>G, 12del"),
        ("A1", "x: the change is 'A1'; allowed: A12G, 12A>G, 12del"),
        ("E6V", "x: the change is 'E6V'; allowed"),
        ("c.1A>G", "x: the change is 'c.1A>G', which counts from the start codon; allowed"),
        ("2dup", "x: the change is '2dup'; allowed"),
        ("C1G", "x: the sequence has 'A' at position 1, the change says 'C'"),
        ("CC2TT", "x: the sequence has 'CG' at position 2, the change says 'CC'"),
        ("A0G", "x: position 0 is not in the sequence, whose 6 nucleotides are counted from 1"),
        ("A7G", "x: position 7 is not in the sequence, whose 6 nucleotides"),
        ("5_8del", "x: position 8 is not in the sequence, whose 6 nucleotides"),
        ("8_9insA", "x: position 9 is not in the sequence, whose 6 nucleotides"),
        ("A1G,1del", "x: two changes overlap at position 1"),
        ("2_4del,T4C", "x: two changes overlap at position 4"),
        ("1_2insA,1_2insC", "x: two changes overlap at position 2"),
        ("1_3insA", "x: '1_3insA' inserts between two neighbours, as 12_13insAC"),
        ("2insA", "x: '2insA' inserts between two neighbours"),
        ("4_2del", "x: '4_2del' names a stretch that is not as long as its letters"),
        ("2_4delCG", "x: '2_4delCG' names a stretch that is not as long as its letters"),
    ],
)
def test_what_is_no_change_is_named(text: str, sentence: str) -> None:
    with pytest.raises(InputError) as refused:
        changed("ACGTAC", read_changes(text, "x"), "x")
    assert str(refused.value).startswith(sentence)


REFERENCES = ["ACGTACGT", "CCGGCCGG", "TTTTACGG", "GATTACAG"]
SUBSTITUTED = [(row, place) for row in range(4) for place in range(3)]


def rows_of(way: str) -> tuple[str, list[str]]:
    """A header, and a row for each of the first three letters of each reference, changed to N."""
    names = {"alternative": "alternative", "change": "change", "position": "position,ref,alt"}
    rows = []
    for row, place in SUBSTITUTED:
        letters = REFERENCES[row]
        said = {
            "alternative": f"{letters[:place]}N{letters[place + 1 :]}",
            "change": f"{letters[place]}{place + 1}N",
            "position": f"{place + 1},{letters[place]},N",
        }
        rows.append(f"r{row},{letters},{said[way]},{row}.{place}")
    return f"id,sequence,{names[way]},label", rows


@pytest.mark.parametrize("fasta", [False, True])
@pytest.mark.parametrize("way", ["alternative", "change", "position"])
def test_three_ways_of_saying_the_same(tmp_path: Path, way: str, fasta: bool) -> None:
    header, rows = rows_of(way)
    keys = {"train": str(tmp_path / "v.csv")}
    if fasta:
        header, rows = header.replace(",sequence", ""), [",".join(r.split(",")[:1] + r.split(",")[2:]) for r in rows]
        sequences = "".join(f">r{row} some words\n{letters}\n" for row, letters in enumerate(REFERENCES))
        keys = {"train": str(written(tmp_path / "r.fa", sequences)), "labels": str(tmp_path / "v.csv")}
    written(tmp_path / "v.csv", "\n".join([header, *rows]) + "\n")
    task = load_config(TableVariantConfig, None, keys).read()
    assert task.shape is Shape.VARIANT
    found = {item.id: (item.sequence, item.alternative, item.label) for item in every(task)}
    assert found == {
        f"r{row}-{line}": (letters, f"{letters[:place]}N{letters[place + 1 :]}", row + place / 10)
        for line, (row, place) in enumerate(SUBSTITUTED, start=2)
        for letters in [REFERENCES[row]]
    }
    references = [{example.sequence for example in task.examples(split)} for split in SPLITS]
    assert sum(map(len, references)) == len(set.union(*references)) == 4
    assert task.notes["test"] == task.notes["validation"] == "carved from train by group"
    assert task.notes["groups"] == "sequences as they are before the change"


def table(folder: Path, *rows: str, header: str = "sequence,change,label") -> Path:
    return written(folder / "v.csv", "\n".join([header, *rows]) + "\n")


def test_ids_that_name_one_change_each_stay_as_they_are(tmp_path: Path) -> None:
    rows = [f"v{n},{letters},A1C,{n}" for n, letters in enumerate(["ACGT", "ACGA", "ACGC", "ACGG"])]
    task = TableVariantConfig(train=table(tmp_path, *rows, header="id,sequence,change,label")).read()
    assert [example.id for example in every(task)] == ["v0", "v1", "v2", "v3"]


def test_changes_of_one_sequence_are_divided_when_asked_for(tmp_path: Path) -> None:
    path = table(tmp_path, *(f"ACGTACGT,{letter}{n + 1}N,{n}" for n, letter in enumerate("ACGTACGT")))
    with pytest.raises(InputError, match=r"v\.csv: has changes of 1 sequences; .* 3 are needed; give by = 'change'"):
        TableVariantConfig(train=path).read()
    task = TableVariantConfig(train=path, by="change", test_share=0.25).read()
    assert [len(task.examples(split)) for split in SPLITS] == [5, 1, 2]
    assert task.notes["test"] == "carved from train by sequence"


def test_splits_that_are_given_are_taken(tmp_path: Path) -> None:
    rows = ["ACGT,A1C,1,train", "ACGT,A1G,2,valid", "ACGT,A1T,3,test"]
    task = TableVariantConfig(train=table(tmp_path, *rows, header="sequence,change,label,split")).read()
    assert [[example.number for example in task.examples(split)] for split in SPLITS] == [[1.0], [2.0], [3.0]]
    path = table(tmp_path, *rows[::2], "CCGT,C1G,1,train", "CCGT,C1A,1,train", header="sequence,change,label,split")
    with pytest.raises(InputError, match=r"v\.csv: 'row-2' of the test split changes a sequence that the train split"):
        TableVariantConfig(train=path).read()
    task = TableVariantConfig(train=path, by="change").read()
    assert [len(task.examples(split)) for split in SPLITS] == [2, 1, 1]


def test_groups_that_are_named_stay_together(tmp_path: Path) -> None:
    rows = [f"{letters},A1C,{n},{clan}" for n, (letters, clan) in enumerate(zip(
        ["ACGT", "ACGA", "ACGC", "ACGG", "AAAA", "AAAC"], "xxyyzz", strict=True))]  # fmt: skip
    task = TableVariantConfig(
        train=table(tmp_path, *rows, header="sequence,change,label,clan"), group_column="clan"
    ).read()
    assert sorted(len(task.examples(split)) for split in SPLITS) == [2, 2, 2]
    assert all(len({example.group for example in task.examples(split)}) == 1 for split in SPLITS)
    assert task.notes["groups"] == "clan"


@pytest.mark.parametrize(
    ("header", "row", "sentence"),
    [
        ("sequence,change,label", "ACGT,A1G,high", r"v\.csv:2: the label is 'high'; a finite number"),
        ("sequence,change,label", "ACGT,C1G,1", r"v\.csv:2: the sequence has 'A' at position 1, the change says 'C'"),
        ("sequence,change,label", "ACGT,A1A,1", r"v\.csv:2: 'row-1' is what it was after the change; give it another"),
        ("sequence,change,label", "ACGT,1_4del,1", r"v\.csv:2: 'row-1' is nothing after the change"),
        ("sequence,alternative,label", "ACGT,AC1T,1", r"v\.csv:2: found '1' in a sequence"),
        ("sequence,alternative,label", "ACGT,acgu,1", r"v\.csv:2: 'row-1' is what it was after the change"),
        ("sequence,alternative,label", "ACGT,,1", r"v\.csv:2: 'row-1' is nothing after the change"),
        ("sequence,position,ref,alt,label", "ACGT,1.5,A,G,1", r"v\.csv:2: the position is '1\.5'; a whole number"),
        ("sequence,position,ref,alt,label", "ACGT,5,A,G,1", r"v\.csv:2: position 5 is not in the sequence"),
        ("sequence,position,ref,alt,label", "ACGT,1,A,<DEL>,1", r"v\.csv:2: found '<DEL>'; letters of nucleotides"),
        ("sequence,position,ref,alt,label", "ACGT,1,,G,1", r"v\.csv:2: no letter is changed; an insertion has the one"),
        ("sequence,what,label", "ACGT,A1G,1", r"v\.csv:1: no columns say what changes; found 'sequence', 'what'"),
        ("sequence,change,alternative,label", "ACGT,A1G,G,1", r"v\.csv:1: several columns say what changes"),
    ],
)
def test_a_row_that_is_wrong_gets_a_sentence(tmp_path: Path, header: str, row: str, sentence: str) -> None:
    with pytest.raises(InputError, match=sentence):
        TableVariantConfig(train=table(tmp_path, row, header=header)).read()


@pytest.mark.parametrize(
    ("fasta", "labels", "sentence"),
    [
        (">a\nACGT\n>x\nAC\n", "id,change,label\na,A1G,1\n", r"a\.fa:3: 'x' has no row in .*l\.csv; every sequence"),
        (">a\nACGT\n>a\nAC\n", "id,change,label\na,A1G,1\n", r"a\.fa:3: the id 'a' stands twice; changes are told"),
        (">a\nACGT\n", "id,change,label\na,A1G,1\na,C1G,1\n", r"l\.csv:3: the sequence has 'A' at position 1"),
    ],
)
def test_changes_that_do_not_fit_the_sequences(tmp_path: Path, fasta: str, labels: str, sentence: str) -> None:
    config = TableVariantConfig(train=written(tmp_path / "a.fa", fasta), labels=written(tmp_path / "l.csv", labels))
    with pytest.raises(InputError, match=sentence):
        config.read()


@pytest.mark.parametrize(
    ("keys", "sentence"),
    [
        ({"alternative_column": "a", "change_column": "b"}, "change_column: changes are said in alternative_column"),
        ({"by": "change", "group_column": "clan"}, "by: groups are kept together, not single changes"),
        ({"first": 2}, "first"),
    ],
)
def test_impossible_settings_are_refused(keys: dict[str, object], sentence: str) -> None:
    with pytest.raises(InputError, match=sentence):
        load_config(TableVariantConfig, None, {"train": "v.csv", **keys})


def test_columns_may_have_other_names(tmp_path: Path) -> None:
    path = table(
        tmp_path,
        *(f"{letters},{place},{letters[place]},-,{n}" for n, letters in enumerate(REFERENCES) for place in range(2)),
        header="wild,where,was,becomes,effect",
    )
    config = TableVariantConfig(
        train=path, sequence_column="wild", position_column="where", ref_column="was", alt_column="becomes",
        label_column="effect", first=0,
    )  # fmt: skip
    found = {(item.sequence, item.alternative) for item in every(config.read())}
    assert found == {(letters, letters[:place] + letters[place + 1 :]) for letters in REFERENCES for place in (0, 1)}
