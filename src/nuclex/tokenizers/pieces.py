"""The text that tokens are learned from: sequences cut into pieces, a sample of them, in bounded memory."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from nuclex.core.errors import InputError
from nuclex.core.progress import say

if TYPE_CHECKING:
    from nuclex.tokenizers.learned import LearnedConfig

BREAK, FIRST = 0, 1


def learning_text(sequences: Iterable[str | bytes], config: LearnedConfig) -> NDArray[np.uint8]:
    """The pieces to learn from, end to end: (T,) codes of plain characters, a 0 before, between and behind pieces.

    Codes are from 1 in the order of the script's plain characters: A, C, G, T (U), or codons, or amino acids. A piece
    is a run of at least two of these characters, cut to ``piece_length``. Of all pieces in order the first is taken and
    every ``sample``-th after it. Where those hold more than ``max_nucleotides``, every second one is let go, as often
    as it takes, and that is said; so one byte a character of a bounded number is all that is ever held.
    InputError for a sequence with too many unknown letters, and where there is no piece.
    """
    script = config.script()
    runs = re.compile(b"[\\x%02x-\\x%02x]{2,%d}" % (FIRST, FIRST + len(script.plain) - 1, config.piece_length))
    text, number, every = bytearray([BREAK]), 0, config.sample
    for sequence in sequences:
        for run in runs.finditer(script.codes(sequence)):
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


def _thinned(text: bytearray) -> bytearray:
    """The first, third, fifth, … piece."""
    codes_T = np.frombuffer(text, dtype=np.uint8)
    lengths_N = np.diff(np.flatnonzero(codes_T == BREAK))
    kept_T = np.repeat(np.arange(len(lengths_N)) % 2 == 0, lengths_N)
    return bytearray([BREAK]) + codes_T[1:].compress(kept_T).tobytes()
