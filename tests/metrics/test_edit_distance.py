"""Edit distances against the textbook's table, and diversity without what a sequence has in common with itself."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from nuclex.core.errors import InputError
from nuclex.metrics.edit_distance import difference, diversity, edit_distance

texts = st.binary(max_size=90).map(lambda text: bytes(b"ACGT"[letter % 4] for letter in text))


def by_table(first: bytes, second: bytes) -> int:
    row = list(range(len(second) + 1))
    for i, a in enumerate(first, start=1):
        above, row[0] = row[0], i
        for j, b in enumerate(second, start=1):
            above, row[j] = row[j], min(row[j] + 1, row[j - 1] + 1, above + (a != b))
    return row[-1]


@given(texts, texts)
def test_as_by_table(first: bytes, second: bytes) -> None:
    assert edit_distance(first, second) == by_table(first, second) == edit_distance(second, first)


def test_diversity_is_over_pairs_of_two() -> None:
    same = diversity([b"ACGT"] * 3)
    assert (len(same), same.mean()) == (3, 0.0)
    assert diversity([b"AAAA", b"AATT", b"TTTT"]).tolist() == [0.5, 1.0, 0.5]
    assert difference(b"", b"") == 0.0


def test_a_sample_of_pairs_never_holds_a_sequence_twice() -> None:
    different = [bytes([65 + i]) * 4 for i in range(20)]
    found = diversity(different, most=100, seed=3)
    assert len(found) == 100
    assert (found == 1).all()
    mixed = [b"A" * (i % 2) + b"C" * 3 for i in range(40)]
    assert np.array_equal(diversity(mixed, most=300), diversity(mixed, most=300))
    assert diversity(mixed, most=300).mean() == pytest.approx(diversity(mixed).mean(), abs=0.05)


def test_one_sequence_has_no_diversity() -> None:
    with pytest.raises(InputError, match="diversity: found 1 sequences; it is a mean over pairs of them"):
        diversity([b"ACGT"])
