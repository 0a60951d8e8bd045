"""Train, validation and test: related sequences stay together, so that a model is not asked what it has already seen.

Given the clusters (or families), the split follows from the seed and the sequences alone, never from their order.
"""

from __future__ import annotations

import hashlib
import re
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field, field_validator, model_validator

from nuclex.core.config import Config
from nuclex.core.errors import InputError, at
from nuclex.data.read import Record

SPLITS = ("train", "validation", "test")


class SplitConfig(Config):
    """How sequences are divided. Fractions are of sequences; what is not validation or test is for training."""

    by: Literal["cluster", "family", "random"] = Field(
        default="cluster", description="what stays together: a homology cluster, a family named in the header, nothing"
    )
    validation: float = Field(default=0.05, ge=0, lt=1, description="share of sequences to choose models on")
    test: float = Field(default=0.05, ge=0, lt=1, description="share of sequences for the final number only")
    family_pattern: str = Field(
        default=r"\bfamily=(\S+)", description="regular expression whose one group is the family in a FASTA header"
    )

    @field_validator("family_pattern")
    @classmethod
    def _one_group(cls, pattern: str) -> str:
        try:
            groups = re.compile(pattern).groups
        except re.error as error:
            raise ValueError(f"not a regular expression: {error}") from None
        if groups != 1:
            raise ValueError(f"a pattern with exactly one group (…) is needed, this one has {groups}")
        return pattern

    @model_validator(mode="after")
    def _leaves_train(self) -> SplitConfig:
        if self.validation + self.test >= 1:
            raise ValueError(f"validation {self.validation:g} and test {self.test:g} leave nothing to train on")
        return self


def family_of(record: Record, config: SplitConfig, path: str) -> str | None:
    """The family that a header names, or None; InputError where the split is by family and the header names none."""
    found = re.search(config.family_pattern, record.description)
    if found is None and config.by == "family":
        raise InputError(
            f"{at(path, record.line)}: {record.id!r} names no family; split.by = 'family' needs "
            f"{config.family_pattern!r} in every header (split.family_pattern)"
        )
    return found.group(1) if found is not None else None


def family_groups(families: list[str | None]) -> tuple[NDArray[np.int64], NDArray[np.uint64]]:
    """Number the families of N sequences: the group of each (N,), and a key (N,) that follows from the name alone."""
    numbers: dict[str | None, int] = {}
    groups_N = np.array([numbers.setdefault(family, len(numbers)) for family in families], dtype=np.int64)
    digests = [hashlib.blake2b(str(family).encode(), digest_size=8).digest() for family in numbers]
    keys_K = np.frombuffer(b"".join(digests), dtype="<u8").astype(np.uint64)
    return groups_N, keys_K[groups_N]


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
    wanted = [(code, share) for code, share in ((1, config.validation), (2, config.test)) if share > 0]
    if len(sizes_K) <= len(wanted):
        raise InputError(
            f"split: {len(groups_N)} sequences in {len(sizes_K)} groups (by {config.by}) cannot be divided into "
            f"{len(wanted) + 1} parts; give more sequences, or split.validation = 0 and split.test = 0"
        )
    keys_K = np.full(len(sizes_K), np.iinfo(np.uint64).max, dtype=np.uint64)
    np.minimum.at(keys_K, group_N, keys_N)
    codes_K = np.zeros(len(sizes_K), dtype=np.int8)
    order_K = np.lexsort((keys_K, _mixed(keys_K, seed)))
    for place, (code, share) in enumerate(wanted):
        free = [group for group in order_K.tolist() if codes_K[group] == 0]
        spared = len(wanted) - place  # one group for train, and one for each split that is still to be filled
        codes_K[_chosen(free, sizes_K, max(1, round(share * len(groups_N))), spared)] = code
    return codes_K[group_N]


def split_counts(codes_N: NDArray[np.int8], lengths_N: NDArray[np.int64]) -> dict[str, dict[str, int]]:
    """Sequences and nucleotides in each split."""
    return {
        name: {"sequences": int((codes_N == code).sum()), "nucleotides": int(lengths_N[codes_N == code].sum())}
        for code, name in enumerate(SPLITS)
    }


def divided_groups(groups_N: NDArray[np.int64], codes_N: NDArray[np.int8]) -> int:
    """How many groups have members in more than one split; 0 where the split is by these groups."""
    pairs_2 = np.unique(np.stack([groups_N, codes_N.astype(np.int64)]), axis=1)
    return int((np.unique(pairs_2[0], return_counts=True)[1] > 1).sum())


def _chosen(free: list[int], sizes_K: NDArray[np.int64], left: int, spared: int) -> list[int]:
    """The groups for one split: in order, as long as they fit into what is ``left``; the smallest where none fits."""
    taken: list[int] = []
    for group in free:
        if left == 0 or len(free) - len(taken) == spared:
            break
        if sizes_K[group] <= left:
            taken.append(group)
            left -= int(sizes_K[group])
    return taken or [min(free, key=lambda group: int(sizes_K[group]))]


def _mixed(keys_K: NDArray[np.uint64], seed: int) -> NDArray[np.uint64]:
    """Numbers that look random but follow from keys and seed: SplitMix64's finaliser, doi:10.1145/2660193.2660195."""
    salt = hashlib.blake2b(f"nuclex split {seed}".encode(), digest_size=8).digest()
    mixed_K = keys_K ^ np.uint64(int.from_bytes(salt, "little"))
    mixed_K = (mixed_K ^ (mixed_K >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    mixed_K = (mixed_K ^ (mixed_K >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return mixed_K ^ (mixed_K >> np.uint64(31))
