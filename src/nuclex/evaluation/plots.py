"""The pictures of a report, drawn from plain numbers: what a model learned, how well, and where it fails.

Every function takes numbers and gives a :class:`~nuclex.evaluation.report.Figure`: SVG, what is to be seen in a
sentence, and the plotted data. A caller who knows more says it with ``dataclasses.replace(figure, caption=…)``.
Equal data give equal text. Needs matplotlib (``nuclex[plots]``).
"""

from __future__ import annotations

import itertools
import math
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from nuclex.evaluation.arcs import arc_diagram
from nuclex.evaluation.drawing import (
    DASHES,
    MARKERS,
    WIDTH,
    bar,
    bars,
    counted,
    counted_intervals,
    drawn,
    finish_bars,
    grid,
    named,
    overlap_note,
    same_length,
    whisker_note,
    whiskers,
    whole_numbers,
)
from nuclex.evaluation.palette import BLUE, COLOURS, GREEN, GREY, INK, ORANGE, PURPLE, VERMILLION
from nuclex.evaluation.report import Figure, Table, interval_text
from nuclex.evaluation.svg import drawable
from nuclex.metrics.statistics import Interval

__all__ = [
    "accuracy_bars",
    "arc_diagram",
    "embedding_map",
    "grouped_bars",
    "length_curve",
    "loss_curve",
    "pairing_bars",
]

Numbers = Sequence[float] | np.ndarray
FAMILIES_SHOWN = 20
TRAIN_POINTS = 400


def loss_curve(
    train_steps: Numbers,
    train_loss: Numbers,
    validation_steps: Numbers,
    validation_loss: Numbers,
    baselines: Mapping[str, float],
    unit: str = "nats per masked nucleotide",
) -> Figure:
    """How the loss fell during training, on the sequences trained on and on held-out ones, beside simple baselines.

    ``baselines`` maps a name to its loss on held-out sequences, in the same ``unit``. More than
    400 training values are drawn as means of equal blocks.
    """
    train_N2, block = _block_means(_points("training", train_steps, train_loss))
    held_out_N2 = _points("held-out", validation_steps, validation_loss)

    def paint(drawing: Any) -> None:
        axes = drawing.add_subplot()
        grid(axes, "y")
        label = "training" if block == 1 else f"training (mean of {block} values)"
        axes.plot(*train_N2.T, color=GREY, linewidth=0.9, label=label)
        if len(held_out_N2):
            axes.plot(*held_out_N2.T, color=BLUE, linewidth=1.6, marker="o", markersize=3, label="held-out sequences")
        for number, (name, value) in enumerate(baselines.items()):
            look = {"color": (VERMILLION, INK, GREEN, PURPLE)[number % 4], "linestyle": DASHES[number % 4]}
            axes.axhline(value, linewidth=1.1, label=f"{named(name)}: {value:.3f}", **look)
        whole_numbers(axes, "x")
        axes.set_xlabel("optimiser step")
        axes.set_ylabel(f"loss ({drawable(unit)})")
        drawing.legend(loc="outside upper left", ncols=2)

    last = f"{held_out_N2[-1, 1]:.3f} at step {held_out_N2[-1, 0]:,.0f}" if len(held_out_N2) else "not measured"
    others = "; ".join(f"{name} {value:.3f}" for name, value in baselines.items())
    rows = [(name, *point) for name, line in (("training", train_N2), ("held-out", held_out_N2)) for point in line]
    return Figure(
        name="loss-curve",
        title="Loss during training",
        svg=drawn(paint, WIDTH, 3.3),
        data=Table(("series", "step", "loss"), (*rows, *((name, None, float(v)) for name, v in baselines.items()))),
        caption=f"Cross entropy in {unit}; lower is better."
        + (" Horizontal lines: baselines on held-out sequences." if baselines else ""),
        alt=f"Line chart. Held-out loss: {last}." + (f" Baselines: {others}." if others else ""),
        reading="From left to right the model is trained; a line that falls is learning. Where the line of held-out "
        "sequences goes under a horizontal one, the model foretells letters better than that baseline; where it rises "
        "while training goes on falling, the model has begun to learn its sequences by heart.",
        n=f"n = {len(train_steps):,} training and {len(held_out_N2):,} held-out measurements",
    )


def accuracy_bars(
    intervals: Mapping[str, Interval], axis: str = "masked accuracy", title: str = "", of: str = ""
) -> Figure:
    """How often each model names the hidden letter; the first name, the model in question, is set off in colour.

    The n of the intervals, so many of ``of`` ("sequence"), stands on the axis, or beside each name where they differ.
    """
    values = list(intervals.values())
    same = len({interval.n for interval in values}) == 1
    groups = [named(name) if same else f"{named(name)} (n = {interval.n:,})" for name, interval in intervals.items()]

    def paint(drawing: Any) -> None:
        axes = drawing.add_subplot()
        for place, interval in enumerate(values):
            bar(axes, place, interval, 0.7, {"color": GREY if place else BLUE})
        axes.set_yticks(range(len(groups)), [drawable(group) for group in groups])
        axes.set_ylim(len(groups) - 0.45, -0.55)
        finish_bars(axes)
        axes.set_xlabel(drawable(axis) + (f" (n = {values[0].n:,}{f' {of}s' if of else ''})" if same else ""))

    return Figure(
        name="accuracy",
        title=title or _sentence_case(axis),
        svg=drawn(paint, WIDTH, 0.7 + 0.36 * len(values)),
        data=Table(("model", axis), tuple(intervals.items())),
        caption=whisker_note(values),
        alt="Bar chart. " + "; ".join(f"{name} {interval_text(i)}" for name, i in intervals.items()) + ".",
        reading="The longer a bar, the better: 1 is always right." + overlap_note(values),
        n=counted_intervals(values, of or "measurement"),
    )


def grouped_bars(
    groups: Sequence[str], series: Mapping[str, Sequence[Interval | None]], axis: str, title: str = "Comparison"
) -> Figure:
    """Several measurements (``series``) of each of several groups, as bars side by side with their intervals.

    Each series has one Interval (or None: not measured) a group, in the order of ``groups``. Where the n of a group is
    the same in all series it stands beside the group's name.
    """
    same_length(groups, series)
    labels = []
    for position, group in enumerate(groups):
        counts = {interval.n for interval in (row[position] for row in series.values()) if interval is not None}
        labels.append(f"{named(group)} (n = {counts.pop():,})" if len(counts) == 1 else named(group))

    def paint(drawing: Any) -> None:
        axes = drawing.add_subplot()
        bars(axes, labels, series, [{"color": COLOURS[number % 7]} for number in range(len(series))])
        axes.set_xlabel(drawable(axis))
        if len(series) > 1:
            drawing.legend(loc="outside upper left", ncols=min(len(series), 3))

    rows = [(group, *(row[position] for row in series.values())) for position, group in enumerate(groups)]
    found = [interval for row in series.values() for interval in row]
    return Figure(
        name="comparison",
        title=title,
        svg=drawn(paint, WIDTH, 1.0 + len(groups) * (0.12 + 0.19 * len(series))),
        data=Table(("group", *series), tuple(rows)),
        caption=whisker_note(found),
        alt=f"Bar chart of {axis} for {len(groups)} groups: {', '.join(series)}.",
        reading=f"Bars of one group belong together; a bar's length is its {axis}." + overlap_note(found),
        n=counted_intervals(found, "measurement"),
    )


def length_curve(
    edges: Sequence[int], series: Mapping[str, Sequence[Interval | None]], counts: Sequence[int], axis: str
) -> Figure:
    """How accuracy or perplexity depends on the length of the sequences, with intervals.

    Bin b holds lengths edges[b] ≤ length < edges[b + 1] (nt) and ``counts[b]`` sequences; each series has one Interval
    (or None: nothing measured there) a bin.
    """
    bins = [f"{low:,}–{high - 1:,}" for low, high in itertools.pairwise(edges)]
    same_length(bins, {**series, "counts": counts})

    def paint(drawing: Any) -> None:
        axes = drawing.add_subplot()
        grid(axes, "y")
        for number, (name, row) in enumerate(series.items()):
            shift = 0.12 * (number - (len(series) - 1) / 2)
            at = [b + shift for b, interval in enumerate(row) if interval is not None]
            there = [interval for interval in row if interval is not None]
            look = {"color": COLOURS[number % 7], "marker": MARKERS[number % 8], "markersize": 4.5, "linewidth": 1.1}
            ends = {"yerr": whiskers(there), "elinewidth": 0.9, "capsize": 2}
            axes.errorbar(at, [i.value for i in there], label=named(name), **ends, **look)
        axes.set_xticks(range(len(bins)), [f"{b}\nn = {n:,}" for b, n in zip(bins, counts, strict=True)])
        axes.set_xlim(-0.5, len(bins) - 0.5)
        axes.set_xlabel("length (nt), number of sequences n")
        axes.set_ylabel(drawable(axis))
        drawing.legend(loc="outside upper left", ncols=min(len(series), 3))

    rows = [(b, n, *(row[i] for row in series.values())) for i, (b, n) in enumerate(zip(bins, counts, strict=True))]
    return Figure(
        name="by-length",
        title=f"{_sentence_case(axis)} by length",
        svg=drawn(paint, WIDTH, 3.2),
        data=Table(("length (nt)", "sequences", *series), tuple(rows)),
        caption=whisker_note([interval for row in series.values() for interval in row]),
        alt=f"{_sentence_case(axis)} in {len(bins)} bins of length: {', '.join(series)}.",
        reading=f"Each mark is the {axis} on sequences of one range of lengths, short ones on the left; a line that "
        "keeps its height says that length does not matter.",
        n=counted([sum(counts)], "sequence"),
    )


def pairing_bars(visible: Interval, masked: Interval, difference: Interval) -> Figure:
    """Did the model learn base pairing? Accuracy at paired positions with the partner in sight and hidden too.

    ``difference`` is visible minus masked, paired; a model that knows only composition has 0 there.
    """

    def paint(drawing: Any) -> None:
        left, right = drawing.subplots(1, 2, width_ratios=(3, 2))
        for axes in (left, right):
            grid(axes, "y")
            axes.spines["bottom"].set_visible(False)
            axes.tick_params(axis="x", length=0)
        for x, (interval, colour) in enumerate(((visible, BLUE), (masked, ORANGE))):
            ends = whiskers([interval])
            left.bar(x, interval.value, width=0.6, color=colour)
            left.errorbar(x, interval.value, yerr=ends, color=INK, elinewidth=1, capsize=3)
            top = (x, interval.value + np.nan_to_num(ends[1, 0]))
            left.annotate(f"{interval.value:.3f}", top, (0, 4), textcoords="offset points", ha="center")
        left.set_xticks((0, 1), ("partner\nvisible", "partner\nmasked"))
        left.set_ylabel("accuracy at paired positions")
        left.margins(y=0.12)
        left.axhline(0, color=INK, linewidth=0.7)
        right.axhline(0, color=INK, linewidth=0.9, linestyle=DASHES[0])
        gain = f"{difference.value:+.3f}".replace("-", "−")
        look = {"color": GREEN, "marker": "D", "markersize": 6, "capsize": 4}
        right.errorbar(0, difference.value, yerr=whiskers([difference]), **look)
        right.annotate(gain, (0, difference.value), (9, 0), textcoords="offset points", va="center")
        right.set_xlim(-0.6, 0.8)
        right.set_ylabel("difference in accuracy")
        right.set_xticks((0,), ("visible minus\nmasked",))
        right.margins(y=0.2)

    rows = (("partner visible", visible), ("partner masked", masked), ("difference", difference))
    return Figure(
        name="pairing",
        title="What the partner's letter gives",
        svg=drawn(paint, WIDTH, 3.0),
        data=Table(("condition", "accuracy"), rows),
        caption=f"Masked accuracy at paired positions of {visible.n:,} molecules; dashed: no difference. "
        + whisker_note([visible]),
        alt=f"Partner visible {interval_text(visible)}, partner masked {interval_text(masked)}, "
        f"difference {interval_text(difference, '+.3f')}.",
        reading="A base of a pair was hidden. If the model knows that A goes with U and G with C, it guesses better "
        "with the partner in sight (left bar). On the right is how much better; a whisker that stays above the dashed "
        "line is no chance.",
        n=counted([visible.n], "molecule"),
    )


def embedding_map(
    points_N2: np.ndarray, labels: Sequence[str], title: str, axes_names: tuple[str, str] = ("axis 1", "axis 2")
) -> Figure:
    """Where the model puts each sequence: a 2-D map, one mark a sequence, colour and shape by family.

    The 20 largest families have a look of their own, the rest share a grey dot. Both axes have one scale.
    """
    points_N2 = np.asarray(points_N2, dtype=float)
    if points_N2.shape != (len(labels), 2):
        raise ValueError(f"a map needs one (x, y) a label: found points {points_N2.shape} and {len(labels)} labels")
    sizes = sorted(Counter(labels).items(), key=lambda item: (-item[1], item[0]))
    shown, rest = sizes[:FAMILIES_SHOWN], sizes[FAMILIES_SHOWN:]
    label_N = np.array(labels, dtype=object)
    longest = max((min(len(name), 40) for name, _ in shown), default=0)
    columns = 1 if longest > 26 else 2 if longest > 10 else 3

    def paint(drawing: Any) -> None:
        axes = drawing.add_subplot()
        grid(axes, "both")
        look = {"s": float(np.clip(9000 / max(len(labels), 1), 6, 20)), "linewidths": 0.4}
        for number, (name, count) in enumerate(shown):
            turn, colour = divmod(number, len(COLOURS))
            marks = {"facecolors": [(COLOURS[colour], 0.75)], "edgecolors": COLOURS[colour]}
            marks["marker"] = MARKERS[(colour + turn) % len(MARKERS)]
            axes.scatter(*points_N2[label_N == name].T, label=f"{named(name)} (n = {count:,})", **marks, **look)
        if rest:
            at_N2 = points_N2[np.isin(label_N, [name for name, _ in rest])]
            name = f"{len(rest)} smaller (n = {len(at_N2):,})"
            axes.scatter(*at_N2.T, color=GREY, zorder=0.9, label=name, **look)
        axes.set_aspect("equal", adjustable="datalim")
        axes.set_xlabel(f"{drawable(axes_names[0])} (no unit)")
        axes.set_ylabel(f"{drawable(axes_names[1])} (no unit)")
        legend = drawing.legend(loc="outside lower left", ncols=columns, handlelength=1, columnspacing=1.2)
        for handle in legend.legend_handles:
            handle.set_sizes([20])

    rows = tuple((label, *point) for label, point in zip(labels, points_N2, strict=True))
    return Figure(
        name="embedding-map",
        title=title,
        svg=drawn(paint, WIDTH, 3.6 + 0.17 * math.ceil((len(shown) + bool(rest)) / columns)),
        data=Table(("family", *axes_names), rows),
        caption=f"One mark a sequence (sequences: {len(labels):,}, families: {len(sizes):,}).",
        alt=f"Scatter plot. Sequences: {len(labels):,}; families: {len(sizes):,}.",
        reading="Sequences that the model takes for alike lie near each other. A family that is one group, apart from "
        "others, is one that it tells from them; directions and large distances have no meaning.",
        n=counted([len(labels)], "sequence"),
    )


def _points(name: str, steps: Numbers, values: Numbers) -> np.ndarray:
    if len(steps) != len(values):
        raise ValueError(f"{name}: {len(steps)} steps for {len(values)} values")
    return np.column_stack([np.asarray(steps, dtype=float), np.asarray(values, dtype=float)])


def _block_means(points_N2: np.ndarray) -> tuple[np.ndarray, int]:
    """Means of equal blocks (the last may be shorter), at most TRAIN_POINTS of them, and the block's size."""
    block = max(1, math.ceil(len(points_N2) / TRAIN_POINTS))
    starts = range(0, len(points_N2), block)
    means = [points_N2[start : start + block].mean(axis=0) for start in starts]
    return np.array(means).reshape(-1, 2), block


def _sentence_case(text: str) -> str:
    return text[:1].upper() + text[1:]
