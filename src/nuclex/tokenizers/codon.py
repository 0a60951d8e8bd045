"""One token a codon, read in a stated frame; the 70 tokens are those of HELM (arXiv:2410.12459) in its order."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import product
from typing import Literal, final

import numpy as np
from numpy.typing import NDArray

from nuclex.bio.alphabet import to_rna
from nuclex.core.errors import InputError
from nuclex.tokenizers.base import (
    TOKENIZERS,
    SpecialTokens,
    Tokenizer,
    TokenizerConfig,
    same_or_corrupt,
)
from nuclex.tokenizers.exported import added_token, letter_rules, pattern_rule, split_at, tokenizer_json, word_model
from nuclex.tokenizers.reading import Ids, ascii_bytes, folding, look_up_table, refuse_unknown

SPECIAL = SpecialTokens(cls="<cls>", pad="<pad>", eos="<eos>", unk="<unk>", mask="<mask>")
BEFORE_CODONS = ("<cls>", "<pad>", "<eos>", "<unk>")
AFTER_CODONS = ("<mask>", "<distill_token>")
NUCLEOTIDES = "ATCG"  # HELM nests its codons in this order: AAA, AAT, AAC, AAG, ATA, … GGG
FIRST_CODON, CODONS = len(BEFORE_CODONS), 64
UNKNOWN_ID, PLACEHOLDER = BEFORE_CODONS.index(SPECIAL.unk), "?"


@TOKENIZERS.register
class CodonConfig(TokenizerConfig):
    """One token a codon; every other triplet (one with N, say) is ``<unk>``.

    ``frame``, which has no default, is the number of nucleotides before the first codon; they are passed over.
    ``remainder`` says what becomes of one or two nucleotides behind the last whole codon: "error" refuses the
    sequence, "trim" leaves them out, "unknown" makes them one ``<unk>`` that does not count for ``max_unknown_share``.

    >>> CodonConfig(frame=0).build().encode("AUGAAA", start=False).tolist()
    [11, 4, 2]
    """

    kind: Literal["codon"] = "codon"
    frame: Literal[0, 1, 2]
    remainder: Literal["error", "trim", "unknown"] = "error"

    def build(self) -> CodonTokenizer:
        """The tokenizer."""
        return CodonTokenizer(self)

    def train(self, sequences: Iterable[str | bytes]) -> CodonTokenizer:
        """The tokenizer; its vocabulary is fixed and the sequences are not read."""
        return self.build()

    def restore(self, tokenizer_json: str) -> Tokenizer:
        """The tokenizer, after a look whether the stored vocabulary is its own."""
        return same_or_corrupt(self.build(), tokenizer_json)


@final
class CodonTokenizer(Tokenizer):
    """Reads codons by look-ups in tables of 256 bytes, one for each place in the codon."""

    def __init__(self, config: CodonConfig) -> None:
        self._config = config
        self._letters = to_rna(NUCLEOTIDES) if config.alphabet == "rna" else NUCLEOTIDES
        self._codons = tuple("".join(letters) for letters in product(self._letters, repeat=3))
        self._fold = folding(config.case, config.alphabet)
        values = {letter: value for value, letter in enumerate(self._letters)}
        # 64 or more in the sum of the three places means that one of them is unknown
        self._tables = tuple(
            look_up_table({letter: value * weight for letter, value in values.items()}, self._fold, unknown=CODONS)
            for weight in (16, 4, 1)
        )

    @property
    def config(self) -> CodonConfig:
        """The config it was built from."""
        return self._config

    @property
    def vocabulary(self) -> tuple[str, ...]:
        """All 70 tokens in HELM's order."""
        return (*BEFORE_CODONS, *self._codons, *AFTER_CODONS)

    @property
    def special(self) -> SpecialTokens:
        """The names of its special tokens; ``<distill_token>`` is one more, for HELM's sake."""
        return SPECIAL

    @property
    def special_ids(self) -> Ids:
        """Ids 0 to 3, 68 and 69."""
        after = FIRST_CODON + CODONS
        return np.array([*range(FIRST_CODON), *range(after, after + len(AFTER_CODONS))], dtype=np.int64)

    @property
    def random_ids(self) -> Ids:
        """Ids of the 64 codons."""
        return np.arange(FIRST_CODON, FIRST_CODON + CODONS, dtype=np.int64)

    def encode(self, sequence: str | bytes, *, start: bool = True, end: bool = True) -> Ids:
        """Turn a sequence into ids: (L,) int64, one for each codon, plus the start and end tokens.

        InputError for a remainder where the config says so, and for too large a share of unknown codons.
        """
        letters = ascii_bytes(sequence)
        whole, left = self._divide(len(letters))
        letters_L3 = np.frombuffer(letters, dtype=np.uint8)[self._config.frame :][: 3 * whole].reshape(whole, 3)
        first, second, third = self._tables
        codes_L = first[letters_L3[:, 0]] + second[letters_L3[:, 1]] + third[letters_L3[:, 2]]
        codons_L = np.where(codes_L < CODONS, codes_L + FIRST_CODON, UNKNOWN_ID)
        keep_left = bool(left) and self._config.remainder == "unknown"
        begin = [BEFORE_CODONS.index(SPECIAL.cls)] if start else []
        finish = [UNKNOWN_ID] * keep_left + ([BEFORE_CODONS.index(SPECIAL.eos)] if end else [])
        self._refuse_unknown(letters, codons_L)
        return np.concatenate([np.array(begin, dtype=np.int64), codons_L, np.array(finish, dtype=np.int64)])

    def spans(self, sequence: str | bytes) -> NDArray[np.int64]:
        """The nucleotides behind each codon: (L, 2) starts and ends, 0-based half-open, from the frame on."""
        length = len(ascii_bytes(sequence))
        whole, left = self._divide(length)
        starts_L = self._config.frame + 3 * np.arange(whole, dtype=np.int64)
        spans_L2 = np.stack([starts_L, starts_L + 3], axis=1)
        if left and self._config.remainder == "unknown":
            spans_L2 = np.concatenate([spans_L2, np.array([[length - left, length]], dtype=np.int64)])
        return spans_L2

    def to_json(self) -> str:
        """The text of its ``tokenizer.json``.

        The rules write a ``?`` for each unknown triplet, counting from the frame; then the codons can be looked for
        in the text itself without leaving the frame. That is also what lets ``RobertaTokenizerFast`` of transformers
        5 find codons: it keeps added tokens but no rules, so it needs upper case, one alphabet, and known codons in
        frame 0. In another frame the looking would start too early, so there the codons are not added.
        """
        config, known = self._config, f"[{self._letters}]{{3}}"
        rules = letter_rules(self._fold, self._letters)
        if config.frame:
            rules.append(pattern_rule(rf"\A[\s\S]{{1,{config.frame}}}", ""))
        if config.remainder == "trim":
            rules.append(pattern_rule(r"\G(?:[\s\S]{3})*\K[\s\S]{1,2}\z", ""))
        rules.append(pattern_rule(rf"\G(?:{known})*\K(?:(?!{known})[\s\S]{{3}}|[\s\S]{{1,2}}\z)", PLACEHOLDER))
        special = {*BEFORE_CODONS, *AFTER_CODONS}
        return tokenizer_json(
            word_model(self.vocabulary, SPECIAL.unk),
            rules=rules,
            added=[
                added_token(token, index, special=token in special)
                for index, token in enumerate(self.vocabulary)
                if token in special or config.frame == 0
            ],
            split=split_at(rf"\{PLACEHOLDER}|{known}"),
            ends=(SPECIAL.cls, SPECIAL.eos),
        )

    def _divide(self, length: int) -> tuple[int, int]:
        """How many whole codons a sequence has and how many nucleotides are left behind them."""
        frame = self._config.frame
        whole, left = divmod(max(0, length - frame), 3)
        if left and self._config.remainder == "error":
            raise InputError(
                f"sequence: {length} nucleotides leave {left} behind the last whole codon of frame {frame}; "
                "a whole number of codons is needed, or remainder = 'trim' or 'unknown'"
            )
        return whole, left

    def _refuse_unknown(self, letters: bytes, codons_L: Ids) -> None:
        unknown_L = codons_L == UNKNOWN_ID
        unknown = int(np.count_nonzero(unknown_L))
        if not unknown:
            return
        position = self._config.frame + 3 * int(unknown_L.argmax())
        codon = letters[position : position + 3].decode("ascii")
        known = f"codons of {self._letters}"
        refuse_unknown(unknown, len(codons_L), self._config.max_unknown_share, (position, codon), known)
