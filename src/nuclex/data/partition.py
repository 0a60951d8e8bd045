"""Sorting and grouping more rows than memory holds: rows are dealt into files by a hash, and each file fits.

The hash is a 64-bit number that is evenly spread. Rows are dealt by its highest bits, so that the files follow one
another in the order of the hash, and rows of equal hash are in one file. Few rows never leave memory; where 256 files
would be too large each is dealt again by the next bits, so that up to 10^10 rows, and any length of text, are sorted in
the memory that one file takes: 2^18 rows, or 64 MB of text. A file of many rows with one hash may be larger, and is
read in blocks.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import chain
from pathlib import Path

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

BLOCK_ROWS = 1 << 16
"""Rows that are read or dealt at once."""
_ROWS_AT_ONCE, _BYTES_AT_ONCE = 1 << 18, 1 << 25
_MOST_BITS = 8


class Partitions:
    """Records whose first field is a hash, as a row of arrays that ascend in it; may be gone through many times.

    Within an array the records are in the order in which they came. ``total`` is how many there are at most.
    """

    def __init__(self, blocks: Iterable[NDArray[np.void]], total: int, folder: Path) -> None:
        bits = _bits_for(total, _ROWS_AT_ONCE)
        self._held: NDArray[np.void] | None = None
        if bits == 0:
            held = list(blocks)
            self._held = np.concatenate(held) if held else np.zeros(0, dtype=np.void)
            return
        blocks = iter(blocks)
        first = next(blocks)
        self._dtype = first.dtype
        self._paths = list(self._deal(chain([first], blocks), bits, 0, folder))

    def __iter__(self) -> Iterator[NDArray[np.void]]:
        if self._held is not None:
            if len(self._held):
                yield self._held
            return
        for path in self._paths:
            yield np.fromfile(path, dtype=self._dtype)

    def in_blocks(self) -> Iterator[Iterator[NDArray[np.void]]]:
        """Each of the arrays in blocks that fit into memory, also where most rows have one hash."""
        if self._held is not None:
            yield from (iter([part]) for part in self)
            return
        for path in self._paths:
            yield self._blocks(path, _ROWS_AT_ONCE)

    def _deal(self, blocks: Iterable[NDArray[np.void]], bits: int, skip: int, folder: Path) -> Iterator[Path]:
        """The files with the rows, told apart by ``bits`` of their hashes after the first ``skip``."""
        now = min(bits, _MOST_BITS)
        folder.mkdir()
        paths = [folder / f"{number:03d}" for number in range(1 << now)]
        with contextlib.ExitStack() as stack:
            files = [stack.enter_context(open(path, "wb")) for path in paths]
            for block in blocks:
                numbers = _digits(block[block.dtype.names[0]], skip, now)  # type: ignore[index]
                dealt = block[np.argsort(numbers, kind="stable")]
                ends = np.cumsum(np.bincount(numbers, minlength=len(files))).tolist()
                for file, start, end in zip(files, [0, *ends], ends, strict=False):
                    if end > start:
                        file.write(dealt[start:end].tobytes())
        for path in paths:
            if bits == now:
                yield path
                continue
            yield from self._deal(self._blocks(path, BLOCK_ROWS), bits - now, skip + now, path.with_suffix(".again"))
            path.unlink()

    def _blocks(self, path: Path, rows: int) -> Iterator[NDArray[np.void]]:
        with open(path, "rb") as file:
            while len(block := np.fromfile(file, dtype=self._dtype, count=rows)):
                yield block


def distinct(hashes: Iterable[NDArray[np.uint64]], total: int, folder: Path) -> int:
    """How many different numbers there are among ``total`` hashes."""
    found = 0
    for blocks in Partitions((block.view([("hash", "<u8")]) for block in hashes), total, folder).in_blocks():
        known = np.zeros(0, dtype="<u8")
        for block in blocks:
            known = np.unique(np.concatenate([known, block["hash"]]))
        found += len(known)
    return found


def sorted_batches(
    batches: Iterable[pa.RecordBatch], column: str, size: int, folder: Path, skip: int = 0
) -> Iterator[pa.RecordBatch]:
    """The rows of Arrow batches in the order of a column of hashes; equal hashes stay in the order they came in.

    ``size`` is about how many bytes there are in all; ``folder`` is made for the files where they do not fit. The first
    ``skip`` bits of the hashes are known to be equal. A file that turns out too large is dealt by the next bits; one
    whose hashes are all equal is in order as it is.
    """
    bits = min(_bits_for(size, _BYTES_AT_ONCE), _MOST_BITS)
    if bits == 0:
        yield from _sorted(list(batches), column)
        return
    folder.mkdir()
    for dealt in _deal_batches(batches, column, (skip, bits), folder):
        with pa.OSFile(str(dealt.path), "rb") as file, pa.ipc.open_stream(file) as reader:
            if dealt.bytes <= 2 * _BYTES_AT_ONCE:
                yield from _sorted(list(reader), column)
            elif dealt.lowest == dealt.highest:
                for batch in reader:
                    yield from (batch.slice(start, BLOCK_ROWS) for start in range(0, batch.num_rows, BLOCK_ROWS))
            else:
                again = dealt.path.with_suffix(".again")
                yield from sorted_batches(reader, column, dealt.bytes, again, skip + bits)
                again.rmdir()
        dealt.path.unlink()


@dataclass
class _Dealt:
    """A file of batches: how many bytes its rows have, and between which hashes they lie."""

    path: Path
    bytes: int = 0
    lowest: int = 1 << 64
    highest: int = 0


def _deal_batches(batches: Iterable[pa.RecordBatch], column: str, bits: tuple[int, int], folder: Path) -> list[_Dealt]:
    files = {number: _Dealt(folder / f"{number:03d}.arrow") for number in range(1 << bits[1])}
    with contextlib.ExitStack() as stack:
        writers: dict[int, pa.RecordBatchStreamWriter] = {}
        for batch in batches:
            numbers = _digits(batch.column(column).to_numpy(), *bits)
            dealt = batch.take(pa.array(np.argsort(numbers, kind="stable")))
            start = 0
            for number, count in enumerate(np.bincount(numbers, minlength=len(files)).tolist()):
                if not count:
                    continue
                file, rows = files[number], dealt.slice(start, count)
                if number not in writers:
                    sink = stack.enter_context(pa.OSFile(str(file.path), "wb"))
                    writers[number] = stack.enter_context(pa.ipc.new_stream(sink, batch.schema))
                writers[number].write_batch(rows)
                hashes = rows.column(column).to_numpy()
                file.bytes, start = file.bytes + rows.nbytes, start + count
                file.lowest, file.highest = min(file.lowest, int(hashes.min())), max(file.highest, int(hashes.max()))
    return [files[number] for number in sorted(writers)]


def _sorted(batches: list[pa.RecordBatch], column: str) -> Iterator[pa.RecordBatch]:
    if not batches:
        return
    held = pa.Table.from_batches(batches).combine_chunks()
    batches.clear()
    order = np.argsort(held.column(column).to_numpy(), kind="stable")
    for start in range(0, len(order), BLOCK_ROWS):
        yield from held.take(pa.array(order[start : start + BLOCK_ROWS])).combine_chunks().to_batches()


def _digits(hashes: NDArray[np.uint64], skip: int, bits: int) -> NDArray[np.int64]:
    """The number that ``bits`` bits of each hash make, after its first ``skip`` bits."""
    return ((hashes << np.uint64(skip)) >> np.uint64(64 - bits)).astype(np.int64)


def _bits_for(size: int, at_once: int) -> int:
    """How many bits tell enough partitions apart for each to be of at most about ``at_once``; two deals' at most."""
    return min(max(0, (max(size, 1) - 1) // at_once).bit_length(), 2 * _MOST_BITS)
