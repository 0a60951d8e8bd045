"""Sequences that are alike are never torn apart, and the splits are as large as was asked."""

from __future__ import annotations

import numpy as np

from nuclex.data.homology import ClusterConfig
from nuclex.tasks import SPLITS, Example
from nuclex.tasks.related import divide_by_clusters

SHARES = {"validation": 0.15, "test": 0.15}


def families(count: int, members: int) -> list[Example]:
    """Random sequences of 300 nt, each with relatives that differ from it in 3 % of their letters."""
    random, found = np.random.default_rng(0), []
    for family in range(count):
        ancestor = random.integers(0, 4, 300)
        for member in range(members):
            letters = np.where(random.random(300) < 0.03, random.integers(0, 4, 300), ancestor)
            text = "".join("ACGU"[letter] for letter in letters)
            found.append(Example(text, float(member), f"{family}-{member}"))
    return found


def test_relatives_stay_together_in_splits_of_the_shares_asked_for() -> None:
    examples = families(20, 5)
    splits, notes = divide_by_clusters(examples, SHARES, ClusterConfig(method="kmer", min_identity=0.9), 0)
    assert [len(splits[split]) for split in SPLITS] == [70, 15, 15]
    homes = {split: {example.id.split("-")[0] for example in splits[split]} for split in SPLITS}
    assert sum(map(len, homes.values())) == len(set.union(*homes.values())) == 20
    assert len({example.group for split in SPLITS for example in splits[split]}) == 20
    assert notes["clusters"]["min_identity"] == 0.9

    again, _ = divide_by_clusters(examples[::-1], SHARES, ClusterConfig(method="kmer", min_identity=0.9), 0)
    other, _ = divide_by_clusters(examples, SHARES, ClusterConfig(method="kmer", min_identity=0.9), 1)
    names = [{example.id for example in found["test"]} for found in (splits, again, other)]
    assert names[0] == names[1] != names[2], (
        "who is tested follows from the sequences and the seed, not from their order"
    )
