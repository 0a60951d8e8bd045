"""Loops laid out: shapes computed by hand, and points along backbone."""

from __future__ import annotations

import math

import numpy as np
import pytest

from nuclex.bio.secondary_structure import parse_dot_bracket, to_partners
from nuclex.evaluation.loops import GAP, PAIR, backbone_points, loops_of, placed, way_between


def partners_of(structure: str) -> list[int]:
    return list(to_partners(parse_dot_bracket(structure), len(structure)).tolist())


def test_stacked_pairs_are_a_ladder() -> None:
    loops, _ = loops_of(partners_of("(((...)))"))
    positions_L2 = placed(loops, 9, at_line=True)
    assert np.allclose(positions_L2[:3], [(0, 0), (0, -1), (0, -2)])
    assert np.allclose(positions_L2[[8, 7, 6]], [(PAIR, 0), (PAIR, -1), (PAIR, -2)])


def test_a_loop_is_a_circle() -> None:
    loops, _ = loops_of(partners_of("(....)"))
    around_K2 = placed(loops, 6, at_line=True)
    sides = np.linalg.norm(np.roll(around_K2, -1, axis=0) - around_K2, axis=1)
    assert np.allclose(sides, [1, 1, 1, 1, 1, PAIR])
    # the circle through three of its bases goes through all of them
    (ax, ay), (bx, by), (cx, cy) = around_K2[:3]
    rows = np.array([[bx - ax, by - ay], [cx - ax, cy - ay]])
    centre = np.linalg.solve(2 * rows, [bx**2 + by**2 - ax**2 - ay**2, cx**2 + cy**2 - ax**2 - ay**2])
    radii = np.linalg.norm(around_K2 - centre, axis=1)
    assert np.allclose(radii, radii[0])
    assert sum(2 * math.asin(side / (2 * radii[0])) for side in sides) == pytest.approx(2 * math.pi)


def test_backbone_that_is_drawn_out_is_longer_by_so_much() -> None:
    loops, _ = loops_of(partners_of("(..(...)..)"))
    loops[1].stretch = [2.5, 1.6]
    positions_L2 = placed(loops, 11, at_line=True)
    assert np.linalg.norm(np.diff(positions_L2, axis=0), axis=1) == pytest.approx([2.5] * 3 + [1] * 4 + [1.6] * 3)


def test_ends_on_a_circle_leave_a_gap() -> None:
    positions_L2 = placed(loops_of(partners_of("." * 12))[0], 12, at_line=False)
    assert np.linalg.norm(positions_L2[0] - positions_L2[-1]) == pytest.approx(GAP)
    assert np.allclose(np.linalg.norm(np.diff(positions_L2, axis=0), axis=1), 1)


def test_the_way_between_two_hairpins_leads_through_the_fork() -> None:
    loops, inner = loops_of(partners_of("((..((...))..((...))..))"))
    way = way_between(loops, inner[7], inner[16])
    assert [loops[step].bases[0] for step in way] == [1, 4, 5, 13, 14]
    assert way[0] == inner[2], "the fork first"
    assert way_between(loops, inner[7], inner[7]) == [inner[7]]


def test_points_along_backbone_are_near_each_other() -> None:
    positions_L2 = np.array([(0, 0), (1, 0), (4, 0), (5, 0), (5, 9.2)], dtype=float)
    points_K2, behind_K = backbone_points(positions_L2, 0.8)
    assert behind_K.tolist() == [1] * 3 + [3] * 11
    assert np.allclose(points_K2[:3], [(1.75, 0), (2.5, 0), (3.25, 0)])
    assert np.allclose(points_K2[3:, 0], 5)
    assert np.diff(points_K2[3:, 1]) == pytest.approx([9.2 / 12] * 10)
    assert [len(part) for part in backbone_points(positions_L2[:2], 0.8)] == [0, 0]
    assert [len(part) for part in backbone_points(positions_L2[:1], 0.8)] == [0, 0]
