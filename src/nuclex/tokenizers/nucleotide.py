"""One token a nucleotide, in the vocabulary of RiNALMo (arXiv:2403.00043)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, final

import numpy as np
from numpy.typing import NDArray

from nuclex.bio.alphabet import to_rna
from nuclex.core.errors import InputError
from nuclex.tokenizers.base import TOKENIZERS, FixedConfig, SpecialTokens, Tokenizer
from nuclex.tokenizers.exported import added_token, letter_rules, merging_model, tokenizer_json
from nuclex.tokenizers.reading import Ids, ascii_bytes, folding, look_up_table, refuse_unknown

# RiNALMo's order; its released embeddings are rows in this order.
SPECIAL = SpecialTokens(cls="<cls>", pad="<pad>", eos="<eos>", unk="<unk>", mask="<mask>")
SPECIAL_ORDER = ("<cls>", "<pad>", "<eos>", "<unk>", "<mask>")
SYMBOLS = "ACGTIRYKMSWBDHVN-"
RANDOM_SYMBOLS = "ACGTN"


@TOKENIZERS.register
class NucleotideConfig(FixedConfig):
    """One token a nucleotide: ACGT (or ACGU), inosine, the IUPAC letters and the gap; 22 tokens with the specials.

    >>> NucleotideConfig().build().encode("ACGU").tolist()
    [0, 5, 6, 7, 8, 2]
    """

    kind: Literal["nucleotide"] = "nucleotide"

    def build(self) -> NucleotideTokenizer:
        """The tokenizer."""
        return NucleotideTokenizer(self)


@final
class NucleotideTokenizer(Tokenizer):
    """Reads nucleotides by one look-up in a table of 256 bytes."""

    def __init__(self, config: NucleotideConfig) -> None:
        self._config = config
        self._symbols = to_rna(SYMBOLS) if config.alphabet == "rna" else SYMBOLS
        self._vocabulary = (*SPECIAL_ORDER, *self._symbols)
        self._fold = folding(config.case, config.alphabet)
        ids = {symbol: len(SPECIAL_ORDER) + place for place, symbol in enumerate(self._symbols)}
        self._table = look_up_table(ids, self._fold, unknown=SPECIAL_ORDER.index(SPECIAL.unk))
        self._bytes = self._table.astype(np.uint8).tobytes()

    @property
    def config(self) -> NucleotideConfig:
        """The config it was built from."""
        return self._config

    @property
    def vocabulary(self) -> tuple[str, ...]:
        """All 22 tokens in RiNALMo's order."""
        return self._vocabulary

    @property
    def special(self) -> SpecialTokens:
        """The names of its special tokens."""
        return SPECIAL

    @property
    def special_ids(self) -> Ids:
        """Ids 0 to 4."""
        return np.arange(len(SPECIAL_ORDER), dtype=np.int64)

    @property
    def random_ids(self) -> Ids:
        """Ids of A, C, G, T (or U) and N: RiNALMo puts no other symbol in place of a token."""
        return np.array([len(SPECIAL_ORDER) + SYMBOLS.index(symbol) for symbol in RANDOM_SYMBOLS], dtype=np.int64)

    def encode(self, sequence: str | bytes, *, start: bool = True, end: bool = True) -> Ids:
        """Turn a sequence into ids: (L,) int64, one for each letter, plus the start and end tokens."""
        letters = ascii_bytes(sequence)
        ids_L = np.empty(len(letters) + start + end, dtype=np.int64)
        inner_L = ids_L[int(start) : int(start) + len(letters)]
        np.take(self._table, np.frombuffer(letters, dtype=np.uint8), out=inner_L, mode="clip")
        unknown_L = inner_L == SPECIAL_ORDER.index(SPECIAL.unk)
        unknown = int(np.count_nonzero(unknown_L))
        if unknown:
            first = int(unknown_L.argmax())
            allowed = self._config.max_unknown_share
            refuse_unknown(unknown, len(letters), allowed, (first, chr(letters[first])), self._symbols)
        if start:
            ids_L[0] = SPECIAL_ORDER.index(SPECIAL.cls)
        if end:
            ids_L[-1] = SPECIAL_ORDER.index(SPECIAL.eos)
        return ids_L

    def encode_many(self, sequences: Sequence[str | bytes]) -> tuple[NDArray[np.uint8], NDArray[np.int64]] | None:
        """Ids of all letters (T,) and the lengths (N,), by one translation of bytes; None for unknown letters."""
        try:
            letters = b"".join([ascii_bytes(sequence) for sequence in sequences])
        except InputError:
            return None
        ids = letters.translate(self._bytes)
        if SPECIAL_ORDER.index(SPECIAL.unk) in ids:
            return None
        return np.frombuffer(ids, dtype=np.uint8), np.fromiter(map(len, sequences), np.int64, len(sequences))

    def spans(self, sequence: str | bytes) -> NDArray[np.int64]:
        """The nucleotide behind each token: (L, 2) starts and ends, 0-based half-open."""
        starts_L = np.arange(len(ascii_bytes(sequence)), dtype=np.int64)
        return np.stack([starts_L, starts_L + 1], axis=1)

    def to_json(self) -> str:
        """The text of its ``tokenizer.json``: byte-pair encoding without merges, so that every letter is a token."""
        return tokenizer_json(
            merging_model(self._vocabulary, (), SPECIAL.unk),
            rules=letter_rules(self._fold, self._symbols),
            added=[added_token(token, index, special=True) for index, token in enumerate(SPECIAL_ORDER)],
            split=None,
            ends=(SPECIAL.cls, SPECIAL.eos),
        )
