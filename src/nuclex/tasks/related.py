"""Splits for tables that have none: sequences that are alike stay together, so that the test asks something new."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from nuclex.data.homology import ClusterConfig, cluster
from nuclex.data.split import SplitConfig, assign_splits, name_keys
from nuclex.tasks.base import SPLITS, Example, Split


def divide_by_clusters(
    examples: Sequence[Example], shares: Mapping[Split, float], config: ClusterConfig, seed: int
) -> tuple[dict[Split, list[Example]], dict[str, Any]]:
    """The examples in three splits of which no two share a cluster, and how they were found, for notes.

    ``shares`` are those of validation and test. Clusters that any alignment links count as one, and are the ``group``
    of their examples. InputError where MMseqs2 is asked for and missing, or there are fewer clusters than splits.
    """
    letters = [example.letters for example in examples]
    with tempfile.TemporaryDirectory() as folder:
        found = cluster((text.encode() for text in letters), config, Path(folder))
    wanted = SplitConfig(by="cluster", validation=shares["validation"], test=shares["test"])
    codes_N = assign_splits(found.groups_N, name_keys(letters), wanted, seed)
    splits: dict[Split, list[Example]] = {split: [] for split in SPLITS}
    for example, group, code in zip(examples, found.groups_N.tolist(), codes_N.tolist(), strict=True):
        splits[SPLITS[code]].append(replace(example, group=f"cluster-{group}"))
    return splits, {"divided": "by clusters of similar sequences", "clusters": found.record}
