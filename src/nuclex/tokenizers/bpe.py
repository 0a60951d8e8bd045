"""Byte-pair encoding (arXiv:1508.07909): the nucleotides that stand together most often become one token."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Literal

import numpy as np
from pydantic import Field

from nuclex.core.errors import CorruptError
from nuclex.tokenizers.base import TOKENIZERS
from nuclex.tokenizers.exported import merging_model, vocabulary_of
from nuclex.tokenizers.learned import SPECIAL, LearnedConfig, LearnedTokenizer, stored_learned_model
from nuclex.tokenizers.merges import learn_merges
from nuclex.tokenizers.pieces import FIRST, learning_text

Merge = tuple[str, str]


@TOKENIZERS.register
class BpeConfig(LearnedConfig):
    """Tokens of several nucleotides: pairs that stand together often are merged, the most frequent first.

    Pairs that stand together fewer than ``min_frequency`` times are not merged. What learning is told beside is in
    ``LearnedConfig``.
    """

    kind: Literal["bpe"] = "bpe"
    min_frequency: int = Field(default=2, ge=1)

    def train(self, sequences: Iterable[str | bytes]) -> LearnedTokenizer:
        """Learn merges from sequences; the same sequences in the same order give the same tokenizer.

        InputError if there is no piece of two known nucleotides, or a sequence has too many unknown symbols.
        """
        vocabulary, merges = learned_merges(sequences, self, self.min_frequency)
        return LearnedTokenizer(self, merging_model(vocabulary, merges, SPECIAL.unk))

    def restore(self, tokenizer_json: str) -> LearnedTokenizer:
        """The trained tokenizer, with its vocabulary and merges taken from the stored text."""
        model = stored_learned_model(tokenizer_json, "BPE", self)
        vocabulary = vocabulary_of(model)
        try:
            merges = [(str(left), str(right)) for left, right in model["merges"]]
            known = set(vocabulary)
            if any(part not in known for pair in merges for part in (*pair, "".join(pair))):
                raise ValueError
            return LearnedTokenizer(self, merging_model(vocabulary, merges, SPECIAL.unk))
        except (KeyError, TypeError, ValueError):
            raise CorruptError("its merges do not belong to its vocabulary") from None


def learned_merges(
    sequences: Iterable[str | bytes], config: LearnedConfig, min_frequency: int
) -> tuple[Sequence[str], list[Merge]]:
    """The vocabulary that byte-pair encoding learns, and its merges in order."""
    tokens = list(config.first_tokens())
    codes_T = learning_text(sequences, config)
    ids = np.zeros(256, dtype=np.uint16)
    for code, letter in enumerate(config.script().plain, start=FIRST):
        ids[code] = tokens.index(letter)
    pairs = learn_merges(ids.take(codes_T), len(tokens), max(0, config.vocab_size - len(tokens)), min_frequency)
    merges = []
    for left, right in pairs:
        merges.append((tokens[left], tokens[right]))
        tokens.append(tokens[left] + tokens[right])
    return tokens, merges
