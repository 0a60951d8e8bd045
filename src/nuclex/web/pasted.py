"""Sequences as people paste them: FASTA or bare letters, checked letter by letter before a model hears of them."""

from __future__ import annotations

import re
from dataclasses import dataclass

from nuclex.bio.alphabet import to_dna, to_rna
from nuclex.core.errors import InputError, shown
from nuclex.data.record import CONTROL
from nuclex.inference.reading import Named
from nuclex.web.settings import ServeConfig

LETTERS = "ACGTUIRYKMSWBDHVN-"
ALLOWED = "A C G T U, the IUPAC letters R Y K M S W B D H V N, I and - are allowed"
LONGEST_NAME = 200
_FOREIGN = re.compile(f"[^{LETTERS}{LETTERS.lower()}]")
_BLANKS = re.compile(r"[ \t\r]+")


@dataclass(frozen=True)
class Pasted:
    """Some sequences in upper case, all written with U or all with T, and what stood behind their names."""

    names: tuple[str, ...]
    descriptions: tuple[str, ...]
    letters: tuple[str, ...]
    rna: bool

    def __len__(self) -> int:
        return len(self.names)

    def spelled(self, text: str) -> str:
        """A text of DNA letters in the spelling of the sequences."""
        return to_rna(text) if self.rna else text

    def named(self) -> list[Named]:
        """The same as verbs take them; a message names record and name."""
        rows = zip(self.names, self.letters, strict=True)
        return [Named(name, text.encode(), place(number, name)) for number, (name, text) in enumerate(rows, start=1)]

    def pairs(self) -> list[tuple[str, bytes]]:
        """Names and sequences."""
        return [(name, text.encode()) for name, text in zip(self.names, self.letters, strict=True)]

    def only(self, index: int) -> Pasted:
        """One of them (0-based); InputError where there is none of that number."""
        if not 0 <= index < len(self):
            raise InputError(f"sequence: found {index}; {len(self)} were given, so 0 to {len(self) - 1} is allowed")
        some = slice(index, index + 1)
        return Pasted(self.names[some], self.descriptions[some], self.letters[some], self.rna)


def place(number: int, name: str) -> str:
    """Where a sequence stands, for messages; records are counted from 1."""
    return f"record {number} ({shown(name, 40)})"


def read_pasted(text: str, config: ServeConfig, *, dna: bool) -> Pasted:
    """The sequences of a pasted text: FASTA, or one sequence of bare letters, whose name is "pasted".

    They are written with U where any of them has one, else with T where any has one, else as ``dna`` says. InputError
    names record and letter, counted from 1: no sequence, a letter that is none, and what goes beyond a limit.
    """
    names, descriptions, rows = list[str](), list[str](), list[list[str]]()
    for line in text.split("\n"):
        if line.startswith(">"):
            header = line[1:].strip()
            _check_header(header, len(names) + 1)
            names.append(header.split(None, 1)[0])
            descriptions.append(header)
            rows.append([])
            if len(names) > config.sequences:
                raise InputError(f"sequences: more than {config.sequences} were given, which is the limit here")
        elif row := _BLANKS.sub("", line):
            if not rows:
                names, descriptions, rows = ["pasted"], ["pasted"], [[]]
            rows[-1].append(row)
    if not rows:
        raise InputError("fasta: holds no sequence; give FASTA, or the letters of one sequence")
    letters = ["".join(row) for row in rows]
    for number, (name, sequence) in enumerate(zip(names, letters, strict=True), start=1):
        _check_letters(sequence, place(number, name), config)
    if (found := sum(map(len, letters))) > config.letters_together:
        raise InputError(f"sequences: have {found} letters together; at most {config.letters_together} are taken here")
    upper = [sequence.upper() for sequence in letters]
    rna = any("U" in sequence for sequence in upper) or not (dna or any("T" in sequence for sequence in upper))
    return Pasted(tuple(names), tuple(descriptions), tuple(map(to_rna if rna else to_dna, upper)), rna)


def _check_header(header: str, number: int) -> None:
    if not header:
        raise InputError(f"record {number}: has no name; '>' is followed by at least one word")
    if strange := CONTROL.search(header):
        raise InputError(f"record {number}: the header holds the control character {strange.group()!r}")
    if not header.isprintable() and any("\ud800" <= letter <= "\udfff" for letter in header):
        raise InputError(f"record {number}: the header holds half a character (a lone surrogate), which is no text")
    if len(header) > LONGEST_NAME:
        raise InputError(f"record {number}: the header has {len(header)} letters; at most {LONGEST_NAME} are taken")


def _check_letters(sequence: str, where: str, config: ServeConfig) -> None:
    if not sequence:
        raise InputError(f"{where}: has no sequence; every header needs one below it")
    if foreign := _FOREIGN.search(sequence):
        raise InputError(f"{where}, letter {foreign.start() + 1}: found {shown(foreign.group())}; {ALLOWED}")
    if len(sequence) > config.letters:
        raise InputError(f"{where}: has {len(sequence)} letters; at most {config.letters} are taken here")
