"""Antibody sequences out of AIRR tables and the files of the Observed Antibody Space (OAS, doi:10.1002/pro.4205).

A file of OAS begins with a line that holds a JSON text about the whole unit; then comes an AIRR table, of one chain a
row (unpaired), or of two whose columns end in ``_heavy`` and ``_light`` (paired). What is taken is stored from its
first whole codon on, in the frame of the junction, whose first codon is that of the conserved cysteine. The columns are
those of the AIRR Rearrangement schema (doi:10.3389/fimmu.2018.02206).
"""

from __future__ import annotations

import csv
import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

from pydantic import Field

from nuclex.bio.alphabet import DNA_IUPAC, to_dna
from nuclex.core.config import Config
from nuclex.core.errors import InputError, at, shown
from nuclex.core.plain import from_json
from nuclex.data.compression import Text, opened
from nuclex.data.curate import remove_gaps
from nuclex.data.record import LETTERS, Record, strange_letter
from nuclex.data.table import UNIT, delimiter_of, rows
from nuclex.data.tally import Tally

HEAVY, LIGHT = "_heavy", "_light"
REGIONS = ("fwr1", "cdr1", "fwr2", "cdr2", "fwr3", "cdr3", "fwr4")
WORDS = ("locus", "v_call", "d_call", "j_call", "c_call", "c_region", "Isotype", "Redundancy", "junction_aa")
"""Columns that go into the description of a sequence, where a table has them."""
COLUMNS = {
    *REGIONS, *WORDS, "sequence_id", "sequence", "sequence_alignment", "junction", "rev_comp", "productive",
    "stop_codon", "vj_in_frame", "v_frameshift", "complete_vdj", "v_germline_start", "ANARCI_status",
}  # fmt: skip
"""All that is looked at in a row."""
_TRUE, _FALSE = {"t", "true", "1"}, {"f", "false", "0"}
_LOCUS = re.compile(r"\b(IG[HKL]|TR[ABGD])[VDJ]")
_NOT_A_NUMBER = re.compile(r"(?<=: )NaN(?=[,}])")  # Python writes it, and JSON has no such word
Remark = Literal["deletions", "insertions", "cysteine", "truncated", "unusual", "long-cdr3", "other"]
_REMARKS: dict[str, Remark] = {
    "deletion": "deletions",
    "insertion": "insertions",
    "missing conserved cysteine": "cysteine",
    "shorter than imgt defined": "truncated",
    "unusual": "unusual",
    "cdr3 is over": "long-cdr3",
}
"""Words of ANARCI_status in lower case, and what they remark."""
_CHAINS = {"IGH": "heavy", "H": "heavy", "IGK": "light", "K": "light", "IGL": "light", "L": "light"}

Row = Mapping[str, str]


class RepertoireConfig(Config):
    """Which sequences of an AIRR table or a file of OAS are taken, and which letters of them.

    What a setting asks for must be in the table: a column that is missing is an error, an empty value is a no. OAS has
    no ``complete_vdj`` in some units; there ``full_length`` can be "regions" (no framework or CDR that the table has a
    column for is empty) or "any".

    ``anarci_drop``: OAS remarks in ``ANARCI_status`` what is odd about the numbered protein: deletions and insertions
    outside CDRs, a missing conserved cysteine, framework 1 or 4 that is truncated, unusual residues, a CDR3 of more
    than 37 residues; "other" is what none of these words says. A sequence with a remark that is listed is dropped, with
    any other it is kept; an empty value remarks nothing. How many have each remark is counted either way. A read whose
    primer lies in framework 1 is truncated and has deletions by it, so that whole units can go.
    """

    take: Literal["none", "alignment", "sequence"] = Field(
        default="none",
        description="none: a table is read as any table; V(D)J alone (sequence_alignment without gaps); the whole read",
    )
    chains: Literal["heavy", "light", "both"] = Field(default="both", description="which chains are taken")
    productive: bool = Field(default=True, description="only those that are said to be productive")
    full_length: Literal["complete_vdj", "regions", "any"] = Field(
        default="complete_vdj", description="only those from the first codon of V to the last of J, by which columns"
    )
    in_frame: bool = Field(
        default=True, description="only those said to have V and J in one frame (vj_in_frame; no v_frameshift)"
    )
    no_stop: bool = Field(default=True, description="only those said to have no stop codon (stop_codon)")
    min_redundancy: int = Field(default=1, ge=1, description="only those that were seen so often (Redundancy, in OAS)")
    anarci_drop: tuple[Remark, ...] = Field(
        default=(), description="only those of which ANARCI_status (in OAS) remarks none of these"
    )


class Repertoire:
    """Takes antibody sequences from one table after the other, and counts what was left out and why."""

    def __init__(self, config: RepertoireConfig) -> None:
        self.config = config
        self._remarks: dict[str, int] = {}
        checks: list[tuple[str, bool, Any]] = [
            ("chain", True, self._is_chain),
            ("productive", config.productive, _is_productive),
            ("full_length", config.full_length != "any", self._is_whole),
            ("vj_in_frame", config.in_frame, _is_in_frame),
            ("no_stop", config.no_stop, _has_no_stop),
            ("redundancy", config.min_redundancy > 1, self._is_seen),
            ("anarci", True, self._is_not_odd),
        ]
        settings: dict[str, dict[str, Any]] = {
            "chain": {"chains": config.chains},
            "full_length": {"by": config.full_length},
            "redundancy": {"min_redundancy": config.min_redundancy},
            "anarci": {"drop": list(config.anarci_drop), "remarks": self._remarks},
        }
        self._checks = [(Tally(name, **settings.get(name, {})), check) for name, wanted, check in checks if wanted]
        self._present = Tally("present", column="sequence" if config.take == "sequence" else "sequence_alignment")
        self._framed = Tally("junction_frame", shifted=0)
        self.unit: dict[str, Any] | None = None
        self._before = (0, 0)

    @property
    def seen(self) -> tuple[int, int]:
        """How many chains, and letters of them without gaps, the last table held."""
        chains, letters = self._before
        return self._present.sequences_in - chains, self._present.nucleotides_in - letters

    def records(self, path: str | Path, source: str, label: str) -> Iterator[Record]:
        """The sequences of a table that are taken, in upper case; a pair gives two, which share a word ``pair=``.

        ``unit`` is then what its first line says, None where it is a plain AIRR table. InputError with file and line:
        no table, a column that is needed and missing, a value that is neither true nor false, a letter that is none.
        """
        self._before = self._present.sequences_in, self._present.nucleotides_in
        with opened(path, label) as text:
            self.unit = unit_of(text)
            found = rows(text, delimiter_of(text.peek(), ""))
            _, names = next(found, (0, []))
            if repeated := [name for place, name in enumerate(names) if name and name in names[:place]]:
                raise InputError(f"{at(label, 1)}: the column {shown(repeated[0])} stands twice; each is needed once")
            sides = [side for side in (HEAVY, LIGHT) if f"sequence{side}" in names] or [""]
            columns = [(side, _columns(names, side)) for side in sides]
            for number, (line, fields) in enumerate(found, start=1):
                for side, places in columns:
                    own = {name: fields[place] for name, place in places}
                    record = self._record(own, _named(own, source, number, side), (line, label))
                    if record is not None:
                        yield record._replace(source=source)

    def filters(self) -> list[dict[str, Any]]:
        """The entries of the manifest, in the order in which a sequence is looked at."""
        return [tally.record() for tally in (self._present, *(tally for tally, _ in self._checks), self._framed)]

    def _record(self, row: Row, named: tuple[str, list[str]], where: tuple[int, str]) -> Record | None:
        line, label = where
        place = at(label, line)
        written = _value(row, str(self._present.settings["column"]), place).strip().upper().encode("utf-8")
        if written.translate(None, LETTERS):
            raise strange_letter(written, place)
        letters = to_dna(remove_gaps(written))
        self._present.count(len(letters), len(letters) or None)
        if not letters:
            return None
        for tally, is_good in self._checks:
            good = is_good(row, place)
            tally.count(len(letters), len(letters) if good else None)
            if not good:
                return None
        if self.config.take == "sequence" and _flag(row, "rev_comp", place):
            letters = _other_strand(letters, place)
        frame = self._frame(row, written, letters, place)
        self._framed.count(len(letters), None if frame is None else len(letters) - frame)
        if frame is None:
            return None
        name, words = named
        unit = [f"{key}={_word(str(value))}" for key, value in (self.unit or {}).items()]
        told = [f"{key}={_word(row[key])}" for key in WORDS if row.get(key)]
        return Record(name, " ".join([name, *words, *told, *unit]), letters[frame:], "", line)

    def _frame(self, row: Row, written: bytes, letters: bytes, place: str) -> int | None:
        """Letters in front of the first codon; None without a junction, or where the start of V is in another frame."""
        junction = to_dna(_value(row, "junction", place).strip().upper().encode("utf-8"))
        at_junction = letters.find(junction) if junction else -1
        if at_junction < 0:
            return None
        frame = at_junction % 3
        if self.config.take == "alignment" and frame != _frame_of_start(row, written, place):
            self._framed.settings["shifted"] += 1
            return None
        return frame

    def _is_chain(self, row: Row, place: str) -> bool:
        if self.config.chains == "both":
            return True
        locus = row.get("locus", "").strip().upper()
        if not locus and (called := _LOCUS.search(_value(row, "v_call", place).upper())):
            locus = called.group(1)
        return _CHAINS.get(locus) == self.config.chains

    def _is_whole(self, row: Row, place: str) -> bool:
        if self.config.full_length == "complete_vdj":
            return _flag(row, "complete_vdj", place, needs="repertoire.full_length = 'regions' or 'any' needs none")
        held = [region for region in REGIONS if region in row or region != "fwr4"]
        return all(_value(row, region, place).strip() for region in held)

    def _is_seen(self, row: Row, place: str) -> bool:
        return (_number(row, "Redundancy", place) or 0) >= self.config.min_redundancy

    def _is_not_odd(self, row: Row, place: str) -> bool:
        dropped = self.config.anarci_drop
        if not dropped and "ANARCI_status" not in row:
            return True
        status = _value(row, "ANARCI_status", place, needs="repertoire.anarci_drop = [] needs none")
        found = remarks(status)
        for remark in sorted(found):
            self._remarks[remark] = self._remarks.get(remark, 0) + 1
        return found.isdisjoint(dropped)


def remarks(status: str) -> set[Remark]:
    """What ``ANARCI_status`` says is odd, in either form that OAS has: between ``|``, or as a list in brackets.

    >>> sorted(remarks("|Deletions: 1, 2|||Shorter than IMGT defined: fw1|CDR3 is over 37 aa long"))
    ['deletions', 'long-cdr3', 'truncated']
    >>> sorted(remarks("['Unusual amino acid: X27', 'fw1 is shorter than IMGT defined']"))
    ['truncated', 'unusual']
    """
    said = (piece.strip(" ,").lower() for piece in re.split(r"[|\[\]'\"]+", status))
    return {next((kind for words, kind in _REMARKS.items() if words in each), "other") for each in said if each}


def _columns(names: Sequence[str], side: str) -> list[tuple[str, int]]:
    """The columns that are looked at, of one chain, by name without the chain's ending, and their places."""
    own = [(name.removesuffix(side), place) for place, name in enumerate(names) if name.endswith(side)]
    return [(name, place) for name, place in own if name in COLUMNS]


def unit_of(text: Text) -> dict[str, Any] | None:
    """What the first line of a file of OAS says about it: a JSON text in one quoted cell. None for another file."""
    first = text.peek().removeprefix(b"\xef\xbb\xbf").split(b"\n", 1)[0]
    if not first.startswith(UNIT):
        return None
    try:
        (cell,) = next(csv.reader([first.decode("utf-8")], strict=True))
        unit = from_json(_NOT_A_NUMBER.sub("null", cell))
        if not isinstance(unit, dict):
            raise ValueError
    except (ValueError, csv.Error):
        raise InputError(f"{at(text.label, 1)}: begins as a file of OAS does, but this is no JSON text") from None
    return unit


def _named(row: Row, source: str, number: int, side: str) -> tuple[str, list[str]]:
    """The id of a chain, and what is said of it besides; OAS names no sequence of an unpaired unit."""
    if not side:
        return _word(row.get("sequence_id", "")) or f"{source}-{number}", []
    return f"{source}-{number}{side.replace('_', '-')}", [f"pair={source}-{number}", f"chain={side[1:]}"]


def _other_strand(letters: bytes, place: str) -> bytes:
    try:
        return DNA_IUPAC.reverse_complement(letters)
    except InputError as error:
        raise InputError(f"{place}: {error}") from None


def _frame_of_start(row: Row, written: bytes, place: str) -> int:
    """Letters in front of the first codon of V, by where the alignment begins.

    Where it has the gaps of IMGT's numbering (``.``), leading ones stand for missing letters; else v_germline_start
    (from 1) says where in V it begins, which is its first letter where the table has no such column.
    """
    if b"." in written:
        missing = len(written) - len(written.lstrip(b".-"))
    else:
        missing = (_number(row, "v_germline_start", place) or 1) - 1 if "v_germline_start" in row else 0
    return -missing % 3


def _is_productive(row: Row, place: str) -> bool:
    return _flag(row, "productive", place, needs="repertoire.productive = false needs none")


def _is_in_frame(row: Row, place: str) -> bool:
    shifted = "v_frameshift" in row and _flag(row, "v_frameshift", place)
    return not shifted and _flag(row, "vj_in_frame", place, needs="repertoire.in_frame = false needs none")


def _has_no_stop(row: Row, place: str) -> bool:
    _value(row, "stop_codon", place, needs="repertoire.no_stop = false needs none")
    return not _flag(row, "stop_codon", place) and bool(row["stop_codon"].strip())


def _value(row: Row, name: str, place: str, needs: str = "") -> str:
    if name not in row:
        hint = f"; {needs}" if needs else "; AIRR tables and files of OAS have one"
        raise InputError(f"{place}: the table has no column {name!r} for this chain{hint}")
    return row[name]


def _flag(row: Row, name: str, place: str, needs: str = "") -> bool:
    """Whether a value is true; an empty one is not."""
    value = _value(row, name, place, needs).strip().lower()
    if value and value not in _TRUE | _FALSE:
        raise InputError(f"{place}: {name} is {shown(row[name])}; T or F, true or false, 1 or 0 is needed")
    return value in _TRUE


def _number(row: Row, name: str, place: str) -> int | None:
    """A whole number, which may be written 5.0; None where there is none."""
    value = _value(row, name, place).strip()
    if value and not re.fullmatch(r"\d{1,15}(\.0*)?", value):
        raise InputError(f"{place}: {name} is {shown(value)}; a whole number is needed")
    return int(value.partition(".")[0]) if value else None


def _word(value: str) -> str:
    return "_".join(value.split())
