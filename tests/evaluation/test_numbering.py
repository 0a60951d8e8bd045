"""Numbers beside bases, measured: what they cover, what is left out, where ticks stand."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from nuclex.evaluation.numbering import _every, draw_numbers
from nuclex.evaluation.planar import planar_layout

pytest.importorskip("matplotlib", reason="pictures need matplotlib (extra plots)")

UNIT = 8.0
"""Points a distance of neighbours."""


def numbered(positions_L2: np.ndarray) -> tuple[dict[str, np.ndarray], list[np.ndarray]]:
    """Where each number was written, and the lines that were drawn."""
    from matplotlib.figure import Figure

    axes = Figure().add_subplot()
    draw_numbers(axes, positions_L2, UNIT)
    spots = {text.get_text(): np.array(text.get_position()) for text in axes.texts}
    return spots, [np.asarray(line.get_xydata()) for line in axes.lines]


def half_of(text: str) -> np.ndarray:
    """Half the width and height of a number on paper, in steps: digits are some 0.55 of their size wide."""
    return np.array([0.275 * len(text), 0.36]) * 4.8 / UNIT


def folded(seed: int, count: int) -> np.ndarray:
    """Hairpins of random lengths on one long loop, closed by a helix."""
    rng = np.random.default_rng(seed)
    pairs, here = [(0, 0)] * 4, 4
    for _ in range(count):
        stem, loop = (int(n) for n in rng.integers(3, 12, 2))
        end = here + 2 * stem + loop - 1
        pairs += [(here + n, end - n) for n in range(stem)]
        here = end + 1 + int(rng.integers(0, 5))
    pairs[:4] = [(n, here + 3 - n) for n in range(4)]
    return planar_layout(np.array(pairs, dtype=np.int32), here + 4)


@pytest.mark.parametrize("seed", range(3))
def test_numbers_cover_no_base_and_no_other_number(seed: int) -> None:
    positions_L2 = folded(seed, 40)
    spots, _ = numbered(positions_L2)
    every = _every(4.8 / UNIT * 1.0417, len(positions_L2))
    assert len(spots) > 0.7 * len(positions_L2) / every
    for text, spot in spots.items():
        beside_L2 = np.maximum(np.abs(positions_L2 - spot) - half_of(text), 0)
        assert np.hypot(*beside_L2.T).min() >= 0.4, text
    for (one, spot), (other, place) in itertools.combinations(spots.items(), 2):
        assert (np.abs(spot - place) >= half_of(one) + half_of(other)).any(), (one, other)


def test_a_number_that_has_no_room_is_left_out() -> None:
    across, up = np.meshgrid(np.arange(20.0), np.arange(20.0))
    up[1::2] = up[1::2]
    across[1::2] = across[1::2, ::-1]  # a meander: neighbours on all sides
    spots, _ = numbered(np.stack([across.ravel(), up.ravel()], axis=1))
    assert {"5′", "3′"} <= set(spots), "the ends are always named"
    inside = [text for text, spot in spots.items() if ((spot > 0) & (spot < 19)).all()]
    assert inside == []
    assert len(spots) > 3


def test_a_number_without_room_at_its_base_stands_farther_off() -> None:
    line = [(x, 0.0) for x in range(30)]
    rows = [(6.5 + n, side) for side in (1.1, -1.1) for n in range(6)]  # of bases, on both sides of the tenth one
    spots, lines = numbered(np.array(line + rows, dtype=float))
    x, y = spots["10"]
    assert x == pytest.approx(9)
    assert abs(y) > 1.1 + 0.4, "beyond the row"
    (to_it,) = [line for line in lines if line[0, 0] == pytest.approx(9)]
    assert abs(to_it[1, 1]) == pytest.approx(abs(y) - 0.4), "a line says whose number it is"


def test_ticks_stand_at_every_tenth_base_between_numbers() -> None:
    straight_L2 = np.stack([np.arange(700.0), np.zeros(700)], axis=1)
    spots, lines = numbered(straight_L2)
    assert [text for text in spots if text.isdigit()] == [str(n) for n in range(20, 700, 20)]
    at = sorted(round(line[0, 0]) + 1 for line in lines)
    assert at == [*range(10, 700, 10)]
    assert all(abs(line[0, 1]) == pytest.approx(0.42) for line in lines), "from the rim of the base"


@pytest.mark.parametrize(
    ("size", "length", "every"),
    [(0.6, 76, 10), (0.6, 600, 10), (0.6, 601, 20), (0.6, 1542, 50), (0.6, 2904, 50), (1.6, 300, 20), (0.6, 9000, 200)],
)
def test_numbers_are_round_and_not_too_many(size: float, length: int, every: int) -> None:
    assert _every(size, length) == every
