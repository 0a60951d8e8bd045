"""In which characters a sequence is written before tokens are looked for in it: one a nucleotide, or one a codon.

A codon is its amino acid, or, so that it can be read back, a character of its own: the 64 Braille patterns of six dots,
in alphabetical order of the codons. No nucleotide and no name of a special token has them in it.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from itertools import product
from typing import Literal, final

import numpy as np
from numpy.typing import NDArray

from nuclex.bio.alphabet import AMINO_ACIDS, DNA, DNA_IUPAC, to_rna
from nuclex.bio.genetic_code import GeneticCode
from nuclex.tokenizers.exported import Part, joined, letter_rules, pattern_rule, text_rule
from nuclex.tokenizers.reading import ascii_bytes, refuse_unknown
from nuclex.tokenizers.triplets import PLACEHOLDER, Triplets

Reads = Literal["nucleotides", "codons", "amino-acids"]
LETTERS = DNA.symbols + DNA_IUPAC.ambiguous.decode("ascii")
CODON_SIGNS = "".join(chr(0x2800 + number) for number in range(64))
STOP = "*"
RESIDUES = "".join(sorted(AMINO_ACIDS.symbols + STOP))
"""The 20 amino acids and the stop, ``*``, which comes first."""
_UNKNOWN = 255


class Script(ABC):
    """How a sequence is written; ``letters`` are all characters that are known, ``plain`` those of longer tokens."""

    @property
    @abstractmethod
    def letters(self) -> str:
        """The characters that every vocabulary has as tokens."""

    @property
    @abstractmethod
    def plain(self) -> str:
        """Those of them that longer tokens are made of, in the order of their codes from 1."""

    @abstractmethod
    def write(self, sequence: str | bytes) -> str:
        """The sequence in this script; what is unknown is no known character. InputError where too much is unknown."""

    @abstractmethod
    def codes(self, sequence: str | bytes) -> bytes:
        """The same as one byte a character: plain ones from 1 in their order, all others 0 or 255."""

    @abstractmethod
    def spans(self, offsets_L2: NDArray[np.int64], sequence: str | bytes) -> NDArray[np.int64]:
        """The nucleotides (starts and ends) behind stretches of what was written of a sequence: (L, 2)."""

    @abstractmethod
    def spell(self, token: str) -> str:
        """A token in nucleotides, where they can be told, else as it is."""

    @abstractmethod
    def rules(self) -> list[Part]:
        """The rules of a ``tokenizer.json`` that write a sequence in this script."""

    @abstractmethod
    def decoder(self) -> Part | None:
        """The part of a ``tokenizer.json`` that writes tokens in nucleotides; None where they are that already."""


@final
class NucleotideScript(Script):
    """Every nucleotide is itself, in one case, with T or with U as ``fold`` (256 bytes) says."""

    def __init__(self, fold: bytes, max_unknown_share: float, *, rna: bool) -> None:
        self._fold, self._share = fold, max_unknown_share
        self._letters, self._plain = (to_rna(LETTERS), to_rna(DNA.symbols)) if rna else (LETTERS, DNA.symbols)
        codes = bytearray([_UNKNOWN] * 256)
        for letter in self._letters:
            codes[ord(letter)] = 1 + self._plain.find(letter)
        self._codes = fold.translate(bytes(codes))

    @property
    def letters(self) -> str:
        """The 15 IUPAC letters."""
        return self._letters

    @property
    def plain(self) -> str:
        """A, C, G and T or U."""
        return self._plain

    def write(self, sequence: str | bytes) -> str:
        """The sequence in the tokenizer's letters; unknown ones stay as they are."""
        self.codes(sequence)
        return ascii_bytes(sequence).translate(self._fold).decode("ascii")

    def codes(self, sequence: str | bytes) -> bytes:
        """1 to 4 for the plain letters, 0 for other known ones, 255 for unknown ones."""
        letters = ascii_bytes(sequence)
        codes = letters.translate(self._codes)
        unknown = codes.count(_UNKNOWN)
        if unknown:
            first = codes.index(_UNKNOWN)
            refuse_unknown(unknown, len(letters), self._share, (first, chr(letters[first])), self._letters)
        return codes

    def spans(self, offsets_L2: NDArray[np.int64], sequence: str | bytes) -> NDArray[np.int64]:
        """The same stretches: a character is a nucleotide."""
        return offsets_L2

    def spell(self, token: str) -> str:
        """The token itself."""
        return token

    def rules(self) -> list[Part]:
        """One rule for each letter that is read as another."""
        return letter_rules(self._fold, self._letters)

    def decoder(self) -> Part | None:
        """None is needed."""
        return None


@final
class CodonScript(Script):
    """Every codon is one character: its amino acid under a genetic code, or (``code`` None) a sign of its own.

    ``triplets`` read codons in the alphabetical order of their letters. Unknown codons are written ``?``.
    """

    def __init__(self, triplets: Triplets, code: GeneticCode | None, max_unknown_share: float) -> None:
        self._triplets, self._share, self._code = triplets, max_unknown_share, code
        self._signs = CODON_SIGNS if code is None else code.amino_acids
        self._codons = ["".join(three) for three in product(triplets.letters, repeat=3)]
        self._points = np.array([ord(sign) for sign in (*self._signs, PLACEHOLDER)], dtype="<u2")
        self._codes = np.array([*(1 + self.plain.index(sign) for sign in self._signs), 0], dtype=np.uint8)
        self._spelled = str.maketrans(dict(zip(CODON_SIGNS, self._codons, strict=True)))

    @property
    def letters(self) -> str:
        """The 64 signs, or the 20 amino acids and the stop."""
        return CODON_SIGNS if self._code is None else RESIDUES

    @property
    def plain(self) -> str:
        """The same: longer tokens hold any of them."""
        return self.letters

    def write(self, sequence: str | bytes) -> str:
        """One character for each codon of the frame; InputError also for a remainder that is refused."""
        codes_L, one_more = self._triplets.read(ascii_bytes(sequence), self._share)
        return self._points[codes_L].tobytes().decode("utf-16-le") + PLACEHOLDER * one_more

    def codes(self, sequence: str | bytes) -> bytes:
        """A number from 1 for each known codon, 0 for unknown ones."""
        codes_L, one_more = self._triplets.read(ascii_bytes(sequence), self._share)
        return self._codes[codes_L].tobytes() + bytes(one_more)

    def spans(self, offsets_L2: NDArray[np.int64], sequence: str | bytes) -> NDArray[np.int64]:
        """The nucleotides of the codons of each stretch."""
        codons_L2 = self._triplets.spans(sequence)
        if not len(offsets_L2):
            return offsets_L2
        return np.stack([codons_L2[offsets_L2[:, 0], 0], codons_L2[offsets_L2[:, 1] - 1, 1]], axis=1)

    def spell(self, token: str) -> str:
        """The codons behind the signs; which codons were behind amino acids cannot be told."""
        return token.translate(self._spelled)

    def rules(self) -> list[Part]:
        """A ``|`` before each codon, counting from the frame, then each codon with its ``|`` into its character."""
        known = self._triplets.known
        return [
            *self._triplets.rules(),
            pattern_rule(rf"\G(?:{known}|\{PLACEHOLDER})\K(?=[\s\S])", "|"),
            pattern_rule(r"\A(?=[\s\S])", "|"),
            *(text_rule(f"|{codon}", sign) for codon, sign in zip(self._codons, self._signs, strict=True)),
            text_rule(f"|{PLACEHOLDER}", PLACEHOLDER),
        ]

    def decoder(self) -> Part | None:
        """Each sign into its codon; amino acids stay."""
        if self._code is not None:
            return None
        return joined(*(text_rule(sign, codon) for codon, sign in zip(self._codons, CODON_SIGNS, strict=True)))
