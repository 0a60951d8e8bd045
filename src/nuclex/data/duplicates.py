"""Which sequences came before: equal ones (by the digest of their letters), found without holding all in memory."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from nuclex.data.curate import sequence_keys
from nuclex.data.partition import Partitions
from nuclex.data.stage import Kept, Stage, kept_batches
from nuclex.data.store import letters, runs

_KEYED = np.dtype([("key", "<u8"), ("key_end", "<u8"), ("row", "<i8")])
_SPREAD = np.dtype([("key", "<u8"), ("key_end", "<u8"), ("lowest", "i1"), ("highest", "i1")])
"""A set of equal sequences, and the first and the last split that one of them is in."""


def first_occurrences(stage: Stage, work: Path) -> NDArray[np.bool_]:
    """Whether each staged row (M,) is the first of those with its key, the 16 bytes of ``sequence_key``."""
    first_M = np.zeros(stage.rows, dtype=bool)
    for blocks in Partitions(_keyed(stage), stage.rows, work).in_blocks():
        known = np.zeros(0, dtype=_KEYED)
        for block in blocks:
            rows = _by_key(known, block)
            known = rows[_borders(rows)]
            first_M[known["row"]] = True
    return first_M


def divided_duplicates(
    stage: Stage, keep_M: NDArray[np.bool_] | Kept, codes_M: NDArray[np.int8], work: Path, *, both_strands: bool = False
) -> int:
    """How many sets of equal kept sequences (or of each other's reverse complements) are in more than one split."""
    divided = 0
    keyed = _keyed_on_both_strands(stage, keep_M) if both_strands else _keyed(stage)
    for blocks in Partitions(keyed, stage.rows, work).in_blocks():
        known = np.zeros(0, dtype=_SPREAD)
        for block in blocks:
            rows = _by_key(known, _spread(block[keep_M[block["row"]]], codes_M))
            borders = _borders(rows)
            known = rows[borders]
            known["lowest"] = np.minimum.reduceat(rows["lowest"], borders)
            known["highest"] = np.maximum.reduceat(rows["highest"], borders)
        divided += int((known["lowest"] < known["highest"]).sum())
    return divided


def _spread(block: NDArray[np.void], codes_M: NDArray[np.int8]) -> NDArray[np.void]:
    """Each row as a set of its own."""
    alone = np.empty(len(block), dtype=_SPREAD)
    alone["key"], alone["key_end"] = block["key"], block["key_end"]
    alone["lowest"] = alone["highest"] = codes_M[block["row"]]
    return alone


def _by_key(known: NDArray[np.void], block: NDArray[np.void]) -> NDArray[np.void]:
    """Both together in the order of their keys; of equal keys the earliest is first."""
    rows = np.concatenate([known, block])
    return rows[np.lexsort((rows["key_end"], rows["key"]))]


def _borders(rows: NDArray[np.void]) -> NDArray[np.int64]:
    """Where, of rows in the order of their keys, another key begins."""
    new = np.ones(len(rows), dtype=bool)
    new[1:] = (rows["key"][1:] != rows["key"][:-1]) | (rows["key_end"][1:] != rows["key_end"][:-1])
    return np.flatnonzero(new)


def _keyed_on_both_strands(stage: Stage, keep_M: NDArray[np.bool_] | Kept) -> Iterator[NDArray[np.void]]:
    """The kept rows, with keys that a sequence and its reverse complement share."""
    for batch, _, places_N in kept_batches(stage, keep_M):
        data, offsets = letters(batch.column("sequence"))
        offsets_N1, keys = np.asarray(offsets), list[bytes]()
        for first, last in runs(offsets_N1):
            text = bytes(data[offsets[first] : offsets[last]])
            keys += sequence_keys(text, np.diff(offsets_N1[first : last + 1]).tolist(), both_strands=True)
        block = np.empty(len(places_N), dtype=_KEYED)
        block["key"], block["key_end"] = np.frombuffer(b"".join(keys), dtype="<u8").reshape(-1, 2).T
        block["row"] = places_N
        yield block


def _keyed(stage: Stage) -> Iterator[NDArray[np.void]]:
    for rows, numbers in stage.numbered():
        block = np.empty(len(numbers), dtype=_KEYED)
        block["key"], block["key_end"] = numbers["key"], numbers["key_end"]
        block["row"] = np.arange(rows.start, rows.stop)
        yield block
