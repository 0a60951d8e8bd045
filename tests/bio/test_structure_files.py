"""Structure files: hand-written files of the programs that make them, refusals, and exact round trips."""

from __future__ import annotations

import tempfile
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nuclex.bio.secondary_structure import (
    Structure,
    parse_bpseq,
    parse_ct,
    parse_st,
    read_bpseq,
    read_ct,
    read_ct_all,
    read_st,
    write_bpseq,
    write_ct,
)
from nuclex.core.errors import InputError

NAMES = st.text(st.characters(codec="utf-8", categories=["L", "N", "P", "S", "Zs"]), max_size=15).filter(
    lambda name: name == name.strip() and name.isprintable()
)


@st.composite
def structures(draw: st.DrawFn) -> Structure:
    sequence = draw(st.text("ACGUTNacgun-#", min_size=1, max_size=40))
    order = draw(st.permutations(range(len(sequence))))
    count = draw(st.integers(0, len(sequence) // 2))
    pairs = np.array([(order[2 * k], order[2 * k + 1]) for k in range(count)], dtype=np.int64)
    return Structure(draw(NAMES), sequence, pairs)


@settings(max_examples=30, deadline=None)  # every example is synced to the disk
@given(st.lists(structures(), min_size=1, max_size=3))
def test_ct_round_trip_is_exact(many: list[Structure]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "a.ct"
        write_ct(path, *many)
        assert read_ct_all(path) == tuple(many)
        write_ct(path, many[0])
        assert read_ct(path) == many[0]


@settings(max_examples=30, deadline=None)
@given(structures())
def test_bpseq_round_trip_is_exact(structure: Structure) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "a.bpseq"
        write_bpseq(path, structure)
        assert read_bpseq(path) == structure


TABLE = "1 G 0 2 4 1\n2 a 1 3 0 2\n3 N 2 4 0 3\n4 C 3 0 1 4\n"


@pytest.mark.parametrize(
    ("header", "name"),
    [
        ("4 tRNA Phe 1", "tRNA Phe 1"),
        ("    4  ENERGY = -22.2  RD0260 x", "RD0260 x"),
        ("4\tdG = -0.4\tRD0260", "RD0260"),
        ("4 dG = -12.3 [initially -13.0] RD0260", "RD0260"),
        ("4 ENERGY = 0", ""),
        ("4", ""),
        ("4 Energy metabolism", "Energy metabolism"),
    ],
)
def test_ct_headers(header: str, name: str) -> None:
    (structure,) = parse_ct(f"{header}\n{TABLE}", "a.ct")
    assert structure == Structure(name, "GaNC", np.array([[0, 3]]))
    assert structure.dot_bracket == "(..)"


def test_ct_with_windows_lines_comments_blank_lines_and_more_columns(tmp_path: Path) -> None:
    text = "# made by a program\n\n4 a\n" + TABLE.replace("\n", " 0 0\n") + "\n2 b\n1 A 0 2 0 77\n2 C 1 0 0 78\n"
    path = tmp_path / "a.ct"
    path.write_bytes(text.replace("\n", "\r\n").encode())
    first, second = read_ct_all(path)
    assert (first.name, first.sequence, first.pairs.tolist()) == ("a", "GaNC", [[0, 3]])
    assert (second.name, second.sequence, second.pairs.tolist()) == ("b", "AC", [])
    with pytest.raises(InputError, match=r"a\.ct: holds 2 structures where one was asked for"):
        read_ct(path)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", r"a\.ct: holds no structure"),
        ("x 4\n", r"a\.ct:1: found 'x 4' where a line such as '76 name'"),
        ("0 x\n", r"a\.ct:1: found '0 x'"),
        ("5 x\n" + TABLE, r"a\.ct:1: '5 x' announces 5 positions, 4 lines follow"),
        ("3 x\n" + TABLE, r"a\.ct:2: position 1 has the partner 4 in an RNA of length 3"),
        ("1 x\n1 G 0 0 1 1\n", r"a\.ct:2: position 1 has the partner 1 in an RNA"),
        ("4 x\n" + TABLE.replace("3 N", "2 N"), r"a\.ct:4: found position 2 where 3 comes next"),
        (
            "4 x\n" + TABLE.replace("4 C 3 0 1", "4 C 3 0 2"),
            r"a\.ct:2: position 1 has the partner 4, which has 2, not 1",
        ),
        ("4 x\n" + TABLE.replace("N", "NN"), r"a\.ct:4: found 'NN' where one letter"),
        (
            "4 x\n" + TABLE.replace("2 a 1 3 0 2", "2 a 0"),
            r"a\.ct:3: found '2 a 0' where a line such as '1 G 0 2 72 1'",
        ),
        ("4 x\n" + TABLE.replace("2 a 1 3 0", "2 a 1 3 -1"), r"a\.ct:3: found '2 a 1 3 -1 2'"),
        ("4 x\n" + TABLE + "5 A 4 0 0 5\n", r"a\.ct:6: '5 A 4 0 0 5' announces 5 positions, 0 lines follow"),
    ],
)
def test_bad_ct_files_are_refused_with_file_and_line(text: str, message: str) -> None:
    with pytest.raises(InputError, match=message):
        parse_ct(text, "a.ct")


def test_bpseq_of_the_comparative_rna_web_site() -> None:
    text = (
        "Filename: d.5.b.E.coli.bpseq\nOrganism: Escherichia coli\nAccession Number: V00336\n"
        "Citation and related information available at http://example.org\n1 G 4\n2 a 0\n3 N 0\n4 C 1\n"
    )
    assert parse_bpseq(text, "d.5.b.E.coli.bpseq") == Structure("d.5.b.E.coli", "GaNC", np.array([[0, 3]]))


def test_bpseq_names() -> None:
    table = "1 G 0\n"
    assert parse_bpseq(f"# remark\n#Name: bpRNA_1\n#Length: 1\n{table}", "a.bpseq").name == "bpRNA_1"
    assert parse_bpseq(f"# remark\n{table}", "folder/a.b.bpseq").name == "a.b"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("# nothing\n", r"a\.bpseq: holds no position"),
        ("4 x\n" + TABLE, r"a\.bpseq:1: found '4 x' where a line such as '1 G 72'"),
        (TABLE, r"a\.bpseq:1: found '1 G 0 2 4 1' where a line such as '1 G 72'"),
        ("1 G 2\n2 C 0\n", r"a\.bpseq:1: position 1 has the partner 2, which has 0, not 1"),
        ("1 G 0\nOrganism: x\n", r"a\.bpseq:2: found 'Organism: x'"),
        ("1 G 3\n1 G 2\n2 C 1\n3 C 1\n", r"a\.bpseq:2: found position 1 where 2 comes next"),
        ("1 G 12345678901234\n", r"a\.bpseq:1: found '1 G 12345678901234'"),
    ],
)
def test_bad_bpseq_files_are_refused_with_file_and_line(text: str, message: str) -> None:
    with pytest.raises(InputError, match=message):
        parse_bpseq(text, "a.bpseq")


ST = "#Name: bpRNA_X_1\n#Length:  9 \n#PageNumber: 1\nGGGAAACCC\n(([..]))A\nSSS\nKKK\nS1 1..2\n"


def test_st_of_bprna(tmp_path: Path) -> None:
    path = tmp_path / "x.st"
    path.write_text(ST.replace("]))A", "]))."))
    structure = read_st(path)
    assert structure == Structure("bpRNA_X_1", "GGGAAACCC", np.array([[0, 7], [1, 6], [2, 5]]))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (ST, r"x\.st:5: dot-bracket: 'A' at position 8 is never closed"),
        (ST.replace("9 ", "8 "), r"x\.st:4: the sequence has 9 letters, #Length says 8"),
        (ST.replace("]))A", "]))"), r"x\.st:5: the structure has 8 marks, the sequence 9 letters"),
        ("#Name: x\nGGG\n", r"x\.st: found 1 lines after the comments"),
    ],
)
def test_bad_st_files_are_refused_with_file_and_line(text: str, message: str) -> None:
    with pytest.raises(InputError, match=message):
        parse_st(text, "x.st")


def test_files_that_cannot_be_read(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"none\.ct: cannot be read: No such file"):
        read_ct(tmp_path / "none.ct")
    (tmp_path / "b.bpseq").write_bytes(b"1 G 0\r2 \xff 0\r")
    with pytest.raises(InputError, match=r"b\.bpseq:2: is not UTF-8 text"):
        read_bpseq(tmp_path / "b.bpseq")
    (tmp_path / "a.bpseq").write_bytes(b"\x1f\x8b\x08\x00\xff")
    with pytest.raises(InputError, match=r"a\.bpseq:1: is not UTF-8 text"):
        read_bpseq(tmp_path / "a.bpseq")


# Found by fuzzing: each of these was accepted, or ended in a traceback or in a message as long as the file.
@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("1 a\x00b\n1 G 0 2 0 1\n", r"x:1: holds the control character '\\x00'"),
        ("1 x\n1 G\x0b0 2 0 1\n", r"x:2: holds the control character '\\x0b'"),
        ("1 x\n1 G\xa00 2 0 1\n", r"x:2: found '1 G\\xa00 2 0 1' where"),
        ("\xa0# made by hand\n1 x\n1 G 0 2 0 1\n", r"x:1: found '\\xa0# made by hand' where"),
        ("1 x\u202e\n1 G 0 2 0 1\n", r"x:1: the name 'x\\u202e' holds a letter that cannot be printed"),
        ("1 x\n1 \u200b 0 2 0 1\n", r"x:2: found '\\u200b' where one letter"),
        ("1 x\n1 " + "{" * 70_000 + " 0 2 0 1\n", r"x:2: found '\{+\.\.\. where one letter"),
    ],
)
def test_what_fuzzing_found_in_tables(text: str, message: str) -> None:
    with pytest.raises(InputError, match=message) as caught:
        parse_ct(text, "x")
    assert len(str(caught.value)) < 200


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (f"#Length: {'9' * 5000}\nGC\n()\n", r"x:2: the sequence has 2 letters, #Length says 999999999999$"),
        ("GC\n()\n\x1a", r"x:3: holds the control character '\\x1a'"),
        ("GC\n()\u2028", r"x:2: the structure has 3 marks, the sequence 2 letters"),
        ("#Name: a\u200b\nGC\n()\n", r"x:1: the name 'a\\u200b' holds"),
    ],
)
def test_what_fuzzing_found_in_st_files(text: str, message: str) -> None:
    with pytest.raises(InputError, match=message):
        parse_st(text, "x")
    assert parse_st("#Length: 0002\nGC\n()\n", "x").sequence == "GC"


@pytest.mark.parametrize("name", ["two\nlines", " blank", "tab\there", "ENERGY = 5 x"])
def test_names_that_ct_cannot_hold_are_refused_and_nothing_is_written(tmp_path: Path, name: str) -> None:
    with pytest.raises(InputError, match="a name in a"):
        write_ct(tmp_path / "a.ct", Structure(name, "A", np.empty((0, 2), dtype=np.int32)))
    assert list(tmp_path.iterdir()) == []


def test_a_file_of_no_structure_is_not_written(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"a\.ct: no structure was given"):
        write_ct(tmp_path / "a.ct")


def test_triples_are_a_structure_but_fit_no_file(tmp_path: Path) -> None:
    triple = Structure("x", "ACGUACGU", np.array([[0, 5], [0, 7]]))
    for write in (write_ct, write_bpseq):
        with pytest.raises(InputError, match=r"position 0 is in the pairs \(0, 5\), \(0, 7\)"):
            write(tmp_path / "a", triple)
    assert list(tmp_path.iterdir()) == []


def test_structures_are_values() -> None:
    pairs = np.array([[3, 0]])
    structure = Structure("x", "GAAC", pairs)
    assert structure.pairs.tolist() == [[0, 3]]
    assert structure == Structure("x", "GAAC", np.array([[0, 3]]))
    assert structure != Structure("x", "GAAC", np.array([[0, 2]]))
    assert len({structure, Structure("x", "GAAC", pairs)}) == 1
    pairs[0, 0] = 1
    assert structure.pairs.tolist() == [[0, 3]]
    with pytest.raises(ValueError, match="read-only"):
        structure.pairs[0, 0] = 1
    with pytest.raises(InputError, match="lies outside the positions"):
        Structure("x", "GAAC", np.array([[0, 4]]))
    with pytest.raises(InputError, match="' ' at position 1"):
        Structure("x", "G A", np.empty((0, 2), dtype=np.int32))
    with pytest.raises(InputError, match="sequence is empty"):
        Structure("x", "", np.empty((0, 2), dtype=np.int32))
