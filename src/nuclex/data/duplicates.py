"""Which sequences came before: equal ones (by the digest of their letters), found without holding all in memory."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from nuclex.data.curate import sequence_key
from nuclex.data.partition import Partitions
from nuclex.data.stage import Kept, Stage, kept_batches
from nuclex.data.store import sequences_of

_KEYED = np.dtype([("key", "<u8"), ("key_end", "<u8"), ("row", "<i8")])


def first_occurrences(stage: Stage, work: Path) -> NDArray[np.bool_]:
    """Whether each staged row (M,) is the first of those with its key, the 16 bytes of ``sequence_key``."""
    first_M = np.zeros(stage.rows, dtype=bool)
    for part in Partitions(_keyed(stage), stage.rows, work):
        order = np.lexsort((part["key_end"], part["key"]))  # stable: of equal keys the earliest row is first
        key, key_end = part["key"][order], part["key_end"][order]
        new = np.ones(len(part), dtype=bool)
        new[1:] = (key[1:] != key[:-1]) | (key_end[1:] != key_end[:-1])
        first_M[part["row"][order][new]] = True
    return first_M


def divided_duplicates(
    stage: Stage, keep_M: NDArray[np.bool_] | Kept, codes_M: NDArray[np.int8], work: Path, *, both_strands: bool = False
) -> int:
    """How many sets of equal kept sequences (or of each other's reverse complements) are in more than one split."""
    divided = 0
    keyed = _keyed_on_both_strands(stage, keep_M) if both_strands else _keyed(stage)
    for part in Partitions(keyed, stage.rows, work):
        part = part[keep_M[part["row"]]]
        part = part[np.lexsort((part["key_end"], part["key"]))]
        if not len(part):
            continue
        new = np.ones(len(part), dtype=bool)
        new[1:] = (part["key"][1:] != part["key"][:-1]) | (part["key_end"][1:] != part["key_end"][:-1])
        starts, codes = np.flatnonzero(new), codes_M[part["row"]]
        divided += int((np.minimum.reduceat(codes, starts) < np.maximum.reduceat(codes, starts)).sum())
    return divided


def _keyed_on_both_strands(stage: Stage, keep_M: NDArray[np.bool_] | Kept) -> Iterator[NDArray[np.void]]:
    """The kept rows, with keys that a sequence and its reverse complement share."""
    for batch, _, places_N in kept_batches(stage, keep_M):
        keys = b"".join(sequence_key(text, both_strands=True) for text in sequences_of(batch.column("sequence")))
        block = np.empty(len(places_N), dtype=_KEYED)
        block["key"], block["key_end"] = np.frombuffer(keys, dtype="<u8").reshape(-1, 2).T
        block["row"] = places_N
        yield block


def _keyed(stage: Stage) -> Iterator[NDArray[np.void]]:
    for rows, numbers in stage.numbered():
        block = np.empty(len(numbers), dtype=_KEYED)
        block["key"], block["key_end"] = numbers["key"], numbers["key_end"]
        block["row"] = np.arange(rows.start, rows.stop)
        yield block
