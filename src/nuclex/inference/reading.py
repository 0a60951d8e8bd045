"""The sequences that a verb works on, each with its place in the file, so that a message can name it."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

from nuclex.core.errors import InputError, at
from nuclex.data.read import STDIN, read_sequences
from nuclex.data.tokens import TokenTable, tokenize
from nuclex.inference.parts import digest
from nuclex.tokenizers import Tokenizer

MOST = 4096
"""Sequences handled together."""
LETTERS = 1 << 20
"""Their letters together, unless one sequence alone has more."""
MICRO_TOKENS = 16_384
"""Tokens in one forward pass."""


class Named(NamedTuple):
    """A sequence and where it stands, for messages."""

    id: str
    sequence: bytes
    place: str


def label_of(inputs: str | Path) -> str:
    """What a file is called in messages."""
    return "stdin" if str(inputs) == STDIN else str(inputs)


def how_many(inputs: str | Path, read: Callable[[str | Path], Iterator[Any]] = read_sequences) -> int:
    """How many a file has, so that a bar can tell the time left: reading costs little beside what a model does.

    0, which a bar takes for unknown, of what can be read once only, and of a file with a mistake, which is told when
    it is reached.
    """
    if not os.path.isfile(inputs):  # stdin, a pipe, nothing, a name too long
        return 0
    try:
        return sum(1 for _ in read(inputs))
    except InputError:
        return 0


def named_in(inputs: str | Path) -> Iterator[Named]:
    """The sequences of a file (any format that is read), one by one."""
    label = label_of(inputs)
    for record in read_sequences(inputs):
        yield Named(record.id, record.sequence, f"{at(label, record.line)}: {record.id}")


def named(sequences: Iterable[tuple[str, bytes]]) -> Iterator[Named]:
    """Pairs of id and sequence; a message names the id."""
    return (Named(name, sequence, name) for name, sequence in sequences)


def tokens_of(chunk: list[Named], tokenizer: Tokenizer) -> TokenTable:
    """The tokens of some sequences; InputError with its place for one that the tokenizer refuses."""
    return tokenize((item.sequence for item in chunk), tokenizer, name_of=lambda index: chunk[index].place)


def digest_of(chunk: list[Named]) -> str:
    """sha256 of ids and sequences."""
    return digest(field for item in chunk for field in (item.id.encode(), item.sequence))
