"""The colours of every picture and page: told apart by the colour-blind, seen on light paper and on dark.

A picture is drawn and saved in the shades for light paper; a page puts those for dark paper in their place. Every shade
has a contrast of 3 to 1 or more to its paper (WCAG 2.2, 1.4.11), and any two of a paper stay apart in OKLab for people
with and without colour-vision deficiency (simulated after doi:10.1109/TVCG.2009.113); tests/evaluation/test_palette.py
measures both. Colour is never the only difference: marks, dashes, places or words go with it.
"""

from __future__ import annotations

from typing import NamedTuple


class Shades(NamedTuple):
    """One colour as hexadecimal text, on light and on dark paper."""

    light: str
    dark: str


PAPER = Shades("#ffffff", "#101418")
TEXT = Shades("#1b2026", "#e4e8ec")
HUES = {
    "blue": Shades("#0072b2", "#2a7ac2"),
    "orange": Shades("#b88a1e", "#deab41"),
    "vermillion": Shades("#c14a30", "#da6248"),
    "green": Shades("#0a4a18", "#60ff70"),
    "teal": Shades("#1d5c6b", "#84cac9"),
    "purple": Shades("#5f0a66", "#87556e"),
    "grey": Shades("#8a939c", "#8a939c"),
}

BLUE, ORANGE, VERMILLION, GREEN, TEAL, PURPLE, GREY = (shades.light for shades in HUES.values())
"""Grey is for what the thing in question is compared with."""
INK = "#000000"
"""Becomes the colour of the page's text."""
COLOURS = (BLUE, ORANGE, VERMILLION, GREEN, TEAL, PURPLE, INK)


def dark_rules(selector: str) -> str:
    """CSS that gives pictures inside ``selector`` the shades for dark paper.

    >>> dark_rules(".picture").splitlines()[0]
    '.picture [style*="fill: #0072b2"] { fill: #2a7ac2 !important; }'
    """
    return "\n".join(
        f'{selector} [style*="{name}: {shades.light}"] {{ {name}: {shades.dark} !important; }}'
        for shades in HUES.values()
        for name in ("fill", "stroke")
        if shades.light != shades.dark
    )
