"""One token for k nucleotides, side by side or overlapping (DNABERT, doi:10.1093/bioinformatics/btab083)."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import product
from typing import Any, Literal, final

import numpy as np
from numpy.typing import NDArray
from pydantic import Field, model_validator

from nuclex.bio.alphabet import DNA, to_rna
from nuclex.core.errors import InputError
from nuclex.tokenizers.base import TOKENIZERS, FixedConfig, SpecialTokens, Tokenizer, checked_ids
from nuclex.tokenizers.codon import BEFORE_CODONS, NUCLEOTIDES, Compatibility
from nuclex.tokenizers.exported import (
    Part,
    added_token,
    joined,
    letter_rules,
    pattern_rule,
    split_at,
    tokenizer_json,
    word_model,
)
from nuclex.tokenizers.nucleotide import SPECIAL, SPECIAL_ORDER
from nuclex.tokenizers.reading import Ids, ascii_bytes, folding, look_up_table, refuse_unknown

UNKNOWN_ID = SPECIAL_ORDER.index(SPECIAL.unk)
# HELM's special tokens before and behind its words of 1, 3 and 6 letters; the first four are those of SPECIAL_ORDER.
HELM_SPECIAL: dict[int, tuple[tuple[str, ...], tuple[str, ...]]] = {
    1: (BEFORE_CODONS, ("<mask>",)),
    3: (BEFORE_CODONS, ("<mask>", "<distill_token>")),
    6: (SPECIAL_ORDER, ()),
}


@TOKENIZERS.register
class KmerConfig(FixedConfig):
    """One token for ``k`` nucleotides; the next token begins ``stride`` nucleotides on, 1 to ``k`` (as by default).

    Tokens: five special ones, then all words of k letters from AA… to TT… (UU…), then, where ``remainder`` is "keep",
    the four single letters. ``remainder`` says what becomes of nucleotides that are in no whole word (up to k - 1 at
    the end, and with stride 1 only sequences shorter than k): "keep" makes each a token, "drop" leaves them out,
    "error" refuses the sequence. With a stride between 1 and k it is one of the last two: behind words that overlap in
    part, a single letter could not be told from an overlap. HELM's ``overlap`` is k - ``stride``, with "drop". A word
    with any other letter is ``<unk>``; with stride 1 one N makes k of them. With stride 1 a single masked word can be
    read off the words around it, so a model learns nothing from it alone. ``compatibility`` = "helm-released" has the
    tokens of HELM's code (arXiv:2410.12459) for k = 1, 3 or 6 in its order: words from AA…A by way of T and C to GG…G,
    and no single letters beside them.

    >>> KmerConfig(k=2).build().encode("AAACG", start=False, end=False).tolist()
    [5, 6, 23]
    >>> KmerConfig(k=2, stride=1).build().encode("AAACG", start=False, end=False).tolist()
    [5, 5, 6, 11]
    """

    kind: Literal["kmer"] = "kmer"
    k: int = Field(
        ge=1, le=10, description="letters of a word; 4**10 are a million words, which is what still opens in a second"
    )
    stride: int
    remainder: Literal["keep", "drop", "error"] = "keep"
    compatibility: Compatibility = "none"

    @model_validator(mode="before")
    @classmethod
    def _stride_is_k(cls, data: Any) -> Any:
        return {"stride": data["k"], **data} if isinstance(data, dict) and "k" in data else data

    @model_validator(mode="after")
    def _words_overlap_or_touch(self) -> KmerConfig:
        if not 1 <= self.stride <= self.k:
            raise ValueError(
                f"stride: found {self.stride}; allowed: 1 (words overlap as far as they can) to {self.k} (side by side)"
            )
        if 1 < self.stride < self.k and self.remainder == "keep":
            raise ValueError(
                f"remainder: 'keep' needs a stride of 1 or {self.k}; with {self.stride} say 'drop' or 'error'"
            )
        return self

    @model_validator(mode="after")
    def _helm_has_it(self) -> KmerConfig:
        if self.compatibility == "none":
            return self
        if self.k not in HELM_SPECIAL:
            raise ValueError(f"compatibility: HELM has words of 1, 3 and 6 letters; found k = {self.k}")
        if self.k > 1 and self.remainder == "keep":
            raise ValueError("compatibility: HELM has no single letters beside its words; say remainder = 'drop'")
        return self

    def build(self) -> KmerTokenizer:
        """The tokenizer."""
        return KmerTokenizer(self)


@final
class KmerTokenizer(Tokenizer):
    """Reads words of k letters as numbers to the base 4, by one look-up for each letter."""

    def __init__(self, config: KmerConfig) -> None:
        self._config = config
        own, helms = (to_rna if config.alphabet == "rna" else str), config.compatibility == "helm-released"
        self._letters, order = own(DNA.symbols), own(NUCLEOTIDES if helms else DNA.symbols)
        self._fold = folding(config.case, config.alphabet)
        self._words = 4**config.k
        before, after = HELM_SPECIAL[config.k] if helms else (SPECIAL_ORDER, ())
        words = ("".join(letters) for letters in product(order, repeat=config.k))
        singles = self._letters if config.remainder == "keep" and config.k > 1 else ""
        self._vocabulary = (*before, *words, *singles, *after)
        self._first = len(before)
        self._special = (*range(self._first), *range(len(self._vocabulary) - len(after), len(self._vocabulary)))
        # An unknown letter weighs as much as all words together, so that a sum that large means one of them is unknown.
        values = {letter: value for value, letter in enumerate(order)}
        self._digits = look_up_table(values, self._fold, unknown=self._words)
        first = self._first + self._words
        ids = {letter: first + place for place, letter in enumerate(singles)}
        self._singles = look_up_table(ids, self._fold, unknown=UNKNOWN_ID)

    @property
    def config(self) -> KmerConfig:
        """The config it was built from."""
        return self._config

    @property
    def vocabulary(self) -> tuple[str, ...]:
        """Special tokens, the 4ᵏ words in alphabetical order, single letters where remainders are kept; or HELM's."""
        return self._vocabulary

    @property
    def special(self) -> SpecialTokens:
        """The names of its special tokens."""
        return SPECIAL

    @property
    def special_ids(self) -> Ids:
        """Ids 0 to 4; of HELM's words of one and three letters 0 to 3 and those behind the words."""
        return np.array(self._special, dtype=np.int64)

    @property
    def random_ids(self) -> Ids:
        """Ids of the words; a single letter stands only at the end of a sequence."""
        return np.arange(self._first, self._first + self._words, dtype=np.int64)

    def encode(self, sequence: str | bytes, *, start: bool = True, end: bool = True) -> Ids:
        """Turn a sequence into ids: (L,) int64, one for each word and kept nucleotide, plus the start and end tokens.

        InputError for a remainder where the config says so, and for too large a share of unknown tokens.
        """
        letters = ascii_bytes(sequence)
        letters_L = np.frombuffer(letters, dtype=np.uint8)
        count, left = self._divide(len(letters))
        numbers_L = np.zeros(count, dtype=np.int64)
        for place in range(self._config.k):
            numbers_L *= 4
            numbers_L += self._digits[letters_L[place :: self._config.stride][:count]]
        ids_L = np.full(int(start) + count + left + int(end), UNKNOWN_ID, dtype=np.int64)
        inner_L = ids_L[int(start) : len(ids_L) - int(end)]
        inner_L[:count] = np.where(numbers_L < self._words, numbers_L + self._first, UNKNOWN_ID)
        inner_L[count:] = self._singles[letters_L[len(letters) - left :]]
        self._refuse_unknown(letters, inner_L)
        if start:
            ids_L[0] = SPECIAL_ORDER.index(SPECIAL.cls)
        if end:
            ids_L[-1] = SPECIAL_ORDER.index(SPECIAL.eos)
        return ids_L

    def spans(self, sequence: str | bytes) -> NDArray[np.int64]:
        """The nucleotides behind each token: (L, 2) starts and ends, 0-based half-open; below stride k they overlap."""
        length = len(ascii_bytes(sequence))
        count, left = self._divide(length)
        starts_L = self._config.stride * np.arange(count, dtype=np.int64)
        single_L = np.arange(length - left, length, dtype=np.int64)
        return np.stack(
            [np.concatenate([starts_L, single_L]), np.concatenate([starts_L + self._config.k, single_L + 1])], axis=1
        )

    def decode(self, ids: Sequence[int] | NDArray[np.integer], *, skip_special: bool = True) -> str:
        """Turn ids (L,) back into letters, each nucleotide once, however many words it is in.

        Of a word that overlaps the one before only the new letters are written. An unknown or masked token holds its
        place; where its letters are in the words around it, they are written too.
        """
        ids_L = checked_ids(self, ids)
        if self._config.stride == self._config.k:
            return super().decode(ids_L, skip_special=skip_special)
        first, behind = self._first, self._first + self._words
        written, new = [], self._config.k  # how many letters of the next word have not been written
        for index in ids_L.tolist():
            token = self._vocabulary[index]
            if first <= index < behind:
                written.append(token[-new:])
                new = self._config.stride
                continue
            holds_place = index in (self.unk_id, self.mask_id)
            new = min(new + self._config.stride, self._config.k) if holds_place else self._config.k
            if index not in self._special or not skip_special:
                written.append(token)
        return "".join(written)

    def to_json(self) -> str:
        """The text of its ``tokenizer.json``.

        Its rules write a ``?`` for every unknown letter. Overlapping words are made by rules, too (``_overlapping``).
        """
        config, symbol = self._config, f"[{self._letters}?]"
        rules = [*letter_rules(self._fold, self._letters), pattern_rule(f"[^{self._letters}]", "?")]
        split, decoder = split_at(f"{symbol}{{{config.k}}}|{symbol}"), None
        if config.stride < config.k:
            rules += self._overlapping()
            split, decoder = split_at(r"\||#", keep=False), joined(_once(config.k, config.stride))
        elif config.remainder == "drop":
            rules.append(pattern_rule(rf"\G(?:{symbol}{{{config.k}}})*\K{symbol}{{1,{config.k - 1}}}\z", ""))
        return tokenizer_json(
            word_model(self._vocabulary, SPECIAL.unk),
            rules=rules,
            added=[added_token(self._vocabulary[index], index, special=True) for index in self._special],
            split=split,
            ends=(SPECIAL.cls, SPECIAL.eos),
            decoder=decoder,
        )

    def _overlapping(self) -> list[Part]:
        """Rules that write ACGT as ``|ACG|CGT`` (k = 3, stride 1): no splitting of a text can give overlapping words.

        A ``|`` is put before every letter that begins a word; then, k - stride times, every word gets one more letter
        at its end, the one that stands there in the sequence; words at the end that stay too short go. With stride 1
        a sequence with fewer than k letters is written ``#A#C`` instead, or not at all, as the config says.
        """
        k, stride, symbols = self._config.k, self._config.stride, f"{self._letters}?"
        rules = []
        if self._config.remainder == "keep" or (self._config.remainder == "error" and stride == 1):
            rules.append(pattern_rule(rf"\G(?=[{symbols}]{{1,{k - 1}}}\z)", "#"))
        if stride == 1:
            rules.append(pattern_rule(rf"(?<!#)(?=[{symbols}])", "|"))
        else:
            rules.append(pattern_rule(rf"\A(?=[{symbols}])", "|"))
            rules.append(pattern_rule(rf"\G\|?[{symbols}]{{{stride}}}\K(?=[{symbols}])", "|"))
        for place in range(k - stride):
            words, letters = divmod(place, stride)
            between = rf"(?:\|[{symbols}]+){{{words}}}\|" + (f"[{symbols}]{{{letters}}}" if letters else "")
            rules += [pattern_rule(rf"(?<=[{symbols}])(?={between}[{letter}])", letter) for letter in symbols]
        return [*rules, pattern_rule(rf"\|[{symbols}]{{1,{k - 1}}}(?=\||\z)", "")]

    def _divide(self, length: int) -> tuple[int, int]:
        """How many words a sequence has, and how many kept nucleotides are in none of them."""
        config = self._config
        count = max(0, length - config.k + config.stride) // config.stride
        left = length - (config.k + config.stride * (count - 1)) if count else length
        if left and config.remainder == "error":
            raise InputError(
                f"sequence: {length} nucleotides leave {left} in no whole word of {config.k}; "
                "none may be left, or remainder = 'keep' or 'drop'"
            )
        return count, left if config.remainder == "keep" else 0

    def _refuse_unknown(self, letters: bytes, ids_L: Ids) -> None:
        unknown_L = ids_L == UNKNOWN_ID
        unknown = int(np.count_nonzero(unknown_L))
        if not unknown:
            return
        begin, behind = self.spans(letters)[int(unknown_L.argmax())].tolist()
        known = f"words of {self._config.k} letters of {self._letters}"
        first = (begin, letters[begin:behind].decode("ascii"))
        refuse_unknown(unknown, len(ids_L), self._config.max_unknown_share, first, known)


def _once(k: int, stride: int) -> Part:
    """The rule for joined overlapping words that takes out letters written before.

    Where a word begins with the k - stride letters that the one before ended with, they go. Where it does not, there
    was an unknown token between the two, and the whole word stays.
    """
    word, new = f".{{{k}}}", "." if stride == 1 else f".{{{stride}}}"
    return pattern_rule(rf"(?:\A{word}|\G(?!\A){new})(?:{word})*?(?<=(.{{{k - stride}}}))\K\1", "")
