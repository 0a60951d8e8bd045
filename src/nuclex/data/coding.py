"""Coding sequences in frame: what becomes of one that does not start, end or divide as a coding sequence should.

What is kept is stored from its first codon on, so a corpus of coding sequences is in frame 0 throughout. Each defect is
looked for, counted and dealt with on its own, in this order: letters behind the last whole codon, the start, stops
inside, the final stop. The last whole codon is a codon like any other.
"""

from __future__ import annotations

import re
from typing import Any, Literal

from pydantic import Field, field_validator, model_validator

from nuclex.bio.alphabet import to_dna
from nuclex.bio.genetic_code import CODONS, GeneticCode
from nuclex.core.config import Config
from nuclex.core.errors import InputError, at
from nuclex.data.record import Record
from nuclex.data.split import one_group
from nuclex.data.tally import Tally

Policy = Literal["keep", "trim", "drop", "error"]
_READABLE = bytes.maketrans(b"Ii", b"NN")  # inosine is no letter of an mRNA; it leaves its codon open


class CodingConfig(Config):
    """Whether sequences are coding sequences, in which frame, and what becomes of those that are odd.

    Each policy is "keep" (as it is), "trim" (cut what is too much), "drop" (leave the sequence out) or "error" (refuse
    the file). Trimming cuts letters behind the last whole codon; what is in front of the first start codon; what is
    behind the first stop codon; what is behind the last one where none is at the end. Where there is no start or stop
    to trim to, the sequence is left out. Codons that are a stop in one place and an amino acid in another (the genetic
    codes 27, 28 and 31) are a final stop, but none inside.
    """

    frame: Literal["none", "record", 0, 1, 2] = Field(
        default="none",
        description="none: not coding sequences; letters in front of the first codon (0, 1 or 2), which are left out; "
        "record: as the header of each says",
    )
    frame_pattern: str = Field(
        default=r"\bframe=([012])(?:\.0+)?(?![\d.])",
        description="with frame = record: regular expression whose one group is the frame in a header",
    )
    remainder: Policy = Field(default="drop", description="one or two letters behind the last whole codon")
    start: Policy = Field(default="drop", description="the first codon is no start codon")
    start_codons: tuple[str, ...] = Field(
        default=(), description="the start codons; by default those of the genetic code (ATG, CTG and TTG in code 1)"
    )
    internal_stop: Policy = Field(default="drop", description="a stop codon in front of the last codon")
    final_stop: Policy = Field(default="drop", description="the last codon is no stop codon")

    @field_validator("frame_pattern")
    @classmethod
    def _one_group(cls, pattern: str) -> str:
        return one_group(pattern)

    @model_validator(mode="after")
    def _are_codons(self) -> CodingConfig:
        strange = [codon for codon in self.start_codons if to_dna(codon.upper()) not in CODONS]
        if strange:
            raise ValueError(f"start_codons: {strange[0]!r} is no codon; three of A, C, G and T or U are needed")
        return self


class CodingReader:
    """Brings coding sequences into frame and counts what was odd about them; ``table`` is the NCBI's number."""

    def __init__(self, config: CodingConfig, table: int) -> None:
        self.config, self.code = config, GeneticCode.ncbi(table)
        given = tuple(to_dna(codon.upper()) for codon in config.start_codons)
        self.starts = frozenset(given or self.code.start_codons)
        self._frame = Tally("frame", frame=config.frame, found=0)
        self._defects = [
            (Tally("remainder", policy=config.remainder, found=0), _remainder),
            (Tally("start", policy=config.start, start_codons=sorted(self.starts), found=0), self._start),
            (Tally("internal_stop", policy=config.internal_stop, genetic_code=table, found=0), self._internal_stop),
            (Tally("final_stop", policy=config.final_stop, genetic_code=table, found=0), self._final_stop),
        ]
        self._pattern = re.compile(config.frame_pattern)

    def read(self, sequence: bytes, record: Record, path: str) -> bytes | None:
        """A sequence (upper case, no gaps) from its first codon on, or None where it is left out.

        InputError with file and line for a defect whose policy is "error", and for a record that names no frame.
        """
        frame = self._frame_of(record, path)
        self._frame.settings["found"] += frame > 0
        self._frame.count(len(sequence), max(0, len(sequence) - frame))
        sequence = sequence[frame:]
        for tally, look in self._defects:
            is_odd, trimmed = look(sequence)
            kept: bytes | None = sequence
            if is_odd:
                tally.settings["found"] += 1
                kept = _dealt_with(tally, sequence, trimmed, (record, path))
            tally.count(len(sequence), None if kept is None else len(kept))
            if kept is None:
                return None
            sequence = kept
        return sequence

    def filters(self) -> list[dict[str, Any]]:
        """What was cut and left out, for the manifest; ``found`` is how many sequences had the defect."""
        return [tally.record() for tally in (self._frame, *(tally for tally, _ in self._defects))]

    def _frame_of(self, record: Record, path: str) -> int:
        if isinstance(self.config.frame, int):
            return self.config.frame
        found = self._pattern.search(record.description)
        if found is None or found.group(1) not in ("0", "1", "2"):
            raise InputError(
                f"{at(path, record.line)}: {record.id!r} names no frame; coding.frame = 'record' needs "
                f"{self.config.frame_pattern!r}, 0, 1 or 2, in every header (coding.frame_pattern)"
            )
        return int(found.group(1))

    def _start(self, sequence: bytes) -> tuple[bool, bytes | None]:
        dna = to_dna(sequence).decode("ascii")
        if dna[:3] in self.starts:
            return False, None
        first = next((place for place in range(3, len(dna) - 2, 3) if dna[place : place + 3] in self.starts), None)
        return True, None if first is None else sequence[first:]

    def _internal_stop(self, sequence: bytes) -> tuple[bool, bytes | None]:
        protein = self._protein(sequence)
        first = protein.find("*")
        return 0 <= first < len(protein) - 1, sequence[: 3 * first + 3]

    def _final_stop(self, sequence: bytes) -> tuple[bool, bytes | None]:
        whole = len(sequence) // 3 * 3
        last = to_dna(sequence[max(0, whole - 3) : whole]).decode("ascii")
        protein = self._protein(sequence)
        if last in self.code.stop_codons or protein.endswith("*"):
            return False, None
        return True, sequence[: 3 * protein.rfind("*") + 3] if "*" in protein else None

    def _protein(self, sequence: bytes) -> str:
        return self.code.translate(sequence[: len(sequence) // 3 * 3].translate(_READABLE))


def _dealt_with(tally: Tally, sequence: bytes, trimmed: bytes | None, where: tuple[Record, str]) -> bytes | None:
    """What a policy leaves of a sequence with a defect; InputError where it says so."""
    if tally.settings["policy"] == "error":
        record, path = where
        raise InputError(
            f"{at(path, record.line)}: {record.id!r} {_says(tally.name, sequence)}; "
            f"coding.{tally.name} = 'keep', 'trim' or 'drop' would let it pass"
        )
    return {"keep": sequence, "trim": trimmed, "drop": None}[tally.settings["policy"]]


def _remainder(sequence: bytes) -> tuple[bool, bytes | None]:
    left = len(sequence) % 3
    return left > 0, sequence[: len(sequence) - left]


def _says(name: str, sequence: bytes) -> str:
    """What is odd about a sequence, for a message."""
    codon = sequence[:3].decode("ascii")
    last = sequence[max(0, len(sequence) // 3 * 3 - 3) :][:3].decode("ascii")
    return {
        "remainder": f"has {len(sequence) % 3} letters behind its last whole codon ({len(sequence)} in all)",
        "start": f"begins with {codon!r}, which is no start codon",
        "internal_stop": "has a stop codon in front of its last codon",
        "final_stop": f"ends with {last!r}, which is no stop codon",
    }[name]
