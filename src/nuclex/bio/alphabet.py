"""The letters that sequences are written in, and what each letter stands for.

The letters for incompletely known bases are those of the Nomenclature Committee of the IUB (1985),
doi:10.1093/nar/13.9.3021; those of amino acids are of IUPAC-IUB (1984), doi:10.1111/j.1432-1033.1984.tb07877.x.
Everything is a look-up in a table of 256 bytes, so a sequence is never walked letter by letter.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TypeAlias, TypeVar

import numpy as np
from numpy.typing import NDArray

from nuclex.core.errors import InputError

Codes: TypeAlias = NDArray[np.uint8]
SequenceLike: TypeAlias = "str | bytes | Codes"
Text = TypeVar("Text", str, bytes)

_UNKNOWN = 255


@dataclass(frozen=True)
class Alphabet:
    """An ordered set of letters; the code of a letter is its place in the order, from 0.

    ``meanings`` lists the letters that stand for other letters (``("R", "AG")``) or for nothing (``("-", "")``);
    all others are plain and stand for themselves. ``partners`` gives, in the order of the plain letters, the letter
    each one pairs with; it is empty for letters that do not pair, such as amino acids.

    Letters are upper case as written; lower case is accepted only where ``ignore_case`` is given. Positions in
    messages are 0-based.

    >>> DNA.encode("GATTACA")
    array([2, 0, 3, 3, 0, 1, 0], dtype=uint8)
    >>> DNA_IUPAC.reverse_complement(b"ACRn")
    b'nYGT'
    """

    name: str
    symbols: str
    meanings: tuple[tuple[str, str], ...] = ()
    partners: str = ""

    def __post_init__(self) -> None:
        if not self.symbols.isascii() or len(set(self.symbols)) != len(self.symbols) or not self.symbols:
            raise InputError(
                f"alphabet {self.name!r}: symbols are {self.symbols!r}; they must be distinct ASCII letters"
            )
        strange = {symbol for symbol, _ in self.meanings} - set(self.symbols)
        strange |= {letter for _, letters in self.meanings for letter in letters} - set(self.plain)
        strange |= set(self.partners) - set(self.plain)
        if strange:
            raise InputError(f"alphabet {self.name!r}: {min(strange)!r} is given a role but is not one of its letters")
        if self.partners and len(self.partners) != len(self.plain):
            raise InputError(
                f"alphabet {self.name!r}: partners are {self.partners!r}, one is needed for each plain letter"
            )

    def __len__(self) -> int:
        return len(self.symbols)

    @property
    def plain(self) -> str:
        """The letters that stand for themselves, in order."""
        others = {symbol for symbol, _ in self.meanings}
        return "".join(symbol for symbol in self.symbols if symbol not in others)

    @property
    def ambiguous(self) -> bytes:
        """The letters that stand for more than one plain letter, such as N; the gap and inosine are not among them."""
        return "".join(symbol for symbol, letters in self.meanings if len(letters) > 1).encode("ascii")

    def expand(self, symbol: str) -> frozenset[str]:
        """The plain letters that a letter can stand for: R is A or G, A is A, the gap is nothing.

        >>> sorted(DNA_IUPAC.expand("R"))
        ['A', 'G']
        """
        if len(symbol) != 1 or symbol not in self.symbols:
            raise InputError(f"{self.name}: {symbol!r} is not one of {self.symbols}")
        return frozenset(dict(self.meanings).get(symbol, symbol))

    def encode(self, sequence: SequenceLike, *, ignore_case: bool = False) -> Codes:
        """Turn letters into codes: (L,) uint8. An unknown letter is an InputError that names it and its position."""
        codes_L = self._table(ignore_case)[_byte_array(sequence)]
        if codes_L.size and codes_L.max() == _UNKNOWN:
            raise self._unknown(sequence, int(np.argmax(codes_L == _UNKNOWN)))
        return codes_L

    def decode(self, codes: NDArray[np.integer]) -> bytes:
        """Turn codes (L,) back into letters; the inverse of ``encode``."""
        codes_L = np.asarray(codes)
        if codes_L.size == 0:
            return b""
        if codes_L.dtype.kind not in "iu" or codes_L.ndim != 1:
            raise InputError(
                f"{self.name}: codes are {codes_L.dtype} of shape {codes_L.shape}; whole numbers (L,) are needed"
            )
        wrong_L = (codes_L < 0) | (codes_L >= len(self))
        if wrong_L.any():
            position = int(np.argmax(wrong_L))
            raise InputError(
                f"{self.name}: code {codes_L[position]} at position {position} is not in 0..{len(self) - 1}"
            )
        letters_V = np.frombuffer(self.symbols.encode("ascii"), dtype=np.uint8)
        return letters_V[codes_L].tobytes()

    def first_invalid(self, sequence: SequenceLike, *, ignore_case: bool = False) -> int | None:
        """Position of the first letter that does not belong to the alphabet, or None."""
        wrong_L = self._table(ignore_case)[_byte_array(sequence)] == _UNKNOWN
        return int(np.argmax(wrong_L)) if wrong_L.any() else None

    def is_valid(self, sequence: SequenceLike, *, ignore_case: bool = False) -> bool:
        """Whether every letter belongs to the alphabet."""
        return self.first_invalid(sequence, ignore_case=ignore_case) is None

    def counts(self, sequence: SequenceLike, *, ignore_case: bool = False) -> dict[str, int]:
        """How often each letter of the alphabet occurs, zeros included, in the order of the alphabet.

        >>> DNA.counts("GATTACA")
        {'A': 3, 'C': 1, 'G': 1, 'T': 2}
        """
        counts_V = np.bincount(self.encode(sequence, ignore_case=ignore_case), minlength=len(self))
        return dict(zip(self.symbols, counts_V.tolist(), strict=True))

    def ambiguous_mask(self, sequence: SequenceLike) -> NDArray[np.bool_]:
        """Which positions hold a letter (of either case) that stands for more than one plain letter: (L,) bool."""
        mask_256 = np.zeros(256, dtype=np.bool_)
        mask_256[list(self.ambiguous + self.ambiguous.lower())] = True
        return mask_256[_byte_array(sequence)]

    def complement(self, sequence: Text) -> Text:
        """The letters that pair with these, in the same order; upper and lower case are kept.

        A letter for several bases becomes the letter for all their partners (R, A or G, becomes Y, T or C); the gap
        stays. Inosine (I) becomes C, with which it pairs most stably and as which it is copied; C becomes G as always,
        so complementing twice gives the sequence back for every letter but I, which becomes G.
        """
        position = self.first_invalid(sequence, ignore_case=True)
        if position is not None:
            raise self._unknown(sequence, position)
        letters = sequence.encode("ascii") if isinstance(sequence, str) else sequence
        answer = letters.translate(self._complement_table)
        return answer.decode("ascii") if isinstance(sequence, str) else answer

    def reverse_complement(self, sequence: Text) -> Text:
        """The opposite strand, read 5' to 3'; see ``complement``."""
        return self.complement(sequence)[::-1]

    @cached_property
    def _exact_table(self) -> Codes:
        table = np.full(256, _UNKNOWN, dtype=np.uint8)
        table[list(self.symbols.encode("ascii"))] = np.arange(len(self), dtype=np.uint8)
        table.setflags(write=False)
        return table

    @cached_property
    def _folded_table(self) -> Codes:
        table = self._exact_table.copy()
        for code, symbol in enumerate(self.symbols):
            for either in (symbol.lower(), symbol.upper()):
                if table[ord(either)] == _UNKNOWN:
                    table[ord(either)] = code
        table.setflags(write=False)
        return table

    def _table(self, ignore_case: bool) -> Codes:
        return self._folded_table if ignore_case else self._exact_table

    @cached_property
    def _complement_table(self) -> bytes:
        if not self.partners:
            raise InputError(f"{self.name}: its letters do not pair, so there is no complement")
        partner = dict(zip(self.plain, self.partners, strict=True))
        by_meaning: dict[frozenset[str], str] = {}
        for symbol in self.symbols:  # the first letter wins: {G} is G, not the I that is read as G
            by_meaning.setdefault(self.expand(symbol), symbol)
        answers = "".join(by_meaning[frozenset(partner[letter] for letter in self.expand(s))] for s in self.symbols)
        both_cases = self.symbols + self.symbols.lower()
        return bytes.maketrans(both_cases.encode("ascii"), (answers + answers.lower()).encode("ascii"))

    def _unknown(self, sequence: SequenceLike, position: int) -> InputError:
        letter = sequence[position] if isinstance(sequence, str) else chr(sequence[position])
        hint = " (lower case is not accepted here)" if letter.upper() in self.symbols else ""
        return InputError(f"{self.name}: letter {letter!r} at position {position} is not one of {self.symbols}{hint}")


def to_dna(sequence: Text) -> Text:
    """Write a sequence with T in place of U, in either case; other letters stay.

    >>> to_dna("GAuUACA")
    'GAtTACA'
    """
    if isinstance(sequence, str):
        return sequence.replace("U", "T").replace("u", "t")
    return sequence.translate(_TO_DNA)


def to_rna(sequence: Text) -> Text:
    """Write a sequence with U in place of T, in either case; other letters stay."""
    if isinstance(sequence, str):
        return sequence.replace("T", "U").replace("t", "u")
    return sequence.translate(_TO_RNA)


def _byte_array(sequence: SequenceLike) -> Codes:
    if isinstance(sequence, np.ndarray):
        if sequence.dtype != np.uint8 or sequence.ndim != 1:
            raise InputError(f"a sequence given as an array must be (L,) uint8, not {sequence.shape} {sequence.dtype}")
        return sequence
    if isinstance(sequence, str):
        if not sequence.isascii():  # one number a letter, so that positions stay right; 255 is in no alphabet
            points_L = np.frombuffer(sequence.encode("utf-32-le", "surrogatepass"), dtype=np.uint32)
            return np.where(points_L < 128, points_L, _UNKNOWN).astype(np.uint8)
        sequence = sequence.encode("ascii")
    return np.frombuffer(sequence, dtype=np.uint8)


_TO_DNA = bytes.maketrans(b"Uu", b"Tt")
_TO_RNA = bytes.maketrans(b"Tt", b"Uu")

_SEVERAL_BASES = (
    ("R", "AG"), ("Y", "CT"), ("K", "GT"), ("M", "AC"), ("S", "CG"), ("W", "AT"),
    ("B", "CGT"), ("D", "AGT"), ("H", "ACT"), ("V", "ACG"), ("N", "ACGT"),
)  # fmt: skip
# Inosine is adenosine with its amine gone; ribosomes and reverse transcriptases read it as G.
_NO_BASE_AND_INOSINE = (("-", ""), ("I", "G"))

DNA = Alphabet("DNA", "ACGT", partners="TGCA")
RNA = Alphabet("RNA", "ACGU", partners="UGCA")
DNA_IUPAC = Alphabet("DNA with IUPAC letters", "ACGTRYKMSWBDHVN-I", _SEVERAL_BASES + _NO_BASE_AND_INOSINE, "TGCA")
RNA_IUPAC = Alphabet(
    "RNA with IUPAC letters",
    "ACGURYKMSWBDHVN-I",
    tuple((symbol, to_rna(bases)) for symbol, bases in _SEVERAL_BASES) + _NO_BASE_AND_INOSINE,
    "UGCA",
)

_TWENTY = "ACDEFGHIKLMNPQRSTVWY"

AMINO_ACIDS = Alphabet("amino acids", _TWENTY)
# U (selenocysteine), O (pyrrolysine) and * (stop) stand for themselves.
AMINO_ACIDS_IUPAC = Alphabet(
    "amino acids with IUPAC letters",
    _TWENTY + "BZJXUO*-",
    (("B", "DN"), ("Z", "EQ"), ("J", "IL"), ("X", _TWENTY), ("-", "")),
)
