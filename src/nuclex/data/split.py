"""Train, validation and test: related sequences stay together, so that a model is not asked what it has already seen.

Given the clusters (or families, or contigs), the split follows from the seed and the sequences alone, never from their
order.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable
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
    wanted, total = config.shares(), int(sizes_K.sum(dtype=np.int64))
    if wanted and len(sizes_K) <= len(wanted):
        raise InputError(
            f"split: {total} sequences in {len(sizes_K)} groups (by {config.by}) cannot be divided into "
            f"{len(wanted) + 1} parts; give more sequences, or split.validation = 0 and split.test = 0"
        )
    codes_K = np.zeros(len(sizes_K), dtype=np.int8)
    for place, (code, share) in enumerate(wanted):
        spared = len(wanted) - place  # one group for train, and one for each split that is still to be filled
        most = int(np.count_nonzero(codes_K == 0)) - spared
        if not _fill(sizes_K, codes_K, code, max(1, round(share * total)), most):
            free = np.flatnonzero(codes_K == 0)
            codes_K[free[np.argmin(sizes_K[free])]] = code
    return codes_K


def divided_groups(groups_N: NDArray[np.int64], codes_N: NDArray[np.int8]) -> int:
    """How many groups have members in more than one split; 0 where the split is by these groups."""
    pairs_2 = np.unique(np.stack([groups_N, codes_N.astype(np.int64)]), axis=1)
    return int((np.unique(pairs_2[0], return_counts=True)[1] > 1).sum())


def _fill(sizes_K: NDArray[np.integer], codes_K: NDArray[np.int8], code: int, left: int, most: int) -> int:
    """Give ``code`` to free groups in order, as long as they fit into what is ``left``; returns how many.

    Groups are looked at some at a time, so that memory does not grow with them.
    """
    start = taken = 0
    while left > 0 and taken < most and start < len(sizes_K):
        block = sizes_K[start : start + _GROUPS_AT_ONCE].astype(np.int64)
        fitting = np.flatnonzero((block <= left) & (codes_K[start : start + len(block)] == 0))
        count = min(int(np.searchsorted(np.cumsum(block[fitting]), left, side="right")), most - taken)
        codes_K[start + fitting[:count]] = code
        left, taken = left - int(block[fitting[:count]].sum()), taken + count
        # the first that no longer fits is passed over, and what comes after it is looked at again
        start += int(fitting[count]) + 1 if count < len(fitting) else len(block)
    return taken
