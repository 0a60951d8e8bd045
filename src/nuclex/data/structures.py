"""Files of secondary structures: the structures to learn from, or their sequences, to be kept out of a corpus.

Connectivity tables (.ct), .bpseq and bpRNA's .st are read by ``nuclex.bio``; .dbn is bpRNA's form of .st or Vienna
text: ``>id``, the sequence, its dot-bracket structure.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

from nuclex.bio.structure_files import Structure, parse_bpseq, parse_ct, parse_st
from nuclex.core.errors import InputError, at, shown
from nuclex.data.compression import opened
from nuclex.data.record import Record

_PACKED = {".gz", ".bgz", ".bgzf", ".xz", ".bz2", ".zst", ".zstd"}
_PARSERS: dict[str, Callable[[str, str], tuple[Structure, ...]]] = {
    ".ct": parse_ct,
    ".bpseq": lambda text, label: (parse_bpseq(text, label),),
    ".st": lambda text, label: (parse_st(text, label),),
}
_DOT_BRACKET = {".dbn", ".vienna"}


def holds_structures(path: str | Path) -> bool:
    """Whether a file is one of structures, by its name.

    >>> holds_structures("tRNA.bpseq"), holds_structures("rnas.ct.gz"), holds_structures("rnas.fa")
    (True, True, False)
    """
    return _suffix(path) in {*_PARSERS, *_DOT_BRACKET}


def holds_tables(path: str | Path) -> bool:
    """Whether a file of structures is a table of partners (.ct, .bpseq) or bpRNA's .st, by its name.

    >>> holds_tables("tRNA.bpseq.gz"), holds_tables("tRNA.dbn")
    (True, False)
    """
    return _suffix(path) in _PARSERS


def read_tables(path: str | Path) -> tuple[Structure, ...]:
    """The structures of a .ct, .bpseq or .st file, plain or packed; InputError with file and line where it is none."""
    return _PARSERS[_suffix(path)](_text(path, str(path)), str(path))


def read_structure_sequences(path: str | Path, source: str, label: str) -> Iterator[Record]:
    """The sequences of a file of structures, plain or packed; InputError with file and line where it is none."""
    text = _text(path, label)
    if _suffix(label) in _DOT_BRACKET and text.lstrip().startswith(">"):
        yield from _vienna(text, source, label)
        return
    for structure in _PARSERS.get(_suffix(label), _PARSERS[".st"])(text, label):
        yield Record(structure.name, structure.name, structure.sequence.encode(), source, 1)


def _text(path: str | Path, label: str) -> str:
    with opened(path, label) as packed:
        content = b"".join(iter(packed.read, b""))
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        raise InputError(f"{at(label, line)}: is no UTF-8; a file of structures is text") from None


def _vienna(text: str, source: str, label: str) -> Iterator[Record]:
    """``>id …``, sequence, dot-bracket (an energy may follow), one molecule after the other."""
    lines = ((number, line.strip()) for number, line in enumerate(text.split("\n"), start=1))
    lines = ((number, line) for number, line in lines if line)
    for number, header in lines:
        if not header.startswith(">") or not header[1:].split():
            raise InputError(f"{at(label, number)}: found {shown(header)}; a header '>id' is needed here")
        (place, sequence), (_, marks) = next(lines, (number, "")), next(lines, (number, ""))
        if not (sequence.isascii() and sequence.isalpha()):
            raise InputError(f"{at(label, place)}: found {shown(sequence)}; a sequence of letters is needed here")
        found = len(marks.split(maxsplit=1)[0]) if marks else 0
        if found != len(sequence):
            raise InputError(f"{at(label, place)}: {len(sequence)} nucleotides but {found} marks of structure")
        yield Record(header[1:].split()[0], header[1:].strip(), sequence.encode(), source, number)


def _suffix(path: str | Path) -> str:
    suffixes = [suffix.lower() for suffix in Path(path).suffixes]
    return next((suffix for suffix in reversed(suffixes) if suffix not in _PACKED), "")
