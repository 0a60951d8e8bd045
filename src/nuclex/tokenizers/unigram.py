"""Unigram (arXiv:1804.10959): of all ways to cut a sequence into tokens, the one whose tokens are most probable."""

from __future__ import annotations

from collections.abc import Iterable
from math import isfinite
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from nuclex.core.errors import CorruptError
from nuclex.core.progress import bar
from nuclex.tokenizers.base import TOKENIZERS
from nuclex.tokenizers.exported import split_at, unigram_model
from nuclex.tokenizers.learned import SPECIAL, LearnedConfig, LearnedTokenizer, stored_learned_model
from nuclex.tokenizers.pieces import BREAK, FIRST, learning_text
from nuclex.tokenizers.segmentation import Lattice, Numbers, Trie
from nuclex.tokenizers.substrings import LONGEST, frequent_words

COLUMNS, ROWS = 1024, 256
DIGITS = 6
LEAST = 1e-3  # expected this often or less, a token counts as this often: its logarithm stays finite


@TOKENIZERS.register
class UnigramConfig(LearnedConfig):
    """Tokens with probabilities, by which the most probable way to cut a sequence is chosen.

    Learning begins with ``candidates`` times as many frequent words of at most ``max_token_length`` nucleotides as
    wanted, fits their probabilities (expectation maximization, ``rounds`` times), lets go of those that the text can
    best do without until ``keep`` of them are left, and so on until ``vocab_size`` is reached. What learning is told
    beside is in ``LearnedConfig``; it takes long, so it is told to learn from fewer nucleotides.
    """

    kind: Literal["unigram"] = "unigram"
    max_nucleotides: int = Field(default=2_000_000, ge=1000, le=50_000_000)
    max_token_length: int = Field(default=16, ge=2, le=LONGEST)
    candidates: int = Field(default=8, ge=1, le=1000)
    rounds: int = Field(default=2, ge=1, le=100)
    keep: float = Field(default=0.75, ge=0.1, le=0.95)

    def train(self, sequences: Iterable[str | bytes]) -> LearnedTokenizer:
        """Learn tokens from sequences; the same sequences in the same order give the same tokenizer.

        InputError if there is no piece of two known nucleotides, or a sequence has too many unknown symbols.
        """
        text_RC = _rows(learning_text(sequences, self))
        wanted = max(0, self.vocab_size - len(self.first_tokens()))
        letters = [bytes([code]) for code in range(FIRST, FIRST + len(self.script().plain))]
        longest = min(self.max_token_length, self.piece_length)
        tokens = letters + frequent_words(text_RC.ravel(), longest, self.candidates * wanted)
        counts_V = np.ones(len(tokens))
        with bar("learning tokens, rounds", 0) as progress:
            while True:
                trie = Trie(tokens)
                for _ in range(self.rounds):
                    counts_V = _expected(text_RC, trie, _scores(counts_V))
                    progress.advance(note=f"{len(tokens)} candidates")
                if len(tokens) - len(letters) <= wanted:
                    break
                kept = max(wanted, int(self.keep * (len(tokens) - len(letters))))
                chosen = _needed(tokens, counts_V, kept + len(letters), len(letters))
                tokens, counts_V = [tokens[index] for index in chosen], counts_V[chosen]
        return self._reading(tokens, _scores(counts_V))

    def restore(self, tokenizer_json: str) -> LearnedTokenizer:
        """The trained tokenizer, with its tokens and their probabilities taken from the stored text."""
        model = stored_learned_model(tokenizer_json, "Unigram", self)
        try:
            scored = [(str(token), float(score)) for token, score in model["vocab"]]
        except (TypeError, ValueError):
            raise CorruptError("its tokens have no scores") from None
        if not all(isfinite(score) for _, score in scored) or len(dict(scored)) < len(scored):
            raise CorruptError("its tokens are not all different, or their scores not all finite")
        return self._with(scored)

    def _reading(self, tokens: list[bytes], scores_V: Numbers) -> LearnedTokenizer:
        """The tokenizer with these tokens, the most probable first, behind the special ones and the single letters."""
        letters = self.script().plain
        spelled = ["".join(letters[code - FIRST] for code in token) for token in tokens]
        scores = dict(zip(spelled, np.round(scores_V, DIGITS).tolist(), strict=True))
        first = self.first_tokens()
        rare = min(scores.values())  # for letters that no longer token has in it and nothing competes with
        learned = sorted(set(scores) - set(first), key=lambda token: (-scores[token], token))
        special = set(self.specials)
        return self._with(
            [(token, 0.0 if token in special else scores.get(token, rare)) for token in (*first, *learned)]
        )

    def _with(self, scored: list[tuple[str, float]]) -> LearnedTokenizer:
        # Unknown letters side by side would become one token; so each is cut off before.
        unknown = self.specials.index(SPECIAL.unk)
        return LearnedTokenizer(self, unigram_model(scored, unknown), split_at(f"[^{self.letters}]"))


def _rows(text_T: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """The text in rows of equal length, (R, C); what crosses the end of a row is cut there."""
    columns = min(COLUMNS, len(text_T))
    text_T = np.append(text_T, np.full(-len(text_T) % columns, BREAK, dtype=np.uint8))
    return text_T.reshape(-1, columns)


def _expected(text_RC: NDArray[np.uint8], trie: Trie, scores_V: Numbers) -> Numbers:
    """How often each token is expected in the text, some rows at a time so that memory stays bounded."""
    counts_V = np.zeros(len(scores_V))
    for begin in range(0, len(text_RC), ROWS):
        counts_V += Lattice(text_RC[begin : begin + ROWS], trie).expected(scores_V)[0]
    return counts_V


def _scores(counts_V: Numbers) -> Numbers:
    """The logarithms of the tokens' shares."""
    raised_V = np.maximum(counts_V, LEAST)
    scores: Numbers = np.log(raised_V / raised_V.sum())
    return scores


def _needed(tokens: list[bytes], counts_V: Numbers, kept: int, letters: int) -> list[int]:
    """The ``kept`` tokens that the text can least do without, the first ``letters`` among them; ascending.

    Without a token, its every occurrence is made of others; the logarithm of the text's probability falls by about
    the expected number of occurrences times the difference of the two logarithms.
    """
    scores_V = _scores(counts_V)
    longest = max(map(len, tokens))
    alone_RC = np.zeros((len(tokens) - letters, longest), dtype=np.uint8)
    for row, token in enumerate(tokens[letters:]):
        alone_RC[row, : len(token)] = np.frombuffer(token, dtype=np.uint8)
    others_R = Lattice(alone_RC, Trie(tokens), whole=False).forward(scores_V)[-1]
    loss_R = counts_V[letters:] * (scores_V[letters:] - others_R)
    order_R = np.lexsort((np.arange(len(loss_R)), -loss_R))[: kept - letters]
    return [*range(letters), *sorted((order_R + letters).tolist())]
