"""One token for a run of one letter: AAAT is ``AAA`` and ``T``, as nanopores read homopolymers."""

from __future__ import annotations

from typing import Literal, final

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from nuclex.bio.alphabet import DNA, to_rna
from nuclex.tokenizers import FixedConfig, SpecialTokens, Tokenizer
from nuclex.tokenizers.exported import added_token, letter_rules, split_at, tokenizer_json, word_model
from nuclex.tokenizers.nucleotide import SPECIAL, SPECIAL_ORDER
from nuclex.tokenizers.reading import Ids, ascii_bytes, folding, look_up_table, refuse_unknown

FIRST, UNKNOWN = len(SPECIAL_ORDER), SPECIAL_ORDER.index(SPECIAL.unk)


class RunsConfig(FixedConfig):
    """One token for up to ``longest`` equal nucleotides in a row; a longer run is several tokens.

    >>> RunsConfig(longest=4).build().encode("AAAAAT", start=False, end=False).tolist()
    [8, 5, 17]
    """

    kind: Literal["runs"] = "runs"
    longest: int = Field(default=8, ge=1, le=64, description="nucleotides of the longest token")

    def build(self) -> RunsTokenizer:
        """The tokenizer."""
        return RunsTokenizer(self)


@final
class RunsTokenizer(Tokenizer):
    """Five special tokens, then A, AA, AAA, … up to the longest run of T (or U)."""

    def __init__(self, config: RunsConfig) -> None:
        self._config = config
        self._letters = to_rna(DNA.symbols) if config.alphabet == "rna" else DNA.symbols
        self._fold = folding(config.case, config.alphabet)
        self._places = look_up_table({letter: place for place, letter in enumerate(self._letters)}, self._fold, -1)
        runs = (letter * size for letter in self._letters for size in range(1, config.longest + 1))
        self._vocabulary = (*SPECIAL_ORDER, *runs)

    @property
    def config(self) -> RunsConfig:
        """The config it was built from."""
        return self._config

    @property
    def vocabulary(self) -> tuple[str, ...]:
        """The special tokens, then the runs of each letter from short to long."""
        return self._vocabulary

    @property
    def special(self) -> SpecialTokens:
        """The names of its special tokens."""
        return SPECIAL

    @property
    def special_ids(self) -> Ids:
        """Ids 0 to 4."""
        return np.arange(FIRST, dtype=np.int64)

    @property
    def random_ids(self) -> Ids:
        """Ids of all runs."""
        return np.arange(FIRST, len(self._vocabulary), dtype=np.int64)

    def encode(self, sequence: str | bytes, *, start: bool = True, end: bool = True) -> Ids:
        """Turn a sequence into ids: (L,) int64, one for each run, plus the start and end tokens.

        InputError for too large a share of letters that are not A, C, G, T or U.
        """
        letters = ascii_bytes(sequence)
        spans_L2, place_L = self._runs(letters)
        size_L = spans_L2[:, 1] - spans_L2[:, 0]
        ids_L = np.where(place_L < 0, UNKNOWN, FIRST + place_L * self._config.longest + size_L - 1)
        if (unknown_L := place_L < 0).any():
            first = int(spans_L2[unknown_L.argmax(), 0])
            share, known = self._config.max_unknown_share, f"runs of {self._letters}"
            refuse_unknown(int(unknown_L.sum()), len(ids_L), share, (first, chr(letters[first])), known)
        return np.concatenate([[self.cls_id] * start, ids_L, [self.eos_id] * end]).astype(np.int64)

    def spans(self, sequence: str | bytes) -> NDArray[np.int64]:
        """The nucleotides behind each token: (L, 2) starts and ends, 0-based half-open."""
        return self._runs(ascii_bytes(sequence))[0]

    def to_json(self) -> str:
        """The text of its ``tokenizer.json``: cut into runs by one regular expression, then whole words."""
        runs = "|".join(f"{letter}{{1,{self._config.longest}}}" for letter in self._letters)
        return tokenizer_json(
            word_model(self._vocabulary, SPECIAL.unk),
            rules=letter_rules(self._fold, self._letters),
            added=[added_token(token, index, special=True) for index, token in enumerate(SPECIAL_ORDER)],
            split=split_at(f"{runs}|[^{self._letters}]"),
            ends=(SPECIAL.cls, SPECIAL.eos),
        )

    def _runs(self, letters: bytes) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Where tokens begin and end (L, 2), and which letter each is a run of (L,), -1 for an unknown one."""
        place_S = self._places[np.frombuffer(letters, dtype=np.uint8)]
        at_S = np.arange(len(place_S))
        new_S = np.diff(place_S, prepend=-2) != 0
        inside_S = at_S - np.maximum.accumulate(np.where(new_S, at_S, 0)) if len(at_S) else at_S
        begins_L = np.flatnonzero((inside_S % self._config.longest == 0) | (place_S < 0))
        ends_L = np.append(begins_L[1:], len(place_S))[: len(begins_L)]
        return np.stack([begins_L, ends_L], axis=1).astype(np.int64), place_S[begins_L]
