"""Base pairs as arcs over a sequence: the reference above, the prediction below, and where the two agree."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from nuclex.bio.folding import nested_part
from nuclex.bio.secondary_structure import as_pairs
from nuclex.evaluation.colour_bar import SURE, colour_bar, colour_of, drawn_probability, letter_colour
from nuclex.evaluation.drawing import WIDE, counted, drawn, grid
from nuclex.evaluation.palette import BLUE, INK, VERMILLION
from nuclex.evaluation.report import Figure, Table
from nuclex.evaluation.svg import drawable

LETTERS_SHOWN = 150  # longer sequences have no room for them
ROUND = 0.5523  # control points of a quarter circle drawn as a cubic Bézier curve
LOOKS: dict[str, dict[str, Any]] = {
    "found": {"edgecolor": BLUE, "linestyle": "-", "linewidth": 1.2},
    "missed": {"edgecolor": VERMILLION, "linestyle": (0, (4, 2)), "linewidth": 1.2},
    "false": {"edgecolor": INK, "linestyle": (0, (1, 1.2)), "linewidth": 1.5},
}

Pair = tuple[int, int]


def arc_diagram(
    sequence: str, true_pairs: Iterable[Sequence[int]], predicted_pairs: Iterable[Sequence[int]], title: str
) -> Figure:
    """Which base pairs the model found: true pairs as arcs above the sequence, predicted ones below.

    Pairs are (i, j), 0-based, in any order, each once or twice; the picture and its data count from 1, as CT files do.
    A pair counts as found only if both ends are exact. Letters are written up to 150 nt. An arc's height is its span,
    in longer sequences the square root of it. ValueError for a position outside the sequence, and for an empty one.
    """
    if not sequence:
        raise ValueError("an empty sequence has no picture")
    true, predicted = _pair_set(true_pairs, len(sequence)), _pair_set(predicted_pairs, len(sequence))
    counts = {"found": len(true & predicted), "missed": len(true - predicted), "false": len(predicted - true)}

    def paint(drawing: Any) -> None:
        axes = drawing.add_subplot()
        gap = _write_sequence(axes, sequence)
        for pairs, other, side, wrong in ((true, predicted, 1, "missed"), (predicted, true, -1, "false")):
            for pair in sorted(pairs):
                axes.add_patch(_arc(pair, side, gap, "found" if pair in other else wrong))
        reach = max((_height(j - i, gap) for i, j in true | predicted), default=1.0) + 2 * gap
        axes.set_ylim(-reach, reach)
        _number_positions(axes, sequence)
        grid(axes, "x")
        for height, text in ((0.98, f"reference, pairs: {len(true)}"), (0.02, f"predicted, pairs: {len(predicted)}")):
            axes.text(0, height, text, transform=axes.transAxes, va="top" if height > 0.5 else "bottom")
        drawing.legend(handles=_legend(counts), loc="outside upper left", ncols=3, handlelength=3)

    precision, recall = _share(counts["found"], len(predicted)), _share(counts["found"], len(true))
    rows = [(i + 1, j + 1, (i, j) in true, (i, j) in predicted) for i, j in sorted(true | predicted)]
    return Figure(
        name="arcs",
        title=title,
        svg=drawn(paint, WIDE, 4.2),
        data=Table(("i", "j", "reference", "predicted"), tuple(rows)),
        caption=f"Base pairs of one sequence of {len(sequence):,} nt: reference above, prediction below. "
        f"Exact pairs: precision {precision}, recall {recall}.",
        alt=f"Arc diagram: pairs found {counts['found']}, missed {counts['missed']}, false {counts['false']}.",
        wide=True,
        reading="The sequence runs from left to right, and an arc joins two bases that pair: as measured above it, as "
        "predicted below it. A perfect prediction is a mirror image, all arcs drawn through.",
        n=counted([len(true | predicted)], "pair"),
    )


def probability_arcs(
    sequence: str, pairs: ArrayLike, probability_LL: NDArray[np.floating], title: str, scale: str = SURE
) -> Figure:
    """A structure (P, 2) as arcs above its sequence, each pair and nucleotide in the colour of its probability.

    Pairs that cross the nested part of the structure are dashed. Positions are counted from 1; letters are written up
    to 150 nt. ``scale`` says what the colours are, where they are no probabilities.
    """
    if not sequence:
        raise ValueError("an empty sequence has no picture")
    pairs_P2 = as_pairs(pairs, len(sequence))
    nested = {tuple(pair) for pair in nested_part(pairs_P2, len(sequence)).tolist()}
    colour_L = drawn_probability(probability_LL, pairs_P2).tolist()

    def paint(drawing: Any) -> None:
        from matplotlib.collections import PatchCollection
        from matplotlib.patches import Rectangle

        drawing.set_layout_engine("none")
        axes = drawing.add_axes((0.03, 0.27, 0.94, 0.66))
        gap = _write_sequence(axes, sequence, [letter_colour(value) for value in colour_L])
        boxes = [Rectangle((place + 0.5, -max(gap, 0.4)), 1, 2 * max(gap, 0.4)) for place in range(len(sequence))]
        axes.add_collection(PatchCollection(boxes, facecolors=[colour_of(p) for p in colour_L], edgecolors="none"))
        for i, j in pairs_P2.tolist():
            arc = _arc((i, j), 1, gap, "found")
            arc.set_edgecolor(colour_of(float(probability_LL[i, j])))
            arc.set_linestyle("-" if (i, j) in nested else (0, (4, 2)))
            arc.set_gid(f"pair-{i + 1}-{j + 1}")
            axes.add_patch(arc)
        spans = [_height(j - i, gap) for i, j in pairs_P2.tolist()]
        axes.set_ylim(-2 * max(gap, 0.4), max(spans, default=1.0) + 3 * max(gap, 0.4))
        _number_positions(axes, sequence)
        drawing.text(0.5, 0.985, drawable(title), ha="center", va="top", fontsize=9)
        colour_bar(drawing, (0.34, 0.105, 0.32, 0.026), scale)

    crossed = len(pairs_P2) - len(nested)
    rows = [(i + 1, j + 1, float(probability_LL[i, j]), (i, j) in nested) for i, j in pairs_P2.tolist()]
    return Figure(
        name="arcs",
        title=title,
        svg=drawn(paint, WIDE, 4.2),
        data=Table(("i", "j", "probability", "nested"), tuple(rows)),
        caption=f"Secondary structure of {len(sequence):,} nt: {len(pairs_P2)} pairs, {crossed} crossing (dashed).",
        alt=f"Arc diagram of {len(pairs_P2)} base pairs, {crossed} of them dashed because they cross others.",
        wide=True,
        reading="The sequence runs from left to right, and an arc joins two bases that pair; the lighter its colour, "
        "the surer is the model.",
        n=counted([len(pairs_P2)], "pair"),
    )


def _number_positions(axes: Any, sequence: str) -> None:
    """The axis below, counted from 1."""
    axes.set_xlim(-0.5, max(len(sequence), 1) + 1.5)
    ticks = axes.get_xticks()
    axes.set_xticks([1, *(int(tick) for tick in ticks if 5 <= tick <= len(sequence))])
    axes.set_yticks(())
    for spine in ("left", "bottom"):
        axes.spines[spine].set_visible(False)
    axes.set_xlabel("position (nt, from 1)")


def _write_sequence(axes: Any, sequence: str, colours: Sequence[str] = ()) -> float:
    """Letters along the middle, or a line where they have no room; returns how far above it the arcs begin."""
    if len(sequence) > LETTERS_SHOWN:
        axes.plot((1, len(sequence)), (0, 0), color=INK, linewidth=0.7)
        return 0.0
    size = min(9.0, 960 / len(sequence))
    for position, letter in enumerate(drawable(sequence), start=1):
        text = axes.text(position, 0, letter, ha="center", va="center", fontsize=size, family="monospace")
        if colours:
            text.set_color(colours[position - 1])
    return 0.035 * len(sequence)


def _arc(pair: Pair, side: int, gap: float, kind: str) -> Any:
    """Half an ellipse from i to j (drawn from 1), ``side`` 1 above and -1 below the sequence."""
    from matplotlib.patches import PathPatch
    from matplotlib.path import Path

    left, right = pair[0] + 1, pair[1] + 1
    middle, radius, foot = (left + right) / 2, (right - left) / 2, side * gap
    top = foot + side * _height(right - left, gap)
    points = [
        (left, foot),
        (left, foot + ROUND * (top - foot)),
        (middle - ROUND * radius, top),
        (middle, top),
        (middle + ROUND * radius, top),
        (right, foot + ROUND * (top - foot)),
        (right, foot),
    ]
    look = LOOKS[kind] if gap else {**LOOKS[kind], "linewidth": 0.7}
    patch = PathPatch(Path(points, [Path.MOVETO, *[Path.CURVE4] * 6]), facecolor="none", **look)
    patch.set_zorder(2 if kind == "found" else 3)  # what went wrong lies on top
    patch.set_gid(f"{'reference' if side > 0 else 'predicted'}-{kind}-{left}-{right}")
    return patch


def _height(span: int, gap: float) -> float:
    """Beside letters (``gap`` above 0) as high as half the span; else its root, or one long arc flattens the rest."""
    return span / 2 if gap else math.sqrt(span)


def _legend(counts: dict[str, int]) -> list[Any]:
    from matplotlib.lines import Line2D

    words = {"found": "found (in both)", "missed": "missed (reference only)", "false": "false (predicted only)"}
    return [
        Line2D(
            (),
            (),
            color=LOOKS[kind]["edgecolor"],
            linestyle=LOOKS[kind]["linestyle"],
            linewidth=LOOKS[kind]["linewidth"],
            label=f"{text}: {counts[kind]}",
        )
        for kind, text in words.items()
    ]


def _pair_set(pairs: Iterable[Sequence[int]], length: int) -> set[Pair]:
    found: set[Pair] = set()
    for a, b in pairs:
        i, j = sorted((int(a), int(b)))
        if not 0 <= i < j < length:
            raise ValueError(f"the pair ({a}, {b}) does not fit a sequence of {length} nt (0-based positions)")
        found.add((i, j))
    return found


def _share(part: int, whole: int) -> str:
    return f"{part / whole:.2f} ({part}/{whole})" if whole else "not defined (no pairs)"
