"""Small variants out of VCF files and tables, one at a time, each with its place in the file.

VCF (version 4; plain, gzip or bgzip) is read line by line for its first five columns; samples are passed over. BCF is
read with pysam, where it is installed, and has records instead of lines. A table
(comma, tab or semicolon between the columns, names in the first line) has the columns

``chrom``, ``contig``, ``sequence_id`` or ``id``  the id of the sequence
``pos`` or ``start``                              where ``ref`` begins: ``pos`` 1-based, as in VCF; ``start`` 0-based
``ref``, ``alt``                                  letters, as in VCF: indels begin with the letter before them; an
                                                  ``alt`` of ``-`` says that all of ``ref`` is left out
``variant``, ``variant_id``, ``rsid``             a name of its own, if there is one (or ``id`` beside ``chrom``)

with upper or lower case in their names. Several alternatives in one row, with commas, are as many variants.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from nuclex.bio.alphabet import to_dna
from nuclex.core.errors import InputError, at, missing_extra, one_line, shown
from nuclex.data.compression import STDIN, Text, lines, opened, pieces
from nuclex.data.table import delimiter_of, rows

CONTIGS = ("chrom", "#chrom", "contig", "sequence_id", "id")
NAMES = ("variant", "variant_id", "rsid", "id")
POSITIONS = {"pos": 1, "start": 0}
"""Names of columns, and what their first letter is counted as."""
LONGEST_LINE = 1 << 26
_VCF = b"##fileformat=VCF"
_LETTERS = re.compile(r"[ACGTRYKMSWBDHVN]+")
_FIRST_COLUMNS = ("#CHROM", "POS", "ID", "REF", "ALT")


class Variant(NamedTuple):
    """One alternative: the letters ``ref`` from ``start`` on (0-based) of a sequence become ``alt``.

    Letters are upper case, with T for U; ``alt`` may be none. It is as written where it stands for something else
    (``other``). ``name`` is empty where the file gives none; ``place`` is file and line.
    """

    contig: str
    start: int
    ref: str
    alt: str
    name: str
    place: str

    @property
    def other(self) -> str | None:
        """What kind of alternative this is, where it is no letters: symbolic, breakend, overlapping, none."""
        if self.alt == ".":
            return "no alternative (.)"
        if self.alt == "*":
            return "overlapping deletion (*)"
        if self.alt.startswith("<"):
            return "symbolic (<...>)"
        if re.search(r"[][]|^\.|\.$", self.alt):
            return "breakend"
        return None


def read_variants(path: str | Path) -> Iterator[Variant]:
    """The variants of a VCF file or a table, told by content; the file is never held in memory.

    InputError with file and line: no such file, another format, a record without its five columns, a position that is
    none, an allele of other letters.
    """
    label = "stdin" if str(path) == STDIN else str(path)
    with opened(path, label) as text:
        head = text.peek().removeprefix(b"\xef\xbb\xbf")
        if head.startswith(b"BCF"):
            yield from _bcf(path, label)
            return
        if not head.strip():
            raise InputError(f"{label}: is empty; a VCF file or a table of variants is needed")
        yield from _vcf(text) if head.startswith(_VCF) else _table(text)


def _vcf(text: Text) -> Iterator[Variant]:
    named = False
    for line, content in _lines(text):
        where = at(text.label, line)
        try:
            fields = content.rstrip(b"\r\n").decode("utf-8").split("\t", 5)[:5]
        except UnicodeDecodeError:
            raise InputError(f"{where}: holds bytes that are not text (UTF-8)") from None
        if fields[0].startswith("#"):
            named = named or tuple(fields) == _FIRST_COLUMNS
        elif not named:
            raise InputError(f"{where}: found a record before the line that begins with {' '.join(_FIRST_COLUMNS)}")
        elif len(fields) == 5:
            contig, position, name, ref, alternatives = fields
            yield from _variants((contig, _number(position, 1, where), ref, alternatives), name, where)
        elif fields != [""]:
            raise InputError(f"{where}: found {len(fields)} columns; a record of VCF has CHROM, POS, ID, REF and ALT")
    if not named:
        raise InputError(f"{text.label}: has no line that begins with {' '.join(_FIRST_COLUMNS)}; it is no whole VCF")


def _lines(text: Text) -> Iterator[tuple[int, bytes]]:
    """Each line with its number; of one with many samples only the beginning."""
    waiting = b""
    for piece in pieces(text):
        for part in lines(piece):
            if waiting.count(b"\t") < 5:
                waiting += part
            if len(waiting) > LONGEST_LINE:
                raise InputError(f"{at(text.label, text.line)}: the line is longer than {LONGEST_LINE} bytes; not VCF")
            if part.endswith(b"\n"):
                yield text.line, waiting
                text.line, waiting = text.line + 1, b""
    if waiting:
        yield text.line, waiting


def _bcf(path: str | Path, label: str) -> Iterator[Variant]:
    try:
        import pysam
    except ImportError:
        raise missing_extra("pysam", "variants", f"{label}: reading BCF") from None
    number, before = 0, pysam.set_verbosity(0)  # its library writes to stderr what is raised as well
    try:
        with pysam.VariantFile(str(path)) as file:
            for number, record in enumerate(file, start=1):
                alternatives = ",".join(record.alts or (".",))
                found = (record.contig, record.start, record.ref or "", alternatives)
                yield from _variants(found, record.id or ".", f"{label}: record {number}")
    except (OSError, ValueError) as error:
        raise InputError(f"{label}: cannot be read behind record {number}: {one_line(str(error))}") from None
    finally:
        pysam.set_verbosity(before)


def _table(text: Text) -> Iterator[Variant]:
    found = rows(text, delimiter_of(text.peek(), Path(text.label).suffix.removeprefix(".")))
    line, written = next(found, (1, []))
    names = [name.strip().lower() for name in written]
    contig = _column(names, CONTIGS, at(text.label, line))
    given = [name for name in POSITIONS if name in names]
    if len(given) != 1:
        raise InputError(
            f"{at(text.label, line)}: one column of positions is needed, found {given or 'none'}: pos (1-based, as in "
            "VCF) or start (0-based)"
        )
    position, first = names.index(given[0]), POSITIONS[given[0]]
    ref, alt = (_column(names, (name,), at(text.label, line)) for name in ("ref", "alt"))
    name = next((names.index(own) for own in NAMES if own in names and names.index(own) != contig), None)
    for number, fields in found:
        where = at(text.label, number)
        start = _number(fields[position].strip(), first, where)
        own = "" if name is None else fields[name].strip()
        found_here = (fields[contig].strip(), start, fields[ref].strip(), fields[alt].strip())
        yield from _variants(found_here, own, where, bare=True)


def _column(names: Sequence[str], wanted: Sequence[str], where: str) -> int:
    for name in wanted:
        if name in names:
            return list(names).index(name)
    found = ", ".join(shown(name, 30) for name in names[:12])
    raise InputError(
        f"{where}: no column is called {' or '.join(wanted)}, found {found}; variants have chrom, pos, ref, alt"
    )


def _number(text: str, first: int, where: str) -> int:
    """A position, counted from ``first`` in the file, as 0-based."""
    if not re.fullmatch(r"[0-9]{1,18}", text):
        raise InputError(f"{where}: the position is {shown(text)}; a whole number is needed")
    return int(text) - first


def _variants(found: tuple[str, int, str, str], name: str, where: str, *, bare: bool = False) -> Iterator[Variant]:
    """Each alternative of a record; ``bare``: one of "-" is a deletion of all of REF."""
    contig, start, ref, alternatives = found
    if not contig:
        raise InputError(f"{where}: names no sequence")
    for alt in alternatives.split(","):
        variant = Variant(contig, start, to_dna(ref.upper()), alt, "" if name == "." else name, where)
        whole = bare and alt == "-"
        if variant.other is None:
            variant = variant._replace(alt="" if whole else to_dna(alt.upper()))
        for allele, letters in (("REF", variant.ref), ("ALT", variant.alt if variant.other is None else "N")):
            if not _LETTERS.fullmatch(letters) and not (whole and allele == "ALT"):
                raise InputError(
                    f"{where}: {allele} is {shown(letters)}; nucleotides are needed, and where some are put in or left "
                    "out, the one before, as in VCF"
                )
        yield variant
