"""Regions of antibodies: where AIRR says they are, on either strand; the published gold rows letter for letter."""

from __future__ import annotations

import csv
import lzma
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from nuclex.bio.alphabet import DNA
from nuclex.bio.regions import FRAMEWORKS_AND_LOOPS, OUTSIDE, spans_of
from nuclex.core.config import load_config
from nuclex.core.errors import InputError
from nuclex.tasks import SPLITS, AntibodyRegionsConfig, Example, Task

SIZES = (9, 6, 9, 6, 12, 9, 9)


def read(seed: int, leader: int = 4, behind: int = 5) -> dict[str, str]:
    """An AIRR row of a read whose regions have the sizes above."""
    random = np.random.default_rng(seed)
    letters = "".join(random.choice(list("ACGT"), leader + sum(SIZES) + behind))
    row, end = {"sequence_id": f"r{seed}", "sequence": letters, "rev_comp": "F", "locus": "IGH"}, leader
    for name, size in zip(FRAMEWORKS_AND_LOOPS, SIZES, strict=True):
        row |= {f"{name}_start": str(end + 1), f"{name}_end": str(end + size), name: letters[end : end + size].lower()}
        end += size
    row["junction"] = letters[end - 9 - 9 - 3 : end - 9 + 3]
    d = leader + 42
    genes = {"v": (leader + 1, d - 2), "d": (d + 1, d + 5), "j": (d + 6, end)}
    return row | {f"{gene}_sequence_{side}": str(at[n]) for gene, at in genes.items() for n, side in enumerate(ENDS)}


ENDS = ("start", "end")


def table(path: Path, rows: list[dict[str, str]], columns: list[str] | None = None) -> Path:
    with path.open("w", newline="") as handle:
        writer = csv.DictWriter(handle, columns or list(rows[0]), delimiter="\t", extrasaction="ignore")
        writer.writeheader()
        writer.writerows(rows)
    return path


def task_of(path: Path, rows: list[dict[str, str]], **settings: Any) -> Task:
    return load_config(AntibodyRegionsConfig, None, {"path": str(table(path, rows)), **settings}).read()


def all_of(task: Task) -> dict[str, Example]:
    return {example.id: example for split in SPLITS for example in task.examples(split)}


def test_positions_of_airr_are_read_from_1_and_closed(tmp_path: Path) -> None:
    rows = [read(seed) for seed in range(12)]
    task = task_of(tmp_path / "a.tsv", rows)
    assert task.regions == FRAMEWORKS_AND_LOOPS
    assert set(task.classes) == {*FRAMEWORKS_AND_LOOPS, OUTSIDE}
    for row in rows:
        example = all_of(task)[row["sequence_id"]]
        assert (example.sequence, example.stratum) == (row["sequence"], "IGH")
        for name, (start, end) in spans_of(example.track, FRAMEWORKS_AND_LOOPS).items():
            assert example.sequence[start:end].lower() == row[name]


def test_the_other_strand_is_turned_round(tmp_path: Path) -> None:
    rows = [read(seed) for seed in range(12)]
    turned = [{**row, "sequence": DNA.reverse_complement(row["sequence"]), "rev_comp": "T"} for row in rows]
    straight, back = (task_of(tmp_path / f"{n}.tsv", each) for n, each in enumerate((rows, turned)))
    assert straight.digest == back.digest


def test_letters_of_regions_do_where_there_are_no_positions(tmp_path: Path) -> None:
    rows = [read(seed) for seed in range(12)]
    columns = ["sequence_id", "sequence", "junction", *FRAMEWORKS_AND_LOOPS]
    path = table(tmp_path / "oas.tsv", [*rows, {**read(50), "cdr2": "tttttttttttttttt"}], columns)
    task = AntibodyRegionsConfig(path=path).read()
    assert task.digest == task_of(tmp_path / "a.tsv", rows).digest
    assert task.notes["without_regions"] == 1


def test_a_paired_table_of_oas_gives_two_a_row(tmp_path: Path) -> None:
    pairs = [(read(seed), read(seed + 100)) for seed in range(8)]
    sides = ("_heavy", "_light")
    rows = [
        {f"{name}{side}": value for side, one in zip(sides, pair, strict=True) for name, value in one.items()}
        for pair in pairs
    ]
    assert sorted(all_of(task_of(tmp_path / "a.tsv", rows))) == sorted(
        one["sequence_id"] for pair in pairs for one in pair
    )


def test_genes_and_what_lies_between_them(tmp_path: Path) -> None:
    rows = [read(seed) for seed in range(12)]
    task = task_of(tmp_path / "a.tsv", rows, labels="segments")
    spans = spans_of(all_of(task)["r3"].track, task.regions)
    assert spans == {"v": (4, 44), "np1": (44, 46), "d": (46, 51), "j": (51, 64)}
    task = task_of(tmp_path / "a.tsv", rows, labels="helm")
    assert spans_of(all_of(task)["r3"].track, task.regions) == {
        "sp": (0, 4),
        "v": (4, 44),
        "dj": (44, 64),
        "c": (64, 69),
    }
    assert OUTSIDE not in task.classes


def test_codons_begin_in_the_frame_of_cdr3(tmp_path: Path) -> None:
    rows = [read(seed, leader=seed % 5, behind=seed % 4) for seed in range(12)]
    for letters in ("read", "regions"):
        task = task_of(tmp_path / "a.tsv", rows, codons=True, letters=letters)
        for example in all_of(task).values():
            spans = spans_of(example.track, FRAMEWORKS_AND_LOOPS)
            assert len(example.sequence) % 3 == spans["cdr3"][0] % 3 == 0
            assert letters == "read" or spans["fwr1"][0] == 0
    lost = [{**row, "junction": "", "cdr3_start": "", "cdr3_end": ""} for row in rows[:2]]
    assert task_of(tmp_path / "b.tsv", [*rows, *lost], codons=True).notes["without_frame"] == 2


def test_masked_ends_are_left_out_and_masked_regions_kept(tmp_path: Path) -> None:
    rows = [read(seed) for seed in range(12)]
    rows[0]["sequence"] = "NNN" + rows[0]["sequence"][3:-6] + "NNNNNN"  # the last N of these is of FR4
    task = task_of(tmp_path / "a.tsv", rows)
    example = all_of(task)["r0"]
    assert example.sequence == rows[0]["sequence"][3:-5]
    assert spans_of(example.track, FRAMEWORKS_AND_LOOPS)["fwr4"] == (52, 61)


def test_a_junction_lies_in_one_split(tmp_path: Path) -> None:
    rows = [
        read(seed) | {"split": split} for seed, split in enumerate(["train"] * 8 + ["validation"] * 2 + ["test"] * 2)
    ]
    shared = [
        {**rows[11], "sequence_id": "again", "split": "train"},
        {**rows[9], "sequence_id": "twice", "split": "train"},
    ]
    task = task_of(tmp_path / "a.tsv", [*rows, *shared])
    assert task.notes["junction_in_another_split"] == {"train": 2, "validation": 0, "test": 0}
    assert [len(task.examples(split)) for split in SPLITS] == [8, 2, 2]
    carved = task_of(tmp_path / "b.tsv", [read(seed // 3) | {"sequence_id": f"s{seed}"} for seed in range(60)])
    groups = [{example.group for example in carved.examples(split)} for split in SPLITS]
    assert sum(map(len, groups)) == len(set.union(*groups)) == 20


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"cdr1_end": "12"}, r"a\.tsv:2: cdr1 is from 14 to 12; positions are counted from 1"),
        ({"cdr1_end": "21"}, r"a\.tsv:2: fwr2 \[19, 28\) has letters of cdr1"),
        ({"cdr1_end": ""}, r"a\.tsv:2: cdr1 has a start or an end alone"),
        ({"cdr1_end": "19.5"}, r"a\.tsv:2: the cdr1_end is '19\.5'; a whole number"),
        ({"cdr1_end": "far"}, r"a\.tsv:2: the cdr1_end is 'far'; a finite number"),
        ({"fwr1_start": "0"}, r"a\.tsv:2: fwr1 is from 0 to 13; positions are counted from 1"),
        ({"fwr4_end": "99"}, r"a\.tsv:2: fwr4 is \[55, 99\); a span within the 69 letters"),
        ({"split": "holdout"}, r"a\.tsv:2: the split is 'holdout'"),
    ],
)
def test_what_cannot_be_is_named(tmp_path: Path, change: dict[str, str], sentence: str) -> None:
    rows = [read(seed) | {"split": "train"} for seed in range(12)]
    with pytest.raises(InputError, match=sentence):
        task_of(tmp_path / "a.tsv", [{**rows[0], **change}, *rows[1:]])


def test_an_empty_region_as_airr_writes_it_is_none(tmp_path: Path) -> None:
    rows = [read(seed) for seed in range(12)]
    task = task_of(tmp_path / "a.tsv", [*rows, read(90) | {"cdr1_end": "13"}])
    assert "cdr1" not in all_of(task)["r90"].track


def test_tables_without_regions_are_refused(tmp_path: Path) -> None:
    path = table(tmp_path / "a.tsv", [{"sequence_id": "a", "sequence": "ACGT", "v_call": "IGHV1-2*02"}])
    with pytest.raises(
        InputError, match=r"a\.tsv:1: has no column fwr1_start; found 'sequence_id', 'sequence', 'v_call'"
    ):
        AntibodyRegionsConfig(path=path).read()
    with pytest.raises(InputError, match="no column v_sequence_start"):
        AntibodyRegionsConfig(path=path, labels="segments").read()
    with pytest.raises(InputError, match="have no positions of genes for 'helm'; give path"):
        load_config(AntibodyRegionsConfig, None, {"labels": "helm"})


@pytest.mark.real
def test_the_catalogues_reads_and_gold(mirror: Path) -> None:
    task = AntibodyRegionsConfig(train_limit=50, validation_limit=50).read()
    assert len(task.examples("test")) == 1000
    assert task.counts()["test_seen_in_train_or_validation"] == 0
    with lzma.open(mirror / "antibody/oas_imgt_vquest_1000.csv.xz", "rt") as handle:
        gold = {row["sequence_id"]: row for row in csv.DictReader(handle)}
    same = 0
    for example in task.examples("test"):
        row, spans = gold[example.id], spans_of(example.track, FRAMEWORKS_AND_LOOPS)
        assert example.stratum == row["locus"]
        same += all(example.sequence[a:b] == row[name].upper() for name, (a, b) in spans.items())
    assert same == 994  # of 6 rows IMGT mended an indel in the letters that it gives


def test_only_reads_of_train_get_other_ends(tmp_path: Path) -> None:
    rows = [read(seed) for seed in range(40)]
    plain = task_of(tmp_path / "a.tsv", rows)
    moved = task_of(tmp_path / "a.tsv", rows, shift={"before": 30})
    for split in SPLITS:
        same = [
            (old.id, old.sequence, old.track.tolist()) == (new.id, new.sequence, new.track.tolist())
            for old, new in zip(plain.examples(split), moved.examples(split), strict=True)
        ]
        assert all(same) if split != "train" else sum(same) < 3
    assert task_of(tmp_path / "a.tsv", rows, shift={"before": 30}).digest == moved.digest
    assert task_of(tmp_path / "a.tsv", rows, shift={"before": 30}, seed=1).digest != moved.digest


@pytest.mark.parametrize("settings", [{"letters": "regions"}, {"labels": "helm"}])
def test_no_other_ends_where_nothing_lies_outside(settings: dict[str, str]) -> None:
    with pytest.raises(InputError, match=r"shift: puts letters around the regions, and (letters|labels): '\w+' has"):
        load_config(AntibodyRegionsConfig, None, {"path": "a.tsv", "shift": {}, **settings})
