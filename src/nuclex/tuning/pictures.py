"""The pictures of a search: how it went, each key against what came out, and how much each key mattered."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import accumulate
from typing import Any

import numpy as np

from nuclex.evaluation.drawing import WIDTH, counted, drawn, finish_bars, grid, named, pale, whole_numbers
from nuclex.evaluation.palette import BLUE, GREY
from nuclex.evaluation.report import Figure, Table
from nuclex.evaluation.svg import drawable
from nuclex.tuning.space import Dimension

Trials = Sequence[Mapping[str, Any]]
"""Trials that came to their end, as ``results.json`` has them: ``number``, ``values``, ``settings``, ``score``."""


def history(trials: Trials, metric: str, mode: str, unit: str = "") -> Figure:
    """The score of each trial, in this unit, and the best so far."""
    numbers = [int(one["number"]) for one in trials]
    scores = [float(one["score"]) for one in trials]
    so_far = list(accumulate(scores, min if mode == "min" else max))

    def paint(drawing: Any) -> None:
        axes = drawing.add_subplot()
        grid(axes, "y")
        axes.scatter(numbers, scores, s=16, color=GREY, label="a trial")
        axes.step(numbers, so_far, where="post", color=BLUE, linewidth=1.5, label="the best so far")
        whole_numbers(axes, "x")
        axes.set_xlabel("trial, in the order they were begun")
        axes.set_ylabel(_axis_name(metric, unit))
        drawing.legend(loc="outside upper left", ncols=2)

    rows = tuple(zip(numbers, scores, so_far, strict=True))
    return Figure(
        name="history",
        title="How the search went",
        svg=drawn(paint, WIDTH, 3.0),
        data=Table(("trial", metric, "best so far"), rows),
        caption="Lower is better." if mode == "min" else "Higher is better.",
        alt=f"Scatter plot of {len(trials)} trials; the best is {so_far[-1]:.4g}.",
        reading="Each mark is one setting that was tried; the line is the best found until then. A line that has been "
        "level for long says that more trials would hardly find better ones.",
        n=counted([len(trials)], "trial"),
    )


def against(trials: Trials, key: str, dimension: Dimension, metric: str, unit: str = "") -> Figure:
    """What came out, in this unit, against what a key was set to; late trials in a stronger colour."""
    values = [one["settings"][key] for one in trials]
    scores = [float(one["score"]) for one in trials]
    names = [str(one) for one in dimension.choices]
    places = [float(names.index(str(one))) for one in values] if names else [float(one) for one in values]
    shades = np.linspace(0.2, 1, len(trials))

    def paint(drawing: Any) -> None:
        axes = drawing.add_subplot()
        grid(axes, "both")
        look = {**pale(BLUE, 1), "facecolor": [(BLUE, float(shade)) for shade in shades]}
        axes.scatter(places, scores, s=20, **look)
        if names:
            axes.set_xticks(range(len(names)), [named(one) for one in names])
            axes.set_xlim(-0.5, len(names) - 0.5)
        elif dimension.log:
            axes.set_xscale("log", subs=[2, 5])
            for ticks in ("major", "minor"):  # as numbers: powers of ten are formulas, which pictures do not read
                getattr(axes.xaxis, f"set_{ticks}_formatter")("{x:g}")
        elif dimension.whole or dimension.of is not None:
            whole_numbers(axes, "x")
        axes.set_xlabel(drawable(key))
        axes.set_ylabel(_axis_name(metric, unit))

    rows = tuple((one["number"], value, score) for one, value, score in zip(trials, values, scores, strict=True))
    return Figure(
        name=f"against-{key}",
        title=key,
        svg=drawn(paint, WIDTH, 2.8),
        data=Table(("trial", key, metric), rows),
        caption="A mark a trial; late ones are filled.",
        alt=f"Scatter plot of {metric} against {key}, {len(trials)} trials.",
        reading=f"From left to right are the values of {key}. If good scores lie together in one place, that is "
        "where to look; if they lie everywhere, this key hardly matters.",
        n=counted([len(trials)], "trial"),
    )


def importance_bars(shares: Mapping[str, float], trials: int) -> Figure:
    """How much of the differences between so many trials each key explains, the most first."""
    names, values = list(shares), [float(value) for value in shares.values()]

    def paint(drawing: Any) -> None:
        axes = drawing.add_subplot()
        axes.barh(range(len(names)), values, height=0.6, color=BLUE)
        for place, value in enumerate(values):
            axes.annotate(f"{value:.2f}", (value, place), (4, 0), textcoords="offset points", va="center")
        axes.set_yticks(range(len(names)), [named(name) for name in names])
        axes.set_ylim(len(names) - 0.45, -0.55)
        axes.set_xlabel("share of the differences explained (of 1)")
        finish_bars(axes)

    return Figure(
        name="importance",
        title="Which key mattered",
        svg=drawn(paint, WIDTH, 0.9 + 0.4 * len(names)),
        data=Table(("key", "share"), tuple(shares.items())),
        alt="Bar chart. " + "; ".join(f"{name} {value:.2f}" for name, value in shares.items()) + ".",
        reading="The longer a bar, the more of what made trials good or bad was this key. All bars together are 1.",
        n=counted([trials], "trial"),
    )


def _axis_name(metric: str, unit: str) -> str:
    return drawable(metric.replace("_", " ")) + (f" ({unit})" if unit else "")
