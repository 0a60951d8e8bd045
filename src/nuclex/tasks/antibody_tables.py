"""Reads of antibodies with the regions that an AIRR table or a file of OAS gives them, row by row.

AIRR (doi:10.3389/fimmu.2018.02206) counts positions from 1 and includes both ends, on the strand that was aligned:
a sequence with ``rev_comp`` is turned round. Tables of OAS (doi:10.1002/pro.4205) give the letters of each region
instead; laid end to end they have to stand in the sequence once.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Literal

from nuclex.bio.alphabet import DNA_IUPAC, to_dna
from nuclex.bio.regions import CODING, FRAMEWORKS_AND_LOOPS, SEGMENTS, Spans, labels_of
from nuclex.core.errors import InputError, at, shown
from nuclex.tasks.base import Split
from nuclex.tasks.table import Table, number, split_name

Labels = Literal["regions", "segments", "helm"]
ORDERS: Mapping[Labels, tuple[str, ...]] = {"regions": FRAMEWORKS_AND_LOOPS, "segments": SEGMENTS, "helm": CODING}
_LOCUS = re.compile(r"\b(IG[HKL]|TR[ABGD])")
_TRUE = {"t", "true", "1"}

Row = Mapping[str, str]


@dataclass(frozen=True)
class Annotated:
    """A read, in upper case with T for U, and the spans of its regions; empty where the table gives none.

    ``junction`` are the letters of the CDR3 with a codon on either side ("" where nobody knows), ``frame`` how many
    letters come before its first whole codon, None where there is neither a CDR3 nor a junction.
    """

    id: str
    sequence: str
    spans: Spans
    junction: str
    frame: int | None
    locus: str | None
    split: Split | None


@dataclass(frozen=True)
class Columns:
    """Where in a table the regions are said; ``half_open`` tables count from 0 and leave the end out."""

    table: Table
    labels: Labels
    half_open: bool = False

    def reads(self) -> Iterator[Annotated]:
        """The reads, in the table's order; of a paired table of OAS two a row.

        InputError with file and line: a column is missing or twice there, a position is no whole number, a region ends
        before it starts, leads out of its sequence or has letters of another.
        """
        names = self.table.names
        if repeated := [name for place, name in enumerate(names) if name and name in names[:place]]:
            raise InputError(
                f"{at(self.table.path, 1)}: the column {shown(repeated[0])} stands twice; each is needed once"
            )
        sides = [side for side in ("_heavy", "_light") if f"sequence{side}" in names] or [""]
        for side in sides:
            self._check(side)
        for count, (line, fields) in enumerate(self.table.rows, start=1):
            whole = dict(zip(names, fields, strict=True))
            for side in sides:
                own = {name.removesuffix(side): value.strip() for name, value in whole.items() if name.endswith(side)}
                name = own.get("sequence_id") or f"row-{count}{side.replace('_', '-')}"
                yield self._read(own, name, split=whole.get("split"), where=at(self.table.path, line))

    def _check(self, side: str) -> None:
        """InputError where the table cannot say where the regions are."""
        held = {name.removesuffix(side) for name in self.table.names if name.endswith(side)}
        needed = "fwr1_start" if self.labels == "regions" else "v_sequence_start"
        letters = self.labels == "regions" and {"fwr1", "cdr3"} <= held
        if "sequence" not in held or not ({needed, needed.replace("start", "end")} <= held or letters):
            missing = "sequence" if "sequence" not in held else needed
            found = ", ".join(shown(name, 30) for name in self.table.names[:12])
            raise InputError(
                f"{at(self.table.path, 1)}: has no column {missing}{side}; found {found}; an AIRR table with the "
                "positions of its regions is needed"
            )

    def _read(self, row: Row, name: str, *, split: str | None, where: str) -> Annotated:
        sequence = _aligned_strand(row, where)
        spans = self._regions(row, sequence, where) if self.labels == "regions" else self._genes(row, sequence, where)
        try:
            labels_of(spans, len(sequence))
        except InputError as error:
            raise InputError(f"{where}: {error}") from None
        junction, frame = self._junction(row, sequence, where)
        called = _LOCUS.search((row.get("locus") or row.get("v_call", "")).upper())
        locus = called.group(1) if called else None
        chosen = None if split is None else split_name(split, where)
        return Annotated(name, sequence, spans, junction, frame, locus, chosen)

    def _regions(self, row: Row, sequence: str, where: str) -> Spans:
        if "fwr1_start" in row:
            found = {name: self._span(row, name, where) for name in FRAMEWORKS_AND_LOOPS}
            return {name: span for name, span in found.items() if span is not None}
        letters = {name: re.sub("[.-]", "", to_dna(row.get(name, "").upper())) for name in FRAMEWORKS_AND_LOOPS}
        whole = "".join(letters.values())
        if not whole or sequence.count(whole) != 1:
            return {}
        end, spans = sequence.find(whole), {}
        for name, part in letters.items():
            if part:
                spans[name] = (end, end + len(part))
                end += len(part)
        return spans

    def _genes(self, row: Row, sequence: str, where: str) -> Spans:
        """V, D and J with what lies between them; or signal peptide, V, all up to the end of J, and what is behind."""
        genes = {name: self._span(row, f"{name}_sequence", where) for name in ("v", "d", "j", "c")}
        v, d, j, c = genes["v"], genes["d"], genes["j"], genes["c"]
        if v is None or j is None:
            return {}
        if self.labels == "helm":
            found = {"sp": (0, v[0]), "v": v, "dj": (v[1], j[1]), "c": (j[1], len(sequence))}
        else:
            found = {"v": v, "np1": (v[1], (d or j)[0]), "d": d or (0, 0), "j": j, "c": c or (0, 0)}
            found |= {"np2": (d[1], j[0])} if d else {}
        return {name: found[name] for name in ORDERS[self.labels] if name in found and found[name][0] < found[name][1]}

    def _junction(self, row: Row, sequence: str, where: str) -> tuple[str, int | None]:
        """The letters of the junction, and the frame of its first codon."""
        junction = to_dna(row.get("junction", "").upper())
        start = sequence.find(junction) if junction else -1
        cdr3 = self._span(row, "cdr3", where)
        if cdr3 is None:
            return junction, start % 3 if start >= 0 else None
        return junction or sequence[max(cdr3[0] - 3, 0) : cdr3[1] + 3], cdr3[0] % 3

    def _span(self, row: Row, name: str, where: str) -> tuple[int, int] | None:
        """What a row says about a region, 0-based and half-open; None for nothing, and for no letters."""
        found = [_position(row.get(f"{name}_{side}", ""), f"{name}_{side}", where) for side in ("start", "end")]
        start, end = found
        if start is None and end is None:
            return None
        if start is None or end is None:
            raise InputError(f"{where}: {name} has a start or an end alone; both are needed, or none")
        start -= not self.half_open
        if not 0 <= start <= end:
            raise InputError(
                f"{where}: {name} is from {row[f'{name}_start']} to {row[f'{name}_end']}; positions are counted from "
                f"{int(not self.half_open)}, and a region does not end before it starts"
            )
        return (start, end) if start < end else None


def _aligned_strand(row: Row, where: str) -> str:
    """The sequence in upper case with T for U, turned round where ``rev_comp`` says so."""
    sequence = to_dna(row["sequence"].upper())
    if row.get("rev_comp", "").lower() not in _TRUE:
        return sequence
    try:
        return DNA_IUPAC.reverse_complement(sequence)
    except InputError as error:
        raise InputError(f"{where}: {error}") from None


def _position(text: str, name: str, where: str) -> int | None:
    if not text:
        return None
    value = number(text, where, name)
    if value != int(value):
        raise InputError(f"{where}: the {name} is {shown(text)}; a whole number is needed")
    return int(value)
