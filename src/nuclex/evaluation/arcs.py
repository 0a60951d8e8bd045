"""Base pairs as arcs over a sequence: the reference above, the prediction below, and where the two agree."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from typing import Any

from nuclex.evaluation.drawing import BLUE, INK, VERMILLION, WIDE, drawn, grid
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
    A pair counts as found only if both ends are exact. Letters are written up to 150 nt. ValueError for
    a position outside the sequence. An arc's height is its span, in longer sequences the square root of it.
    """
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
        axes.set_xlim(-0.5, max(len(sequence), 1) + 1.5)
        ticks = axes.get_xticks()
        axes.set_xticks([1, *(int(tick) for tick in ticks if 5 <= tick <= len(sequence))])
        axes.set_yticks(())
        for spine in ("left", "bottom"):
            axes.spines[spine].set_visible(False)
        grid(axes, "x")
        axes.set_xlabel("position (nt, from 1)")
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
    )


def _write_sequence(axes: Any, sequence: str) -> float:
    """Letters along the middle, or a line where they have no room; returns how far above it the arcs begin."""
    if len(sequence) > LETTERS_SHOWN:
        axes.plot((1, len(sequence)), (0, 0), color=INK, linewidth=0.7)
        return 0.0
    for position, letter in enumerate(drawable(sequence), start=1):
        axes.text(
            position, 0, letter, ha="center", va="center", fontsize=min(9.0, 960 / len(sequence)), family="monospace"
        )
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
