"""What every tokenizer is: a sequence in, numbers out, and back; and how it is stored.

A tokenizer folder holds ``tokenizer.json`` and ``tokenizer_config.json`` as Hugging Face libraries read them; the key
``nuclex`` of the second holds the config with the rules for reading (case, T or U, unknown symbols).
"""

from __future__ import annotations

import hashlib
from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydantic import Field, ValidationError

from nuclex.core.artifact import atomic_file, write_json
from nuclex.core.config import Config, first_problem
from nuclex.core.errors import CorruptError, InputError, one_line, shown
from nuclex.core.plain import from_json
from nuclex.core.registry import Registry
from nuclex.tokenizers.exported import vocabulary_of
from nuclex.tokenizers.reading import Alphabet, Case, Ids

TOKENIZER_FILE = "tokenizer.json"
CONFIG_FILE = "tokenizer_config.json"
PACKAGE_KEY = "nuclex_package"
"""The key of ``tokenizer_config.json`` that names the package of a kind from outside nuclex."""


@dataclass(frozen=True)
class SpecialTokens:
    """The names of the tokens that stand for no nucleotide; ``cls`` begins a sequence and ``eos`` ends it."""

    cls: str
    pad: str
    eos: str
    unk: str
    mask: str


class Tokenizer(ABC):
    """Turns a sequence into token ids and back; what it reads and what it refuses is in its ``config``."""

    @property
    @abstractmethod
    def config(self) -> TokenizerConfig:
        """The config it was built from."""

    @property
    @abstractmethod
    def vocabulary(self) -> tuple[str, ...]:
        """All tokens; the place of a token is its id."""

    @property
    @abstractmethod
    def special(self) -> SpecialTokens:
        """The names of its special tokens."""

    @property
    @abstractmethod
    def special_ids(self) -> Ids:
        """Ids of the tokens that stand for no nucleotide, ascending."""

    @property
    @abstractmethod
    def random_ids(self) -> Ids:
        """Ids that masked language modelling may put in place of a token, ascending."""

    @abstractmethod
    def encode(self, sequence: str | bytes, *, start: bool = True, end: bool = True) -> Ids:
        """Turn a sequence into ids: (L,) int64, with the start token in front and the end token behind if wanted.

        InputError for letters that are not ASCII, for more unknown symbols than the config allows, and for what
        else the config refuses. The names of special tokens are not looked for in the sequence.
        """

    def encode_many(self, sequences: Sequence[str | bytes]) -> tuple[NDArray[np.integer], NDArray[np.int64]] | None:
        """Ids of N sequences end to end (T,) without start and end tokens, and how many each has (N,).

        None where this kind has no quicker way than ``encode``, or where something in the sequences needs a look at
        each of them: an unknown letter, one that is not ASCII. What is given equals what ``encode`` gives.
        """
        return None

    @abstractmethod
    def spans(self, sequence: str | bytes) -> NDArray[np.int64]:
        """The nucleotides behind each token, special ones aside: (L, 2) starts and ends, 0-based half-open."""

    @abstractmethod
    def to_json(self) -> str:
        """The exact text of its Hugging Face ``tokenizer.json``, the same with every library version."""

    def decode(self, ids: Sequence[int] | NDArray[np.integer], *, skip_special: bool = True) -> str:
        """Turn ids (L,) back into letters; without ``skip_special`` the special tokens are spelled out."""
        ids_L, vocabulary = checked_ids(self, ids), self.vocabulary
        if skip_special:
            ids_L = ids_L[~np.isin(ids_L, self.special_ids)]
        return "".join([vocabulary[index] for index in ids_L.tolist()])

    @property
    def cls_id(self) -> int:
        """Id of the token that begins a sequence."""
        return self.vocabulary.index(self.special.cls)

    @property
    def pad_id(self) -> int:
        """Id of the token that fills up a batch."""
        return self.vocabulary.index(self.special.pad)

    @property
    def eos_id(self) -> int:
        """Id of the token that ends a sequence."""
        return self.vocabulary.index(self.special.eos)

    @property
    def unk_id(self) -> int:
        """Id of the token for what is not in the vocabulary."""
        return self.vocabulary.index(self.special.unk)

    @property
    def mask_id(self) -> int:
        """Id of the token that hides a nucleotide from the model."""
        return self.vocabulary.index(self.special.mask)

    def __len__(self) -> int:
        """Number of tokens, special ones included."""
        return len(self.vocabulary)


class TokenizerConfig(Config, ABC):
    """The rules by which a kind of tokenizer reads a sequence.

    ``case``: "upper" reads lower case as upper case, "keep" takes lower case for unknown. ``alphabet``: "dna" reads U
    as T, "rna" reads T as U, and the tokens are written accordingly. ``max_unknown_share``: a sequence with a larger
    share of unknown tokens is refused.
    """

    kind: str
    case: Case = "upper"
    alphabet: Alphabet = "dna"
    max_unknown_share: float = Field(default=0.05, ge=0.0, le=1.0)

    @abstractmethod
    def build(self) -> Tokenizer:
        """The tokenizer of a kind with a fixed vocabulary; InputError for a kind that is learned from sequences."""

    @abstractmethod
    def train(self, sequences: Iterable[str | bytes]) -> Tokenizer:
        """Learn the vocabulary from sequences; a kind with a fixed vocabulary is built without reading them."""

    @abstractmethod
    def restore(self, tokenizer_json: str) -> Tokenizer:
        """The tokenizer whose ``to_json`` this was; CorruptError if this config cannot have written it."""


class FixedConfig(TokenizerConfig, ABC):
    """The rules of a kind whose vocabulary follows from them alone: there is nothing to learn."""

    def train(self, sequences: Iterable[str | bytes]) -> Tokenizer:
        """The tokenizer; its vocabulary is fixed and the sequences are not read."""
        return self.build()

    def restore(self, tokenizer_json: str) -> Tokenizer:
        """The tokenizer, after a look whether the stored vocabulary is its own."""
        built, found = self.build(), vocabulary_of(stored_model(tokenizer_json))
        if found != built.vocabulary:
            raise CorruptError(
                f"its {len(found)} tokens are not the {len(built)} that the stored config of a "
                f"{self.kind} tokenizer builds"
            )
        return built


TOKENIZERS: Registry[TokenizerConfig] = Registry("tokenizers", TokenizerConfig)  # type: ignore[type-abstract]


def save_tokenizer(tokenizer: Tokenizer, folder: str | Path, *, max_length: int | None = None) -> None:
    """Write ``tokenizer.json`` and ``tokenizer_config.json`` into ``folder`` (made if missing).

    ``max_length`` is the longest input of the model in tokens, start and end included. All seven names of special
    tokens are written, because ``transformers`` fills in its own for those it misses and the vocabulary grows.

    ``AutoTokenizer`` and ``PreTrainedTokenizerFast`` give the ids of nuclex for every sequence. In transformers 5,
    ``RobertaTokenizerFast`` builds itself anew from the vocabulary and the merges and keeps none of the rules for
    letters: for nucleotides, codons in frame 0 and BPE of nucleotides it gives the same ids for upper case, the
    tokenizer's own T or U, and known symbols, and drops all others; the other kinds it cannot read.
    """
    special = tokenizer.special
    named = {special.cls, special.pad, special.eos, special.unk, special.mask}
    others = [tokenizer.vocabulary[index] for index in tokenizer.special_ids.tolist()]
    value: dict[str, Any] = {
        "tokenizer_class": "PreTrainedTokenizerFast",
        "bos_token": special.cls,
        "eos_token": special.eos,
        "unk_token": special.unk,
        "sep_token": special.eos,
        "pad_token": special.pad,
        "cls_token": special.cls,
        "mask_token": special.mask,
        "extra_special_tokens": [token for token in others if token not in named],
        "model_input_names": ["input_ids", "attention_mask"],
        "padding_side": "right",
        "clean_up_tokenization_spaces": False,
        "nuclex": tokenizer.config.to_data(),
    }
    if (package := TOKENIZERS.package(tokenizer.config.kind)) is not None:
        value[PACKAGE_KEY] = package
    if max_length is not None:
        value["model_max_length"] = max_length
    with atomic_file(Path(folder) / TOKENIZER_FILE) as path:
        path.write_text(tokenizer.to_json(), encoding="utf-8")
    with atomic_file(Path(folder) / CONFIG_FILE) as path:
        write_json(path, value)


def load_tokenizer(folder: str | Path) -> Tokenizer:
    """The tokenizer that ``save_tokenizer`` wrote into ``folder``.

    InputError if there is none of nuclex, CorruptError if the two files are damaged or do not belong together.
    """
    path, text_path = Path(folder) / CONFIG_FILE, Path(folder) / TOKENIZER_FILE
    for needed in (path, text_path):
        if not needed.is_file():
            raise InputError(f"{needed}: no such file; a folder with a tokenizer of nuclex is needed")
    try:
        stored = from_json(path.read_bytes())
    except ValueError:
        raise CorruptError(f"{path}: is not readable JSON") from None
    if not isinstance(stored, dict) or "nuclex" not in stored:
        raise InputError(f"{path}: has no key 'nuclex'; only tokenizers that nuclex wrote can be loaded")
    _refuse_absent(path, stored)
    try:
        config = TOKENIZERS.parse(stored["nuclex"])
    except ValidationError as error:
        raise CorruptError(f"{path}: {first_problem(error, 'nuclex')}") from None
    except InputError as error:
        raise InputError(f"{path}: nuclex: {error}") from None
    try:
        return config.restore(text_path.read_text(encoding="utf-8"))
    except UnicodeDecodeError:
        raise CorruptError(f"{text_path}: is not UTF-8 text") from None
    except CorruptError as error:
        raise CorruptError(f"{text_path}: {one_line(str(error))}") from None


def _refuse_absent(path: Path, stored: Mapping[str, Any]) -> None:
    """InputError where the tokenizer is of a kind that came with a package, which is not installed here."""
    rules, package = stored["nuclex"], stored.get(PACKAGE_KEY)
    kind = rules.get("kind") if isinstance(rules, Mapping) else None
    if package is not None and kind not in TOKENIZERS:
        raise InputError(
            f"{path}: tokenizers of kind {shown(kind)} come with the package {one_line(str(package))}, which is not "
            "installed; install it to load what was made with it"
        )


def checked_ids(tokenizer: Tokenizer, ids: Sequence[int] | NDArray[np.integer]) -> Ids:
    """The ids (L,) as int64; InputError if one of them is no token."""
    ids_L = np.asarray(ids, dtype=np.int64)
    wrong_L = (ids_L < 0) | (ids_L >= len(tokenizer))
    if wrong_L.any():
        raise InputError(f"id {ids_L[wrong_L][0]}: not a token; this tokenizer has the ids 0 to {len(tokenizer) - 1}")
    return ids_L


def tokenizer_hash(tokenizer: Tokenizer) -> str:
    """Hex sha256 of ``to_json``: tokenizers that share it give the same ids."""
    return hashlib.sha256(tokenizer.to_json().encode("utf-8")).hexdigest()


def stored_model(tokenizer_json: str) -> Mapping[str, Any]:
    """The ``model`` part of a ``tokenizer.json``; CorruptError if there is none with a vocabulary."""
    try:
        model = from_json(tokenizer_json)["model"]
        vocabulary_of(model)
    except (ValueError, KeyError, TypeError, AttributeError):
        raise CorruptError("is not a readable tokenizer") from None
    return dict(model)
