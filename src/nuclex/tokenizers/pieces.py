"""The text that tokens are learned from: sequences cut into pieces, a sample of them, in bounded memory."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from nuclex.bio.alphabet import DNA, to_rna
from nuclex.core.errors import InputError
from nuclex.core.progress import say
from nuclex.tokenizers.reading import ascii_bytes, folding, refuse_unknown

if TYPE_CHECKING:
    from nuclex.tokenizers.learned import LearnedConfig

BREAK, FIRST, UNKNOWN = 0, 1, 255


def plain_letters(config: LearnedConfig) -> str:
    """The four letters that longer tokens are made of, in the order of their codes 1 to 4."""
    return to_rna(DNA.symbols) if config.alphabet == "rna" else DNA.symbols


def learning_text(sequences: Iterable[str | bytes], config: LearnedConfig) -> NDArray[np.uint8]:
    """The pieces to learn from, end to end: (T,) codes of A, C, G, T (U) from 1, a 0 before, between and behind pieces.

    A piece is a run of at least two of these letters, cut to ``piece_length``. Of all pieces in order the first is
    taken and every ``sample``-th after it. Where those hold more than ``max_nucleotides``, every second one is let go,
    as often as it takes, and that is said; so one byte a nucleotide of a bounded number is all that is ever held.
    InputError for a sequence with too many unknown letters, and where there is no piece.
    """
    table = _codes(config)
    runs = re.compile(b"[%c-%c]{2,%d}" % (FIRST, FIRST + len(DNA.symbols) - 1, config.piece_length))
    text, number, every = bytearray([BREAK]), 0, config.sample
    for sequence in sequences:
        letters = ascii_bytes(sequence)
        codes = letters.translate(table)
        unknown = codes.count(UNKNOWN)
        if unknown:
            first = codes.index(UNKNOWN)
            allowed = config.max_unknown_share
            refuse_unknown(unknown, len(letters), allowed, (first, chr(letters[first])), config.letters)
        for run in runs.finditer(codes):
            if number % every == 0:
                text += run.group()
                text.append(BREAK)
                if len(text) > config.max_nucleotides:
                    text, every = _thinned(text), 2 * every
            number += 1
    if number == 0:
        raise InputError("tokenizer: no nucleotides to learn from; sequences with at least two are needed")
    if every > config.sample:
        say(f"tokenizer: more than {config.max_nucleotides} nucleotides; it learns from one piece in {every}")
    return np.frombuffer(text, dtype=np.uint8)


def _codes(config: LearnedConfig) -> bytes:
    """For each of the 256 bytes its code; a letter that no longer token has in it is a break."""
    folded = bytearray([UNKNOWN] * 256)
    for letter in config.letters:
        folded[ord(letter)] = BREAK
    for code, letter in enumerate(plain_letters(config), start=FIRST):
        folded[ord(letter)] = code
    return folding(config.case, config.alphabet).translate(bytes(folded))


def _thinned(text: bytearray) -> bytearray:
    """The first, third, fifth, … piece."""
    codes_T = np.frombuffer(text, dtype=np.uint8)
    lengths_N = np.diff(np.flatnonzero(codes_T == BREAK))
    kept_T = np.repeat(np.arange(len(lengths_N)) % 2 == 0, lengths_N)
    return bytearray([BREAK]) + codes_T[1:].compress(kept_T).tobytes()
