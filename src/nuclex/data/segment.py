"""Chromosomes into pieces that a model can read: cut where the letters are unknown, then to random lengths.

The rule is TinyDNABERT's (https://github.com/ForestsKing/TinyDNABERT): runs of N part a sequence and are left out;
what is between them is cut, from its start, into pieces of a random length; what is left at its end and too short is
left out. Here the lengths follow from the seed, the contig's id and the place, so that the same contig is always cut
alike.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from typing import Any, Literal, Self

import numpy as np
from numpy.typing import NDArray
from pydantic import Field, model_validator

from nuclex.core.config import Config
from nuclex.core.randomness import key, uniform
from nuclex.data.read import Record

_UNKNOWN = re.compile(rb"[Nn]+")


class SegmentConfig(Config):
    """Whether and how long sequences are cut into pieces. The lengths are those of TinyDNABERT."""

    method: Literal["none", "random"] = Field(
        default="none", description="leave sequences whole; or cut them into pieces of random length, as for genomes"
    )
    shortest: int = Field(default=256, ge=1, description="shortest piece, in nucleotides; a shorter end is left out")
    longest: int = Field(default=1024, ge=1, description="longest piece, in nucleotides; each length is as likely")
    gap: int = Field(
        default=1, ge=1, description="shortest run of N that parts a sequence; shorter ones stay in pieces"
    )

    @model_validator(mode="after")
    def _ordered(self) -> Self:
        if self.longest < self.shortest:
            raise ValueError(f"longest {self.longest} is below shortest {self.shortest}")
        return self


class Segmenter:
    """Cuts records into pieces and counts what was left out."""

    def __init__(self, config: SegmentConfig, seed: int) -> None:
        self.config, self.seed = config, seed
        self._records = self._emptied = self._pieces = 0
        self._letters = self._letters_in_gaps = self._letters_out = 0

    def cut(self, records: Iterable[Record]) -> Iterator[Record]:
        """The pieces of each record, in order; each has the id ``contig:start-end`` (0-based, half-open).

        Its description is that id and then the description of the whole.
        """
        for record in records:
            before = self._pieces
            stream = key(self.seed, "segment", record.id)
            self._records += 1
            self._letters += len(record.sequence)
            for start, stop in self._between_gaps(record.sequence):
                ends = cuts(stop - start, self.config, stream, start)
                for first, last in zip([0, *ends], ends, strict=False):
                    yield self._piece(record, start + first, start + last)
            self._emptied += self._pieces == before

    def record(self) -> dict[str, Any]:
        """The entry of the manifest: here more come out than went in; ``removed`` counts those that gave no piece."""
        config = self.config
        return {
            "name": "segments",
            "in": self._records,
            "out": self._pieces,
            "removed": self._emptied,
            "nucleotides_in": self._letters,
            "nucleotides_out": self._letters_out,
            "gap_letters": self._letters_in_gaps,
            "end_letters": self._letters - self._letters_in_gaps - self._letters_out,
            "shortest": config.shortest,
            "longest": config.longest,
            "gap": config.gap,
        }

    def _between_gaps(self, sequence: bytes) -> Iterator[tuple[int, int]]:
        start = place = 0
        while (place := self._next_unknown(sequence, place)) >= 0:
            end = _UNKNOWN.match(sequence, place).end()  # type: ignore[union-attr]
            if end - place >= self.config.gap:
                self._letters_in_gaps += end - place
                if place > start:
                    yield start, place
                start = end
            place = end
        if len(sequence) > start:
            yield start, len(sequence)

    @staticmethod
    def _next_unknown(sequence: bytes, place: int) -> int:
        """The next N or n from a place on, or -1; a search for a byte is ten times faster than one for a pattern."""
        upper = sequence.find(b"N", place)
        lower = sequence.find(b"n", place, upper if upper >= 0 else len(sequence))
        return lower if lower >= 0 else upper

    def _piece(self, record: Record, start: int, end: int) -> Record:
        name = f"{record.id}:{start}-{end}"
        self._pieces += 1
        self._letters_out += end - start
        return Record(name, f"{name} {record.description}", record.sequence[start:end], record.source, record.line)


def contig_of(piece: str) -> str:
    """The contig that a piece was cut from, out of its id.

    >>> contig_of("chrIII:512-1024")
    'chrIII'
    """
    return piece.rpartition(":")[0]


def interval_of(piece: str) -> tuple[int, int]:
    """Where in its contig a piece starts and ends, out of its id.

    >>> interval_of("chrIII:512-1024")
    (512, 1024)
    """
    start, _, end = piece.rpartition(":")[2].partition("-")
    return int(start), int(end)


def cuts(length: int, config: SegmentConfig, stream: int, place: int = 0) -> list[int]:
    """Where the pieces of a stretch of ``length`` letters end; each starts where the one before ended.

    Lengths are uniform on [shortest, longest], or up to what is left where that is less.
    """
    if length < config.shortest:
        return []
    draws = uniform(stream, place, np.arange(length // config.shortest))
    ends = _full_length_ends(length, config, draws)
    end = ends[-1] if ends else 0
    while length - end >= config.shortest:
        span = min(config.longest, length - end) - config.shortest + 1
        end += config.shortest + int(draws[len(ends)] * span)
        ends.append(end)
    return ends


def _full_length_ends(length: int, config: SegmentConfig, draws: NDArray[np.float64]) -> list[int]:
    """The ends of those pieces that could have been of any length, all at once: a chromosome has many."""
    lengths = config.shortest + np.floor(draws * (config.longest - config.shortest + 1)).astype(np.int64)
    ends = np.cumsum(lengths)
    free = int(np.searchsorted(ends - lengths, length - config.longest, side="right"))
    return ends[:free].tolist()
