"""How a strict parser is driven: fed line by line, it says at once which line is wrong."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Protocol

from nuclex.core.errors import InputError
from nuclex.data.compression import lines
from nuclex.data.record import Batch, Found, batch_of


class Parser(Protocol):
    """A strict parser that is fed a text line by line and says at once which line is wrong."""

    line: int

    @property
    def ready(self) -> bool:
        """Whether the next piece starts a line that a fast look at many lines may take over from here."""

    def feed(self, piece: bytes) -> Found | None:
        """Take one line, or a part of a long one; give the sequence (header, letters, line) that it completes."""

    def end(self) -> Found | None:
        """Nothing follows; give the last sequence."""


def one_by_one(parser: Parser, piece: bytes) -> Iterator[Batch]:
    """Feed the lines of a piece to a strict parser; what precedes an error is given before it is raised."""
    found: list[Found | None] = []
    try:
        for line in lines(piece):
            found.append(parser.feed(line))
    except InputError:
        yield batch_of(found)
        raise
    yield batch_of(found)
