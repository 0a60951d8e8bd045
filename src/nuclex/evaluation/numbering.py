"""Numbers beside the bases of a drawing, each where there is room for it, and ticks between them."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nuclex.evaluation.loops import backbone_points
from nuclex.evaluation.palette import GREY

BASE = 0.4  # the radius of a base, in distances of neighbours
FARTHER = (0.0, 0.7, 1.5, 2.4)  # a number stands so much farther from its base where it has no room
TURNS = (0.0, 0.5, -0.5, 1.0, -1.0)  # radians by which it may stand aside
EVERY = (10, 20, 50, 100, 200, 500, 1000)


class Numbers:
    """What is drawn already: bases and backbone as points (K, 2), and the boxes of numbers; lengths in steps."""

    def __init__(self, positions_L2: NDArray[np.float64]) -> None:
        from scipy.spatial import cKDTree

        self.bases, self.lines = cKDTree(positions_L2), cKDTree(backbone_points(positions_L2, 0.3)[0])
        self.boxes: list[NDArray[np.float64]] = []

    def room(self, spot: NDArray[np.float64]) -> float:
        """How far the nearest base is."""
        return float(self.bases.query(spot)[0])

    def free(self, spot: NDArray[np.float64], half_2: NDArray[np.float64]) -> bool:
        """Whether a box around ``spot`` covers nothing."""
        reach = float(np.hypot(*half_2)) + BASE
        for tree, radius in ((self.bases, BASE), (self.lines, 0.1)):
            near_K2 = tree.data[tree.query_ball_point(spot, reach)]
            outside_K2 = np.maximum(np.abs(near_K2 - spot) - half_2, 0.0)
            if (np.hypot(*outside_K2.T) < radius).any():
                return False
        return all((np.abs(spot - box[0]) >= half_2 + box[1]).any() for box in self.boxes)

    def clear(self, start: NDArray[np.float64], end: NDArray[np.float64], own: int) -> bool:
        """Whether a line from the base ``own`` to a number passes all other bases."""
        points_K2 = start + (end - start) * np.linspace(0.2, 1, 9)[:, None]
        return not {base for near in self.bases.query_ball_point(points_K2, BASE) for base in near} - {own}


def draw_numbers(axes: Any, positions_L2: NDArray[np.float64], unit: float) -> None:
    """5' and 3', and every tenth position (fewer where small), ticks at every tenth one between.

    A number stands at the side where there is more room, farther off or aside where it would cover something, and is
    left out where that does not help. ``positions_L2`` is where bases lie, ``unit`` points a distance of neighbours.
    """
    length, drawn = len(positions_L2), Numbers(positions_L2)
    size = max(min(0.6 * unit, 8.0), 5.0)
    every = _every(size / unit, length)
    labels = {place: str(place + 1) for place in range(every - 1, length - every // 3, every)}
    ends = {0: "5′", length - 1: "3′"} if length > 1 else {0: "5′–3′"}
    away = max(1.0, 0.9 * size / unit + 0.5)
    for place, text in (ends | {place: text for place, text in labels.items() if place not in ends}).items():
        half_2 = np.array([0.3 * len(text), 0.45]) * size / unit
        spots = list(_spots(drawn, positions_L2, place, away))
        free = [
            spot
            for spot in spots
            if drawn.free(spot, half_2) and (place in ends or drawn.clear(positions_L2[place], spot, place))
        ]
        if not free and place not in ends:
            continue
        spot = (free or spots)[0]
        drawn.boxes.append(np.stack([spot, half_2]))
        if place not in ends:
            _line(axes, positions_L2[place], spot, 0.4, unit)
        axes.text(*spot, text, ha="center", va="center", fontsize=size, zorder=6)
    for place in range(9, length - 3, 10):
        spot = next(_spots(drawn, positions_L2, place, 0.9))
        if every > 10 and (place + 1) % every and drawn.free(spot, np.zeros(2)):
            _line(axes, positions_L2[place], spot, 0.1, unit)


def _every(size: float, length: int) -> int:
    """Between one number and the next: the smallest round one at which numbers of this size are not too many."""
    wanted = 10 * max(math.ceil(size / 1.2), math.ceil(length / 600))
    return next((step for step in EVERY if step >= wanted), wanted)


def _spots(drawn: Numbers, positions_L2: NDArray[np.float64], place: int, away: float) -> Iterator[NDArray[np.float64]]:
    """Where the number of a base may stand, the best place first: the roomier side, near, straight."""
    here, last = positions_L2[place], len(positions_L2) - 1
    before, after = positions_L2[max(place - 1, 0)], positions_L2[min(place + 1, last)]
    along = (after - before) / max(float(np.linalg.norm(after - before)), 1e-9)
    sides = [np.array([along[1], -along[0]]), np.array([-along[1], along[0]])]
    if place in (0, last):
        sides.append(-along if place == 0 else along)
    rooms = [round(drawn.room(here + away * side), 3) + 0.1 * (number == 2) for number, side in enumerate(sides)]
    best = sorted(range(len(sides)), key=lambda number: (-rooms[number], number))
    for farther in FARTHER:
        for number in best:
            for turn in TURNS:
                cosine, sine = math.cos(turn), math.sin(turn)
                x, y = sides[number]
                yield here + (away + farther) * np.array([cosine * x - sine * y, sine * x + cosine * y])


def _line(axes: Any, base: NDArray[np.float64], spot: NDArray[np.float64], short: float, unit: float) -> None:
    """A thin line from the rim of a base, which ends ``short`` of a spot."""
    away = float(np.linalg.norm(spot - base))
    ends_22 = base + (spot - base) * np.array([[(BASE + 0.02) / away], [1 - short / away]])
    axes.plot(*ends_22.T, color=GREY, linewidth=0.05 * unit, zorder=1)
