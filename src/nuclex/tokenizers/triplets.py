"""Codons read from a sequence in a stated frame, by look-ups, and what becomes of letters that are in none."""

from __future__ import annotations

from typing import Literal, final

import numpy as np
from numpy.typing import NDArray

from nuclex.bio.genetic_code import GeneticCode
from nuclex.core.errors import InputError
from nuclex.tokenizers.exported import Part, letter_rules, pattern_rule
from nuclex.tokenizers.reading import Ids, ascii_bytes, look_up_table, refuse_unknown

Frame = Literal[0, 1, 2]
Remainder = Literal["error", "trim", "unknown"]
CODON_COUNT, PLACEHOLDER = 64, "?"


@final
class Triplets:
    """Reads codons, each a number 16a + 4b + c by the order of four ``letters``; from 64 on, a letter is unknown.

    ``fold`` (256 bytes) writes a sequence in the tokenizer's letters. ``frame`` letters in front of the first codon are
    passed over. ``remainder`` says what becomes of one or two letters behind the last whole codon: "error" refuses the
    sequence, "trim" leaves them out, "unknown" makes them one unknown codon more.
    """

    def __init__(self, fold: bytes, letters: str, frame: Frame, remainder: Remainder) -> None:
        self.letters, self.frame, self.remainder, self._fold = letters, frame, remainder, fold
        values = {letter: value for value, letter in enumerate(letters)}
        self._tables = tuple(
            look_up_table({letter: value * weight for letter, value in values.items()}, fold, unknown=CODON_COUNT)
            for weight in (16, 4, 1)
        )

    def read(self, letters: bytes, max_unknown_share: float) -> tuple[Ids, bool]:
        """The number of each whole codon (L,), 64 for an unknown one, and whether an unknown one is added behind them.

        InputError for a remainder that is refused, and for too large a share of unknown codons among the whole ones.
        """
        whole, left = self.divide(len(letters))
        letters_L3 = np.frombuffer(letters, dtype=np.uint8)[self.frame :][: 3 * whole].reshape(whole, 3)
        first, second, third = self._tables
        codes_L = np.minimum(first[letters_L3[:, 0]] + second[letters_L3[:, 1]] + third[letters_L3[:, 2]], CODON_COUNT)
        unknown_L = codes_L == CODON_COUNT
        unknown = int(np.count_nonzero(unknown_L))
        if unknown:
            position = self.frame + 3 * int(unknown_L.argmax())
            codon = letters[position : position + 3].decode("ascii")
            known = f"codons of {self.letters}"
            refuse_unknown(unknown, whole, max_unknown_share, (position, codon), known)
        return codes_L, bool(left) and self.remainder == "unknown"

    def spans(self, sequence: str | bytes) -> NDArray[np.int64]:
        """The nucleotides behind each codon: (L, 2) starts and ends, 0-based half-open, from the frame on."""
        length = len(ascii_bytes(sequence))
        whole, left = self.divide(length)
        starts_L = self.frame + 3 * np.arange(whole, dtype=np.int64)
        spans_L2 = np.stack([starts_L, starts_L + 3], axis=1)
        if left and self.remainder == "unknown":
            spans_L2 = np.concatenate([spans_L2, np.array([[length - left, length]], dtype=np.int64)])
        return spans_L2

    def divide(self, length: int) -> tuple[int, int]:
        """How many whole codons a sequence has and how many nucleotides are left behind them."""
        whole, left = divmod(max(0, length - self.frame), 3)
        if left and self.remainder == "error":
            raise InputError(
                f"sequence: {length} nucleotides leave {left} behind the last whole codon of frame {self.frame}; "
                "a whole number of codons is needed, or remainder = 'trim' or 'unknown'"
            )
        return whole, left

    @property
    def known(self) -> str:
        """A regular expression for a codon."""
        return f"[{self.letters}]{{3}}"

    def rules(self) -> list[Part]:
        """Rules of a ``tokenizer.json`` after which a text is known codons and a ``?`` for each unknown one."""
        rules = letter_rules(self._fold, self.letters)
        if self.frame:
            rules.append(pattern_rule(rf"\A[\s\S]{{1,{self.frame}}}", ""))
        if self.remainder == "trim":
            rules.append(pattern_rule(r"\G(?:[\s\S]{3})*\K[\s\S]{1,2}\z", ""))
        known = self.known
        rules.append(pattern_rule(rf"\G(?:{known})*\K(?:(?!{known})[\s\S]{{3}}|[\s\S]{{1,2}}\z)", PLACEHOLDER))
        return rules


def known_code(table: int) -> int:
    """The NCBI's number of a genetic code; ValueError for one that is not known."""
    try:
        return GeneticCode.ncbi(table).table
    except InputError as error:
        raise ValueError(str(error)) from None
