"""Which columns of a table hold the sequence and its name, and how a row becomes a record."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from pydantic import Field

from nuclex.bio.alphabet import DNA_IUPAC
from nuclex.core.config import Config
from nuclex.core.errors import InputError, at, shown
from nuclex.data.record import CONTROL, LETTERS, LONGEST_SEQUENCE, Record, strange_letter, too_long

Format = Literal["fasta", "fastq", "genbank", "embl", "csv", "tsv", "airr", "parquet", "arrow"]

SEQUENCE_NAMES = ("sequence", "seq")
ID_NAMES = ("sequence_id", "id", "name", "seq_id", "accession", "transcript_id", "gene_id")
SAMPLE_ROWS = 100
"""So many rows are looked at to tell which column holds sequences."""
LONGEST_VALUE = 1_000
"""Letters; longer values (other sequences, structures, prose) are no words of a description."""
_CODES = (DNA_IUPAC.symbols + "U.~").encode("ascii")
_USUAL = b"ACGTUN"
_SHORTEST_MEAN = 8  # letters; columns of single bases (Ref, Alt) and short words of A, C, G and T are no sequences
_HEADERLESS = 20  # letters; no column is called so
_WORDS = {
    *("cdna", "cds", "crrna", "ctdna", "data", "dna", "dsdna", "dsrna", "gdna", "grna", "mrna", "mtdna", "mutant"),
    *("ncrna", "rna", "rrna", "sgrna", "snrna", "srna", "ssdna", "ssrna", "strand", "tracrrna", "trna", "utr"),
}
"""Names whose letters are all nucleotide codes; each holds a rare one, so that nobody takes it for a sequence."""
_LIKE_A_SEQUENCE = 8  # letters; a name so long, nearly all of it bases, is a sequence with a letter that is none


class ReadConfig(Config):
    """How to read a file where its content does not say it: the format, and the columns of a table.

    By default the sequence is in the column ``sequence`` or ``seq``, else in the only one that holds nucleotides; the
    id is in the first of sequence_id, id, name, seq_id, accession, transcript_id, gene_id, else it is the row number.
    A name that could be a sequence itself (``ACGTACGT``, but not ``dna`` or ``cds``) is refused unless
    ``sequence_column`` says it, since the first line may be a row. An AIRR table's sequences are taken as they were
    read: where ``rev_comp`` is true, which says that the other strand was aligned, they are not turned, and
    ``rev_comp=T`` stands in the description.
    """

    format: Format | None = Field(default=None, description="the format; by default told by content, then by suffix")
    sequence_column: str | None = Field(default=None, description="the column of a table that holds the sequence")
    id_column: str | None = Field(default=None, description="the column of a table that names the sequence")


@dataclass(frozen=True)
class Columns:
    """The places of the sequence, of the id (None: rows are counted), and of what goes into the description."""

    names: tuple[str, ...]
    sequence: int
    id: int | None
    others: tuple[int, ...]

    @property
    def needed(self) -> list[int]:
        """All places that a record is made of."""
        return sorted({self.sequence, *self.others} | ({self.id} if self.id is not None else set()))

    def record(self, values: Sequence[str | None], source: str, line: int, row: int, where: str) -> Record:
        """The record of a row; ``where`` is the row in messages. InputError without a sequence or with a bad one."""
        letters = (values[self.sequence] or "").strip().encode("utf-8", "surrogatepass")
        if not letters:
            raise InputError(f"{where}: no sequence in column {shown(self.names[self.sequence])}; every row needs one")
        if letters.translate(None, LETTERS):
            raise strange_letter(letters, where)
        if len(letters) > LONGEST_SEQUENCE:
            raise too_long(where, line)
        name = f"row-{row}" if self.id is None else _joined(values[self.id] or "")
        if not name:
            raise InputError(f"{where}: no id in column {shown(self.names[self.id or 0])}; every row needs one")
        words = [name]
        for place in self.others:
            value = values[place]
            if value and len(value) <= LONGEST_VALUE and (text := _joined(value)):
                words.append(f"{_joined(self.names[place])}={text}")
        description = " ".join(words)
        if strange := CONTROL.search(description):  # Parquet and Arrow take any
            raise InputError(f"{where}: a value or a column's name holds the control character {strange.group()!r}")
        return Record(name, description, letters, source, line)


def choose_columns(
    names: Sequence[str], sample: Sequence[Sequence[str | None]], config: ReadConfig, label: str
) -> Columns:
    """The columns of a table with these ``names``, by the config, else by name, else by the first rows.

    Raises InputError that names the columns: none or several hold sequences, one that the config names is missing, a
    name stands twice, the first line is a row.
    """
    named = [name for name in names if name.strip()]
    for place, name in enumerate(named):
        if len(name) >= _HEADERLESS and _is_sequence(name):
            raise InputError(f"{at(label, 1)}: the first line holds a sequence, {shown(name)}; column names are needed")
        if name in named[:place]:
            raise InputError(f"{at(label, 1)}: the column {shown(name)} stands twice; each name is needed once")
    if config.sequence_column is not None:
        sequence = _named(names, config.sequence_column, "sequence_column", label)
    else:
        sequence = _sequence_column(names, sample, label)
        _refuse_row(names[sequence], label)
    if config.id_column is not None:
        identity: int | None = _named(names, config.id_column, "id_column", label)
    else:
        identity = next((place for wanted in ID_NAMES for place in _called(names, wanted)), None)
        identity = None if identity == sequence else identity
    others = [place for place, name in enumerate(names) if name.strip() and place not in (sequence, identity)]
    return Columns(tuple(names), sequence, identity, tuple(others))


def _refuse_row(name: str, label: str) -> None:
    """InputError where the name of the sequences' column may be the sequence of a first row, which would be lost."""
    word = name.strip()
    letters = word.upper().encode("utf-8", "surrogatepass")
    bases = len(letters) - len(letters.translate(None, _USUAL))
    known = word.lower() in (*_WORDS, *SEQUENCE_NAMES)
    if not known and (
        not letters.translate(None, _CODES) or (len(letters) >= _LIKE_A_SEQUENCE and 5 * bases >= 4 * len(letters))
    ):
        raise InputError(
            f"{at(label, 1)}: the column of sequences is called {shown(name, 30)}, which may be a sequence itself; "
            "a first line with the names of the columns is needed, or say that this is one (sequence_column)"
        )


def _sequence_column(names: Sequence[str], sample: Sequence[Sequence[str | None]], label: str) -> int:
    for wanted in SEQUENCE_NAMES:
        if called := _called(names, wanted):
            if len(called) > 1:
                raise InputError(_unclear("several columns are called so", [names[place] for place in called], label))
            return called[0]
    found = [place for place in range(len(names)) if _are_sequences([row[place] for row in sample])]
    if not found:
        raise InputError(_unclear("no column holds sequences of nucleotides", names, label))
    if len(found) > 1:
        raise InputError(_unclear("several columns hold sequences", [names[place] for place in found], label))
    return found[0]


def _unclear(why: str, names: Sequence[str], label: str) -> str:
    found = ", ".join(shown(name, 30) for name in names[:12]) + (", …" if len(names) > 12 else "")
    return f"{at(label, 1)}: {why}: {found}; call one 'sequence', or name it (sequence_column)"


def _named(names: Sequence[str], wanted: str, key: str, label: str) -> int:
    if wanted in names:
        return list(names).index(wanted)
    found = ", ".join(shown(name, 30) for name in names[:12]) + (", …" if len(names) > 12 else "")
    raise InputError(f"{at(label, 1)}: {key} is {shown(wanted)}, which is no column; found {found}")


def _called(names: Sequence[str], wanted: str) -> list[int]:
    """The columns of that name: the one that is written so, else all that are but for upper and lower case."""
    if wanted in names:
        return [list(names).index(wanted)]
    return [place for place, name in enumerate(names) if name.strip().lower() == wanted]


def _are_sequences(values: Sequence[str | None]) -> bool:
    """Whether all that is there are nucleotides, of a length that sequences have."""
    present = [value.strip() for value in values if value and value.strip()]
    return (
        bool(present)
        and sum(map(len, present)) >= _SHORTEST_MEAN * len(present)
        and all(_is_sequence(value) for value in present)
    )


def _is_sequence(value: str) -> bool:
    letters = value.upper().encode("utf-8", "surrogatepass")
    if letters.translate(None, _CODES):
        return False
    return 10 * len(letters.translate(None, _USUAL + b"-.~")) <= len(letters)


def _joined(value: str) -> str:
    """A value as one word, so that words of a description can be told apart."""
    return "_".join(value.split())
