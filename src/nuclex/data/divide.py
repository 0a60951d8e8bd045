"""Divide the sequences of a large corpus into splits, with a few bytes of memory for each of them.

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
from nuclex.data.split import SplitConfig, fill_splits, name_keys, split_order

_ORDERED = np.dtype([("order", "<u8"), ("row", "<i8")])
Order = Callable[[NDArray[np.void]], NDArray[np.uint64]]


def divide(
    gathered: Gathered, keep_M: NDArray[np.bool_], config: SplitConfig, seed: int, work: Path
) -> NDArray[np.int8]:
    """The split of each staged row (M,); 0 for those that are not kept. ``work`` is a folder for temporary files.

    With ``by = "cluster"`` each sequence is its own cluster, with those that equal it. Raises InputError where there is
    too little to divide.
    """
    codes_M, offered_M = np.zeros(len(keep_M), dtype=np.int8), keep_M
    order = _order(gathered, config, seed)
    if config.validation_contigs or config.test_contigs:
        codes_M = _named_contigs(gathered, keep_M, config)
        offered_M = keep_M & (codes_M == 0)
        if not offered_M.any():
            raise InputError("split.test_contigs: with split.validation_contigs it leaves nothing to train on")
    if not config.shares():
        return codes_M
    if config.by == "random-per-source":
        for number in range(len(gathered.sources)):
            _fill_source(gathered, offered_M, codes_M, (order, config, number), work / f"split-{number}")
        return codes_M
    parts = Partitions(_ordered(gathered, offered_M, order), int(offered_M.sum()), work / "split")
    _fill(parts, codes_M, config)
    return codes_M


def _order(gathered: Gathered, config: SplitConfig, seed: int) -> Order:
    """What says, of numbers of staged rows, in which order their groups fill the splits."""
    if config.by == "family":
        family_keys = split_order(name_keys(gathered.families.listed()), seed)
        return lambda numbers: family_keys[numbers["family"]]
    column = "contig" if config.by == "contig" else "key"
    return lambda numbers: split_order(numbers[column], seed)


def _ordered(gathered: Gathered, offered_M: NDArray[np.bool_], order: Order) -> Iterator[NDArray[np.void]]:
    row = 0
    for numbers in gathered.stage.numbers():
        places = np.flatnonzero(offered_M[row : row + len(numbers)])
        block = np.empty(len(places), dtype=_ORDERED)
        block["order"], block["row"] = order(numbers[places]), row + places
        row += len(numbers)
        yield block


def _fill(parts: Partitions, codes_M: NDArray[np.int8], config: SplitConfig) -> None:
    """Fill the splits with groups in their order: rows of equal order are a group."""
    sizes_K = np.concatenate([_compact(sizes) for _, sizes in _groups(parts)])
    codes_K, first = fill_splits(sizes_K, config), 0
    for rows, sizes in _groups(parts):
        codes_M[rows] = np.repeat(codes_K[first : first + len(sizes)], sizes)
        first += len(sizes)


def _groups(parts: Partitions) -> Iterator[tuple[NDArray[np.int64], NDArray[np.int64]]]:
    """Rows in the order of their groups, and how many each group has."""
    for part in parts:
        part = part[np.argsort(part["order"], kind="stable")]
        borders = np.flatnonzero(part["order"][1:] != part["order"][:-1]) + 1
        yield part["row"], np.diff(np.concatenate([[0], borders, [len(part)]])) if len(part) else borders


def _compact(sizes: NDArray[np.int64]) -> NDArray[np.integer]:
    return sizes.astype(np.min_scalar_type(int(sizes.max(initial=0))))


def _fill_source(
    gathered: Gathered,
    offered_M: NDArray[np.bool_],
    codes_M: NDArray[np.int8],
    what: tuple[Order, SplitConfig, int],
    work: Path,
) -> None:
    """The shares of one source on its own; one with too few different sequences is for training."""
    order, config, number = what
    offered_M, row = offered_M.copy(), 0
    for numbers in gathered.stage.numbers():
        offered_M[row : row + len(numbers)] &= numbers["source"] == number
        row += len(numbers)
    parts = Partitions(_ordered(gathered, offered_M, order), int(offered_M.sum()), work)
    groups = sum(len(sizes) for _, sizes in _groups(parts))
    if groups > len(config.shares()):
        _fill(parts, codes_M, config)
    elif groups:
        say(f"split: {gathered.sources[number].name} has {groups} different sequences, too few to divide: all train")


def _named_contigs(gathered: Gathered, keep_M: NDArray[np.bool_], config: SplitConfig) -> NDArray[np.int8]:
    """The rows of those contigs that validation and test are said to have."""
    codes_M = np.zeros(len(keep_M), dtype=np.int8)
    for code, key in ((1, "validation_contigs"), (2, "test_contigs")):
        names = config.validation_contigs if code == 1 else config.test_contigs
        missing = [name for name in names if name not in gathered.contigs]
        if missing:
            found = ", ".join([*gathered.contigs, *gathered.other_contigs])
            raise InputError(f"split.{key}: no sequence of contig {missing[0]!r} passed the filters; found {found}")
        hashes = np.array([gathered.contigs[name] for name in names], dtype=np.uint64)
        row = 0
        for numbers in gathered.stage.numbers():
            codes_M[row : row + len(numbers)][np.isin(numbers["contig"], hashes)] = code
            row += len(numbers)
    return codes_M * keep_M
