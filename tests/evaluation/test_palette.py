"""The palette is measured: contrast to both papers, and how far colours are apart for every kind of colour vision."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from nuclex.evaluation.colour_bar import colour_of
from nuclex.evaluation.palette import COLOURS, GREY, HUES, INK, PAPER, TEXT, Shades, dark_rules

# Machado, Oliveira and Fernandes 2009, doi:10.1109/TVCG.2009.113, severity 1, in linear RGB
SEEN_BY = {
    "everyone": np.eye(3),
    "protanopia": np.array(
        [[0.152286, 1.052583, -0.204868], [0.114503, 0.786281, 0.099216], [-0.003882, -0.048116, 1.051998]]
    ),
    "deuteranopia": np.array(
        [[0.367322, 0.860646, -0.227968], [0.280085, 0.672501, 0.047413], [-0.011820, 0.042940, 0.968881]]
    ),
    "tritanopia": np.array(
        [[1.255528, -0.076749, -0.178779], [-0.078411, 0.930809, 0.147602], [0.004733, 0.691367, 0.303900]]
    ),
}
# OKLab (Ottosson 2020): linear RGB to cone responses, and their cube roots to lightness and two opponent axes
CONES = np.array(
    [
        [0.4122214708, 0.5363325363, 0.0514459929],
        [0.2119034982, 0.6806995451, 0.1073969566],
        [0.0883024619, 0.2817188376, 0.6299787005],
    ]
)
OPPONENT = np.array(
    [
        [0.2104542553, 0.793617785, -0.0040720468],
        [1.9779984951, -2.428592205, 0.4505937099],
        [0.0259040371, 0.7827717662, -0.808675766],
    ]
)
APART = 0.08
"""In OKLab, where black and white are 1 apart. Okabe and Ito's colours beside a neutral grey reach 0.025."""


def linear(colour: str) -> np.ndarray:
    value_3 = np.array([int(colour[place : place + 2], 16) for place in (1, 3, 5)]) / 255
    return np.asarray(np.where(value_3 <= 0.04045, value_3 / 12.92, ((value_3 + 0.055) / 1.055) ** 2.4))


def contrast(one: str, other: str) -> float:
    """WCAG 2.2's ratio of relative luminances, from 1 to 21."""
    dark, light = sorted(float(linear(colour) @ [0.2126, 0.7152, 0.0722]) + 0.05 for colour in (one, other))
    return light / dark


def oklab(colour: str, sight: str) -> np.ndarray:
    seen_3 = np.clip(SEEN_BY[sight] @ linear(colour), 0, 1)
    return np.asarray(OPPONENT @ np.cbrt(CONES @ seen_3))


def difference(one: str, other: str, sight: str) -> float:
    return float(np.linalg.norm(oklab(one, sight) - oklab(other, sight)))


def test_the_measures_agree_with_known_values() -> None:
    assert contrast("#000000", "#ffffff") == pytest.approx(21)
    assert contrast("#777777", "#ffffff") == pytest.approx(4.48, abs=0.01)
    assert difference("#000000", "#ffffff", "everyone") == pytest.approx(1, abs=1e-3)
    for matrix in SEEN_BY.values():  # grey is grey to everybody
        assert matrix.sum(axis=1) == pytest.approx(np.ones(3), abs=1e-5)
    red, green = "#d00000", "#6a7000"  # famous confusion: far apart for most, near for those without M cones
    assert difference(red, green, "deuteranopia") < 0.4 * difference(red, green, "everyone")


@pytest.mark.parametrize("paper", Shades._fields)
def test_every_colour_is_seen_on_its_paper(paper: str) -> None:
    for name, shades in {**HUES, "ink": TEXT}.items():
        assert contrast(getattr(shades, paper), getattr(PAPER, paper)) >= 3, name
    assert contrast(getattr(TEXT, paper), getattr(PAPER, paper)) >= 7


@pytest.mark.parametrize("sight", SEEN_BY)
@pytest.mark.parametrize("paper", Shades._fields)
def test_any_two_colours_are_apart_for_everybody(paper: str, sight: str) -> None:
    colours = {name: getattr(shades, paper) for name, shades in {**HUES, "ink": TEXT}.items()}
    for (one, a), (other, b) in itertools.combinations(colours.items(), 2):
        assert difference(a, b, sight) >= APART, (one, other)


def test_the_colours_of_probabilities_grow_lighter_for_everybody() -> None:
    for sight in SEEN_BY:
        lightness = [oklab(colour_of(p), sight)[0] for p in np.linspace(0, 0.999, 12)]
        assert (np.diff(lightness) > 0.02).all(), sight


def test_series_use_the_palette_and_dark_paper_has_its_own_shades() -> None:
    assert {*COLOURS, GREY} == {shades.light for shades in HUES.values()} | {INK}
    css = dark_rules(".here")
    for shades in HUES.values():
        if shades.light != shades.dark:
            for what in ("fill", "stroke"):
                assert f'.here [style*="{what}: {shades.light}"] {{ {what}: {shades.dark} !important; }}' in css
