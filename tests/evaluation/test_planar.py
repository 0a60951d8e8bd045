"""Layouts measured with a ruler: neighbours, pairs, what covers what; and pictures read back from their SVG."""

from __future__ import annotations

import re
import xml.etree.ElementTree as ElementTree
from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nuclex.bio.folding import mea_pairs
from nuclex.bio.secondary_structure import parse_dot_bracket, to_partners
from nuclex.evaluation.arcs import probability_arcs
from nuclex.evaluation.colour_bar import colour_of, drawn_probability, letter_colour
from nuclex.evaluation.dot_plot import dot_plot
from nuclex.evaluation.loops import PAIR, loops_of, placed
from nuclex.evaluation.planar import LARGEST, _covering, _let_go, planar_drawing, planar_layout
from nuclex.evaluation.report import Figure

pytest.importorskip("matplotlib")

TRNA = "GCGGAUUUAGCUCAGUUGGGAGAGCGCCAGACUGAAGAUCUGGAGGUCCUGUGUUCGAUCCACAGAAUUCGCACCA"
CLOVER = "(((((((..((((........)))).((((.........)))).....(((((.......))))))))))))...."
HOSTILE = "<script>alert('$x_1$ & \"y\"')</script>"


def measured(structure: str) -> tuple[np.ndarray, np.ndarray]:
    pairs = parse_dot_bracket(structure)
    return planar_layout(pairs, len(structure)), pairs


def nearest(positions_L2: np.ndarray) -> float:
    apart_LL = np.linalg.norm(positions_L2[:, None] - positions_L2[None, :], axis=2)
    return float((apart_LL + 9 * np.eye(len(positions_L2))).min())


def test_a_trna_is_a_cloverleaf() -> None:
    positions_L2, pairs = measured(CLOVER)
    x_L, y_L = positions_L2.T
    acceptor, d_loop, anticodon, t_loop = slice(0, 7), slice(13, 21), slice(30, 39), slice(53, 60)
    middle = x_L[[0, 71]].mean()
    assert y_L[acceptor].min() > y_L[13:60].mean(), "the acceptor stem is on top"
    assert x_L[d_loop].max() < middle < x_L[t_loop].min(), "D to the left, T to the right"
    assert y_L[anticodon].max() < min(y_L[d_loop].min(), y_L[t_loop].min()), "the anticodon at the bottom"
    assert np.allclose(np.linalg.norm(np.diff(positions_L2, axis=0), axis=1), 1)
    assert np.allclose(np.linalg.norm(positions_L2[pairs[:, 0]] - positions_L2[pairs[:, 1]], axis=1), PAIR)
    assert nearest(positions_L2) > 0.99


@pytest.mark.parametrize(
    "structure", ["", ".", "..", "()", "(.)", "." * 90, "((((....))))" * 12, ".()(.)((..))((()))."]
)
def test_the_smallest_and_the_longest(structure: str) -> None:
    positions_L2, _ = measured(structure)
    assert positions_L2.shape == (len(structure), 2)
    assert np.isfinite(positions_L2).all()
    if len(structure) > 1:
        assert nearest(positions_L2) > 0.99
    width, height = np.ptp(positions_L2, axis=0) if structure else (0, 0)
    assert width <= 2.5 * max(height, 12)


@given(st.integers(0, 2**32 - 1), st.integers(2, 120))
@settings(max_examples=40, deadline=None)
def test_any_structure_keeps_its_distances(seed: int, length: int) -> None:
    rng = np.random.default_rng(seed)
    pairs = mea_pairs(rng.random((length, length)) ** 3, "N" * length, threshold=0.3, min_loop=1, canonical=False)
    positions_L2 = planar_layout(pairs, length)
    steps = np.linalg.norm(np.diff(positions_L2, axis=0), axis=1)
    assert steps.min() > 0.999
    assert np.allclose(np.linalg.norm(positions_L2[pairs[:, 0]] - positions_L2[pairs[:, 1]], axis=1), PAIR)
    assert np.array_equal(planar_layout(pairs, length), positions_L2), "equal structures, equal layouts"


def branched(depth: int) -> str:
    """A helix of three pairs with three of the kind on it, to some depth: laid out plainly, twigs meet."""
    inside = "...." if depth == 0 else "." + ".".join([branched(depth - 1)] * 3) + "."
    return f"((({inside})))"


def covered(positions_L2: np.ndarray) -> int:
    """Pairs of bases that lie on each other."""
    apart_LL = np.linalg.norm(positions_L2[:, None] - positions_L2[None, :], axis=2)
    return int((np.triu(apart_LL < 0.8, 1)).sum())


def test_bases_are_uncovered(monkeypatch: pytest.MonkeyPatch) -> None:
    structure = branched(2)
    positions_L2, _ = measured(structure)
    assert nearest(positions_L2) > 0.8
    monkeypatch.setattr("nuclex.evaluation.planar.TRIES", 0)
    assert nearest(measured(structure)[0]) < 0.5


@pytest.mark.slow
def test_most_bases_of_a_long_rna_are_uncovered(monkeypatch: pytest.MonkeyPatch) -> None:
    structure = "....".join([branched(2)] * 9)
    assert len(structure) > 1200
    positions_L2, pairs = measured(structure)
    assert np.allclose(np.linalg.norm(positions_L2[pairs[:, 0]] - positions_L2[pairs[:, 1]], axis=1), PAIR)
    assert np.linalg.norm(np.diff(positions_L2, axis=0), axis=1).min() > 0.999
    monkeypatch.setattr("nuclex.evaluation.planar.TRIES", 0)
    assert covered(positions_L2) < 0.1 * covered(measured(structure)[0])


@pytest.mark.parametrize("at_line", [True, False])
def test_backbone_that_need_not_be_drawn_out_is_let_go(at_line: bool) -> None:
    structure = "..((((..((....))...((((....))))..))))..((....))"
    partners = to_partners(parse_dot_bracket(structure), len(structure))
    plain_L2 = placed(loops_of(partners.tolist())[0], len(structure), at_line)
    loops, _ = loops_of(partners.tolist())
    for loop in loops[1:]:
        loop.stretch = [2.5 if loop.bends else 1.0] * len(loop.stretch)
    drawn_out_L2 = placed(loops, len(structure), at_line)
    assert np.ptp(drawn_out_L2, axis=0).max() > 1.2 * np.ptp(plain_L2, axis=0).max()
    found_L2, covering = _let_go(loops, partners, at_line, (drawn_out_L2, 0))
    assert covering == 0
    assert np.allclose(found_L2, plain_L2)


def test_a_layout_draws_out_no_more_backbone_than_it_must(monkeypatch: pytest.MonkeyPatch) -> None:
    structure = branched(2)
    drawn_out = np.linalg.norm(np.diff(measured(structure)[0], axis=0), axis=1).sum()
    monkeypatch.setattr("nuclex.evaluation.planar._let_go", lambda *given: given[-1])
    assert drawn_out < np.linalg.norm(np.diff(measured(structure)[0], axis=0), axis=1).sum() - 1


def test_backbone_that_leads_through_a_base_covers_it() -> None:
    positions_L2 = np.array([(0, 0), (30, 0), (30, 9), (13.3, 9), (13.3, 0.2)], dtype=float)
    assert [0, 4] in _covering(positions_L2, np.full(5, -1, dtype=np.int32)).tolist()
    positions_L2[4, 1] += 2
    assert _covering(positions_L2, np.full(5, -1, dtype=np.int32)).tolist() == []


def test_a_crossing_pair_does_not_move_a_base() -> None:
    plain, crossed = parse_dot_bracket("((((....))))......"), parse_dot_bracket("((((.[[.))))..]]..")
    assert np.array_equal(planar_layout(plain, 18), planar_layout(crossed, 18))


# ---- pictures ----


def probable(structure: str) -> tuple[np.ndarray, np.ndarray]:
    pairs, length = parse_dot_bracket(structure), len(structure)
    probability_LL = np.zeros((length, length))
    probability_LL[pairs[:, 0], pairs[:, 1]] = np.linspace(0.2, 1.0, len(pairs))
    return pairs, probability_LL


PICTURES: dict[str, Callable[..., Figure]] = {"planar": planar_drawing, "arcs": probability_arcs, "dots": dot_plot}


def texts(figure: Figure) -> list[str]:
    root = ElementTree.fromstring(figure.svg)
    return ["".join(element.itertext()) for element in root.iter() if element.tag.endswith("text")]


@pytest.mark.parametrize("kind", PICTURES)
def test_every_picture_names_its_rna_and_explains_its_colours(kind: str) -> None:
    pairs, probability_LL = probable(CLOVER)
    figure = PICTURES[kind](TRNA, pairs, probability_LL, HOSTILE)
    assert figure == PICTURES[kind](TRNA, pairs, probability_LL, HOSTILE), "equal data, equal pictures"
    words = texts(figure)
    assert HOSTILE in words
    assert "<script>" not in figure.svg
    assert "<image" not in figure.svg
    assert {"0", "0.25", "0.5", "0.75", "1"} <= set(words)
    for i, j in pairs.tolist():
        assert colour_of(probability_LL[i, j]) in figure.svg
    assert {(row[0], row[1]) for row in figure.data.rows} == {(i + 1, j + 1) for i, j in pairs.tolist()}


def test_letters_are_written_in_order() -> None:
    pairs, probability_LL = probable(CLOVER)
    for kind in ("planar", "arcs"):
        letters = [
            word for word in texts(PICTURES[kind](TRNA, pairs, probability_LL, "")) if re.fullmatch("[ACGU]", word)
        ]
        assert "".join(letters) == TRNA
    lower = texts(planar_drawing("gcnnnnngc", *probable("((.....))"), "x"))
    assert [word for word in lower if re.fullmatch("[gcn]", word)] == list("gcnnnnngc")


@pytest.mark.slow
def test_a_long_rna_has_a_larger_picture_whose_letters_can_be_read() -> None:
    def drawn(structure: str) -> tuple[float, list[float]]:
        svg = planar_drawing("A" * len(structure), *probable(structure), "x").svg
        root = ElementTree.fromstring(svg)
        letters = [element for element in root.iter() if element.tag.endswith("text") and element.text == "A"]
        sizes = [
            float(re.findall(r"(?:font-size:|font:) *([\d.]+)px", letter.get("style", ""))[0]) for letter in letters
        ]
        width, height = (float(root.get(side, "").removesuffix("pt")) for side in ("width", "height"))
        return max(width, height - 72), sizes

    within, _ = drawn(branched(2))
    assert within <= LARGEST + 0.01
    structure = "..".join([branched(2)] * 9)
    largest, sizes = drawn(structure)
    assert LARGEST < largest <= LARGEST * (len(structure) / 500) ** 0.5 + 0.01
    assert len(sizes) == len(structure)
    assert min(sizes) >= 4


@pytest.mark.parametrize("kind", PICTURES)
def test_pictures_of_next_to_nothing(kind: str) -> None:
    for length in (1, 2, 700):
        figure = PICTURES[kind]("A" * length, np.empty((0, 2), dtype=np.int32), np.zeros((length, length)), "x")
        assert ElementTree.fromstring(figure.svg).tag.endswith("svg")


def test_of_a_base_triple_the_likelier_pair_is_drawn() -> None:
    probability_LL = np.zeros((6, 6))
    probability_LL[0, 5], probability_LL[0, 4] = 0.2, 0.7
    assert drawn_probability(probability_LL, [(0, 5), (0, 4)]).round(3).tolist() == [0.7, 1, 1, 1, 0.7, 0.2]
    pytest.importorskip("matplotlib")
    assert planar_drawing("ACGNNN", [(0, 5), (0, 4)], probability_LL, "t").svg
    assert probability_arcs("ACGNNN", [(0, 5), (0, 4)], probability_LL, "t").svg
    for draw in (planar_drawing, probability_arcs):
        with pytest.raises(ValueError, match="an empty sequence has no picture"):
            draw("", [], np.zeros((0, 0)), "t")


def test_the_colours_of_what_is_drawn() -> None:
    probability_LL = np.zeros((5, 5))
    probability_LL[0, 4], probability_LL[0, 3], probability_LL[1, 3] = 0.7, 0.2, 0.9
    shown_L = drawn_probability(probability_LL, [(0, 4)])
    assert shown_L == pytest.approx([0.7, 1 - 0.9, 1.0, 0.0, 0.7])

    def lightness(colour: str) -> float:
        red, green, blue = (int(colour[k : k + 2], 16) / 255 for k in (1, 3, 5))
        return 0.2126 * red + 0.7152 * green + 0.0722 * blue

    scale = [lightness(colour_of(value)) for value in np.linspace(0, 1, 40)]
    assert all(np.diff(scale) >= 0), "told apart without colour"
    for value in np.linspace(0, 1, 21):
        assert abs(lightness(letter_colour(value)) - lightness(colour_of(value))) > 0.3


def test_a_dot_plot_of_many_dots_says_so() -> None:
    probability_LL = np.full((120, 120), 0.4)
    figure = dot_plot("A" * 120, np.empty((0, 2), dtype=np.int32), probability_LL, "x")
    assert "5,000, the 5,000 most probable of 7,140" in figure.caption
    assert len(dot_plot("A" * 120, np.empty((0, 2), dtype=np.int32), probability_LL, "x", 0.5).data.rows) == 0
