"""What passed the filters, on disk until it is known what stays, what belongs together and what is for the test.

Text and numbers lie in two files that are read through in step, a block at a time, as often as is needed.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from nuclex.data.store import BATCH_BYTES, BATCH_ROWS

TEXT = pa.schema(
    [("id", pa.string()), ("sequence", pa.large_string()), ("source", pa.string()), ("family", pa.string())]
)
ROW = np.dtype(
    [("key", "<u8"), ("key_end", "<u8"), ("contig", "<u8"), ("length", "<i8"), ("simulated", "?")]
    + [(name, "<i4") for name in ("source", "family", "kind")]
)
"""One staged sequence: both halves of the digest of its letters, a hash of its contig, its length, whether it is
simulated, and the numbers of its source, family and kind (-1 where none is named)."""


class Staged(NamedTuple):
    """One sequence that passed the filters; ``key`` are 16 bytes, the last four are as in ``ROW``."""

    id: str
    sequence: bytes
    source: str
    family: str | None
    key: bytes
    contig: int
    simulated: bool
    source_number: int
    family_number: int
    kind: int


class Stage:
    """The sequences that passed the filters; first added to, then closed, then read in blocks."""

    def __init__(self, folder: Path) -> None:
        self.rows = self.bytes = 0
        self._text_path, self._number_path = folder / "stage.arrow", folder / "stage.rows"
        self._held: list[Staged] = []
        self._held_bytes = 0
        self._blocks: list[int] = []
        self._text = pa.OSFile(str(self._text_path), "wb")
        self._writer = pa.ipc.new_stream(self._text, TEXT)
        self._numbers = open(self._number_path, "wb")  # noqa: SIM115 (closed by close)

    def add(self, staged: Staged) -> None:
        """Take one sequence."""
        self._held.append(staged)
        self._held_bytes += len(staged.sequence)
        if len(self._held) >= BATCH_ROWS or self._held_bytes >= BATCH_BYTES:
            self._flush()

    def close(self) -> None:
        """Write what is left and finish the files."""
        try:
            self._flush()
            self._writer.close()
        finally:
            self._text.close()
            self._numbers.close()

    def numbers(self) -> Iterator[NDArray[np.void]]:
        """The numbers of all rows, in blocks."""
        with open(self._number_path, "rb") as file:
            for count in self._blocks:
                yield np.fromfile(file, dtype=ROW, count=count)

    def numbered(self) -> Iterator[tuple[slice, NDArray[np.void]]]:
        """The numbers of all rows, in blocks, each with the rows that they are of."""
        row = 0
        for numbers in self.numbers():
            yield slice(row, row + len(numbers)), numbers
            row += len(numbers)

    def batches(self) -> Iterator[tuple[pa.RecordBatch, NDArray[np.void]]]:
        """The text and the numbers of all rows, in blocks."""
        with pa.OSFile(str(self._text_path), "rb") as file, pa.ipc.open_stream(file) as reader:
            yield from zip(reader, self.numbers(), strict=True)

    def _flush(self) -> None:
        if not self._held:
            return
        names, sequences, sources, families, keys, *others = zip(*self._held, strict=True)
        text = [
            pa.array(names, pa.string()),
            pa.array(sequences, pa.large_binary()).cast(pa.large_string()),
            pa.array(sources, pa.string()),
            pa.array(families, pa.string()),
        ]
        self._writer.write_batch(pa.record_batch(text, schema=TEXT))
        rows = np.empty(len(names), dtype=ROW)
        rows["key"], rows["key_end"] = np.frombuffer(b"".join(keys), dtype="<u8").reshape(-1, 2).T
        rows["length"] = np.fromiter(map(len, sequences), dtype=np.int64, count=len(names))
        for column, values in zip(("contig", "simulated", "source", "family", "kind"), others, strict=True):
            rows[column] = np.array(values, dtype=ROW[column])
        self._numbers.write(rows.tobytes())
        self.rows, self.bytes = self.rows + len(names), self.bytes + self._held_bytes
        self._blocks.append(len(names))
        self._held, self._held_bytes = [], 0


class Kept:
    """Which staged rows are kept, looked up in their splits (M,) where it is asked for: those that are not have -1."""

    def __init__(self, codes_M: NDArray[np.int8]) -> None:
        self._codes_M = codes_M

    def __getitem__(self, rows: slice | NDArray[np.int64]) -> NDArray[np.bool_]:
        kept: NDArray[np.bool_] = self._codes_M[rows] >= 0
        return kept


def kept_batches(
    stage: Stage, keep_M: NDArray[np.bool_] | Kept
) -> Iterator[tuple[pa.RecordBatch, NDArray[np.void], NDArray[np.int64]]]:
    """Those staged rows that are kept, in blocks: their text, their numbers and their places in the stage."""
    row = 0
    for batch, numbers in stage.batches():
        kept = keep_M[row : row + len(numbers)]
        places = row + np.flatnonzero(kept)
        row += len(numbers)
        if len(places) == len(numbers):
            yield batch, numbers, places
        elif len(places):
            yield batch.filter(pa.array(kept)), numbers[kept], places
