"""Files of secondary structures: .ct, .bpseq, .st, dot-bracket text and Vienna files, each with its own definition."""

from __future__ import annotations

import re
from pathlib import Path

from nuclex_fuzz.judging import Format

from nuclex.bio.base_pairs import Pairs
from nuclex.bio.dot_bracket import parse_dot_bracket, to_dot_bracket
from nuclex.bio.structure_files import Structure, read_bpseq, read_ct_all, read_st, write_bpseq, write_ct
from nuclex.core.errors import InputError
from nuclex.tasks.structure import read_vienna

CT = (
    b"4 tRNA Phe 1\n1 G 0 2 4 1\n2 a 1 3 0 2\n3 N 2 4 0 3\n4 C 3 0 1 4\n",
    b"    9  ENERGY = -22.2  hairpin\n"
    + b"".join(
        b" %4d %s %4d %4d %4d %4d\n" % (i, b"GGGAAACCC"[i - 1 : i], i - 1, (i + 1) % 10, p, i)
        for i, p in enumerate((9, 8, 7, 0, 0, 0, 3, 2, 1), start=1)
    ),
    b"# made by hand\n2\tdG = -0.4 [initially -1.0] two\n1\tA\t0\t2\t2\t1\n2\tU\t1\t0\t1\t2\n\n"
    b"3 second\n1 G 0 2 0 1 0 0\n2 g 1 3 0 2 0 0\n3 U 2 0 0 3 0 0\n",
)
BPSEQ = (
    b"1 G 4\n2 a 0\n3 N 0\n4 C 1\n",
    b"#Name: knot\n# a comment\n1 G 5\n2 G 7\n3 A 0\n4 A 0\n5 C 1\n6 A 0\n7 C 2\n",
    b"Filename: d.16.b.E.coli.bpseq\nOrganism: Escherichia coli\nAccession Number: J01695\n"
    b"Citation and related information available at http://www.rna.ccbb.utexas.edu\n1 A 3\n2 A 0\n3 U 1\n",
)
ST = (
    b"#Name: bpRNA_CRW_1\n#Length:  12\n#PageNumber: 1\nGGGAAACCCAGA\n(((...)))...\nSSSHHHSSSEEE\nNNNNNNNNNNNN\n"
    b'S1 1..3 "GGG" 7..9 "CCC"\n',
    b"GGAACC\n((..))\n",
    b"#Name: knot\n#Length: 10\nGGGACCCAGG\n(([)).].{}\n",
)
DOT_BRACKET = (b"((..))", b"(([[..))]]", b"(.<.{.).>.}", b"AB(..ab)", b".,:-_~", b"(((((....)))))...((..))", b"")
VIENNA = (
    b">a family=x first\nGGGAAACCC\n(((...)))\n>b family=y\nGGACC\n((.)) (-1.20)\n",
    b">a\nGGGAAACCC\n(((...)))\n",
    b"\n>long family=z\n" + b"GA" * 60 + b"\n" + b"(." * 30 + b")." * 30 + b"\n\n",
)
SYMBOLS = set("ACGTUNRYKMSWBDHVI")


def assert_pairs(pairs: Pairs, length: int) -> None:
    """Pairs are (i, j) with 0 <= i < j < length, in order, each nucleotide in one."""
    found = pairs.tolist()
    assert all(0 <= i < j < length for i, j in found), f"pairs outside 0..{length}: {found[:5]}"
    assert found == sorted(found), "pairs are not in order"
    places = [place for pair in found for place in pair]
    assert len(places) == len(set(places)), "a nucleotide is in two pairs"


def text_lines(path: Path) -> list[str]:
    """What a text file holds: UTF-8, no control character but tab and line ends; lines without blanks around them."""
    text = path.read_bytes().decode("utf-8").removeprefix("\ufeff")
    lines = [line.strip(" \t") for line in re.split("\r\n|\r|\n", text)]
    assert not any(re.search(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]", line) for line in lines), "accepted a control character"
    return [line for line in lines if line.strip()]


def words(line: str) -> list[str]:
    """What stands between blanks and tabs."""
    return [word for word in re.split("[ \t]", line) if word]


def matched(marks: str) -> list[list[int]]:
    """The pairs of a dot-bracket text, found by a second way: the innermost bracket of its kind is taken away."""
    pairs, rest = [], {place: mark for place, mark in enumerate(marks) if mark not in ".,:-_~"}
    for opening, closing in [*("()", "[]", "{}", "<>"), *((chr(code), chr(code + 32)) for code in range(65, 91))]:
        places = [place for place, mark in rest.items() if mark in (opening, closing)]
        waiting: list[int] = []
        for place in places:
            mark = rest.pop(place)
            if mark == opening:
                waiting.append(place)
            else:
                assert waiting, "accepted a bracket that closes nothing"
                pairs.append([waiting.pop(), place])
        assert not waiting, "accepted a bracket that is never closed"
    assert not rest, f"accepted the marks {set(rest.values())}"
    return sorted(pairs)


def assert_table(structure: Structure, rows: list[list[str]], partner_column: int) -> None:
    """A structure is the table that was in the file."""
    assert_pairs(structure.pairs, len(structure.sequence))
    assert [int(row[0]) for row in rows] == list(range(1, len(rows) + 1)), "positions are not 1, 2, …"
    assert structure.sequence == "".join(row[1] for row in rows), "the sequence is not that of the table"
    assert all(len(row[1]) == 1 for row in rows)
    partner = dict(structure.pairs.tolist()) | {j: i for i, j in structure.pairs.tolist()}
    found = [str(partner.get(place, -1) + 1) for place in range(len(rows))]
    assert found == [str(int(row[partner_column])) for row in rows], "the pairs are not those of the table"


def check_ct(path: Path) -> None:
    structures = read_ct_all(path)
    lines = [words(line) for line in text_lines(path) if not line.startswith("#")]
    for structure in structures:
        length = int(lines[0][0])
        assert_table(structure, lines[1 : 1 + length], 4)
        lines = lines[1 + length :]
        assert_name(structure)
    assert not lines, "lines were passed over"
    check_round_trip(path, structures)


def check_round_trip(path: Path, structures: tuple[Structure, ...]) -> None:
    again = path.with_name("again.ct")
    try:
        write_ct(again, *structures)
    except InputError as error:
        if "cannot begin like an energy" in str(error):
            return
        raise AssertionError(f"what was read cannot be written: {error}") from error
    assert read_ct_all(again) == structures


def assert_name(structure: Structure) -> None:
    assert structure.name.isprintable(), f"accepted the name {structure.name!r}"
    assert structure.name == structure.name.strip()


def check_bpseq(path: Path) -> None:
    structure = read_bpseq(path)
    lines = [line for line in text_lines(path) if not line.startswith("#")]
    while re.match(r"(?i)(?:Filename|Organism|Accession Number|Citation)[^:]*:", lines[0]):
        del lines[0]
    assert all(len(words(line)) == 3 for line in lines)
    assert_table(structure, [words(line) for line in lines], 2)
    assert_name(structure)
    write_bpseq(path.with_name("again.bpseq"), structure)
    assert read_bpseq(path.with_name("again.bpseq")) == structure


def check_st(path: Path) -> None:
    structure = read_st(path)
    sequence, marks = [line for line in text_lines(path) if not line.startswith("#")][:2]
    assert (structure.sequence, len(marks)) == (sequence, len(sequence))
    assert_pairs(structure.pairs, len(sequence))
    assert structure.pairs.tolist() == matched(marks)
    assert_name(structure)


def check_dot_bracket(path: Path) -> None:
    text = path.read_bytes().decode("utf-8", "surrogateescape")
    pairs = parse_dot_bracket(text)
    assert_pairs(pairs, len(text))
    assert pairs.tolist() == matched(text)
    try:
        written = to_dot_bracket(pairs, len(text))
    except InputError as error:
        if "crosses pairs of all" in str(error):
            return
        raise AssertionError(f"what was read cannot be written: {error}") from error
    assert matched(written) == pairs.tolist()


def check_vienna(path: Path) -> None:
    examples = list(read_vienna(path))
    lines = text_lines(path)
    assert examples
    assert len(lines) == 3 * len(examples), "lines were passed over"
    for place, example in enumerate(examples):
        header, sequence, structure = lines[3 * place : 3 * place + 3]
        assert header.startswith(">")
        assert example.id == header[1:].split()[0]
        assert example.sequence == sequence
        assert set(sequence.upper()) <= SYMBOLS, f"accepted {sequence[:40]!r} as nucleotides"
        assert_pairs(example.pairs, len(sequence))
        assert example.pairs.tolist() == matched(structure.split()[0])


def _file(name: str):  # the only thing around the file is its folder
    return lambda folder: folder / name


FORMATS = (
    Format("ct", CT, check_ct, _file("a.ct"), whole=("holds no structure",)),
    Format("bpseq", BPSEQ, check_bpseq, _file("a.bpseq"), whole=("holds no position",)),
    Format("st", ST, check_st, _file("a.st"), whole=("lines after the comments",)),
    Format("dot-bracket", DOT_BRACKET, check_dot_bracket, _file("a.txt"), place=r"^dot-bracket: .* at position \d+ "),
    Format("vienna", VIENNA, check_vienna, _file("a.dbn"), whole=("is empty",)),
)
