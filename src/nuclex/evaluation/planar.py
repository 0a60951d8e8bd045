"""A secondary structure in the plane: every loop a circle of its own, helices as ladders, pseudoknots as curves.

The layout is the radial one: the bases of a loop lie on a circle at the distance of neighbours, and each helix that
leaves it points away from its centre. What is outside of all pairs lies on a line above, 5' to the left, or on a circle
where that line would be long. Backbone is drawn out where that keeps bases from covering each other; in long RNAs (from
some 1,000 nt on) a few stay covered.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from nuclex.bio.folding import nested_part
from nuclex.bio.secondary_structure import as_pairs, to_partners
from nuclex.evaluation.colour_bar import SURE, colour_bar, colour_of, drawn_probability, letter_colour
from nuclex.evaluation.drawing import counted, drawn
from nuclex.evaluation.loops import Loop, backbone_points, loops_of, placed, way_between
from nuclex.evaluation.numbering import draw_numbers
from nuclex.evaluation.palette import GREY
from nuclex.evaluation.report import Figure, Table
from nuclex.evaluation.svg import drawable

NEAR = 0.8  # bases nearer than this cover each other
FACTORS, WIDEST = (0.3, 0.6, 1.6, 2.5, 4.0), 4.0  # how a stretch of backbone is drawn out, and at most so far
TRIES, WORK = 1500, 2_500_000  # attempts to uncover bases, and attempts times bases, at most
LONG = 2.5  # a line of unpaired bases this many times as wide as the picture is high becomes a circle
MARGIN = 2.0
LARGEST, SMALLEST, READABLE = 720.0, 3.0, 4.0  # points: of a picture, of a step in it at the least, of a letter
CROWDED = 500  # nucleotides; of more, a picture grows, as fast as what it shows


def planar_layout(pairs: ArrayLike, length: int) -> NDArray[np.float64]:
    """Where each base of an RNA of ``length`` nucleotides is drawn: (L, 2), neighbours 1 apart or more, y upwards.

    Of pseudoknots in the pairs (P, 2), the largest nested part (``nested_part``) decides, in which a base of a triple
    keeps one partner. Equal structures give equal layouts.
    """
    partners = to_partners(nested_part(pairs, length), length)
    loops, _ = loops_of(partners.tolist())
    width, height = np.ptp(placed(loops, length, at_line=True), axis=0).tolist() if length else (0.0, 0.0)
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
    loops, inner = loops_of(partners.tolist())
    length = len(partners)
    positions_L2 = placed(loops, length, at_line)
    covering = _covering(positions_L2, partners)
    random = np.random.default_rng(0)
    for _ in range(min(TRIES, WORK // max(length, 1))):
        if not len(covering):
            break
        one, other = covering[random.integers(len(covering))].tolist()
        way = way_between(loops, inner[one], inner[other])
        pools = [way[:1], [step for step in way if len(loops[step].branches) > 1], way]  # where ways part; forks; all
        pool = [step for step in pools[random.integers(3)] if loops[step].bends and (step or not at_line)]
        if not pool:
            continue
        loop = loops[pool[random.integers(len(pool))]]
        before = list(loop.stretch)
        for _ in range(1 + random.integers(2)):
            part = int(random.integers(len(loop.stretch)))
            loop.stretch[part] = min(max(loop.stretch[part] * float(random.choice(FACTORS)), 1.0), WIDEST)
        if loop.stretch == before:
            continue
        tried_L2 = placed(loops, length, at_line)
        found = _covering(tried_L2, partners)
        if len(found) <= len(covering):
            positions_L2, covering = tried_L2, found
        else:
            loop.stretch = before
    return _let_go(loops, partners, at_line, (positions_L2, len(covering)))


def _let_go(
    loops: Sequence[Loop], partners: NDArray[np.int32], at_line: bool, reached: tuple[NDArray[np.float64], int]
) -> tuple[NDArray[np.float64], int]:
    """The layout with all backbone let go again that need not be drawn out: no more bases are covered for it."""
    positions_L2, covering = reached
    for loop in loops[int(at_line) :]:
        for part, drawn_out in enumerate(loop.stretch):
            for less in (1.0, math.sqrt(drawn_out)):
                if less < drawn_out:
                    loop.stretch[part] = less
                    tried_L2 = placed(loops, len(partners), at_line)
                    found = len(_covering(tried_L2, partners))
                    if found <= covering:
                        positions_L2, covering = tried_L2, found
                        break
                    loop.stretch[part] = drawn_out
    return positions_L2, covering


def _covering(positions_L2: NDArray[np.float64], partners: NDArray[np.int32]) -> NDArray[np.int64]:
    """Which bases, or the backbone behind them where it is drawn out, lie upon others: (K, 2)."""
    from scipy.spatial import cKDTree

    length = len(positions_L2)
    if length < 2:
        return np.empty((0, 2), dtype=np.int64)
    line_K2, behind_K = backbone_points(positions_L2, NEAR)
    owner_K = np.concatenate([np.arange(length), behind_K])
    tree = cKDTree(np.concatenate([positions_L2, line_K2]), balanced_tree=False, compact_nodes=False)
    close_K2 = np.sort(owner_K[tree.query_pairs(NEAR, output_type="ndarray")], axis=1)
    near_K = (close_K2[:, 1] - close_K2[:, 0] <= 1) | (partners[close_K2[:, 0]] == close_K2[:, 1])
    numbers = np.unique(close_K2[~near_K] @ np.array([length, 1]))
    return np.stack(np.divmod(numbers, length), axis=1).astype(np.int64)


READING = (
    "The line is the backbone, numbered from its 5' end; short bars join bases that pair. The lighter a base, the "
    "surer is the model of its pair, or that it has none."
)


def _pairs_of(sequence: str, pairs: ArrayLike) -> tuple[NDArray[np.int32], set[tuple[int, ...]]]:
    """All pairs (P, 2), and those of them in the nested part; ValueError for an empty sequence."""
    if not sequence:
        raise ValueError("an empty sequence has no picture")
    pairs_P2 = as_pairs(pairs, len(sequence))
    return pairs_P2, {tuple(pair) for pair in nested_part(pairs_P2, len(sequence)).tolist()}


def planar_drawing(
    sequence: str, pairs: ArrayLike, probability_LL: NDArray[np.floating], title: str, scale: str = SURE
) -> Figure:
    """Draw a structure (P, 2) in the plane, each nucleotide and pair in the colour of its probability.

    A paired nucleotide has the colour of its pair, an unpaired one that of being unpaired (``drawn_probability``).
    Pairs that cross the nested part are dashed curves. Positions are counted from 1; letters are left out where they
    would be too small to read. A picture of more than 500 nt grows with the root of their number. ``scale``: its words.
    """
    from matplotlib.collections import LineCollection

    pairs_P2, nested = _pairs_of(sequence, pairs)
    positions_L2 = planar_layout(pairs_P2, len(sequence))
    colour_L = drawn_probability(probability_LL, pairs_P2)
    low_2, high_2 = positions_L2.min(axis=0) - MARGIN, positions_L2.max(axis=0) + MARGIN
    width, height = (high_2 - low_2).tolist()
    largest = LARGEST * math.sqrt(max(len(sequence) / CROWDED, 1.0))
    unit = min(max(largest / max(width, height), SMALLEST), 16.0)  # points a distance of neighbours
    inches = max(width * unit / 72, 4.2), height * unit / 72 + 1.0

    def paint(drawing: Any) -> None:
        drawing.set_layout_engine("none")
        axes = drawing.add_axes((0, 0.72 / inches[1], 1, 1 - 1.0 / inches[1]))
        middle, half = (low_2[0] + high_2[0]) / 2, inches[0] * 36 / unit
        axes.set(xlim=(middle - half, middle + half), ylim=(low_2[1], high_2[1]), aspect="equal")
        axes.axis("off")
        axes.add_collection(LineCollection([positions_L2], colors=GREY, linewidths=0.1 * unit, zorder=1))
        for i, j in pairs_P2.tolist():
            _draw_pair(axes, positions_L2[[i, j]], (i, j) in nested, colour_of(float(probability_LL[i, j])), unit)
        _draw_bases(axes, sequence, positions_L2, colour_L, unit)
        draw_numbers(axes, positions_L2, unit)
        drawing.text(0.5, 1 - 0.08 / inches[1], drawable(title), ha="center", va="top", fontsize=9)
        place = (0.5 - 1.6 / inches[0], 0.45 / inches[1], 3.2 / inches[0], 0.11 / inches[1])
        colour_bar(drawing, place, scale)

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
        reading=READING,
        n=counted([len(sequence)], "nucleotide"),
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
