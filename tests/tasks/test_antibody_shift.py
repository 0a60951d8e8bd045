"""Reads with other ends: every letter of a region keeps its label, and ends are drawn evenly."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest

from nuclex.bio.regions import FRAMEWORKS_AND_LOOPS, OUTSIDE
from nuclex.tasks import Example
from nuclex.tasks.antibody_shift import Shift, shifted

NAMES = dict(zip("1234567", FRAMEWORKS_AND_LOOPS, strict=True)) | dict.fromkeys("acgtACGT", OUTSIDE)
REGIONS = "1" * 9 + "2" * 6 + "3" * 9 + "4" * 6 + "5" * 12 + "6" * 9 + "7" * 9


def example(number: int, leader: str = "acgt", behind: str = "ttttt") -> Example:
    """A read whose letters are the numbers of their regions, in lower case outside."""
    letters = leader + REGIONS + behind
    return Example(letters, np.array([NAMES[letter] for letter in letters]), f"r{number}", "group", stratum="IGH")


def near(share: float, expected: float, count: int) -> bool:
    """Within four standard errors."""
    return abs(share - expected) <= 4 * np.sqrt(expected * (1 - expected) / count)


def test_labels_stay_on_their_letters() -> None:
    lengths = set()
    for number in range(300):
        new = shifted(example(number), Shift(before=9, behind=7, cut=30, cut_behind=5), 0)
        assert new.track.tolist() == [NAMES[letter] for letter in new.sequence]
        kept = new.sequence.strip("ACGT")
        assert kept in REGIONS  # the read's own leader and tail are gone
        lengths.add(len(REGIONS) - len(kept))
        assert (new.id, new.group, new.stratum) == (f"r{number}", "group", "IGH")
    assert max(lengths) <= 20 + 5  # a third of 60 letters at most
    assert 0 in lengths
    assert max(lengths) > 15


def test_ends_are_drawn_evenly_whatever_the_read_had_there() -> None:
    shift, count = Shift(before=5, behind=3, cut=2, cut_behind=1), 4000
    for leader in ("acgt", "", "acgtacgtacgt"):
        starts: Counter[int] = Counter()
        for number in range(count):
            new = shifted(example(number, leader), shift, 3)
            kept = new.sequence.strip("ACGT")
            starts[new.sequence.index(kept) - REGIONS.index(kept)] += 1
        assert sorted(starts) == list(range(-2, 6))
        assert all(near(starts[place] / count, 1 / 8, count) for place in starts)


def test_letters_are_as_likely_and_know_nothing_of_the_other_reads() -> None:
    shift = Shift(before=200, behind=0, cut=0, cut_behind=0)
    reads = [shifted(example(number), shift, 1) for number in range(200)]
    counts = Counter("".join(one.sequence.partition("1")[0] for one in reads))
    total = sum(counts.values())
    assert set(counts) == set("ACGT")
    assert total > 15000
    assert all(near(held / total, 1 / 4, total) for held in counts.values())
    again = [shifted(example(number), shift, 1).sequence for number in reversed(range(200))]
    assert again[::-1] == [one.sequence for one in reads]
    assert len({one.sequence for one in reads}) > 190
    assert [shifted(example(number), shift, 2).sequence for number in range(200)] != [one.sequence for one in reads]


def test_a_share_of_the_reads_is_changed() -> None:
    shift = Shift(before=200, behind=200, share=0.25)
    same = sum(shifted(example(number), shift, 0).sequence == example(number).sequence for number in range(2000))
    assert near(same / 2000, 0.75, 2000)


@pytest.mark.parametrize("leader", ["", "acg"])
def test_whole_codons_stay_whole(leader: str) -> None:
    phases = set()
    for number in range(200):
        new = shifted(example(number, leader, "ttt"), Shift(before=20, behind=20, cut=10, cut_behind=10), 0, step=3)
        kept = new.sequence.strip("ACGT")
        phases.add((new.sequence.index(kept) - REGIONS.index(kept)) % 3)
        assert len(new.sequence) % 3 == 0
    assert phases == {0}


def test_a_read_without_regions_stays() -> None:
    bare = Example("ACGT", np.array([OUTSIDE] * 4), "bare")
    assert shifted(bare, Shift(), 0) is bare
