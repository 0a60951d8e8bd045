"""A secondary structure in the plane: every loop a circle of its own, helices as ladders, pseudoknots as curves.

The layout is the radial one: the bases of a loop lie on a circle at the distance of neighbours, and each helix that
leaves it points away from its centre. What is outside of all pairs lies on a line above, 5' to the left, or on a circle
where that line would be long. Backbone is drawn out where that keeps bases from covering each other; in long RNAs (from
some 500 nt on) a few stay covered.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from nuclex.bio.folding import nested_part
from nuclex.bio.secondary_structure import as_pairs, to_partners
from nuclex.evaluation.colour_bar import colour_bar, colour_of, drawn_probability, letter_colour
from nuclex.evaluation.drawing import GREY, drawn
from nuclex.evaluation.report import Figure, Table
from nuclex.evaluation.svg import drawable

PAIR = 1.3  # how far apart paired bases lie, in distances of neighbours
GAP = 3.0  # between the two ends where they lie on a circle
NEAR = 0.8  # bases nearer than this cover each other
FACTORS, WIDEST = (0.3, 0.6, 1.6, 2.5, 4.0), 4.0  # how a stretch of backbone is drawn out, and at most so far
TRIES, WORK = 400, 120_000  # attempts to uncover bases, and attempts times bases, at most
LONG = 2.5  # a line of unpaired bases this many times as wide as the picture is high becomes a circle
MARGIN = 2.0
LARGEST, SMALLEST, READABLE = 720.0, 3.0, 4.0  # points: of a picture, of a step in it at the least, of a letter


@dataclass
class _Loop:
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


def planar_layout(pairs: ArrayLike, length: int) -> NDArray[np.float64]:
    """Where each base of an RNA of ``length`` nucleotides is drawn: (L, 2), neighbours 1 apart or more, y upwards.

    Of pseudoknots in the pairs (P, 2), the largest nested part (``nested_part``) decides, in which a base of a triple
    keeps one partner. Equal structures give equal layouts.
    """
    partners = to_partners(nested_part(pairs, length), length)
    loops, _ = _loops(partners.tolist())
    width, height = np.ptp(_placed(loops, length, at_line=True), axis=0).tolist() if length else (0.0, 0.0)
    ways = (True, False) if width <= LONG * max(height, 12.0) else (False,)
    best_L2, fewest = np.zeros((length, 2)), math.inf
    for at_line in ways:
        positions_L2, covering = _uncovered(partners, at_line)
        if covering < fewest:
            best_L2, fewest = positions_L2, covering
        if not covering:
            break
    return best_L2


def _uncovered(partners: NDArray[np.int32], at_line: bool) -> tuple[NDArray[np.float64], int]:
    """A layout with backbone drawn out where that uncovers bases, and how many pairs of bases are covered still."""
    loops, inner = _loops(partners.tolist())
    length = len(partners)
    positions_L2 = _placed(loops, length, at_line)
    covering = _covering(positions_L2, partners)
    random = np.random.default_rng(0)
    for _ in range(min(TRIES, WORK // max(length, 1))):
        if not len(covering):
            break
        one, other = covering[random.integers(len(covering))].tolist()
        way = [step for step in _way(loops, inner[one], inner[other]) if loops[step].bends and (step or not at_line)]
        if not way:
            continue
        loop = loops[way[random.integers(len(way))]]
        part, before = int(random.integers(len(loop.stretch))), list(loop.stretch)
        loop.stretch[part] = min(max(loop.stretch[part] * float(random.choice(FACTORS)), 1.0), WIDEST)
        tried_L2 = _placed(loops, length, at_line)
        found = _covering(tried_L2, partners)
        if len(found) <= len(covering):
            positions_L2, covering = tried_L2, found
        else:
            loop.stretch = before
    return positions_L2, len(covering)


def _covering(positions_L2: NDArray[np.float64], partners: NDArray[np.int32]) -> NDArray[np.int64]:
    """Which bases, or the backbone behind them where it is drawn out, lie upon others: (K, 2)."""
    from scipy.spatial import cKDTree

    length = len(positions_L2)
    if length < 2:
        return np.empty((0, 2), dtype=np.int64)
    steps = np.diff(positions_L2, axis=0)
    long = np.flatnonzero(np.hypot(*steps.T) > 1.6)
    between = [positions_L2[long] + share * steps[long] for share in (0.2, 0.4, 0.6, 0.8)]
    owner_K = np.concatenate([np.arange(length), *[long] * len(between)])
    close_K2 = cKDTree(np.concatenate([positions_L2, *between])).query_pairs(NEAR, output_type="ndarray")
    close_K2 = np.sort(owner_K[close_K2], axis=1)
    near_K = (close_K2[:, 1] - close_K2[:, 0] <= 1) | (partners[close_K2[:, 0]] == close_K2[:, 1])
    return np.asarray(np.unique(close_K2[~near_K], axis=0))


def _loops(partners: Sequence[int]) -> tuple[list[_Loop], list[int]]:
    """All loops, the outside first and each before those it leads to; and the innermost loop that each base is in."""
    loops = [_Loop([], None)]
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
            loops.append(_Loop([base], here, stretch_of_step=[0]))
            here = len(loops) - 1
        else:
            loop.stretch_of_step.append(len(loop.branches))
        if partner < 0 or partner > base:
            inner[base] = here
    loops[0].stretch_of_step = loops[0].stretch_of_step[:-1]  # no step leads on from the 3' end
    return loops, inner


def _way(loops: Sequence[_Loop], one: int, other: int) -> list[int]:
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


def _placed(loops: Sequence[_Loop], length: int, at_line: bool) -> NDArray[np.float64]:
    positions_L2 = np.zeros((length, 2))
    outside = loops[0]
    if not at_line:
        steps = outside.steps()
        radius = _radius((*steps.tolist(), GAP))
        turns = np.concatenate([[math.pi / 2 + math.asin(GAP / (2 * radius))], 2 * np.arcsin(steps / (2 * radius))])
        positions_L2[outside.bases] = radius * _rays(np.cumsum(turns))
        for number in outside.branches:
            _place_below(loops, number, positions_L2)
        return positions_L2
    helices = [(loops[number].bases[0], loops[number].bases[-1]) for number in outside.branches]
    for number, (i, j) in zip(outside.branches, helices, strict=True):
        positions_L2[i], positions_L2[j] = (0.0, 0.0), (PAIR, 0.0)
        _place_below(loops, number, positions_L2)
    _lay_in_line(outside, helices, positions_L2)
    return positions_L2


def _lay_in_line(outside: _Loop, helices: Sequence[tuple[int, int]], positions_L2: NDArray[np.float64]) -> None:
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
        part_K2 = positions_L2[base : starts[base] + 1]
        left, right = part_K2[:, 0].min(), part_K2[:, 0].max()
        x = max(cursor + len(waiting) + 1, reach + 1.5 - left)
        step = 1.0 if cursor < 0 else (x - cursor) / (len(waiting) + 1)  # the 5' end is not drawn out
        for number, between in enumerate(reversed(waiting), start=1):
            positions_L2[between] = x - number * step, 0.0
        part_K2[:, 0] += x
        waiting, cursor, reach = [], x + PAIR, x + right
    for number, between in enumerate(waiting, start=1):
        positions_L2[between] = cursor + number, 0.0


def _place_below(loops: Sequence[_Loop], number: int, positions_L2: NDArray[np.float64]) -> None:
    """Place the bases of a loop whose closing pair is placed, counter-clockwise, and of all loops it leads to."""
    left = [number]
    while left:
        loop = loops[left.pop()]
        left += loop.branches
        if len(loop.bases) < 3:
            continue
        steps = loop.steps()
        radius = _radius((*steps.tolist(), PAIR))
        start, end = positions_L2[loop.bases[0]], positions_L2[loop.bases[-1]]
        along = (end - start) / PAIR
        down = np.array([along[1], -along[0]])
        centre = (start + end) / 2 + down * math.sqrt(max(radius**2 - (PAIR / 2) ** 2, 0.0))
        angle = math.atan2(start[1] - centre[1], start[0] - centre[0])
        turns = 2 * np.arcsin(np.minimum(steps[:-1] / (2 * radius), 1.0))
        positions_L2[loop.bases[1:-1]] = centre + radius * _rays(angle + np.cumsum(turns))


def _rays(angle_K: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.stack([np.cos(angle_K), np.sin(angle_K)], axis=1)


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


def planar_drawing(sequence: str, pairs: ArrayLike, probability_LL: NDArray[np.floating], title: str) -> Figure:
    """Draw a structure (P, 2) in the plane, each nucleotide and pair in the colour of its probability.

    A paired nucleotide has the colour of its pair, an unpaired one that of being unpaired (``drawn_probability``).
    Pairs that cross the nested part are dashed curves. Positions are counted from 1; letters are left out where they
    would be too small to read.
    """
    from matplotlib.collections import LineCollection

    if not sequence:
        raise ValueError("an empty sequence has no picture")
    pairs_P2 = as_pairs(pairs, len(sequence))
    nested = {tuple(pair) for pair in nested_part(pairs_P2, len(sequence)).tolist()}
    positions_L2 = planar_layout(pairs_P2, len(sequence))
    colour_L = drawn_probability(probability_LL, pairs_P2)
    low_2, high_2 = positions_L2.min(axis=0) - MARGIN, positions_L2.max(axis=0) + MARGIN
    width, height = (high_2 - low_2).tolist()
    unit = min(max(min(LARGEST / width, LARGEST / height), SMALLEST), 16.0)  # points a distance of neighbours
    inches = max(width * unit / 72, 4.2), height * unit / 72 + 1.0

    def paint(drawing: Any) -> None:
        drawing.set_layout_engine("none")
        axes = drawing.add_axes((0, 0.72 / inches[1], 1, 1 - 1.0 / inches[1]))
        axes.set_aspect("equal")
        middle, half = (low_2[0] + high_2[0]) / 2, inches[0] * 36 / unit
        axes.set_xlim(middle - half, middle + half)
        axes.set_ylim(low_2[1], high_2[1])
        axes.axis("off")
        axes.add_collection(LineCollection([positions_L2], colors=GREY, linewidths=0.1 * unit, zorder=1))
        for i, j in pairs_P2.tolist():
            _draw_pair(axes, positions_L2[[i, j]], (i, j) in nested, colour_of(float(probability_LL[i, j])), unit)
        _draw_bases(axes, sequence, positions_L2, colour_L, unit)
        _draw_numbers(axes, positions_L2, unit)
        drawing.text(0.5, 1 - 0.08 / inches[1], drawable(title), ha="center", va="top", fontsize=9)
        bar = 3.2 / inches[0]
        place = (0.5 - bar / 2, 0.45 / inches[1], bar, 0.11 / inches[1])
        colour_bar(drawing, place, "probability of the pair, or of being unpaired")

    crossed = len(pairs_P2) - len(nested)
    rows = [(i + 1, j + 1, float(probability_LL[i, j]), (i, j) in nested) for i, j in pairs_P2.tolist()]
    return Figure(
        name="planar",
        title=title,
        svg=drawn(paint, *inches),
        data=Table(("i", "j", "probability", "nested"), tuple(rows)),
        caption=f"Secondary structure of {len(sequence):,} nt: {len(pairs_P2)} pairs, {crossed} crossing (dashed).",
        alt=f"Secondary structure in the plane: {len(sequence)} nucleotides, {len(pairs_P2)} pairs, {crossed} of them "
        "drawn as curves because they cross others.",
        wide=True,
    )


def _draw_pair(axes: Any, ends_22: NDArray[np.float64], nested: bool, colour: str, unit: float) -> None:
    from matplotlib.patches import PathPatch
    from matplotlib.path import Path

    if nested:
        axes.plot(*ends_22.T, color=colour, linewidth=0.18 * unit, zorder=2, solid_capstyle="butt")
        return
    along = ends_22[1] - ends_22[0]
    bend = ends_22.mean(axis=0) + 0.22 * np.array([along[1], -along[0]])
    path = Path([ends_22[0], bend, ends_22[1]], [Path.MOVETO, Path.CURVE3, Path.CURVE3])
    axes.add_patch(
        PathPatch(path, facecolor="none", edgecolor=colour, linewidth=0.13 * unit, linestyle=(0, (3, 1.5)), zorder=3)
    )


def _draw_bases(
    axes: Any, sequence: str, positions_L2: NDArray[np.float64], colour_L: NDArray[np.float64], unit: float
) -> None:
    from matplotlib.collections import PatchCollection
    from matplotlib.patches import Circle

    circles = [Circle(position, 0.4) for position in positions_L2.tolist()]
    colours = [colour_of(value) for value in colour_L.tolist()]
    axes.add_collection(PatchCollection(circles, facecolors=colours, edgecolors=GREY, linewidths=0.03 * unit, zorder=4))
    if 0.62 * unit < READABLE:
        return
    for letter, (x, y), value in zip(drawable(sequence), positions_L2.tolist(), colour_L.tolist(), strict=False):
        style = {"fontsize": 0.62 * unit, "color": letter_colour(value), "zorder": 5}
        axes.text(x, y, letter, ha="center", va="center_baseline", **style)


def _draw_numbers(axes: Any, positions_L2: NDArray[np.float64], unit: float) -> None:
    """5' and 3', and every tenth position (fewer where small), each at the side where there is more room."""
    from scipy.spatial import cKDTree

    tree, length = cKDTree(positions_L2), len(positions_L2)
    size = max(min(0.6 * unit, 8.0), 5.0)
    away = max(1.0, 0.9 * size / unit + 0.5)
    every = 10 * max(math.ceil(size / unit / 1.2), math.ceil(length / 600))
    labels = {place: str(place + 1) for place in range(every - 1, length - every // 3, every)}
    labels |= {0: "5′", length - 1: "3′"} if length > 1 else {0: "5′–3′"}
    for place, text in labels.items():
        before, after = positions_L2[max(place - 1, 0)], positions_L2[min(place + 1, length - 1)]
        along = (after - before) / max(float(np.linalg.norm(after - before)), 1e-9)
        sides = [np.array([along[1], -along[0]]), np.array([-along[1], along[0]])]
        if place in (0, length - 1):
            sides.append(-along if place == 0 else along)
        spots = [positions_L2[place] + away * side for side in sides]
        rooms = [float(tree.query(spot)[0]) for spot in spots]
        spot = spots[int(np.argmax(np.round(rooms, 3) + (0.1 * (np.arange(len(spots)) == 2))))]
        if text.isdigit():
            toward = positions_L2[place] + (spot - positions_L2[place]) * np.array([[0.42 / away], [1 - 0.4 / away]])
            axes.plot(*toward.T, color=GREY, linewidth=0.05 * unit, zorder=1)
        axes.text(*spot, text, ha="center", va="center", fontsize=size, zorder=6)
