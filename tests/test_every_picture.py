"""Every picture that nuclex can draw, on one page: named, explained, in the palette's colours, equal to its data."""

from __future__ import annotations

import ast
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import nuclex
from drawn import axes_of, check_picture, check_report
from nuclex.bio.genetic_code import GeneticCode
from nuclex.evaluation.arcs import arc_diagram, probability_arcs
from nuclex.evaluation.benchmark_plots import perplexity_points, reliability_curves, score_curves, system_bars
from nuclex.evaluation.dot_plot import dot_plot
from nuclex.evaluation.held_out import HeldOut
from nuclex.evaluation.planar import planar_drawing
from nuclex.evaluation.plots import (
    accuracy_bars,
    embedding_map,
    grouped_bars,
    length_curve,
    loss_curve,
    pairing_bars,
)
from nuclex.evaluation.report import Figure, Report, Section, Table, render
from nuclex.evaluation.rose import codon_rose
from nuclex.metrics.calibration import reliability
from nuclex.metrics.statistics import Interval
from nuclex.tuning.pictures import against, history, importance_bars
from nuclex.tuning.space import Dimension

pytest.importorskip("matplotlib", reason="pictures need matplotlib (extra plots)")
SOURCE = Path(nuclex.__file__).parent
RANDOM = np.random.default_rng(0)
HAIRPIN, PAIRS = "GGGGAAAACCCC", [(0, 11), (1, 10), (2, 9)]
CHANCES = np.triu(RANDOM.random((12, 12)), 1)
TRIALS = [
    {
        "number": number,
        "score": 1.3 - 0.1 * number,
        "settings": {"rate": 10.0 ** -(number + 1), "depth": 2 + number % 2},
    }
    for number in range(4)
]
SIZES = [
    HeldOut(name, size, value, 1.2, 900, 64, 812, "ab", "all", "cd", "masked")
    for name, size, value in (("small", 2_000_000, 3.5), ("large", 9_000_000, 3.25))
]


def interval(value: float, n: int = 800) -> Interval:
    return Interval(value, value - 0.02, value + 0.03, n=n, level=0.95, method="BCa bootstrap")


EVERY: dict[str, Callable[[], Figure]] = {
    "loss_curve": lambda: loss_curve(
        range(900), 1.4 - np.arange(900) / 2e3, [0, 450, 899], [1.4, 1.3, 1], {"unigram": 1.3}
    ),
    "accuracy_bars": lambda: accuracy_bars({"mine": interval(0.6), "unigram": interval(0.3)}, of="sequence"),
    "grouped_bars": lambda: grouped_bars(["x", "y"], {"a": [interval(0.5), None], "b": [interval(0.4)] * 2}, "F1"),
    "length_curve": lambda: length_curve([20, 50, 99], {"a": [interval(0.5), interval(0.4)]}, [12, 9], "accuracy"),
    "pairing_bars": lambda: pairing_bars(interval(0.7), interval(0.4), interval(0.3)),
    "embedding_map": lambda: embedding_map(RANDOM.normal(size=(60, 2)), [f"f{n % 30}" for n in range(60)], "Map"),
    "arc_diagram": lambda: arc_diagram(HAIRPIN, PAIRS, [(0, 11), (3, 8)], "hairpin"),
    "probability_arcs": lambda: probability_arcs(HAIRPIN, PAIRS, CHANCES, "hairpin"),
    "planar_drawing": lambda: planar_drawing(HAIRPIN, PAIRS, CHANCES, "hairpin"),
    "dot_plot": lambda: dot_plot(HAIRPIN, PAIRS, CHANCES, "hairpin"),
    "system_bars": lambda: system_bars(
        ["q", "r"],
        {("a", "fine-tuned"): [interval(0.5), None], ("a", "frozen"): [interval(0.3), interval(0.2, 90)]},
        "F1",
        "Systems",
    ),
    "score_curves": lambda: score_curves({("a", "fine-tuned"): RANDOM.random(90)}, "F1", "Scores"),
    "reliability_curves": lambda: reliability_curves(
        {"m": reliability(RANDOM.random(200), RANDOM.random(200) < 0.5)}, "the class", "Reliability"
    ),
    "perplexity_points": lambda: perplexity_points(SIZES, "Perplexity"),
    "codon_rose": lambda: codon_rose(RANDOM.integers(0, 50, 64), RANDOM.integers(0, 50, 64), GeneticCode.ncbi(1), "ab"),
    "history": lambda: history(TRIALS, "validation_loss", "min", "nats"),
    "against": lambda: against(TRIALS, "rate", Dimension(low=1e-5, high=1.0, log=True), "validation_loss", "nats"),
    "importance_bars": lambda: importance_bars({"rate": 0.7, "depth": 0.3}, 4),
}


@pytest.fixture(scope="module")
def page() -> str:
    return render(Report("Every picture", sections=(Section("All", figures=tuple(draw() for draw in EVERY.values())),)))


def test_every_picture_keeps_what_a_report_promises(page: str) -> None:
    assert len(check_report(page, len(EVERY))) == len(EVERY)


def test_no_picture_is_left_out() -> None:
    """Every function of the source that makes a Figure is drawn above, and says n, how to read it, and what is seen."""
    makers = set()
    for path in SOURCE.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.FunctionDef):
                calls = [each for each in ast.walk(node) if isinstance(each, ast.Call)]
                for call in (each for each in calls if ast.unparse(each.func) == "Figure"):
                    assert {"n", "reading", "alt", "data"} <= {word.arg for word in call.keywords}, (path, node.name)
                    makers.add(node.name)
    assert makers == set(EVERY)


def test_there_is_one_template_and_one_way_to_draw() -> None:
    """HTML is written by the report alone, matplotlib opened by ``drawn`` alone, colours stand in the palette alone."""
    assert [path.name for path in SOURCE.rglob("*.jinja")] == ["report.html.jinja"]
    coloured, drawing, drawers = set(), set(), set()
    for path in (SOURCE / "evaluation").rglob("*.py"):
        text = path.read_text(encoding="utf-8")
        tree = ast.parse(text)
        strings = [
            node.value for node in ast.walk(tree) if isinstance(node, ast.Constant) and isinstance(node.value, str)
        ]
        if any(len(one) == 7 and one.startswith("#") for one in strings):
            coloured.add(path.stem)
        if "FigureCanvas" in text:
            drawing.add(path.stem)
        if "pyplot" in text.replace("No pyplot", ""):
            drawers.add(path.stem)
    assert coloured == {"palette", "colour_bar", "svg"}
    assert drawing == {"drawing"}
    assert not drawers


def test_whole_numbers_have_whole_ticks() -> None:
    trials = [{**one, "number": number} for number, one in enumerate(TRIALS[:2])]
    for figure in (
        history(trials, "m", "min"),
        history(trials[:1], "m", "min"),
        against(trials, "depth", Dimension(low=2, high=3), "m"),
    ):
        (picture,) = _read(figure)
        ticks = [label for label, _ in axes_of(picture)[0].ticks[0]]
        assert ticks
        assert all(label.isdigit() for label in ticks), ticks


@pytest.mark.parametrize(
    ("spoil", "complaint"),
    [
        (lambda svg: svg.replace("#0072b2", "#123456"), "colours outside the palette"),
        (lambda svg: svg.replace("loss (nats per masked nucleotide)", "loss"), "has no unit"),
        (lambda svg: svg.replace("optimiser step", ""), "numbers on an axis without a name"),
        (lambda svg: svg.replace("stroke: #0072b2", "stroke: red"), "a colour by name"),
    ],
)
def test_a_spoilt_picture_is_found(spoil: Callable[[str], str], complaint: str) -> None:
    figure = EVERY["loss_curve"]()
    with pytest.raises(AssertionError, match=complaint):
        check_report(render(Report("t", sections=(Section("s", figures=(replace(figure, svg=spoil(figure.svg)),)),))))


@pytest.mark.parametrize("name", ["loss_curve", "accuracy_bars", "embedding_map", "arc_diagram", "perplexity_points"])
def test_data_that_are_not_drawn_are_found(name: str) -> None:
    figure = EVERY[name]()
    change: Any = {"loss_curve": (1, 2), "accuracy_bars": (0, 1), "embedding_map": (0, 2), "arc_diagram": (0, 1)}
    row, column = change.get(name, (0, 4))
    cells = list(figure.data.rows[row])
    cells[column] = interval(0.45) if name == "accuracy_bars" else cells[column] + 1
    rows = (*figure.data.rows[:row], tuple(cells), *figure.data.rows[row + 1 :])
    wrong = replace(figure, data=Table(figure.data.columns, rows))
    (picture,) = _read(figure)
    check_picture(picture)
    with pytest.raises(AssertionError):
        check_report(render(Report("t", sections=(Section("s", figures=(wrong,)),))))


def _read(figure: Figure) -> list[Any]:
    return check_report(render(Report("t", sections=(Section("s", figures=(figure,)),))))
