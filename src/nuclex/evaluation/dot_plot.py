"""The probability of every base pair as a dot: above the diagonal what is probable, below it what was chosen."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from nuclex.bio.secondary_structure import as_pairs
from nuclex.evaluation.colour_bar import colour_bar, colour_of
from nuclex.evaluation.drawing import counted, drawn
from nuclex.evaluation.palette import GREY
from nuclex.evaluation.report import Figure, Table
from nuclex.evaluation.svg import drawable

MOST = 5000
SIDE = 5.6  # inches


def dot_plot(
    sequence: str, pairs: ArrayLike, probability_LL: NDArray[np.floating], title: str, cut: float = 0.01
) -> Figure:
    """Pair probabilities (upper triangle, a square's side growing with the root) and the structure (lower triangle).

    Only probabilities of ``cut`` or more are drawn, and of more than 5000 the most probable; the caption says how many
    there are. Positions are counted from 1.
    """
    length = len(sequence)
    pairs_P2 = as_pairs(pairs, length)
    i_C, j_C = np.nonzero(np.triu(np.asarray(probability_LL) >= cut, 1))
    p_C = np.asarray(probability_LL, dtype=np.float64)[i_C, j_C]
    order_C = np.argsort(-p_C, kind="stable")[:MOST]
    shown = [(int(i_C[place]), int(j_C[place]), float(p_C[place])) for place in order_C.tolist()]

    def paint(drawing: Any) -> None:
        drawing.set_layout_engine("none")
        side, tall = 0.82, SIDE / (SIDE + 0.7)
        axes = drawing.add_axes((0.12, 0.12 * tall + 0.62 / (SIDE + 0.7), side, side * tall))
        axes.set_xlim(0.5, length + 0.5)
        axes.set_ylim(length + 0.5, 0.5)
        axes.plot((0.5, length + 0.5), (0.5, length + 0.5), color=GREY, linewidth=0.6)
        least = length / 250  # a single dot stays visible in a long RNA
        squares = [(j + 1, i + 1, max(np.sqrt(p), least), colour_of(p)) for i, j, p in reversed(shown)]
        chosen = [(i + 1, j + 1, max(1.0, least), colour_of(float(probability_LL[i, j]))) for i, j in pairs_P2.tolist()]
        _draw_squares(axes, squares + chosen)
        axes.set_xlabel("position (nt, from 1)")
        axes.set_ylabel("position (nt, from 1)")
        for spine in ("top", "right"):
            axes.spines[spine].set_visible(True)
        parts = "above the diagonal: every pair · below: the structure"
        axes.text(0.5, 1.012, parts, ha="center", va="bottom", transform=axes.transAxes, fontsize=8)
        drawing.text(0.5, 0.985, drawable(title), ha="center", va="top", fontsize=9)
        colour_bar(drawing, (0.26, 0.42 / (SIDE + 0.7), 0.54, 0.11 / (SIDE + 0.7)), "probability of the pair")

    of = "" if len(shown) == len(p_C) else f", the {MOST:,} most probable of {len(p_C):,}"
    chosen = {tuple(pair) for pair in pairs_P2.tolist()}
    return Figure(
        name="dots",
        title=title,
        svg=drawn(paint, SIDE, SIDE + 0.7),
        data=Table(
            ("i", "j", "probability", "in structure"), tuple((i + 1, j + 1, p, (i, j) in chosen) for i, j, p in shown)
        ),
        caption=f"Pairs with a probability of {cut:g} or more: {len(shown):,}{of}; chosen: {len(pairs_P2)}.",
        alt=f"Dot plot of pair probabilities: {len(shown)} dots above the diagonal, {len(pairs_P2)} pairs below.",
        reading="A dot above the diagonal joins the position of its row and that of its column: the larger and "
        "lighter, the likelier the two pair. Below it are the pairs that were chosen; a helix is a short slanted row.",
        n=counted([len(shown)], "dot"),
    )


def _draw_squares(axes: Any, squares: list[tuple[float, float, float, str]]) -> None:
    """Squares by middle, side and colour."""
    from matplotlib.collections import PatchCollection
    from matplotlib.patches import Rectangle

    patches = [Rectangle((x - side / 2, y - side / 2), side, side) for x, y, side, _ in squares]
    colours = [colour for *_, colour in squares]
    axes.add_collection(PatchCollection(patches, facecolors=colours, edgecolors="none"))
