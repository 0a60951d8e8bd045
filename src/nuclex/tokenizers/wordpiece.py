"""WordPiece (arXiv:1609.08144): the tokens that byte-pair encoding learns, read by taking the longest that fits."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from typing import Literal

from pydantic import Field

from nuclex.tokenizers.base import TOKENIZERS
from nuclex.tokenizers.bpe import learned_merges
from nuclex.tokenizers.exported import longest_match_model, split_at, vocabulary_of
from nuclex.tokenizers.learned import SPECIAL, SPECIAL_ORDER, LearnedConfig, LearnedTokenizer, stored_learned_model

Branch = dict[str, "Branch"]
END = ""


@TOKENIZERS.register
class WordPieceConfig(LearnedConfig):
    """Tokens of several nucleotides, learned as for BPE; reading takes the longest token that fits, again and again.

    A sequence has no words, so no token is marked as standing inside one: there is no ``##``. Pairs that stand
    together fewer than ``min_frequency`` times make no token. What learning is told beside is in ``LearnedConfig``.
    """

    kind: Literal["wordpiece"] = "wordpiece"
    min_frequency: int = Field(default=2, ge=1)

    def train(self, sequences: Iterable[str | bytes]) -> LearnedTokenizer:
        """Learn tokens from sequences; the same sequences in the same order give the same tokenizer.

        InputError if there is no piece of two known nucleotides, or a sequence has too many unknown symbols.
        """
        vocabulary, _ = learned_merges(sequences, self, self.min_frequency)
        return self._reading(vocabulary)

    def restore(self, tokenizer_json: str) -> LearnedTokenizer:
        """The trained tokenizer, with its vocabulary taken from the stored text."""
        return self._reading(vocabulary_of(stored_learned_model(tokenizer_json, "WordPiece", self)))

    def _reading(self, vocabulary: Sequence[str]) -> LearnedTokenizer:
        tokens = vocabulary[len(SPECIAL_ORDER) :]
        longest = max(len(token) for token in tokens)
        # The library looks for the longest token by trying all the rest of the text first, then one letter less, and
        # so on: a time that grows with the square of the length. So the text is cut at the tokens before it looks.
        return LearnedTokenizer(
            self,
            longest_match_model(vocabulary, SPECIAL.unk, longest),
            split_at(rf"{longest_match(tokens)}|[\s\S]"),
        )


def longest_match(tokens: Iterable[str]) -> str:
    """A regular expression for the longest of some tokens that begins here.

    >>> longest_match(["A", "AC", "ACGT", "G"])
    '(?:A(?:C(?:GT)?)?|G)'
    """
    root: Branch = {}
    for token in tokens:
        branch = root
        for letter in token:
            branch = branch.setdefault(letter, {})
        branch[END] = {}
    written: dict[int, str] = {}
    pending = [root]
    while pending:  # no recursion: a token may be hundreds of letters long
        branch = pending[-1]
        missing = [inner for letter, inner in branch.items() if letter != END and id(inner) not in written]
        if missing:
            pending.extend(missing)
            continue
        pending.pop()
        ways = sorted(re.escape(letter) + written[id(inner)] for letter, inner in branch.items() if letter != END)
        text = "|".join(ways)
        if ways and (END in branch or len(ways) > 1 or branch is root):
            text = f"(?:{text})"
        written[id(branch)] = f"{text}?" if ways and END in branch else text
    return written[id(root)]
