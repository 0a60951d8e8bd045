"""What becomes of sequences when they are tokenized, counted: tokens, unknown ones, nucleotides left out."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from nuclex.core.errors import InputError
from nuclex.tokenizers.base import Tokenizer


@dataclass(frozen=True)
class Census:
    """Counts over sequences that a tokenizer has read.

    ``nucleotides`` are those of sequences that were not refused, ``left_out`` those of them that are in no token
    (before the frame, or a remainder that is dropped), ``unknown`` the tokens that are ``<unk>``; ``refused`` sequences
    are in none of the other counts, and ``refusal`` says why the first of them was.
    """

    sequences: int
    nucleotides: int
    tokens: int
    unknown: int
    left_out: int
    refused: int
    refusal: str | None

    @property
    def nucleotides_per_token(self) -> float:
        """How many nucleotides a token stands for, on average."""
        return (self.nucleotides - self.left_out) / self.tokens if self.tokens else 0.0


def census(tokenizer: Tokenizer, sequences: Iterable[str | bytes]) -> Census:
    """Tokenize sequences and count what becomes of them.

    >>> from nuclex.tokenizers import KmerConfig
    >>> counted = census(KmerConfig(k=3, remainder="drop").build(), ["ACGTAC", "ACGTACGT"])
    >>> counted.tokens, counted.left_out
    (4, 2)
    """
    read = nucleotides = tokens = unknown = covered = refused = 0
    refusal = None
    for sequence in sequences:
        try:
            ids_L = tokenizer.encode(sequence, start=False, end=False)
        except InputError as error:
            refused += 1
            refusal = refusal or str(error)
            continue
        begins_L, ends_L = tokenizer.spans(sequence).T
        before_L = np.maximum.accumulate(np.concatenate([[0], ends_L]))[:-1]
        covered += int(np.maximum(0, ends_L - np.maximum(begins_L, before_L)).sum())
        read += 1
        nucleotides += len(sequence)
        tokens += len(ids_L)
        unknown += int(np.count_nonzero(ids_L == tokenizer.unk_id))
    return Census(read, nucleotides, tokens, unknown, nucleotides - covered, refused, refusal)
