"""Pairs of sequences and partners are divided so that the test asks something new, and refused where they are wrong."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from made import letters
from nuclex.core.errors import InputError
from nuclex.data.homology import ClusterConfig
from nuclex.tasks import SPLITS, TASKS, Example, Task
from nuclex.tasks.partners import TablePartnerConfig, pair_counts, partners_of

KMER = ClusterConfig(method="kmer", min_identity=0.9, strands="plus")


def drugs(path: Path, names: Sequence[str], same: Sequence[tuple[str, str]] = ()) -> Path:
    """A vector for each name, equal for the pairs in ``same``."""
    vectors = dict(zip(names, np.random.default_rng(1).normal(size=(len(names), 3)), strict=True))
    for one, other in same:
        vectors[other] = vectors[one]
    np.savez(path, ids=np.array(list(names)), embeddings=np.array([vectors[name] for name in names]))
    return path


def table(path: Path, rows: Sequence[str], header: str = "name,sequence,partner,label") -> Path:
    path.write_text("\n".join([header, *rows]) + "\n")
    return path


def grid(folder: Path, **keys: Any) -> TablePartnerConfig:
    """20 RNAs with 10 partners each; RNAs 2n and 2n + 1 differ in one letter; partners d0 and d1 have equal vectors."""
    names = [f"d{n}" for n in range(10)]
    rnas = [
        text
        for n in range(10)
        for text in (letters(n, 60), "ACGT".replace(letters(n, 60)[0], "")[0] + letters(n, 60)[1:])
    ]
    rows = [f"r{n},{rna},{name},{n + place}" for n, rna in enumerate(rnas) for place, name in enumerate(names)]
    keys = {"cluster": KMER, "validation_share": 0.2, "test_share": 0.2, **keys}
    return TablePartnerConfig(
        train=table(folder / "pairs.csv", rows), partners=drugs(folder / "drugs.npz", names, [("d0", "d1")]), **keys
    )


def sides(task: Task) -> tuple[list[set[str]], list[set[str]]]:
    """The relatives of sequences (two differ in their first letter alone) and the partners of each split."""

    def partner(pair: Example) -> str:
        assert pair.partner is not None
        return pair.partner.name

    found = [task.examples(split) for split in SPLITS]
    return [{pair.sequence[1:] for pair in pairs} for pairs in found], [
        {partner(pair) for pair in pairs} for pairs in found
    ]


def test_by_default_no_relative_of_a_test_sequence_is_learned_from(tmp_path: Path) -> None:
    task = grid(tmp_path).read()
    relatives, partners = sides(task)
    assert not relatives[0] & relatives[2]
    assert not relatives[0] & relatives[1]
    assert not relatives[1] & relatives[2]
    assert partners == [{f"d{n}" for n in range(10)}] * 3
    assert [len(task.examples(split)) for split in SPLITS] == [120, 40, 40]
    assert len({pair.group for pair in task.examples("test")}) == 2
    assert task.notes["pairs"]["test"] == {
        "pairs": 40, "sequences": 4, "partners": 10, "new_sequence": 40, "new_partner": 0, "new_both": 0,
        "known_pair": 0,
    }  # fmt: skip


def test_whole_partners_are_kept_apart_and_equal_vectors_are_one_partner(tmp_path: Path) -> None:
    task = grid(tmp_path, by="partner").read()
    relatives, partners = sides(task)
    assert not partners[0] & partners[1]
    assert not (partners[0] | partners[1]) & partners[2]
    assert sum({"d0", "d1"} <= names for names in partners) == 1
    assert relatives[0] == relatives[1] == relatives[2]
    found = task.notes["pairs"]["test"]
    assert (found["new_sequence"], found["new_partner"]) == (0, found["pairs"])
    assert {pair.group for pair in task.examples("test")} <= {f"d{n}" for n in range(10)}


def test_both_sides_can_be_new(tmp_path: Path) -> None:
    task = grid(tmp_path, by="both").read()
    for parts in sides(task):
        assert not parts[0] & parts[1]
        assert not (parts[0] | parts[1]) & parts[2]
    kept = sum(len(task.examples(split)) for split in SPLITS)
    assert task.notes["left_out_pairs"] == 200 - kept > 0
    found = task.notes["pairs"]["test"]
    assert found["new_both"] == found["pairs"] == len(task.examples("test"))


def test_the_order_of_rows_changes_no_split(tmp_path: Path) -> None:
    for by in ("sequence", "partner", "both"):
        config = grid(tmp_path, by=by)
        first = config.read()
        lines = config.train.read_text().splitlines()
        table(config.train, lines[:0:-1])
        assert [{(pair.id, pair.number) for pair in config.read().examples(split)} for split in SPLITS] == [
            {(pair.id, pair.number) for pair in first.examples(split)} for split in SPLITS
        ]


def test_splits_that_are_given_stay_and_what_they_share_is_counted(tmp_path: Path) -> None:
    rows = [
        "ACGA,a,1,train",
        "ACGA,b,2,train",
        "ACGC,a,3,validation",
        "ACGA,a,4,test",
        "ACGU,b,5,test",
        "GGGG,c,6,test",
    ]
    path = table(tmp_path / "p.csv", rows, "sequence,partner,label,split")
    task = TablePartnerConfig(train=path, partners=drugs(tmp_path / "d.npz", "abc")).read()
    assert [[pair.number for pair in task.examples(split)] for split in SPLITS] == [[1.0, 2.0], [3.0], [4.0, 5.0, 6.0]]
    assert task.notes["pairs"] == pair_counts(task)
    assert pair_counts(task)["test"] == {
        "pairs": 3, "sequences": 3, "partners": 3, "new_sequence": 2, "new_partner": 1, "new_both": 1, "known_pair": 1,
    }  # fmt: skip
    assert task.seen.tolist() == [True, False, False], "letter for letter, whatever the partner"
    assert partners_of(task).names == ("a", "b", "c")


def test_a_missing_validation_is_carved_off_train_alone(tmp_path: Path) -> None:
    config = grid(tmp_path)
    rows = config.train.read_text().splitlines()[1:]
    table(
        config.train,
        [f"{row},{'test' if row.startswith('r0,') else 'train'}" for row in rows],
        "name,sequence,partner,label,split",
    )
    task = config.read()
    assert {pair.id for pair in task.examples("test")} == {"r0"}
    relatives, _ = sides(task)
    assert not relatives[0] & relatives[1]
    assert task.notes["pairs"]["validation"]["new_sequence"] == len(task.examples("validation"))


def test_the_digest_knows_the_vectors(tmp_path: Path) -> None:
    config = grid(tmp_path)
    before = config.read().digest
    assert config.read().digest == before
    drugs(config.partners, [f"d{n}" for n in range(10)])  # d1 is another one than d0 now
    assert config.read().digest != before


@pytest.mark.parametrize(("rows", "keys", "sentence"), [
    (["r,ACGA,zz,1"], {}, r"p\.csv:2: the partner 'zz' has no vector among the 3 of .*d\.npz; every partner needs one"),
    (["r,ACGA,,1"], {}, r"p\.csv:2: names no partner; every pair needs one"),
    (["r,ACGA,a,high"], {}, r"p\.csv:2: the label is 'high'; a finite number is needed"),
    (["r,AC!A,a,1"], {}, r"p\.csv:2: found '!' in a sequence"),
    (["r,ACGA,a,1"], {"partner_column": "drug"}, r"p\.csv:1: has no column 'drug'; found .*name it \(partner_column\)"),
    (["r,ACGA,a,1", "s,CCCC,b,2"], {}, r"p\.csv: has 2 groups of sequences to divide; 3 are needed, or another `by`"),
    (["r,ACGA,a,1", "s,CCCC,b,2"], {"by": "partner"}, r"p\.csv: has 2 groups of partners to divide; 3 are needed"),
    (["r,ACGA,a,1", "s,CCCC,b,2", "t,GGGG,c,3"], {"by": "both", "seed": 1}, r"p\.csv: by = 'both' leaves no pair"),
])  # fmt: skip
def test_a_table_that_is_wrong_gets_a_sentence(
    tmp_path: Path, rows: list[str], keys: dict[str, Any], sentence: str
) -> None:
    path, partners = table(tmp_path / "p.csv", rows), drugs(tmp_path / "d.npz", "abc")
    with pytest.raises(InputError, match=sentence):
        TablePartnerConfig(**{"train": path, "partners": partners, "cluster": None, **keys}).read()


@pytest.mark.parametrize(("keys", "sentence"), [
    ({"labels": "l.csv"}, "labels: pairs stand in one table with their sequences"),
    ({"by": "partner", "group_column": "clan"}, "by: whole partners are kept together, not groups of sequences"),
])  # fmt: skip
def test_impossible_settings_are_refused(keys: dict[str, Any], sentence: str) -> None:
    with pytest.raises(ValueError, match=sentence):
        TASKS.parse({"kind": "table-partner", "train": "p.csv", "partners": "d.npz", **keys})
