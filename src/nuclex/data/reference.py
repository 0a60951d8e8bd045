"""Sequences of which any stretch is at hand, however large they are: their letters lie end to end in a scratch file."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from nuclex.core.artifact import disk_errors
from nuclex.core.errors import InputError, at, shown
from nuclex.data.compression import STDIN
from nuclex.data.read import read_sequences


class Reference:
    """The sequences of a file (any format that is read), by their ids; made once, then looked things up in.

    ``digest`` is sha256 of ids and letters. InputError for an id that stands twice.
    """

    def __init__(self, inputs: str | Path, folder: Path) -> None:
        self.label = "stdin" if str(inputs) == STDIN else str(inputs)
        self._places: dict[str, tuple[int, int]] = {}
        summed, path, total = hashlib.sha256(), folder / "letters", 0
        with disk_errors(path), path.open("wb") as handle:
            for record in read_sequences(inputs):
                if record.id in self._places:
                    where = at(self.label, record.line)
                    raise InputError(f"{where}: the id {shown(record.id)} stands twice; variants are told by it")
                self._places[record.id] = (total, len(record.sequence))
                summed.update(f"{len(record.id.encode())} {record.id} {len(record.sequence)} ".encode())
                summed.update(record.sequence)
                handle.write(record.sequence)
                total += len(record.sequence)
        self.digest = summed.hexdigest()
        self._letters = np.memmap(path, dtype=np.uint8, mode="r")

    def __iter__(self) -> Iterator[str]:
        """The ids, in the order of the file."""
        return iter(self._places)

    def length(self, name: str) -> int | None:
        """Letters of a sequence; None where there is none of this id."""
        return self._places[name][1] if name in self._places else None

    def letters(self, name: str, start: int, stop: int) -> bytes:
        """The letters [start, stop) of a sequence, 0-based, as written; what lies beyond its ends is left out."""
        first, length = self._places[name]
        start, stop = max(start, 0), min(stop, length)
        return self._letters[first + start : first + max(stop, start)].tobytes()
