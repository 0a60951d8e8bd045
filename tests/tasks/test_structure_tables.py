"""Structures from tables, FASTA and folders: the same structures, whichever way they come."""

from __future__ import annotations

import gzip
from pathlib import Path

import pytest

from nuclex.bio.secondary_structure import Structure, parse_dot_bracket, to_dot_bracket, write_bpseq, write_ct
from nuclex.core.errors import InputError
from nuclex.tasks import SPLITS, DotBracketConfig, Shape, TablePairsConfig, Task

KNOWN = {
    "a": ("GGGAAACCC", "(((...)))"),
    "b": ("GGCAAAGCC", "(((...)))"),
    "c": ("GGGAAAAAAUUUCCC", "(((...[[[)))]]]"),
    "d": ("acguacgu", "........"),
    "e": ("GCGAAAGC", "((....))"),
}


def found(task: Task) -> dict[str, tuple[str, str]]:
    return {
        item.id: (item.sequence, to_dot_bracket(item.pairs, len(item.sequence)))
        for split in SPLITS
        for item in task.examples(split)
    }


def written(path: Path, text: str) -> Path:
    path.write_text(text)
    return path


def structures() -> list[Structure]:
    return [Structure(name, sequence, parse_dot_bracket(marks)) for name, (sequence, marks) in KNOWN.items()]


def made(folder: Path, way: str) -> dict[str, Path]:
    """The known structures in files of this kind; the keys of the task that reads them."""
    if way == "table":
        rows = "".join(f"{name},{sequence},{marks}\n" for name, (sequence, marks) in KNOWN.items())
        return {"train": written(folder / "t.csv", "id,sequence,structure\n" + rows)}
    if way == "fasta":
        fasta = "".join(f">{name}\n{sequence}\n" for name, (sequence, _) in KNOWN.items())
        rows = "".join(f"{name}\t{marks}\n" for name, (_, marks) in reversed(KNOWN.items()))
        labels = written(folder / "l.tsv", "id\tstructure\n" + rows)
        return {"train": written(folder / "s.fa", fasta), "labels": labels}
    if way == "vienna":
        text = "".join(f">{name}\n{sequence}\n{marks}\n" for name, (sequence, marks) in KNOWN.items())
        return {"train": written(folder / "s.dbn", text)}
    if way == "ct":
        write_ct(folder / "all.ct", *structures())
        return {"train": folder / "all.ct"}
    for number, structure in enumerate(structures()):
        if number % 2:
            write_bpseq(folder / f"{structure.name}.bpseq", structure)
        else:
            write_ct(folder / f"{structure.name}.ct", structure)
            packed = gzip.compress((folder / f"{structure.name}.ct").read_bytes())
            (folder / f"{structure.name}.ct").unlink()
            (folder / f"{structure.name}.ct.gz").write_bytes(packed)
    written(folder / "README.md", "not a structure")
    return {"train": folder}


@pytest.mark.parametrize("way", ["table", "fasta", "vienna", "ct", "folder"])
def test_structures_are_the_same_whichever_way_they_come(tmp_path: Path, way: str) -> None:
    task = TablePairsConfig(**made(tmp_path, way)).read()
    assert task.shape is Shape.PAIR_MAP
    assert found(task) == KNOWN
    assert task.notes["test"] == task.notes["validation"] == "carved from train by sequence"


@pytest.mark.parametrize("way", ["vienna", "ct", "folder"])
def test_the_task_of_files_reads_them_too(tmp_path: Path, way: str) -> None:
    task = DotBracketConfig(**made(tmp_path, way)).read()
    assert found(task) == KNOWN
    assert task.notes["test"] == task.notes["validation"] == "carved from train by sequence"


def test_families_that_headers_name_are_kept_together(tmp_path: Path) -> None:
    text = "".join(
        f">{name}{number} family={name}\n{sequence}{'A' * number}\n{marks}{'.' * number}\n"
        for name, (sequence, marks) in KNOWN.items()
        for number in range(3)
    )
    for task in (
        TablePairsConfig(train=written(tmp_path / "s.dbn", text)).read(),
        DotBracketConfig(train=tmp_path / "s.dbn").read(),
    ):
        families = [{item.group for item in task.examples(split)} for split in SPLITS]
        assert sum(map(len, families)) == len(set.union(*families)) == 5
    text += ">f\nACGU\n....\n"
    with pytest.raises(InputError, match="'f' names no group to split by; give one"):
        TablePairsConfig(train=written(tmp_path / "s.dbn", text)).read()


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("sequence,structure\nGGAACC,((..)\n", r"t\.csv:2: dot-bracket: '\(' at position 0"),
        ("sequence,structure\nGGAACC,((..))\nGGAACC,(...)\n", r"t\.csv:3: 'row-2' has 6 nucleotides but 5 marks of st"),
        ("sequence,structure\nGGAACC,\n", r"t\.csv:2: the structure is nothing; dot-bracket is needed"),
        ("sequence,structure\nGGAACC,((xy))\n", r"t\.csv:2: dot-bracket"),
        ("sequence,label\nGGAACC,((..))\n", r"t\.csv:1: has no column 'structure'; .*\(label_column\)"),
    ],
)
def test_what_is_no_structure_is_named(tmp_path: Path, text: str, sentence: str) -> None:
    with pytest.raises(InputError, match=sentence):
        TablePairsConfig(train=written(tmp_path / "t.csv", text)).read()


def test_files_that_are_wrong_get_a_sentence(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    with pytest.raises(InputError, match=r"empty: holds no file of structures; \.dbn, \.vienna, \.ct, \.bpseq"):
        TablePairsConfig(train=tmp_path / "empty").read()
    with pytest.raises(InputError, match=r"x\.ct:2: found"):
        TablePairsConfig(train=written(tmp_path / "x.ct", "2 a\n1 G 0\n2 C 1\n")).read()
    with pytest.raises(InputError, match=r"x\.bpseq: 'x' has 'J' at position 1; allowed: T, A"):
        TablePairsConfig(train=written(tmp_path / "x.bpseq", "1 G 0\n2 J 0\n")).read()
    with pytest.raises(InputError, match=r"x\.ct: holds structures and no columns; leave out group_column"):
        TablePairsConfig(train=tmp_path / "x.ct", group_column="clan").read()
    with pytest.raises(InputError, match=r"x\.ct: holds structures and no columns; leave out labels"):
        TablePairsConfig(train=tmp_path / "x.ct", labels=tmp_path / "x.csv").read()
