"""What passed the filters, on disk until it is known what stays, what belongs together and what is for the test.

Text and numbers lie in two files that are read through in step, a block at a time, as often as is needed.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import chain
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from nuclex.data.store import BATCH_BYTES, BATCH_ROWS, letters

_TEXT_FILE, _ROW_FILE = "stage.arrow", "stage.rows"
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
    """N sequences that passed the filters: ids, letters end to end, names of sources and families, and ``ROW``s."""

    ids: list[str]
    letters: bytes
    sources: list[str]
    families: list[str | None]
    rows_N: NDArray[np.void]


def rows_of(keys: list[bytes], lengths: list[int]) -> NDArray[np.void]:
    """A ``ROW`` for each of N sequences with these keys (16 bytes each) and lengths; nothing else is known of them."""
    rows_N = np.zeros(len(keys), dtype=ROW)
    rows_N["key"], rows_N["key_end"] = np.frombuffer(b"".join(keys), dtype="<u8").reshape(-1, 2).T
    rows_N["length"] = lengths
    rows_N["family"] = rows_N["kind"] = -1
    return rows_N


class Stage:
    """The sequences that passed the filters; first added to, then closed, then read in blocks."""

    def __init__(self, folder: Path) -> None:
        self.rows = self.bytes = 0
        self._text_path, self._number_path = folder / _TEXT_FILE, folder / _ROW_FILE
        self._held: list[Staged] = []
        self._held_rows = self._held_bytes = 0
        self._blocks: list[int] = []
        self._text = pa.OSFile(str(self._text_path), "wb")
        self._writer = pa.ipc.new_stream(self._text, TEXT)
        self._numbers = open(self._number_path, "wb")  # noqa: SIM115 (closed by close)

    def add(self, staged: Staged) -> None:
        """Take some sequences."""
        self._held.append(staged)
        self._held_rows += len(staged.ids)
        self._held_bytes += len(staged.letters)
        if self._held_rows >= BATCH_ROWS or self._held_bytes >= BATCH_BYTES:
            self._flush(rest=False)

    def close(self) -> None:
        """Write what is left and finish the files."""
        try:
            self._flush(rest=True)
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

    def _flush(self, *, rest: bool) -> None:
        """Write what is held in blocks that end as soon as they have so many rows or letters; or also the rest."""
        held = _united(self._held)
        ends_N = np.cumsum(held.rows_N["length"])
        first = start = 0
        while first < len(held.ids):
            last = min(first + BATCH_ROWS, int(np.searchsorted(ends_N, start + BATCH_BYTES)) + 1)
            if last > len(held.ids) and not rest:
                break
            stop = int(ends_N[:last][-1])
            self._write(_part(held, slice(first, last), slice(start, stop)))
            first, start = last, stop
        self._held = [_part(held, slice(first, None), slice(start, None))]
        self._held_rows, self._held_bytes = len(self._held[0].ids), len(self._held[0].letters)

    def _write(self, staged: Staged) -> None:
        offsets_N1 = np.append(0, np.cumsum(staged.rows_N["length"]))
        letters = [None, pa.py_buffer(offsets_N1), pa.py_buffer(staged.letters)]
        text = [
            pa.array(staged.ids, pa.string()),
            pa.Array.from_buffers(pa.large_string(), len(staged.ids), letters),
            pa.array(staged.sources, pa.string()),
            pa.array(staged.families, pa.string()),
        ]
        self._writer.write_batch(pa.record_batch(text, schema=TEXT))
        self._numbers.write(staged.rows_N.tobytes())
        self.rows, self.bytes = self.rows + len(staged.ids), self.bytes + len(staged.letters)
        self._blocks.append(len(staged.ids))


def _united(parts: list[Staged]) -> Staged:
    return Staged(
        list(chain.from_iterable(part.ids for part in parts)),
        b"".join([part.letters for part in parts]),
        list(chain.from_iterable(part.sources for part in parts)),
        list(chain.from_iterable(part.families for part in parts)),
        np.concatenate([np.zeros(0, dtype=ROW), *(part.rows_N for part in parts)]),
    )


def _part(staged: Staged, rows: slice, letters: slice) -> Staged:
    ids, text, sources, families, rows_N = staged
    return Staged(ids[rows], text[letters], sources[rows], families[rows], rows_N[rows])


def staged_in(folder: Path) -> Iterator[Staged]:
    """What the closed stage in a folder holds, in blocks: another process may have filled it."""
    text, rows = folder / _TEXT_FILE, folder / _ROW_FILE
    with pa.OSFile(str(text), "rb") as file, pa.ipc.open_stream(file) as reader, open(rows, "rb") as numbers:
        for batch in reader:
            data, offsets = letters(batch.column("sequence"))
            names = [batch.column(name).to_pylist() for name in ("id", "source", "family")]
            rows_N = np.fromfile(numbers, dtype=ROW, count=batch.num_rows)
            yield Staged(names[0], bytes(data[offsets[0] : offsets[-1]]), names[1], names[2], rows_N)


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
