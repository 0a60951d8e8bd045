"""Divide the sequences of a large corpus into splits, with one byte of memory for each of them.

The rules are those of ``nuclex.data.split``; here the groups are found by their hashes on disk.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from nuclex.core.errors import InputError
from nuclex.core.progress import say
from nuclex.data.gather import Gathered
from nuclex.data.partition import Partitions
from nuclex.data.split import Filling, SplitConfig, name_keys, split_order

_ORDERED = np.dtype([("order", "<u8"), ("row", "<i8")])
Order = Callable[[NDArray[np.void]], NDArray[np.uint64]]


def undivided(keep_M: NDArray[np.bool_]) -> NDArray[np.int8]:
    """The splits of M staged rows before anything is divided: 0 (train) for those that are kept, -1 for the others.

    They take the place of ``keep_M`` in memory, which must not be used any more.
    """
    codes_M = keep_M.view(np.int8)
    codes_M -= 1
    return codes_M


def divide(gathered: Gathered, codes_M: NDArray[np.int8], config: SplitConfig, seed: int, work: Path) -> None:
    """Write the split of each staged row into ``codes_M``, which comes as ``undivided`` makes it.

    With ``by = "cluster"`` each sequence is its own cluster, with those that equal it. ``work`` is a folder for
    temporary files. Raises InputError where there is too little to divide.
    """
    order = _order(gathered, config, seed)
    if config.validation_contigs or config.test_contigs:
        _name_contigs(gathered, codes_M, config)
        if not _free(codes_M):
            raise InputError("split.test_contigs: with split.validation_contigs it leaves nothing to train on")
    if not config.shares():
        return
    if config.by == "random-per-source":
        for number, rows in enumerate(_free_by_source(gathered, codes_M)):
            parts = Partitions(_ordered(gathered, codes_M, order, number), rows, work / f"split-{number}")
            if _dividable(parts, config, gathered.sources[number].name):
                _fill(parts, codes_M, config)
        return
    _fill(Partitions(_ordered(gathered, codes_M, order), _free(codes_M), work / "split"), codes_M, config)


def _free(codes_M: NDArray[np.int8]) -> int:
    """How many rows are kept, and not yet in validation or test."""
    return len(codes_M) - int(np.count_nonzero(codes_M))


def _free_by_source(gathered: Gathered, codes_M: NDArray[np.int8]) -> list[int]:
    rows_S = np.zeros(len(gathered.sources), dtype=np.int64)
    for rows, numbers in gathered.stage.numbered():
        rows_S += np.bincount(numbers["source"][codes_M[rows] == 0], minlength=len(rows_S))
    return [int(rows) for rows in rows_S]


def _order(gathered: Gathered, config: SplitConfig, seed: int) -> Order:
    """What says, of numbers of staged rows, in which order their groups fill the splits."""
    if config.by == "family":
        family_keys = split_order(name_keys(gathered.families.listed()), seed)
        return lambda numbers: family_keys[numbers["family"]]
    column = "contig" if config.by == "contig" else "key"
    return lambda numbers: split_order(numbers[column], seed)


def _ordered(
    gathered: Gathered, codes_M: NDArray[np.int8], order: Order, source: int | None = None
) -> Iterator[NDArray[np.void]]:
    """The rows that are free, all or those of one source, with the hashes that say their order."""
    for rows, numbers in gathered.stage.numbered():
        free = codes_M[rows] == 0
        if source is not None:
            free &= numbers["source"] == source
        places = np.flatnonzero(free)
        block = np.empty(len(places), dtype=_ORDERED)
        block["order"], block["row"] = order(numbers[places]), rows.start + places
        yield block


def _fill(parts: Partitions, codes_M: NDArray[np.int8], config: SplitConfig) -> None:
    """Fill the splits with groups in their order: rows of equal order are a group."""
    filling = Filling(lambda: (sizes for _, sizes in _groups(parts)), config)
    for (orders, sizes), blocks in zip(_groups(parts), parts.in_blocks(), strict=False):
        if filling.done:
            break
        codes = filling.codes(sizes)
        for block in blocks if codes.any() else ():
            codes_M[block["row"]] = codes[np.searchsorted(orders, block["order"])]


def _groups(parts: Partitions) -> Iterator[tuple[NDArray[np.uint64], NDArray[np.int64]]]:
    """The groups in their order, and how many rows each has; some groups at a time."""
    for blocks in parts.in_blocks():
        orders, sizes = np.zeros(0, dtype=np.uint64), np.zeros(0, dtype=np.int64)
        for block in blocks:
            found, counts = np.unique(block["order"], return_counts=True)
            known = len(orders)
            orders, places = np.unique(np.concatenate([orders, found]), return_inverse=True)
            before, sizes = sizes, np.zeros(len(orders), dtype=np.int64)
            sizes[places[:known]] = before
            sizes[places[known:]] += counts
        yield orders, sizes


def _dividable(parts: Partitions, config: SplitConfig, name: str) -> bool:
    """Whether there are more groups than parts to fill; says so where not. A source without is for training."""
    groups = 0
    for _, sizes in _groups(parts):
        groups += len(sizes)
        if groups > len(config.shares()):
            return True
    if groups:
        say(f"split: {name} has {groups} different sequences, too few to divide: all train")
    return False


def _name_contigs(gathered: Gathered, codes_M: NDArray[np.int8], config: SplitConfig) -> None:
    """Put the rows of those contigs that validation and test are said to have there."""
    for code, key in ((1, "validation_contigs"), (2, "test_contigs")):
        names = config.validation_contigs if code == 1 else config.test_contigs
        missing = [name for name in names if name not in gathered.contigs]
        if missing:
            found = ", ".join([*gathered.contigs, *gathered.other_contigs])
            raise InputError(f"split.{key}: no sequence of contig {missing[0]!r} passed the filters; found {found}")
        hashes = np.array([gathered.contigs[name] for name in names], dtype=np.uint64)
        for rows, numbers in gathered.stage.numbered():
            codes_M[rows][(codes_M[rows] >= 0) & np.isin(numbers["contig"], hashes)] = code
