"""Pictures are read back from their SVG: what is drawn, what is named, and that equal data give equal text."""

from __future__ import annotations

import csv
import io
import logging
import re
import sys
import xml.etree.ElementTree as ElementTree
from collections import Counter
from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nuclex.core.errors import InputError
from nuclex.evaluation.plots import (
    accuracy_bars,
    arc_diagram,
    embedding_map,
    grouped_bars,
    length_curve,
    loss_curve,
    pairing_bars,
)
from nuclex.evaluation.report import Figure, Report, Section, render
from nuclex.metrics.statistics import Interval

pytest.importorskip("matplotlib")

Structures = tuple[int, set[tuple[int, int]], set[tuple[int, int]]]  # length, true and predicted pairs
HAIRPIN = "GGGGAAAACCCC"
HOSTILE = "<script>alert('$x_1$ & \"y\"')</script>"


def interval(value: float, half: float = 0.02, n: int = 800) -> Interval:
    return Interval(value, value - half, value + half, n=n, level=0.95, method="BCa bootstrap")


def draw_loss() -> Figure:
    steps = np.arange(10)
    return loss_curve(steps, 1.4 - steps / 20, [0, 5, 9], [1.4, 1.2, 1.1], {"unigram": 1.38, "Markov k=3": 1.31})


def draw_map() -> Figure:
    points_N2 = np.random.default_rng(0).normal(size=(30, 2))
    return embedding_map(points_N2, ["tRNA"] * 12 + ["5S rRNA"] * 10 + ["miRNA"] * 8, "Map", ("PC 1", "PC 2"))


EVERY: dict[str, Callable[[], Figure]] = {
    "loss_curve": draw_loss,
    "accuracy_bars": lambda: accuracy_bars({"nuclex": interval(0.6), "unigram": interval(0.3)}),
    "arc_diagram": lambda: arc_diagram(HAIRPIN, [(0, 11), (1, 10)], [(0, 11), (3, 8)], "hairpin"),
    "embedding_map": draw_map,
    "pairing_bars": lambda: pairing_bars(interval(0.7), interval(0.4), interval(0.3)),
    "length_curve": lambda: length_curve([20, 50, 100], {"a": [interval(0.5), None]}, [12, 0], "accuracy"),
    "grouped_bars": lambda: grouped_bars(["x", "y"], {"a": [interval(0.5), None], "b": [interval(0.4)] * 2}, "F1"),
}


def elements(figure: Figure, tag: str) -> list[ElementTree.Element]:
    return [e for e in ElementTree.fromstring(figure.svg).iter() if e.tag == f"{{http://www.w3.org/2000/svg}}{tag}"]


def words(figure: Figure) -> list[str]:
    return ["".join(text.itertext()) for text in elements(figure, "text")]


def ids(figure: Figure, pattern: str) -> list[str]:
    return [name for e in elements(figure, "g") if re.fullmatch(pattern, name := e.get("id", ""))]


def records(figure: Figure) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(figure.data.csv())))


@pytest.mark.parametrize("name", EVERY)
def test_every_picture_is_xml_with_words_equal_for_equal_data_and_of_the_colour_of_its_page(name: str) -> None:
    figure = EVERY[name]()
    root = ElementTree.fromstring(figure.svg)
    assert root.get("viewBox")
    assert words(figure)
    assert figure.title
    assert figure.alt
    assert figure.data.rows
    assert EVERY[name]() == figure
    assert not re.search(r"#000000|#ffffff|metadata|<style|Date|matplotlib.org", figure.svg)
    assert "currentColor" in figure.svg


def test_all_ids_of_a_page_are_different_even_with_the_same_picture_twice() -> None:
    figures = tuple(draw() for draw in EVERY.values())
    page = render(Report("t", sections=(Section("a", figures=figures), Section("b", figures=(*figures, figures[0])))))
    counts = Counter(re.findall(r'\sid="([^"]+)"', page))
    assert len(counts) > 100
    assert [name for name, count in counts.items() if count > 1] == []
    for reference in re.findall(r'(?:href="|url\()#([^")]+)', page):
        assert reference in counts


@st.composite
def structures(draw: st.DrawFn) -> Structures:
    length = draw(st.integers(2, 60))
    position = st.integers(0, length - 1)
    pairs = st.sets(st.tuples(position, position).filter(lambda pair: pair[0] < pair[1]), max_size=20)
    return length, draw(pairs), draw(pairs)


@given(structures())
@settings(max_examples=8)
def test_one_arc_a_pair_each_above_or_below_and_of_its_kind(
    case: Structures,
) -> None:
    length, true, predicted = case
    both_ways = [*true, *((j, i) for i, j in true)]  # a pair given twice is one pair
    figure = arc_diagram("A" * length, both_ways, predicted, "x")
    assert len(ids(figure, "reference-.*")) == len(true)
    assert len(ids(figure, "predicted-.*")) == len(predicted)
    assert len(ids(figure, "reference-found-.*")) == len(ids(figure, "predicted-found-.*")) == len(true & predicted)
    assert set(ids(figure, "reference-missed-.*")) == {f"reference-missed-{i + 1}-{j + 1}" for i, j in true - predicted}
    assert set(ids(figure, "predicted-false-.*")) == {f"predicted-false-{i + 1}-{j + 1}" for i, j in predicted - true}
    rows = {(int(r["i"]) - 1, int(r["j"]) - 1): (r["reference"], r["predicted"]) for r in records(figure)}
    assert rows == {pair: (str(pair in true), str(pair in predicted)) for pair in true | predicted}


def test_arcs_stand_on_their_letters_reference_above_and_prediction_below() -> None:
    figure = EVERY["arc_diagram"]()
    xs = sorted(float(t.get("x", "nan")) for t in elements(figure, "text") if t.text in set("GAC"))
    assert len(xs) == len(HAIRPIN)
    middle = next(float(t.get("y", "nan")) for t in elements(figure, "text") if t.text == "A")
    for group in elements(figure, "g"):
        kind, _, place = group.get("id", "").partition("-")
        if kind not in {"reference", "predicted"}:
            continue
        i, j = (int(number) for number in place.split("-")[1:])
        numbers = [float(n) for n in re.findall(r"-?\d+\.?\d*", group[0].get("d", ""))]
        x, y = numbers[0::2], numbers[1::2]
        assert (x[0], x[-1]) == (pytest.approx(xs[i - 1], abs=0.02), pytest.approx(xs[j - 1], abs=0.02))
        assert (max(y) < middle) if kind == "reference" else (min(y) > middle - 4)


def test_arcs_count_and_share_in_words() -> None:
    figure = arc_diagram(HAIRPIN, [(0, 11), (1, 10), (2, 9)], [(0, 11), (3, 8)], "hairpin")
    assert {"found (in both): 1", "missed (reference only): 2", "false (predicted only): 1"} <= set(words(figure))
    assert "precision 0.50 (1/2), recall 0.33 (1/3)" in figure.caption
    assert "precision not defined (no pairs), recall not defined (no pairs)" in arc_diagram("ACGU", [], [], "x").caption


def test_letters_up_to_150_and_a_line_beyond() -> None:
    assert words(arc_diagram("A" * 150, [(0, 9)], [], "x")).count("A") == 150
    assert words(arc_diagram("A" * 151, [(0, 9)], [], "x")).count("A") == 0


@pytest.mark.parametrize("pair", [(0, 12), (-1, 3), (4, 4)])
def test_a_pair_outside_the_sequence_is_refused(pair: tuple[int, int]) -> None:
    with pytest.raises(ValueError, match="does not fit a sequence of 12 nt"):
        arc_diagram(HAIRPIN, [pair], [], "x")


def test_many_training_values_are_drawn_as_means_that_keep_the_mean() -> None:
    losses = np.random.default_rng(0).normal(size=1200)
    figure = loss_curve(np.arange(1200), losses, [], [], {})
    drawn = [float(r["loss"]) for r in records(figure) if r["series"] == "training"]
    assert len(drawn) == 400
    assert np.mean(drawn) == pytest.approx(losses.mean())
    assert drawn[0] == pytest.approx(losses[:3].mean())
    assert "training (mean of 3 values)" in words(figure)


def test_loss_curve_data_hold_every_point_and_baseline() -> None:
    rows = [(r["series"], r["step"], float(r["loss"])) for r in records(draw_loss())]
    assert len(rows) == 10 + 3 + 2
    assert ("held-out", "9.0", 1.1) in rows
    assert ("Markov k=3", "", 1.31) in rows
    assert "Markov k=3: 1.310" in words(draw_loss())


def test_bars_are_as_long_as_their_values() -> None:
    figure = accuracy_bars({"nuclex": interval(0.6), "half": interval(0.3), "none": interval(0.1)})
    bars = [p.get("d", "") for p in elements(figure, "path") if re.search("fill: #(0072b2|8a939c)", p.get("style", ""))]
    lengths = [float(np.ptp([float(x) for x in re.findall(r"[ML] (-?[\d.]+)", d)])) for d in bars]
    assert lengths[1] / lengths[0] == pytest.approx(0.5, rel=1e-3)
    assert lengths[2] / lengths[0] == pytest.approx(1 / 6, rel=1e-3)
    assert {"0.600", "0.300", "0.100", "masked accuracy (n = 800)"} <= set(words(figure))
    assert figure.caption == "Whiskers: 95 % confidence interval."


def test_different_n_stand_beside_the_names() -> None:
    shown = words(accuracy_bars({"a": interval(0.6, n=10), "b": interval(0.3, n=2000)}))
    assert {"a (n = 10)", "b (n = 2,000)"} <= set(shown)


def test_where_there_is_no_interval_no_whisker_is_drawn_or_promised() -> None:
    nan = float("nan")
    alone = Interval(0.5, nan, nan, n=1, level=0.95, method="none: one independent unit")
    figure = accuracy_bars({"a": alone})
    assert figure.caption == ""
    assert "0.500" in words(figure)
    assert "nan" not in figure.svg.lower()
    with_whisker = accuracy_bars({"a": interval(0.5)})
    assert len(elements(with_whisker, "path")) == len(elements(figure, "path")) + 1
    assert "nan" not in pairing_bars(alone, alone, alone).svg.lower()


def test_the_map_draws_every_sequence_and_names_every_family_with_its_n() -> None:
    figure = draw_map()
    assert {"tRNA (n = 12)", "5S rRNA (n = 10)", "miRNA (n = 8)"} <= set(words(figure))
    inside = [use for use in elements(figure, "use") if "opacity: 0.75" in use.get("style", "")]
    assert len(inside) == 30 + 3  # and one in the legend for each family
    assert len({re.sub("opacity.*", "", use.get("style", "")) for use in inside}) == 3
    assert [r["family"] for r in records(figure)].count("tRNA") == 12
    assert float(records(figure)[0]["PC 1"]) == np.random.default_rng(0).normal(size=(30, 2))[0, 0]


def test_more_families_than_looks_share_one_and_say_so() -> None:
    labels = [f"family{i:02d}" for i in range(24) for _ in range(1 + (i < 20))]
    figure = embedding_map(np.random.default_rng(0).normal(size=(44, 2)), labels, "Map")
    assert "4 smaller (n = 4)" in words(figure)
    assert sum(word.startswith("family") for word in words(figure)) == 20


def test_hostile_names_are_words_and_nothing_else(caplog: pytest.LogCaptureFixture) -> None:
    names = [HOSTILE, "_hidden", "日本\x00\x1b", ""]
    with caplog.at_level(logging.WARNING):
        figures = [
            accuracy_bars({name: interval(0.5) for name in names}, HOSTILE),
            embedding_map(np.eye(4)[:, :2], names, HOSTILE, (HOSTILE, "y")),
            grouped_bars(names, {name: [interval(0.5)] * 4 for name in names}, HOSTILE),
            length_curve([1, 2], {name: [interval(0.5)] for name in names}, [3], HOSTILE),
            loss_curve([1], [1.0], [1], [1.0], dict.fromkeys(names, 1.0), HOSTILE),
            arc_diagram(HOSTILE, [(0, 9)], [], HOSTILE),
        ]
    page = render(Report(HOSTILE, sections=(Section(HOSTILE, figures=tuple(figures)),)))
    assert "<script" not in page.lower()
    for figure in figures[:-1]:
        assert any('alert(\'$x_1$ & "y"' in word for word in words(figure))
        assert all(name in page for name in ("&lt;script&gt;",))
    assert any("_hidden" in word for word in words(figures[1]))
    assert not caplog.records


def test_wrong_shapes_are_refused() -> None:
    with pytest.raises(ValueError, match=r"found points \(3, 2\) and 2 labels"):
        embedding_map(np.zeros((3, 2)), ["a", "b"], "x")
    with pytest.raises(ValueError, match="'a' has 1 values for 2 groups"):
        grouped_bars(["x", "y"], {"a": [interval(0.5)]}, "F1")
    with pytest.raises(ValueError, match="held-out: 2 steps for 1 values"):
        loss_curve([1], [1.0], [1, 2], [1.0], {})


def test_without_matplotlib_a_sentence_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    with pytest.raises(InputError, match=r"drawing the report needs the package 'matplotlib'.*nuclex\[plots\]"):
        draw_loss()


def test_the_readers_own_matplotlib_settings_are_neither_used_nor_changed() -> None:
    import matplotlib

    figure = draw_loss()
    with matplotlib.rc_context({"font.size": 30, "axes.grid": True, "svg.fonttype": "path"}):
        before = dict(matplotlib.rcParams)
        assert draw_loss() == figure
        assert dict(matplotlib.rcParams) == before


def test_a_caption_can_be_replaced() -> None:
    assert replace(draw_loss(), caption="mine").caption == "mine"
