"""What tokenizers whose tokens are learned from sequences have in common: how they learn, read and are stored."""

from __future__ import annotations

from abc import ABC
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, final

import numpy as np
from numpy.typing import NDArray
from pydantic import Field, field_validator, model_validator

from nuclex.bio.alphabet import DNA, to_rna
from nuclex.bio.genetic_code import GeneticCode
from nuclex.core.errors import CorruptError, InputError, shown
from nuclex.tokenizers.base import SpecialTokens, Tokenizer, TokenizerConfig, stored_model
from nuclex.tokenizers.exported import Part, added_token, tokenizer_json, vocabulary_of
from nuclex.tokenizers.reading import Ids, folding
from nuclex.tokenizers.script import CODON_SIGNS, LETTERS, RESIDUES, CodonScript, NucleotideScript, Reads, Script
from nuclex.tokenizers.triplets import Frame, Remainder, Triplets, known_code

if TYPE_CHECKING:
    import tokenizers

# RoBERTa's order, so that a model's default pad id 1 is right.
SPECIAL = SpecialTokens(cls="<s>", pad="<pad>", eos="</s>", unk="<unk>", mask="<mask>")
SPECIAL_ORDER = ("<s>", "<pad>", "</s>", "<unk>", "<mask>")
_FEWEST = {"nucleotides": len(LETTERS), "codons": len(CODON_SIGNS), "amino-acids": len(RESIDUES)}


class LearnedConfig(TokenizerConfig, ABC):
    """What every learned kind can be told; each adds its own.

    ``vocab_size`` is the number of tokens asked for, special ones included; with too little text there are fewer. All
    IUPAC letters are tokens, but longer tokens hold only A, C, G and T (U): a run of N is a gap in an assembly and no
    word. Training text is cut into pieces of at most ``piece_length`` nucleotides, and no token is longer. ``sample``
    learns from one piece in so many. Where that is still more than ``max_nucleotides``, fewer pieces are taken, evenly,
    and that is said: memory stays bounded (for BPE, 14 bytes for each nucleotide), however long the genome.
    ``specials`` is the order of the special tokens, whose ids are 0 to 4; RoBERTa's default padding id is 1.

    ``reads`` = "codons" learns and reads tokens of whole codons, "amino-acids" tokens of the amino acids that codons
    mean under the NCBI's ``genetic_code``; what is said above of nucleotides then is of codons. Both need a ``frame``,
    and ``remainder`` says what becomes of one or two nucleotides behind the last whole codon, as for one token a codon.
    Codons are read back as nucleotides; amino acids can be given back as amino acids only. A triplet that is no codon
    of A, C, G and T (U) is ``<unk>``.
    """

    reads: Reads = "nucleotides"
    frame: Frame | None = None
    remainder: Remainder = "error"
    genetic_code: int = 1

    vocab_size: int = Field(default=1024, ge=len(SPECIAL_ORDER) + len(LETTERS), le=1 << 20)
    piece_length: int = Field(default=512, ge=2)
    sample: int = Field(default=1, ge=1)
    max_nucleotides: int = Field(default=100_000_000, ge=1000, lt=1 << 31)
    specials: tuple[str, ...] = SPECIAL_ORDER

    @field_validator("specials")
    @classmethod
    def _all_five(cls, specials: tuple[str, ...]) -> tuple[str, ...]:
        if sorted(specials) != sorted(SPECIAL_ORDER):
            raise ValueError(f"the five special tokens are needed once each, in any order: {', '.join(SPECIAL_ORDER)}")
        return specials

    @field_validator("genetic_code")
    @classmethod
    def _is_known(cls, table: int) -> int:
        return known_code(table)

    @model_validator(mode="after")
    def _frame_fits(self) -> LearnedConfig:
        if (self.frame is None) != (self.reads == "nucleotides"):
            wanted = "codons need one, 0, 1 or 2" if self.frame is None else "nucleotides have none"
            raise ValueError(f"frame: found {self.frame} with reads = {self.reads!r}; {wanted}")
        fewest = len(SPECIAL_ORDER) + _FEWEST[self.reads]
        if self.vocab_size < fewest:
            raise ValueError(
                f"vocab_size: found {self.vocab_size}; with reads = {self.reads!r} it is {fewest} at least"
            )
        return self

    def build(self) -> Tokenizer:
        """InputError: there is no tokenizer of this kind before it is trained."""
        raise InputError(f"tokenizer: kind {self.kind!r} is learned from sequences; train it or load a trained one")

    def script(self) -> Script:
        """How sequences are written before tokens are looked for in them."""
        fold, rna = folding(self.case, self.alphabet), self.alphabet == "rna"
        if self.frame is None:
            return NucleotideScript(fold, self.max_unknown_share, rna=rna)
        triplets = Triplets(fold, to_rna(DNA.symbols) if rna else DNA.symbols, self.frame, self.remainder)
        code = GeneticCode.ncbi(self.genetic_code) if self.reads == "amino-acids" else None
        return CodonScript(triplets, code, self.max_unknown_share)

    @property
    def letters(self) -> str:
        """The single characters in every vocabulary of this kind, in the script."""
        return self.script().letters

    def first_tokens(self) -> tuple[str, ...]:
        """The special tokens and the single characters, with which every vocabulary of this kind begins."""
        return (*self.specials, *sorted(self.letters))


@final
class LearnedTokenizer(Tokenizer):
    """Reads learned tokens; the choice among them is made by the model of the library ``tokenizers`` itself."""

    def __init__(self, config: LearnedConfig, model: Part, split: Part | None = None) -> None:
        """``model`` and ``split`` are the parts of those names of a ``tokenizer.json``."""
        from tokenizers import Tokenizer as Library

        self._config, self._model, self._split = config, model, split
        self._script = config.script()
        written, specials = vocabulary_of(model), set(config.specials)
        self._vocabulary = tuple(token if token in specials else self._script.spell(token) for token in written)
        # What reaches the library is in the script already, and a "<s>" in a sequence is three unknown letters.
        self._library: tokenizers.Tokenizer = Library.from_str(self._json(with_rules=False))

    @property
    def config(self) -> LearnedConfig:
        """The config it was trained with."""
        return self._config

    @property
    def vocabulary(self) -> tuple[str, ...]:
        """The special tokens, the single letters, and the learned tokens in the order learned; codons are spelled."""
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
        before = [self.cls_id] if start else []
        after = [self.eos_id] if end else []
        return np.array([*before, *self._read(sequence).ids, *after], dtype=np.int64)

    def spans(self, sequence: str | bytes) -> NDArray[np.int64]:
        """The nucleotides behind each token: (L, 2) starts and ends, 0-based half-open."""
        offsets_L2 = np.array(self._read(sequence).offsets, dtype=np.int64).reshape(-1, 2)
        return self._script.spans(offsets_L2, sequence)

    def to_json(self) -> str:
        """The text of its ``tokenizer.json``."""
        return self._json(with_rules=True)

    def _read(self, sequence: str | bytes) -> tokenizers.Encoding:
        return self._library.encode(self._script.write(sequence), add_special_tokens=False)

    def _json(self, *, with_rules: bool) -> str:
        special = [added_token(token, index, special=True) for index, token in enumerate(self._config.specials)]
        return tokenizer_json(
            self._model,
            rules=self._script.rules() if with_rules else (),
            added=special if with_rules else (),
            split=self._split,
            ends=(SPECIAL.cls, SPECIAL.eos),
            decoder=self._script.decoder(),
        )


def stored_learned_model(text: str, kind: str, config: LearnedConfig) -> Mapping[str, Any]:
    """The ``model`` part of the ``tokenizer.json`` of a learned tokenizer.

    CorruptError unless it is of this kind, the special tokens come first, all single letters are there, and the other
    tokens are made of these letters.
    """
    model = stored_model(text)
    if model.get("type") != kind:
        raise CorruptError(f"its model is a {model.get('type')!r}, not a {kind!r}")
    vocabulary = vocabulary_of(model)
    first = vocabulary[: len(config.specials)]
    if first != config.specials:
        raise CorruptError(f"its first tokens are {first}, not {config.specials}")
    missing = set(config.letters) - set(vocabulary)
    if missing:
        raise CorruptError(f"the letter {min(missing)!r} is missing from its vocabulary")
    letters = set(config.letters)
    strange = [token for token in vocabulary[len(first) :] if not token or not set(token) <= letters]
    if strange:
        raise CorruptError(f"its token {shown(strange[0])} is not made of the letters {config.letters}")
    return model
