"""The nearest sequence against a comparison with all."""

from __future__ import annotations

import numpy as np
import pytest

from nuclex.evaluation.nearest import nearest
from nuclex.metrics.edit_distance import difference


def drawn(count: int, length: int, seed: int) -> list[bytes]:
    draw = np.random.default_rng(seed)
    return [bytes(draw.choice(list(b"ACGT"), length).tolist()) for _ in range(count)]


def changed(sequence: bytes, share: float, seed: int) -> bytes:
    draw = np.random.default_rng(seed)
    letters = bytearray(sequence)
    for place in np.flatnonzero(draw.random(len(letters)) < share).tolist():
        letters[place] = draw.choice(list(b"ACGT"))
    return bytes(letters)


def test_relatives_are_found_as_by_comparing_all() -> None:
    known = drawn(30, 200, 0)
    asked = [changed(known[place], share, place) for place, share in ((3, 0.0), (7, 0.05), (20, 0.1), (20, 0.15))]
    asked.append(asked[1].replace(b"T", b"U").lower())
    found = nearest(asked, known)
    for row, text in enumerate(asked[:4]):
        distances = [difference(text, other) for other in known]
        assert found.index_N[row] == int(np.argmin(distances))
        assert found.identity_N[row] == pytest.approx(1 - min(distances))
    assert (found.index_N[4], found.identity_N[4]) == (found.index_N[1], found.identity_N[1])
    assert found.share_above(1.0) == 1 / 5
    assert found.share_above(0.0) == 1.0


def test_long_sequences_are_not_preferred_for_having_many_words() -> None:
    (own,) = drawn(1, 300, 1)
    long = [own[:150] + text for text in drawn(5, 4000, 2)]
    found = nearest([own], [*long, changed(own, 0.15, 3)])
    assert found.index_N.tolist() == [5]


def test_what_shares_no_word_has_no_nearest_one() -> None:
    found = nearest([b"A" * 40, b"ACG"], [b"C" * 40])
    assert found.index_N.tolist() == [-1, -1]
    assert np.isnan(found.identity_N).all()
    assert found.share_above(0.0) == 0.0
    assert nearest([b"A" * 40], []).index_N.tolist() == [-1]
