"""Codon usage as a rose: one petal a codon, grouped by what the codons mean, beside the usage of another set."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from nuclex.bio.genetic_code import CODONS, GeneticCode
from nuclex.evaluation.drawing import counted, drawn, pale
from nuclex.evaluation.palette import BLUE, GREEN, INK, ORANGE, PURPLE, TEAL, VERMILLION
from nuclex.evaluation.report import Figure, Table
from nuclex.metrics.codon_usage import rscu

SIDE = 6.6  # inches
GAP = 0.5  # petals' width between amino acids
RINGS = (1, 2, 5, 10, 20, 40, 80, 160, 320, 640)  # codons per thousand
PETALS = (BLUE, ORANGE, TEAL, VERMILLION, GREEN, PURPLE)


class Petal(NamedTuple):
    """A codon's place around the rose (its middle, in radians from the top), and what it looks like."""

    middle: float
    codon: int
    letter: str
    colour: str


def codon_rose(
    made_64: NDArray[np.number], real_64: NDArray[np.number], code: GeneticCode, names: Sequence[str]
) -> Figure:
    """The share of each codon in two sets (counts (64,) of each): petals are the first, black arcs the second.

    ``names`` are what the sets are called. A petal's area, not its length, is the share.
    """
    counts = [np.asarray(part) for part in (made_64, real_64)]
    shares = [part.astype(np.float64) * 1000 / max(np.sum(part), 1) for part in counts]
    petals = _petals(code)
    usages = [rscu(part, code) for part in counts]
    columns = ("codon", "amino acid", *(f"per thousand, {n}" for n in names), *(f"RSCU, {n}" for n in names))
    rows = tuple(
        (CODONS[c], code.amino_acids[c], *(float(part[c]) for part in shares), *(_number(part[c]) for part in usages))
        for c in (petal.codon for petal in petals)
    )
    far = max(range(64), key=lambda codon: abs(shares[0][codon] - shares[1][codon]))
    return Figure(
        name="codon-rose",
        title="Codon usage",
        svg=drawn(lambda drawing: _paint(drawing, petals, shares), SIDE, SIDE),
        data=Table(columns, rows, name="codon-usage"),
        caption=f"Codons per thousand, as areas: petals are those of {names[0]}, arcs those of {names[1]}. "
        "The colours only set amino acids apart; * is stop.",
        alt=f"Rose of 64 petals. Farthest apart is {CODONS[far]}: {shares[0][far]:.1f} per thousand in {names[0]}, "
        f"{shares[1][far]:.1f} in {names[1]}.",
        wide=True,
        reading="Codons of one amino acid (letters outside) stand together. Where every arc lies on the end of its "
        f"petal the two sets use codons alike; a petal beyond its arc is a codon that {names[0]} sequences prefer.",
        n=" and ".join(
            f"{counted([int(part.sum())], 'codon')} ({name})" for part, name in zip(counts, names, strict=True)
        ),
    )


def _petals(code: GeneticCode) -> list[Petal]:
    """The 64 codons around the rose, by amino acid in alphabetical order, stop last."""
    letters, petals, at = sorted(set(code.amino_acids), key=lambda letter: (letter == "*", letter)), list[Petal](), 0.0
    for number, letter in enumerate(letters):
        for codon in (place for place, meant in enumerate(code.amino_acids) if meant == letter):
            petals.append(Petal(at + 0.5, codon, letter, PETALS[number % len(PETALS)]))
            at += 1
        at += GAP
    return [petal._replace(middle=petal.middle * 2 * np.pi / at) for petal in petals]


def _paint(drawing: Any, petals: Sequence[Petal], shares: Sequence[NDArray[np.float64]]) -> None:
    axes = drawing.add_subplot(projection="polar")
    axes.set_theta_zero_location("N")
    axes.set_theta_direction(-1)
    lengths = [np.sqrt(part) for part in shares]
    most, width = max(float(part.max()) for part in lengths) or 1.0, 0.9 * (petals[1].middle - petals[0].middle)
    for petal in petals:
        axes.bar(petal.middle, lengths[0][petal.codon], width=width, **pale(petal.colour, 0.7))
        arc = np.linspace(petal.middle - width / 2, petal.middle + width / 2, 7)
        axes.plot(arc, np.full(7, lengths[1][petal.codon]), color=INK, linewidth=1.5)
        look = {"ha": "center", "va": "center", "fontsize": 7, "rotation": _upright(float(np.degrees(petal.middle)))}
        axes.text(petal.middle, 1.07 * most, CODONS[petal.codon], **look)
    for letter in dict.fromkeys(petal.letter for petal in petals):
        middle = np.mean([petal.middle for petal in petals if petal.letter == letter])
        axes.text(middle, 1.17 * most, letter, ha="center", va="center", fontsize=9, fontweight="bold")
    axes.set_ylim(0, 1.2 * most)
    rings = [ring for ring in RINGS if ring**0.5 < most][-4:]
    axes.set_rgrids([ring**0.5 for ring in rings], [str(ring) for ring in rings], fontsize=7)
    axes.set_rlabel_position(np.degrees((petals[0].middle + petals[-1].middle + 2 * np.pi) / 2))  # between * and A
    axes.set_xticks([])
    axes.set_xlabel("rings: codons per thousand", labelpad=2)
    axes.grid(color=INK, alpha=0.14, linewidth=0.6)
    axes.spines["polar"].set_visible(False)


def _upright(angle: float) -> float:
    """How a word is turned so that it lies along its petal and is never upside down."""
    turned = 90 - angle
    return turned if angle <= 180 else turned + 180


def _number(value: float) -> float | None:
    return None if np.isnan(value) else float(value)
