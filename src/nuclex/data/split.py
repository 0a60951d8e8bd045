"""Train, validation and test: related sequences stay together, so that a model is not asked what it has already seen.

Given the clusters (or families, or contigs), the split follows from the seed and the sequences alone, never from their
order.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Iterable
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field, field_validator, model_validator

from nuclex.core.config import Config
from nuclex.core.errors import InputError, at
from nuclex.data.read import Record

SPLITS = ("train", "validation", "test")
_GROUPS_AT_ONCE = 1 << 16


def one_group(pattern: str) -> str:
    """A regular expression with exactly one group, or ValueError."""
    try:
        groups = re.compile(pattern).groups
    except re.error as error:
        raise ValueError(f"not a regular expression: {error}") from None
    if groups != 1:
        raise ValueError(f"a pattern with exactly one group (…) is needed, this one has {groups}")
    return pattern


class SplitConfig(Config):
    """How sequences are divided. Fractions are of sequences; what is not validation or test is for training."""

    by: Literal["cluster", "family", "contig", "random", "random-per-source"] = Field(
        default="cluster",
        description="what stays together: a homology cluster, a family named in the header, the pieces of a contig "
        "(chromosome; of one name in two files is one), nothing; random-per-source takes the shares from each input "
        "file on its own",
    )
    validation: float = Field(default=0.05, ge=0, lt=1, description="share of sequences to choose models on")
    test: float = Field(default=0.05, ge=0, lt=1, description="share of sequences for the final number only")
    family_pattern: str = Field(
        default=r"\bfamily=(\S+)", description="regular expression whose one group is the family in a FASTA header"
    )

    validation_contigs: tuple[str, ...] = Field(
        default=(), description="with by = contig: exactly these contigs are for validation, whatever their share"
    )
    test_contigs: tuple[str, ...] = Field(
        default=(), description="with by = contig: exactly these contigs are for the test, whatever their share"
    )

    @field_validator("family_pattern")
    @classmethod
    def _one_group(cls, pattern: str) -> str:
        return one_group(pattern)

    @model_validator(mode="after")
    def _leaves_train(self) -> SplitConfig:
        if self.validation + self.test >= 1:
            raise ValueError(f"validation {self.validation:g} and test {self.test:g} leave nothing to train on")
        if self.by != "contig" and (self.validation_contigs or self.test_contigs):
            raise ValueError(f"validation_contigs and test_contigs need by = 'contig', found {self.by!r}")
        both = sorted({*self.validation_contigs} & {*self.test_contigs})
        if both:
            raise ValueError(f"contig {both[0]!r} is in validation_contigs and in test_contigs")
        return self

    def shares(self) -> list[tuple[int, float]]:
        """The splits to be filled up to a share, as (index into ``SPLITS``, share); named contigs fill theirs."""
        listed = {1: self.validation_contigs, 2: self.test_contigs}
        wanted = [(1, self.validation), (2, self.test)]
        return [(code, share) for code, share in wanted if share > 0 and not listed[code]]


def family_of(record: Record, config: SplitConfig, path: str) -> str | None:
    """The family that a header names, or None; InputError where the split is by family and the header names none."""
    found = re.search(config.family_pattern, record.description)
    if found is None and config.by == "family":
        raise InputError(
            f"{at(path, record.line)}: {record.id!r} names no family; split.by = 'family' needs "
            f"{config.family_pattern!r} in every header (split.family_pattern)"
        )
    return found.group(1) if found is not None else None


def name_keys(names: Iterable[str]) -> NDArray[np.uint64]:
    """A hash for each name, evenly spread, that follows from the name alone."""
    digests = [hashlib.blake2b(name.encode("utf-8", "surrogateescape"), digest_size=8).digest() for name in names]
    return np.frombuffer(b"".join(digests), dtype="<u8").astype(np.uint64)


def assign_splits(
    groups_N: NDArray[np.int64], keys_N: NDArray[np.uint64], config: SplitConfig, seed: int
) -> NDArray[np.int8]:
    """The split of each of N sequences, as the index into ``SPLITS``; a group is never divided.

    ``keys_N`` are digests of the sequences. Groups are put in an order that is random but follows from ``seed`` and
    their smallest key alone, and fill validation, then test, up to their share of the sequences; a group too large
    for what is left goes on to the next. So a group larger than the whole share is for training, unless all are.
    Raises InputError where there are fewer groups than splits.
    """
    _, group_N, sizes_K = np.unique(groups_N, return_inverse=True, return_counts=True)
    keys_K = np.full(len(sizes_K), np.iinfo(np.uint64).max, dtype=np.uint64)
    np.minimum.at(keys_K, group_N, keys_N)
    order_K = np.argsort(split_order(keys_K, seed), kind="stable")
    codes_K = np.empty(len(sizes_K), dtype=np.int8)
    codes_K[order_K] = fill_splits(sizes_K[order_K], config)
    return codes_K[group_N]


def split_order(keys_K: NDArray[np.uint64], seed: int) -> NDArray[np.uint64]:
    """Numbers that look random but follow from keys and seed: SplitMix64's finaliser, doi:10.1145/2660193.2660195.

    Groups fill the splits in their order. Different keys have different numbers.
    """
    salt = hashlib.blake2b(f"nuclex split {seed}".encode(), digest_size=8).digest()
    mixed_K = keys_K ^ np.uint64(int.from_bytes(salt, "little"))
    mixed_K = (mixed_K ^ (mixed_K >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    mixed_K = (mixed_K ^ (mixed_K >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return mixed_K ^ (mixed_K >> np.uint64(31))


def fill_splits(sizes_K: NDArray[np.integer], config: SplitConfig) -> NDArray[np.int8]:
    """The split of each of K groups that stand in the order in which they fill the splits, given their sizes."""
    return Filling(lambda: [sizes_K], config).codes(sizes_K)


class Filling:
    """Fills the splits with groups that come some at a time, in their order; nothing is held for each group.

    ``sizes`` gives the sizes of all groups whenever it is called: they are gone through once to count them, and then
    for each split to see whether any group fits. Raises InputError where there are fewer groups than splits.
    """

    def __init__(self, sizes: Callable[[], Iterable[NDArray[np.integer]]], config: SplitConfig) -> None:
        wanted, total, free = config.shares(), 0, 0
        for sizes_B in sizes():
            total, free = total + int(sizes_B.sum(dtype=np.int64)), free + len(sizes_B)
        if wanted and free <= len(wanted):
            raise InputError(
                f"split: {total} sequences in {free} groups (by {config.by}) cannot be divided into "
                f"{len(wanted) + 1} parts; give more sequences, or split.validation = 0 and split.test = 0"
            )
        self._fills: list[_Fill] = []
        for place, (code, share) in enumerate(wanted):
            spared = len(wanted) - place  # one group for train, and one for each split that is still to be filled
            self._fills.append(_Fill(code, max(1, round(share * total)), free - spared))
            free -= self._tried(sizes)

    @property
    def done(self) -> bool:
        """Whether all groups that are still to come are for training."""
        return all(fill.done for fill in self._fills)

    def codes(self, sizes_B: NDArray[np.integer]) -> NDArray[np.int8]:
        """The splits of the next B groups, given their sizes, as indices into ``SPLITS``."""
        codes_B = np.zeros(len(sizes_B), dtype=np.int8)
        for fill in self._fills:
            fill.take(sizes_B, codes_B)
        return codes_B

    def _tried(self, sizes: Callable[[], Iterable[NDArray[np.integer]]]) -> int:
        """How many groups the last split takes, the smallest where none fits; then all begin again."""
        last = self._fills[-1]
        for sizes_B in sizes():
            self.codes(sizes_B)
            if self.done:
                break
        taken, last.only = last.taken, None if last.taken else last.smallest[1]
        for fill in self._fills:
            fill.begin()
        return taken or 1


class _Fill:
    """One split that takes groups in order, as long as they fit into what is left of ``room`` and are not too many."""

    def __init__(self, code: int, room: int, most: int) -> None:
        self.code, self.room, self.most = code, room, most
        self.only: int | None = None
        """The place of the group that is taken alone, where none fits."""
        self.begin()

    def begin(self) -> None:
        """Nothing was taken yet, and the first group is the next."""
        self.taken, self._left, self._seen = 0, self.room, 0
        self.smallest = (np.iinfo(np.int64).max, -1)
        """Size and place of the first smallest group that is free; kept up to date until one is taken."""

    @property
    def done(self) -> bool:
        """Whether nothing more is taken."""
        return self._left == 0 or self.taken == self.most or (self.only is not None and self._seen > self.only)

    def take(self, sizes_B: NDArray[np.integer], codes_B: NDArray[np.int8]) -> None:
        """Put its code where it takes one of the next groups, of those whose code is 0."""
        before, self._seen = self._seen, self._seen + len(sizes_B)
        if self.only is not None:
            if before <= self.only < self._seen:
                codes_B[self.only - before] = self.code
            return
        for start in range(0, len(sizes_B), _GROUPS_AT_ONCE):
            self._take_fitting(sizes_B[start : start + _GROUPS_AT_ONCE], codes_B[start : start + _GROUPS_AT_ONCE])
        free = np.flatnonzero(codes_B == 0)
        if self.taken == 0 and len(free):
            place = int(free[np.argmin(sizes_B[free])])
            self.smallest = min(self.smallest, (int(sizes_B[place]), before + place))

    def _take_fitting(self, sizes_B: NDArray[np.integer], codes_B: NDArray[np.int8]) -> None:
        start = 0
        while not self.done and start < len(sizes_B):
            sizes = sizes_B[start:].astype(np.int64)
            fitting = np.flatnonzero((sizes <= self._left) & (codes_B[start:] == 0))
            ends = np.cumsum(sizes[fitting])
            count = min(int(np.searchsorted(ends, self._left, side="right")), self.most - self.taken)
            codes_B[start + fitting[:count]] = self.code
            self.taken += count
            self._left -= int(ends[count - 1]) if count else 0
            # the first that no longer fits is passed over, and what comes after it is looked at again
            start += int(fitting[count]) + 1 if count < len(fitting) else len(sizes)


def divided_groups(groups_N: NDArray[np.int64], codes_N: NDArray[np.int8]) -> int:
    """How many groups have members in more than one split; 0 where the split is by these groups."""
    pairs_2 = np.unique(np.stack([groups_N, codes_N.astype(np.int64)]), axis=1)
    return int((np.unique(pairs_2[0], return_counts=True)[1] > 1).sum())
