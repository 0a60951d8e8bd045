"""A report read back as a reader's program reads it: its elements, its pictures, what can be saved, what is drawn."""

from __future__ import annotations

import base64
import csv
import io
import itertools
import re
import xml.etree.ElementTree as ElementTree
from html.parser import HTMLParser
from typing import NamedTuple

import numpy as np

from nuclex.evaluation.colour_bar import STEPS, colour_of
from nuclex.evaluation.palette import HUES

COLOURS = {shades.light for shades in HUES.values()} | {colour_of((step + 0.5) / STEPS) for step in range(STEPS)}
COLOURS |= {"#111111", "#ffffff"}  # letters on a filled mark
UNITS = {"loss": "nats", "length": "nt", "position": "nt", "parameters": "millions", "t-SNE": "no unit"}
"""What an axis with this word has to say besides."""
NEAR = 0.35
"""Points (1/72 inch) that a mark may lie beside the place its number has."""
POINTS = {
    ("series", "step", "loss"): (1, 2),
    ("model", "mean probability", "share right", "answers"): (1, 2),
}
"""Columns that hold x and y, by the columns there are; see ``_columns`` for the others."""


class Picture(NamedTuple):
    """A figure of a page: its SVG, what a screen reader says, the words below it, and what can be saved."""

    svg: ElementTree.Element
    label: str
    caption: str
    rows: list[list[str]]
    saved: str


class Elements(HTMLParser):
    """Every element of a page with its attributes."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.all: list[tuple[str, dict[str, str | None]]] = []
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        assert len({name for name, _ in attrs}) == len(attrs), f"<{tag}> has an attribute twice"
        self.all.append((tag, dict(attrs)))


def check_report(page: str, least: int = 1) -> list[Picture]:
    """AssertionError unless the page and each of its pictures is what a report of nuclex promises."""
    _check_page(page)
    pictures = _pictures(page)
    assert len(pictures) >= least
    for picture in pictures:
        check_picture(picture)
    return pictures


def _check_page(page: str) -> None:
    """Whole, in order, named for screen readers, and without any address outside itself."""
    elements = Elements(page).all
    levels = [int(tag[1]) for tag, _ in elements if re.fullmatch("h[1-6]", tag)]
    assert levels.count(1) == 1
    assert levels[0] == 1
    assert all(after <= before + 1 for before, after in itertools.pairwise(levels)), levels
    assert {"main", "header", "footer", "title"} <= {tag for tag, _ in elements}
    assert not {"script", "iframe", "object", "img", "form"} & {tag for tag, _ in elements}
    names = [attributes["id"] for _, attributes in elements if "id" in attributes]
    assert len(names) == len(set(names))
    for tag, attributes in elements:
        address = attributes.get("href") or "#"
        assert address.startswith(("#", "data:")), (tag, address)
        assert "src" not in attributes
        for name in (attributes.get("aria-labelledby") or "").split():
            assert name in names, (tag, name)
        assert tag != "table" or attributes.get("aria-labelledby"), "a table without a name"
        assert tag != "th" or attributes.get("scope") in ("col", "row")
    assert set(re.findall(r"https?://[^\s\"'<]+", page)) <= {"http://www.w3.org/2000/svg"}


def _pictures(page: str) -> list[Picture]:
    found = []
    for figure in re.findall(r"<figure[ >].*?</figure>", page, re.DOTALL):
        assert figure.count("<figcaption") == 1
        if (svg := re.search(r"<svg .*?</svg>", figure, re.DOTALL)) is None:
            assert "<table" in figure
            continue
        root = ElementTree.fromstring(svg[0].replace(' xmlns="http://www.w3.org/2000/svg"', ""))
        caption = re.search(r"<figcaption>(.*?)</figcaption>", figure, re.DOTALL)
        assert caption is not None
        saved = dict(re.findall(r'<a href="data:(text/csv|image/svg\+xml);charset=utf-8;base64,([^"]+)"', figure))
        table, drawing = (
            base64.b64decode(saved[kind], validate=True).decode() for kind in ("text/csv", "image/svg+xml")
        )
        rows = list(csv.reader(io.StringIO(table, newline="")))
        words = re.sub(r"<[^>]*>", "", caption[1])
        found.append(Picture(root, root.get("aria-label") or "", words, rows, drawing))
    return found


def check_picture(picture: Picture) -> None:
    """Named, explained, with n, in the colours of the palette, on named axes, and equal to what is saved with it."""
    name = picture.caption.strip()[:70]
    assert picture.svg.get("role") == "img"
    assert re.search(r"\w+\. \w", picture.label), f"{name}: no sentence for a screen reader"
    assert re.search(r"\bn = [\d,]+( to [\d,]+)? \w+", picture.caption), f"{name}: no n"
    assert re.search(r"How to read it: [A-Z].{40,}\.", picture.caption), f"{name}: does not say how to read it"
    assert len(picture.rows) > 1, f"{name}: no data"
    for text in (ElementTree.tostring(picture.svg, encoding="unicode"), picture.saved):
        strange = set(re.findall(r"#[0-9a-f]{6}\b", re.sub(r'(?:href|id|clip-path)="[^"]*"', "", text))) - COLOURS
        assert not strange, f"{name}: colours outside the palette: {sorted(strange)}"
        assert not re.search(r"(?:fill|stroke): (?!none|currentColor|#|url)", text), f"{name}: a colour by name"
    axes = axes_of(picture)
    for one in axes:
        one.check_names(name)
    _check_data(picture, axes, name)


def axes_of(picture: Picture) -> list[Axes]:
    """The coordinate systems of a picture, in the order they were drawn."""
    return [Axes(group) for group in _groups(picture.svg, r".*axes_\d+")]


def _groups(root: ElementTree.Element, pattern: str) -> list[ElementTree.Element]:
    return [group for group in root.iter("g") if re.fullmatch(pattern, group.get("id", ""))]


def _number(text: str) -> float | None:
    try:
        return float(text.replace("−", "-").replace(",", ""))
    except ValueError:
        return None


class Scale(NamedTuple):
    """How numbers become places along an axis."""

    slope: float
    start: float
    log: bool

    def place(self, value: float) -> float:
        """In points, of a number."""
        return self.slope * (float(np.log10(value)) if self.log else value) + self.start


class Axes:
    """One coordinate system of a picture: names and scales of its axes, and every place where something is drawn."""

    def __init__(self, group: ElementTree.Element) -> None:
        both = _groups(group, r".*matplotlib\.axis_\d+")
        self.ticks = [self._ticks(axis, which) for axis, which in zip(both, "xy", strict=False)]
        self.labels = [self._label(axis) for axis in both]
        self.scales = [self._scale(ticks) for ticks in self.ticks]
        inside = [part for part in group if "matplotlib.axis" not in part.get("id", "")]
        self.paths = [_places(path) for part in inside for path in part.iter("path") if path.get("style")]
        self.marks = np.array(
            [(float(use.get("x", 0)), float(use.get("y", 0))) for part in inside for use in part.iter("use")]
        ).reshape(-1, 2)

    def check_names(self, name: str) -> None:
        """Every axis with numbers has a name, and the unit that belongs to it."""
        numbered = sum(any(_number(label) is not None for label, _ in ticks) for ticks in self.ticks)
        assert len([label for label in self.labels if label]) >= numbered, f"{name}: numbers on an axis without a name"
        for label in self.labels:
            for word, unit in UNITS.items():
                assert not label.startswith(word) or unit in label, f"{name}: the axis {label!r} has no unit"

    def holds(self, x: float, y: float) -> bool:
        """Whether a mark or line lies at this place of both scales; a scale that is not known is not asked."""
        at = [None if scale is None else scale.place(value) for scale, value in zip(self.scales, (x, y), strict=True)]
        lines = [_fine(path_K2) for path_K2 in self.paths if len(path_K2) > 1]
        every = np.concatenate([self.marks, *self.paths, *lines]) if self.paths else self.marks
        beside = [np.abs(every[:, k] - place) for k, place in enumerate(at) if place is not None]
        return bool(len(every) and (np.max(beside, axis=0) < NEAR).any()) if beside else True

    def reaches(self, value: float, which: int) -> bool:
        """Whether something begins, ends or lies at this value of one axis."""
        scale = self.scales[which]
        every = np.concatenate([self.marks, *self.paths])
        return scale is None or bool((np.abs(every[:, which] - scale.place(value)) < NEAR).any())

    def _ticks(self, axis: ElementTree.Element, which: str) -> list[tuple[str, float]]:
        found = []
        for tick in _groups(axis, rf".*{which}tick_\d+"):
            places = [float(use.get(which, "nan")) for use in tick.iter("use")]
            words = "".join("".join(text.itertext()) for text in tick.iter("text"))
            if places and words:
                found.append((words, places[-1]))
        return found

    def _label(self, axis: ElementTree.Element) -> str:
        own = [group for group in axis if re.fullmatch(r".*text_\d+", group.get("id", ""))]
        return " ".join("".join(text.itertext()) for group in own for text in group.iter("text"))

    def _scale(self, ticks: list[tuple[str, float]]) -> Scale | None:
        known = [(value, place) for label, place in ticks if (value := _number(label)) is not None]
        if len(known) < 2:
            return None
        value_K, place_K = np.array(known).T
        slope, start = np.polyfit(value_K, place_K, 1)
        if np.abs(slope * value_K + start - place_K).max() < NEAR:
            return Scale(slope, start, False)
        slope, start = np.polyfit(np.log10(value_K), place_K, 1)
        assert np.abs(slope * np.log10(value_K) + start - place_K).max() < NEAR, f"ticks of no scale: {known}"
        return Scale(slope, start, True)


def _places(path: ElementTree.Element) -> np.ndarray:
    numbers = [float(one) for one in re.findall(r"-?\d+(?:\.\d+)?", path.get("d", ""))]
    return np.array(numbers).reshape(-1, 2)


def _fine(path_K2: np.ndarray) -> np.ndarray:
    """Places along a line, close enough to each other to find any point of it."""
    count = np.maximum(np.ceil(np.abs(np.diff(path_K2, axis=0)).max(axis=1) / NEAR).astype(int), 1)
    parts = zip(path_K2, path_K2[1:], count, strict=False)
    return np.concatenate([a + (b - a) * np.linspace(0, 1, n + 1)[:, None] for a, b, n in parts])


def _columns(header: tuple[str, ...]) -> tuple[int, int] | None:
    """Which columns hold x and y, of pictures whose marks or lines have both."""
    if header in POINTS:
        return POINTS[header]
    if header[0] in ("trial", "family") and len(header) == 3:
        return (0, 1) if header[2] == "best so far" else (1, 2)
    return (2, 3) if header[-1] == "share at least" else None


def _check_data(picture: Picture, axes: list[Axes], name: str) -> None:
    """What can be saved is what is drawn: points at their places, bars of their lengths, arcs one by one."""
    header, rows = tuple(picture.rows[0]), picture.rows[1:]
    if header[:2] == ("i", "j"):
        _check_arcs(picture, rows, name)
    elif "perplexity" in header and "parameters" in header:
        x, y = header.index("parameters"), header.index("perplexity")
        assert all(axes[0].holds(float(row[x]) / 1e6, float(row[y])) for row in rows), name
    elif (columns := _columns(header)) is not None:
        words = dict(axes[0].ticks[0])
        for row in rows:
            x, y = (row[column] for column in columns)
            if x and _number(x) is not None and axes[0].scales[0] is not None:
                assert axes[0].holds(float(x), float(y)), f"{name}: {row} is not drawn"
            elif x:
                assert not words or x in words or _number(x) is not None, f"{name}: {x} is not on the axis"
                assert axes[0].reaches(float(y), 1), f"{name}: {row} is not drawn"
    elif header[0] != "codon":
        values = [place for place, column in enumerate(header) if f"{column} low" in header or column == "share"]
        assert values, f"{name}: a picture that this test does not know: {header}"
        which = 1 if header[0] in ("condition", "length (nt)") else 0
        for row in rows:
            for value in (row[place] for place in values if row[place]):
                assert any(one.reaches(float(value), which) for one in axes), f"{name}: {value} is not drawn"


def _check_arcs(picture: Picture, rows: list[list[str]], name: str) -> None:
    kinds = {(side, *place) for group in picture.svg.iter("g") for side, *place in _arc_names(group.get("id", ""))}
    if picture.rows[0][2] == "reference":
        saved = {
            (side, i, j)
            for i, j, *told in rows
            for side, there in zip(("reference", "predicted"), told, strict=True)
            if there == "True"
        }
        assert kinds == saved, name


def _arc_names(name: str) -> list[tuple[str, str, str]]:
    return [
        (side, i, j) for side, i, j in re.findall(r"(reference|predicted)-(?:found|missed|false)-(\d+)-(\d+)$", name)
    ]
