"""A secondary structure as its loops, and where their bases lie: each loop a circle, helices as ladders between them.

Lengths are in distances of neighbours along the backbone; x points right and y up.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property, lru_cache

import numpy as np
from numpy.typing import NDArray

PAIR = 1.3  # how far apart paired bases lie, in distances of neighbours
GAP = 3.0  # between the two ends where they lie on a circle


@dataclass
class Loop:
    """Bases around a loop, its closing pair first and last; ``above`` is the loop at that pair's other side."""

    bases: list[int]
    above: int | None
    branches: list[int] = field(default_factory=list)
    stretch: list[float] = field(default_factory=lambda: [1.0])  # of the backbone before, between and after branches
    stretch_of_step: list[int] = field(default_factory=list)  # which of them, -1 across a branch's pair

    def steps(self) -> NDArray[np.float64]:
        """How far it is from each base to the next."""
        return np.array([*self.stretch, PAIR])[self.stretch_of_step]

    @property
    def bends(self) -> bool:
        """Whether drawing out its backbone turns its branches: the step between two stacked pairs does not."""
        return len(self.bases) > 4

    @cached_property
    def inner(self) -> NDArray[np.int64]:
        """The bases between those of the closing pair."""
        return np.array(self.bases[1:-1], dtype=np.int64)


def loops_of(partners: Sequence[int]) -> tuple[list[Loop], list[int]]:
    """All loops, the outside first and each before those it leads to; and the innermost loop that each base is in."""
    loops = [Loop([], None)]
    inner = [0] * len(partners)
    here = 0
    for base, partner in enumerate(partners):
        if partner >= 0 and partner < base:  # back to the loop at the pair's other side
            loops[here].bases.append(base)
            inner[base] = here
            here = loops[here].above or 0
        loop = loops[here]
        loop.bases.append(base)
        if partner > base:
            loop.stretch_of_step.append(-1)
            loop.branches.append(len(loops))
            loop.stretch.append(1.0)
            loops.append(Loop([base], here, stretch_of_step=[0]))
            here = len(loops) - 1
        else:
            loop.stretch_of_step.append(len(loop.branches))
        if partner < 0 or partner > base:
            inner[base] = here
    loops[0].stretch_of_step = loops[0].stretch_of_step[:-1]  # no step leads on from the 3' end
    return loops, inner


def way_between(loops: Sequence[Loop], one: int, other: int) -> list[int]:
    """The loops on the way from one to another, both and the one where their ways part included."""
    paths: list[list[int]] = []
    for number in (one, other):
        path, step = [], int(number)
        while step:
            path.append(step)
            step = loops[step].above or 0
        paths.append([*path, 0])
    shared = set(paths[0]) & set(paths[1])
    return sorted({step for path in paths for step in path if step not in shared} | {max(shared)})


def placed(loops: Sequence[Loop], length: int, at_line: bool) -> NDArray[np.float64]:
    """Where each base lies (L, 2): what is outside of all pairs on a line, 5' to the left, or on a circle."""
    place_L = np.zeros(length, dtype=np.complex128)  # x + iy
    outside = loops[0]
    if at_line:
        helices = [(loops[number].bases[0], loops[number].bases[-1]) for number in outside.branches]
        for i, j in helices:
            place_L[i], place_L[j] = 0.0, PAIR
    else:
        steps = outside.steps()
        radius = _radius((*steps.tolist(), GAP))
        turns = np.concatenate([[math.pi / 2 + math.asin(GAP / (2 * radius))], 2 * np.arcsin(steps / (2 * radius))])
        place_L[outside.bases] = radius * np.exp(1j * np.cumsum(turns))
    for loop in loops[1:]:  # each after the one that its closing pair is part of
        if len(loop.bases) > 2:
            start, end = place_L[loop.bases[0]], place_L[loop.bases[-1]]
            place_L[loop.inner] = start + (end - start) / PAIR * _shape(
                tuple(loop.stretch), tuple(loop.stretch_of_step)
            )
    if at_line:
        _lay_in_line(outside, helices, place_L)
    return np.stack([place_L.real, place_L.imag], axis=1)


def backbone_points(positions_L2: NDArray[np.float64], apart: float) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """Points (K, 2) along backbone that is drawn out, ``apart`` or less from each other; the bases (K,) before them."""
    steps_2 = np.diff(positions_L2, axis=0)
    far = np.hypot(*steps_2.T)
    long = np.flatnonzero(far > 1.6)
    pieces = np.maximum(np.ceil(far[long] / apart).astype(np.int64), 2)
    base_K = np.repeat(long, pieces - 1)
    number_K = np.arange(len(base_K)) - np.repeat(np.cumsum(pieces - 1) - (pieces - 1), pieces - 1) + 1
    share_K1 = (number_K / np.repeat(pieces, pieces - 1))[:, None]
    return positions_L2[base_K] + share_K1 * steps_2[base_K], base_K


@lru_cache(maxsize=8192)
def _shape(stretch: tuple[float, ...], stretch_of_step: tuple[int, ...]) -> NDArray[np.complex128]:
    """Where the bases of a loop lie whose closing pair is at 0 and PAIR, counter-clockwise below it."""
    steps = np.array([*stretch, PAIR])[list(stretch_of_step)]
    radius = _radius((*steps.tolist(), PAIR))
    centre = PAIR / 2 - 1j * math.sqrt(max(radius**2 - (PAIR / 2) ** 2, 0.0))
    turns = 2 * np.arcsin(np.minimum(steps[:-1] / (2 * radius), 1.0))
    shape: NDArray[np.complex128] = centre + radius * np.exp(1j * (np.angle(-centre) + np.cumsum(turns)))
    return shape


def _lay_in_line(outside: Loop, helices: Sequence[tuple[int, int]], place_L: NDArray[np.complex128]) -> None:
    """Bases outside of all pairs from left to right, the helices shifted to where nothing of theirs meets another."""
    reach, cursor = -math.inf, -1.0
    waiting: list[int] = []
    starts = dict(helices)
    ends = {j for _, j in helices}
    for base in outside.bases:
        if base in ends:
            continue
        if base not in starts:
            waiting.append(base)
            continue
        part_K = place_L[base : starts[base] + 1]
        left, right = part_K.real.min(), part_K.real.max()
        x = max(cursor + len(waiting) + 1, reach + 1.5 - left)
        step = 1.0 if cursor < 0 else (x - cursor) / (len(waiting) + 1)  # the 5' end is not drawn out
        for number, between in enumerate(reversed(waiting), start=1):
            place_L[between] = x - number * step
        part_K += x
        waiting, cursor, reach = [], x + PAIR, x + right
    for number, between in enumerate(waiting, start=1):
        place_L[between] = cursor + number


@lru_cache(maxsize=8192)
def _radius(steps: tuple[float, ...]) -> float:
    """The radius of the circle in which these steps are chords that lead once around."""
    kinds = Counter(steps)
    low, high = max(kinds) / 2, sum(steps)
    for _ in range(50):
        radius = (low + high) / 2
        around = sum(2 * count * math.asin(min(step / (2 * radius), 1.0)) for step, count in kinds.items())
        low, high = (radius, high) if around > 2 * math.pi else (low, radius)
    return (low + high) / 2
