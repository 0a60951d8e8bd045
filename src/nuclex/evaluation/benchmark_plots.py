"""The pictures that only a benchmark has: how scores are spread over the test, and what probabilities are worth."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from nuclex.evaluation.drawing import (
    DASHES,
    MARKERS,
    WIDE,
    WIDTH,
    bar,
    counted,
    counted_intervals,
    drawn,
    finish_bars,
    grid,
    named,
    overlap_note,
    pale,
    point_names,
    same_length,
    whisker_note,
)
from nuclex.evaluation.held_out import HeldOut, comparable
from nuclex.evaluation.palette import COLOURS, GREY, INK
from nuclex.evaluation.report import Figure, Table, interval_text
from nuclex.evaluation.svg import drawable
from nuclex.evaluation.tables import perplexity_table
from nuclex.metrics.calibration import Reliability
from nuclex.metrics.statistics import Interval

Series = Mapping[tuple[str, str], Sequence[Interval | None]]

GAP = 0.5
"""Between two questions, in bars."""
PLOTTED = 400
"""Points of a curve that are drawn, at most."""


def system_bars(groups: Sequence[str], series: Series, metric: str, title: str) -> Figure:
    """Every system on every question, each bar with its name: colours tell models, paler bars are their controls.

    ``series`` maps (model, start) to an Interval a group, None where it was not measured.
    """
    models = list(dict.fromkeys(model for model, _ in series))
    first = next(iter(series), ("", ""))[1]
    named_series = {f"{model}, {start}": row for (model, start), row in series.items()}
    same_length(groups, named_series)
    rows = sum(1 + sum(row[place] is not None for row in series.values()) for place in range(len(groups)))

    def paint(drawing: Any) -> None:
        axes = drawing.add_subplot()
        places: list[float] = []
        labels: list[str] = []
        top = 0.0
        for place, group in enumerate(groups):
            across, heading = axes.get_yaxis_transform(), named(group)  # stands above its bars
            there = [(name, found) for name, row in series.items() if (found := row[place]) is not None]
            counts = {interval.n for _, interval in there}
            if len(counts) == 1:
                heading = f"{heading} (n = {counts.pop():,})"
            axes.text(0, top, f" {heading}", transform=across, va="center", fontweight="bold")
            for number, ((model, start), interval) in enumerate(there, start=1):
                y, colour = top + number, COLOURS[models.index(model) % 7]
                bar(axes, y, interval, 0.8, {"color": colour} if start == first else pale(colour, 0.35))
                labels.append(named(f"{model}, {start}"))
                places.append(y)
            top += len(there) + 1 + GAP
        axes.set_yticks(places, labels)
        axes.set_ylim(top - GAP - 0.4, -0.6)
        finish_bars(axes)
        axes.set_xlabel(drawable(metric))

    found = [interval for row in series.values() for interval in row]
    table = [(group, *(row[place] for row in named_series.values())) for place, group in enumerate(groups)]
    return Figure(
        name="systems",
        title=title,
        svg=drawn(paint, WIDE, 0.6 + 0.2 * (rows + GAP * len(groups))),
        data=Table(("question", *named_series), tuple(table)),
        caption=whisker_note(found),
        alt=f"Bar chart of {metric} for {len(groups)} questions: {', '.join(named_series)}.",
        wide=True,
        reading="Each question has its own bars, each model its colour; paler bars are its controls, which had less to "
        "go by. What pre-training gave is how much farther the full bar reaches than the pale ones."
        + overlap_note(found),
        n=counted_intervals(found, "test example"),
    )


def score_curves(series: Mapping[tuple[str, str], ArrayLike], metric: str, title: str) -> Figure:
    """How many test sequences reach a score: for each system the share of sequences that have at least x.

    ``series`` maps (model, start) to a score a sequence (N,). Colours tell models, dashes tell starts. A curve that
    lies above another is of the better system, at every level of difficulty.
    """
    models = list(dict.fromkeys(model for model, _ in series))
    starts = list(dict.fromkeys(start for _, start in series))
    curves = {name: _survival(np.asarray(values_N, dtype=float)) for name, values_N in series.items()}

    def paint(drawing: Any) -> None:
        axes = drawing.add_subplot()
        grid(axes, "both")
        for (model, start), curve_P2 in curves.items():
            place = starts.index(start)
            line = "-" if not place else DASHES[(place - 1) % len(DASHES)]
            look = {"color": COLOURS[models.index(model) % 7], "linestyle": line}
            axes.step(*curve_P2.T, where="pre", linewidth=1.3, label=named(f"{model}, {start}"), **look)
        axes.set_xlabel(drawable(metric))
        axes.set_ylabel("share of sequences that reach it")
        axes.set_ylim(-0.02, 1.02)
        drawing.legend(loc="outside lower left")

    rows = [(model, start, *point) for (model, start), curve_P2 in curves.items() for point in curve_P2.tolist()]
    middle = "; ".join(
        f"{model}, {start}: median {np.median(np.asarray(v)):.3f}" for (model, start), v in series.items()
    )
    return Figure(
        name="scores",
        title=title,
        svg=drawn(paint, WIDTH, 3.1 + 0.18 * len(curves)),
        data=Table(("model", "start", metric, "share at least"), tuple(rows)),
        caption=f"Of each value of {metric}: the share of test sequences that reach it.",
        alt=f"Falling curves. {middle}.",
        reading="Choose a value on the axis below and go up to a curve: its height is the share of test sequences that "
        "score at least that. The curve that lies above the others is of the better system.",
        n=counted((np.size(values_N) for values_N in series.values()), "test sequence"),
    )


def reliability_curves(
    series: Mapping[str, Reliability], what: str, title: str, errors: Mapping[str, Interval] | None = None
) -> Figure:
    """Are probabilities true? Of answers with a probability near x, the share that is right; true ones lie on the line.

    ``what`` says whose probability it is; a mark's size grows with the number of answers (on a scale of logarithms).
    ``errors`` are the expected calibration errors with intervals, where there are some.
    """
    error = {name: interval_text(errors[name]) if errors else f"{found.error:.3f}" for name, found in series.items()}

    def paint(drawing: Any) -> None:
        axes = drawing.add_subplot()
        grid(axes, "both")
        axes.plot((0, 1), (0, 1), color=INK, linewidth=0.9, linestyle=DASHES[0], label="true probabilities")
        for number, (name, found) in enumerate(series.items()):
            x_B, y_B, n_B = np.array(found.points() or [(np.nan, np.nan, 1)]).T
            look = {"color": COLOURS[number % 7], "marker": MARKERS[number % 8]}
            axes.plot(x_B, y_B, linewidth=1.1, label=f"{named(name)}: ECE {error[name]}", markersize=4, **look)
            halo = {"facecolors": [(look["color"], 0.5)], "edgecolors": look["color"], "linewidths": 0.5}
            axes.scatter(x_B, y_B, s=12 + 14 * np.log10(n_B), marker=look["marker"], **halo)
        axes.set_xlim(-0.02, 1.02)
        axes.set_ylim(-0.02, 1.02)
        axes.set_aspect("equal")
        axes.set_xlabel(f"probability of {drawable(what)}")
        axes.set_ylabel("share that is right")
        drawing.legend(loc="outside lower left")

    rows = [(name, *point) for name, found in series.items() for point in found.points()]
    said = "; ".join(f"{name}: {text}" for name, text in error.items())
    level = next(
        (f" In brackets the {100 * one.level:g} % interval over units." for one in (errors or {}).values()), ""
    )
    return Figure(
        name="reliability",
        title=title,
        svg=drawn(paint, WIDTH, 4.0 + 0.18 * len(series)),
        data=Table(("model", "mean probability", "share right", "answers"), tuple(rows)),
        caption="ECE: expected calibration error, the mean gap between probability and share over all answers, in ten "
        f"bins; it is above 0 by chance alone where answers are few.{level}",
        alt=f"Reliability diagram. Expected calibration error: {said}.",
        reading="A mark on the dashed line is an honest one: of answers said to be right with 70 %, 70 % are. Marks "
        "below the line are of a model too sure of itself, marks above of one too careful; larger marks are of more "
        "answers.",
        n=counted((sum(n for *_, n in found.points()) for found in series.values()), "answer"),
    )


def perplexity_points(found: Sequence[HeldOut], title: str) -> Figure:
    """What a larger model is worth: perplexity on held-out sequences (lower is better) against parameters, log scale.

    One named point a model. A line joins the best of each size among models that were measured alike (``comparable``);
    of the others the caption says that they cannot be compared.
    """
    groups = comparable(found)
    place_N2 = np.array([(one.parameters / 1e6, one.perplexity) for one in found], dtype=float).reshape(-1, 2)

    def paint(drawing: Any) -> None:
        axes = drawing.add_subplot()
        grid(axes, "both")
        for group in sorted({*groups}, key=lambda group: group or len(groups) + 1):
            there_N2 = place_N2[[one == group for one in groups]]
            look: dict[str, Any] = {"color": GREY, "marker": "o", "markerfacecolor": "none", "linestyle": "none"}
            if group is not None:
                look = {"color": COLOURS[(group - 1) % 7], "marker": MARKERS[(group - 1) % 8], "linestyle": "none"}
                if len(best_N2 := _best_of_each_size(there_N2)) > 1:
                    axes.plot(*best_N2.T, color=look["color"], linewidth=1.1, linestyle=DASHES[0])
            axes.plot(
                *there_N2.T, markersize=6, label=f"group {group}" if group else "measured on what is unknown", **look
            )
        _size_axis(axes, place_N2[:, 0])
        axes.margins(y=0.2)
        axes.set_ylabel("perplexity on held-out sequences (no unit)")
        if {*groups} != {1}:
            drawing.legend(loc="outside upper left", ncols=3)
        point_names(axes, place_N2, [named(one.model) for one in found])

    said = "; ".join(f"{one.model} {one.parameters:,} parameters, perplexity {one.perplexity:.3f}" for one in found)
    return Figure(
        name="perplexity",
        title=title,
        svg=drawn(paint, WIDTH, 3.3),
        data=perplexity_table(found),
        caption=_what_compares(found, groups),
        alt=f"Points. {said}.",
        reading="Farther right is a larger model, lower is a better one: a perplexity of 4 is as unsure as guessing "
        "among four letters. Compare only marks of one look.",
        n=counted([len(found)], "model"),
    )


def _best_of_each_size(place_N2: np.ndarray) -> np.ndarray:
    """The lowest (x, y) at each x, from left to right."""
    lowest = dict(sorted(place_N2.tolist(), reverse=True))  # of equal sizes the last, lowest one stays
    return np.array(sorted(lowest.items()), dtype=float).reshape(-1, 2)


def _size_axis(axes: Any, millions_N: np.ndarray) -> None:
    """Millions of parameters on a log scale that reaches beyond all of them, ticks at 1, 2 and 5."""
    low, high = millions_N.min() / 1.8, millions_N.max() * 1.8
    powers = range(int(np.floor(np.log10(low))), int(np.ceil(np.log10(high))) + 1)
    steps = (1, 2, 5) if len(powers) < 5 else (1,)
    ticks = [step * 10.0**power for power in powers for step in steps if low <= step * 10.0**power <= high]
    axes.set_xscale("log")
    axes.set_xlim(low, high)
    axes.minorticks_off()
    axes.set_xticks(ticks, [f"{tick:,g}" for tick in ticks])
    axes.set_xlabel("parameters (millions, log scale)")


def _what_compares(found: Sequence[HeldOut], groups: Sequence[int | None]) -> str:
    """Which points may be held against each other, and what besides size differs between them."""
    several = {group for group in groups if group is not None and groups.count(group) > 1}
    said = ["One point a model, from the record of its own pre-training: one run each, no interval. Lower is better."]
    if several:
        alike = "models measured on the same held-out tokens, by one tokenizer, with one objective"
        said.append(f"A line joins {alike}; of equal sizes the better one.")
    if len({*groups} - {None}) > 1:
        said.append("Those of different groups were not measured alike: their heights say nothing about each other.")
    if unknown := [one.model for one, group in zip(found, groups, strict=True) if group is None]:
        said.append(f"On what {', '.join(unknown)} was measured is not in the record: compare it with none.")
    for what, unit in (("training_tokens", "read {} tokens in training"), ("window", "saw {} tokens at once")):
        for group in sorted(several):
            values = [getattr(one, what) for one, mine in zip(found, groups, strict=True) if mine == group]
            known = sorted({value for value in values if value is not None})
            if len(known) > 1:
                told = unit.format(f"{known[0]:,} to {known[-1]:,}")
                said.append(f"Models of group {group} {told}: size is not all that differs.")
    return " ".join(said)


def _survival(values_N: np.ndarray) -> np.ndarray:
    """(x, share of values that are at least x) at each distinct value, thinned to ``PLOTTED`` points."""
    x_P = np.unique(values_N)
    share_P = 1 - np.searchsorted(np.sort(values_N), x_P, side="left") / len(values_N)
    if len(x_P) > PLOTTED:
        kept = np.unique(np.linspace(0, len(x_P) - 1, PLOTTED).astype(int))
        x_P, share_P = x_P[kept], share_P[kept]
    return np.column_stack([x_P, share_P])


def spread_out(rows: Sequence[dict[str, Any]], metric: str) -> bool:
    """Whether a score has more than two values, so that a curve says more than its mean."""
    return len({row["scores"][metric] for row in rows}) > 2
