"""Tokens learned from sequences: byte-pair encoding (arXiv:1508.07909) by the Hugging Face library ``tokenizers``."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Literal, final

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from nuclex.bio.alphabet import DNA, DNA_IUPAC, to_rna
from nuclex.core.errors import CorruptError, InputError
from nuclex.tokenizers.base import TOKENIZERS, SpecialTokens, Tokenizer, TokenizerConfig, stored_model
from nuclex.tokenizers.exported import added_token, letter_rules, merging_model, tokenizer_json
from nuclex.tokenizers.reading import Ids, ascii_bytes, folding, look_up_table, refuse_unknown

if TYPE_CHECKING:
    import tokenizers

# RoBERTa's order, so that a model's default pad id 1 is right.
SPECIAL = SpecialTokens(cls="<s>", pad="<pad>", eos="</s>", unk="<unk>", mask="<mask>")
SPECIAL_ORDER = ("<s>", "<pad>", "</s>", "<unk>", "<mask>")
LETTERS = DNA.symbols + DNA_IUPAC.ambiguous.decode("ascii")


@TOKENIZERS.register
class BpeConfig(TokenizerConfig):
    """Tokens of several nucleotides: pairs that stand together often are merged, the most frequent first.

    ``vocab_size`` is the number of tokens asked for, special ones included; with too little text, in which fewer pairs
    stand together at least ``min_frequency`` times, there are fewer. All IUPAC letters are tokens, but only A, C, G and
    T (U) are merged: a run of N is a gap in an assembly and no word. Training text is cut into pieces of at most
    ``piece_length`` nucleotides, and no token is longer.
    """

    kind: Literal["bpe"] = "bpe"
    vocab_size: int = Field(default=1024, ge=len(SPECIAL_ORDER) + len(LETTERS))
    min_frequency: int = Field(default=2, ge=1)
    piece_length: int = Field(default=512, ge=2)

    def build(self) -> BpeTokenizer:
        """InputError: there is no tokenizer of this kind before it is trained."""
        raise InputError("tokenizer: kind 'bpe' is learned from sequences; train it or load a trained one")

    def train(self, sequences: Iterable[str | bytes]) -> BpeTokenizer:
        """Learn merges from sequences; the same sequences in the same order give the same tokenizer.

        InputError if there is no piece of two known nucleotides, or a sequence has too many unknown symbols.
        """
        from tokenizers import Tokenizer as Library
        from tokenizers import models, trainers

        library = Library(models.BPE(unk_token=SPECIAL.unk, fuse_unk=False))
        trainer = trainers.BpeTrainer(
            vocab_size=self.vocab_size,
            min_frequency=self.min_frequency,
            special_tokens=list(SPECIAL_ORDER),
            initial_alphabet=list(self.letters),
            show_progress=False,
        )
        read = _Pieces(self, sequences)
        library.train_from_iterator(read, trainer)
        if not read.count:
            raise InputError("tokenizer: no nucleotides to learn from; sequences with at least two are needed")
        return self.restore(library.to_str())

    def restore(self, tokenizer_json: str) -> BpeTokenizer:
        """The trained tokenizer, with its vocabulary and merges taken from the stored text."""
        model = stored_model(tokenizer_json)
        vocabulary = tuple(sorted(model["vocab"], key=model["vocab"].__getitem__))
        if vocabulary[: len(SPECIAL_ORDER)] != SPECIAL_ORDER:
            raise CorruptError(f"its first tokens are {vocabulary[: len(SPECIAL_ORDER)]}, not {SPECIAL_ORDER}")
        missing = set(self.letters) - set(vocabulary)
        if missing:
            raise CorruptError(f"the letter {min(missing)!r} is missing from its vocabulary")
        try:
            merges = tuple((str(left), str(right)) for left, right in model["merges"])
            return BpeTokenizer(self, vocabulary, merges)
        except (KeyError, TypeError, ValueError):
            raise CorruptError("its merges do not belong to its vocabulary") from None

    @property
    def letters(self) -> str:
        """The single letters in every vocabulary of this kind."""
        return to_rna(LETTERS) if self.alphabet == "rna" else LETTERS


@final
class BpeTokenizer(Tokenizer):
    """Reads learned tokens; the merging is done by the library ``tokenizers`` itself."""

    def __init__(self, config: BpeConfig, vocabulary: tuple[str, ...], merges: tuple[tuple[str, str], ...]) -> None:
        """``merges`` are pairs of tokens of ``vocabulary`` in the order learned; ValueError if they are not."""
        from tokenizers import Tokenizer as Library

        outside = {part for pair in merges for part in (*pair, "".join(pair))} - set(vocabulary)
        if outside:
            raise ValueError(f"{min(outside)!r} is merged but is not in the vocabulary")
        self._config = config
        self._vocabulary = vocabulary
        self._merges = merges
        self._fold = folding(config.case, config.alphabet)
        self._known = look_up_table(dict.fromkeys(config.letters, 1), self._fold, unknown=0)
        # Letters are folded before they reach the library, and a "<s>" in a sequence is three unknown letters.
        self._library: tokenizers.Tokenizer = Library.from_str(self._json(with_rules=False))

    @property
    def config(self) -> BpeConfig:
        """The config it was trained with."""
        return self._config

    @property
    def vocabulary(self) -> tuple[str, ...]:
        """The special tokens, the single letters, and the merged tokens in the order learned."""
        return self._vocabulary

    @property
    def special(self) -> SpecialTokens:
        """The names of its special tokens, which are RoBERTa's."""
        return SPECIAL

    @property
    def special_ids(self) -> Ids:
        """Ids 0 to 4."""
        return np.arange(len(SPECIAL_ORDER), dtype=np.int64)

    @property
    def random_ids(self) -> Ids:
        """Ids of all tokens that are not special."""
        return np.arange(len(SPECIAL_ORDER), len(self._vocabulary), dtype=np.int64)

    def encode(self, sequence: str | bytes, *, start: bool = True, end: bool = True) -> Ids:
        """Turn a sequence into ids: (L,) int64, one for each learned token, plus the start and end tokens."""
        before = [SPECIAL_ORDER.index(SPECIAL.cls)] if start else []
        after = [SPECIAL_ORDER.index(SPECIAL.eos)] if end else []
        return np.array([*before, *self._merge(sequence).ids, *after], dtype=np.int64)

    def spans(self, sequence: str | bytes) -> NDArray[np.int64]:
        """The nucleotides behind each token: (L, 2) starts and ends, 0-based half-open."""
        return np.array(self._merge(sequence).offsets, dtype=np.int64).reshape(-1, 2)

    def to_json(self) -> str:
        """The text of its ``tokenizer.json``."""
        return self._json(with_rules=True)

    def _merge(self, sequence: str | bytes) -> tokenizers.Encoding:
        letters = ascii_bytes(sequence)
        known_L = self._known[np.frombuffer(letters, dtype=np.uint8)]
        unknown = len(letters) - int(np.count_nonzero(known_L))
        if unknown:
            first = int(known_L.argmin())
            allowed = self._config.max_unknown_share
            refuse_unknown(unknown, len(letters), allowed, (first, chr(letters[first])), self._config.letters)
        folded = letters.translate(self._fold).decode("ascii")
        return self._library.encode(folded, add_special_tokens=False)

    def _json(self, *, with_rules: bool) -> str:
        special = [added_token(token, index, special=True) for index, token in enumerate(SPECIAL_ORDER)]
        return tokenizer_json(
            merging_model(self._vocabulary, self._merges, SPECIAL.unk),
            rules=letter_rules(self._fold, self._config.letters) if with_rules else (),
            added=special if with_rules else (),
            split=None,
            start=SPECIAL.cls,
            end=SPECIAL.eos,
        )


class _Pieces:
    """Runs of A, C, G and T (U) in sequences, cut to a length; counts them while it is read."""

    def __init__(self, config: BpeConfig, sequences: Iterable[str | bytes]) -> None:
        self._config = config
        self._sequences = sequences
        self.count = 0

    def __iter__(self) -> Iterator[str]:
        config = self._config
        fold = folding(config.case, config.alphabet)
        known = set(config.letters.encode("ascii"))
        plain = to_rna(DNA.symbols) if config.alphabet == "rna" else DNA.symbols
        runs = re.compile(f"[{plain}]{{2,{config.piece_length}}}".encode("ascii"))
        for sequence in self._sequences:
            letters = ascii_bytes(sequence).translate(fold)
            unknown = letters.translate(None, delete=bytes(known))
            if unknown:
                first = letters.index(unknown[:1])
                allowed = config.max_unknown_share
                refuse_unknown(len(unknown), len(letters), allowed, (first, chr(letters[first])), config.letters)
            for run in runs.finditer(letters):
                self.count += 1
                yield run.group().decode("ascii")
