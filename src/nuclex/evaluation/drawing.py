"""How the pictures of a report are drawn: line styles, the canvas, and the strokes several pictures share.

Colours are those of ``palette``. Needs matplotlib (``nuclex[plots]``).
"""

from __future__ import annotations

import io
import math
import warnings
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from nuclex.core.errors import missing_extra
from nuclex.evaluation.palette import INK
from nuclex.evaluation.svg import adaptive, drawable
from nuclex.metrics.statistics import Interval

MARKERS = ("o", "s", "^", "D", "v", "P", "X", "*")
DASHES = ((0, (5, 2)), (0, (1, 1.5)), (0, (5, 1.5, 1, 1.5)), (0, (8, 3)))
WIDTH, WIDE = 4.9, 10.2  # inches; a column and the full width of the page

STYLE: dict[str, Any] = {
    "svg.fonttype": "none",  # letters stay letters: searchable, in the font of the page
    "svg.hashsalt": "nuclex",
    "text.parse_math": False,  # a "$" in a sequence's name is a dollar sign
    "font.size": 8.5,
    "axes.titlesize": 8.5,
    "axes.labelsize": 8.5,
    "legend.fontsize": 8.5,
    "xtick.labelsize": 8,
    "ytick.labelsize": 8,
    "axes.linewidth": 0.7,
    "xtick.major.width": 0.7,
    "ytick.major.width": 0.7,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.facecolor": "none",
    "figure.facecolor": "none",
    "axes.axisbelow": True,
    "axes.formatter.useoffset": False,
    "legend.frameon": False,
    "legend.handlelength": 2.4,
}


def drawn(paint: Callable[[Any], None], width: float, height: float) -> str:
    """Run ``paint`` on an empty matplotlib figure (inches) in the house style and return the SVG text.

    No pyplot, no window, and the reader's own matplotlib settings are neither used nor changed.
    """
    try:
        import matplotlib
        from matplotlib.backends.backend_svg import FigureCanvasSVG
        from matplotlib.figure import Figure as Drawing
    except ModuleNotFoundError:
        raise missing_extra("matplotlib", "plots", "drawing the report") from None
    settings: dict[Any, Any] = {k: v for k, v in matplotlib.rcParamsDefault.items() if not k.startswith("backend")}
    settings |= STYLE
    out = io.StringIO()
    with matplotlib.rc_context(settings), warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Glyph .* missing")  # the reader's browser has the letter
        drawing = Drawing(figsize=(width, height), layout="constrained")
        FigureCanvasSVG(drawing)
        paint(drawing)
        drawing.savefig(out, format="svg", metadata={"Date": None}, transparent=True)
    return adaptive(out.getvalue())


def named(text: str) -> str:
    """A name as it stands in a picture: at most 40 letters; its data hold it in full.

    >>> named("RF00005;tRNA;" + "x" * 40)
    'RF00005;tRNA;xxxxxxxxxxxxxxxxxxxxxxxxxx…'
    """
    text = drawable(text)
    text = text if len(text) <= 40 else text[:39] + "…"
    return f"\u200b{text}" if text.startswith("_") else text  # matplotlib leaves "_name" out of a legend


def counted(counts: Iterable[int], thing: str) -> str:
    """What n is, for the line below a picture: from the fewest to the most where there are several.

    >>> counted([1200], "test sequence"), counted([12, 1, 40], "molecule"), counted([1], "model")
    ('n = 1,200 test sequences', 'n = 1 to 40 molecules', 'n = 1 model')
    """
    found = sorted(set(counts)) or [0]
    ends = " to ".join(f"{n:,}" for n in dict.fromkeys((found[0], found[-1])))
    return f"n = {ends} {thing}{'' if found[-1] == 1 else 's'}"


def counted_intervals(intervals: Iterable[Interval | None], thing: str) -> str:
    """Of how many things each interval is."""
    return counted((interval.n for interval in intervals if interval is not None), thing)


def pale(colour: str, alpha: float) -> dict[str, Any]:
    """The look of a bar or mark in a paler shade; the outline keeps the full colour and is seen on any paper."""
    return {"facecolor": (colour, alpha), "edgecolor": colour, "linewidth": 0.8}


def whole_numbers(axes: Any, direction: str) -> None:
    """Ticks of the axis "x" or "y" at whole numbers alone, a single one where there is no room for two."""
    from matplotlib.ticker import MaxNLocator

    axis = axes.xaxis if direction == "x" else axes.yaxis
    axis.set_major_locator(MaxNLocator(nbins="auto", integer=True, steps=[1, 2, 5, 10], min_n_ticks=1))


def grid(axes: Any, direction: str) -> None:
    """Faint lines behind the data."""
    axes.grid(axis=direction, color=INK, alpha=0.14, linewidth=0.6)


def whiskers(intervals: Sequence[Interval]) -> np.ndarray:
    """(2, N) lengths below and above each value; nan, which draws nothing, where there is no interval."""
    ends_2N = np.array([[i.value - i.low for i in intervals], [i.high - i.value for i in intervals]], dtype=float)
    return np.asarray(np.clip(ends_2N, 0.0, None))


def whisker_note(intervals: Sequence[Interval | None]) -> str:
    """The sentence that says what the whiskers are; empty where no interval could be made.

    >>> whisker_note([Interval(0.5, 0.4, 0.6, n=9, level=0.95, method="BCa bootstrap"), None])
    'Whiskers: 95 % confidence interval.'
    """
    levels = sorted({i.level for i in intervals if i is not None and math.isfinite(i.low)})
    return f"Whiskers: {' and '.join(f'{100 * level:g}' for level in levels)} % confidence interval." if levels else ""


def overlap_note(intervals: Sequence[Interval | None]) -> str:
    """What whiskers are good for; empty where there are none."""
    return " Where whiskers reach far over each other, a difference may be chance." if whisker_note(intervals) else ""


def bars(
    axes: Any, groups: Sequence[str], series: Mapping[str, Sequence[Interval | None]], looks: Sequence[Any]
) -> None:
    """Horizontal bars from 0, one group a line from the top, one bar a series, the value written behind its whisker.

    ``looks`` are matplotlib's settings (colour, alpha) of each series.
    """
    thickness = 0.78 / len(series)
    for number, ((name, row), look) in enumerate(zip(series.items(), looks, strict=True)):
        label = named(name)
        for group, interval in enumerate(row):
            if interval is not None:
                y = group + (number - (len(series) - 1) / 2) * thickness
                bar(axes, y, interval, 0.9 * thickness, {**look, "label": label})
                label = ""  # one line in the legend
    axes.set_yticks(range(len(groups)), [drawable(group) for group in groups])
    axes.set_ylim(len(groups) - 0.45, -0.55)
    finish_bars(axes)


def bar(axes: Any, y: float, interval: Interval, height: float, look: Mapping[str, Any]) -> None:
    """One bar from 0 with its whisker, the value written behind that."""
    ends_21 = whiskers([interval])
    axes.barh(y, interval.value, height=height, **look)
    axes.errorbar(interval.value, y, xerr=ends_21, fmt="none", color=INK, elinewidth=0.9, capsize=2)
    place = (max(interval.value + float(np.nan_to_num(ends_21[1, 0])), 0.0), y)  # never on the bar of a negative value
    axes.annotate(f"{interval.value:.3f}".replace("-", "−"), place, (4, 0), textcoords="offset points", va="center")


def finish_bars(axes: Any) -> None:
    """The line at 0, faint ones behind the bars, and room for the values."""
    axes.tick_params(axis="y", length=0)
    axes.margins(x=0.14)
    axes.axvline(0, color=INK, linewidth=0.7)
    grid(axes, "x")


def point_names(axes: Any, places_N2: np.ndarray, names: Sequence[str]) -> None:
    """Write a name beside each point, where it covers no point, line or other name if there is such a place.

    To be called last: names are put where the points lie once scales and limits are set.
    """
    axes.figure.draw_without_rendering()  # only now is it known where on the paper a point lies
    points = 72 / axes.figure.dpi
    at_N2 = axes.transData.transform(places_N2) * points
    frame = [*(axes.bbox.min * points), *(axes.bbox.max * points)]
    lines = [line.get_xydata() for line in axes.lines if line.get_linestyle() != "None"]
    along = [_fine(axes.transData.transform(line_K2) * points) for line_K2 in lines]
    taken = [(x - 4, y - 4, x + 4, y + 4) for x, y in at_N2.tolist()]
    taken += [(x - 1, y - 1, x + 1, y + 1) for line_K2 in along for x, y in line_K2.tolist()]
    for (x, y), place, name in zip(at_N2.tolist(), places_N2.tolist(), names, strict=True):
        width, beside = 5.0 * len(name), 7.0
        spots = [(beside, 0, "left"), (-beside, 0, "right"), (0, 12, "center"), (0, -12, "center")]
        spots += [(side * beside, up, end) for up in (11, -11, 21, -21) for side, end in ((1, "left"), (-1, "right"))]
        costs = []
        for dx, dy, end in spots:
            left = x + dx - width * {"left": 0, "center": 0.5, "right": 1}[end]
            box = (left, y + dy - 5, left + width, y + dy + 5)
            outside = max(frame[0] - box[0], 0) + max(box[2] - frame[2], 0)
            outside += max(frame[1] - box[1], 0) + max(box[3] - frame[3], 0)
            costs.append((sum(_shared(box, other) for other in taken) + 20 * outside, box))
        best = min(range(len(spots)), key=lambda spot: (costs[spot][0], spot))
        dx, dy, end = spots[best]
        taken.append(costs[best][1])
        axes.annotate(name, place, (dx, dy), textcoords="offset points", ha=end, va="center")


def _fine(line_K2: np.ndarray) -> np.ndarray:
    """A line of straight pieces with fifty points on each of them."""
    share_M = np.linspace(0, max(len(line_K2) - 1, 0), 50 * len(line_K2))
    return np.column_stack([np.interp(share_M, range(len(line_K2)), line_K2[:, axis]) for axis in (0, 1)])


def _shared(one: Sequence[float], other: Sequence[float]) -> float:
    """The area that two boxes (left, bottom, right, top) share."""
    width, height = min(one[2], other[2]) - max(one[0], other[0]), min(one[3], other[3]) - max(one[1], other[1])
    return max(width, 0.0) * max(height, 0.0)


def same_length(expected: Sequence[Any], rows: Mapping[str, Sequence[Any]]) -> None:
    """ValueError unless every row has as many entries as ``expected``."""
    for name, row in rows.items():
        if len(row) != len(expected):
            raise ValueError(f"{name!r} has {len(row)} values for {len(expected)} groups")
