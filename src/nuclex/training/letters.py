"""Labels of nucleotides and of the tokens that hold them: a codon has that of most of its letters, and gives it back.

Where a border lies inside a codon, the codon has the label of two of its three letters (of the first, where all three
differ), and the third letter cannot be called rightly: the price of reading codons is in what is measured, which is by
letters throughout.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from nuclex.core.errors import InputError
from nuclex.tokenizers import Tokenizer
from nuclex.training.supervised import Reading

Integers = NDArray[np.int64]


def tokens_of_letters(tokenizer: Tokenizer, sequence: str, where: str) -> tuple[Integers, NDArray[np.bool_]]:
    """Which token answers for each letter (L,), and which letters are in that token (L,) bool.

    A letter that no token holds (in front of a frame, behind the last codon) is answered for by the token before it,
    in front of all by the first. InputError, which begins with ``where``, for tokens that have letters in common.
    """
    spans_T2 = tokenizer.spans(sequence)
    if not len(spans_T2):
        raise InputError(f"{where}: has no token; a label needs one at least")
    if (spans_T2[1:, 0] < spans_T2[:-1, 1]).any():
        raise InputError(
            f"{where}: tokens of this tokenizer ({tokenizer.config.kind}) have letters in common; labels of positions "
            "need tokens that follow each other"
        )
    place_L = np.arange(len(sequence))
    token_L = np.searchsorted(spans_T2[:, 0], place_L, side="right").clip(min=1) - 1
    held_L = (place_L >= spans_T2[token_L, 0]) & (place_L < spans_T2[token_L, 1])
    return token_L, held_L


def labels_of_tokens(label_L: Integers, token_L: Integers, held_L: NDArray[np.bool_], tokens: int) -> Integers:
    """The label of each token (T,): that of most of its letters, of equally many that of its first; -1 where none has.

    >>> labels_of_tokens(np.array([0, 1, 1, 2, 1, 0]), np.repeat([0, 1], 3), np.ones(6, dtype=bool), 2).tolist()
    [1, 2]
    """
    counted_L = held_L & (label_L >= 0)
    if not counted_L.any():
        return np.full(tokens, -1, dtype=np.int64)
    votes_TC = np.zeros((tokens, int(label_L.max()) + 1))
    np.add.at(votes_TC, (token_L[counted_L], label_L[counted_L]), 1.0)
    first_L = np.flatnonzero(counted_L)[np.unique(token_L[counted_L], return_index=True)[1]]
    votes_TC[token_L[first_L], label_L[first_L]] += 0.5
    return np.where(votes_TC.any(1), votes_TC.argmax(1), -1)


class Letters:
    """Which token answers for each letter of the sequences of a reading, and which letters it holds."""

    def __init__(self, reading: Reading, where: str) -> None:
        self.names = [f"{where}: {example.id!r}" for example in reading.examples]
        named = zip(reading.examples, self.names, strict=True)
        found = [tokens_of_letters(reading.tokenizer, example.sequence, name) for example, name in named]
        self.token = [token_L for token_L, _ in found]
        self.held = [held_L for _, held_L in found]
        self.tokens_N = reading.table.lengths_N

    def labels(self, label: list[Integers]) -> list[Integers]:
        """The labels of the tokens of each sequence, from those of its letters; InputError where no token has one."""
        each = zip(label, self.token, self.held, self.tokens_N.tolist(), strict=True)
        found = [labels_of_tokens(*one) for one in each]
        for name, label_T in zip(self.names, found, strict=True):
            if not (label_T >= 0).any():
                raise InputError(f"{name}: none of its tokens holds a letter with a label; one is needed")
        return found
