"""The colours of probabilities, the same in every picture of a structure, and the bar that explains them.

The scale is cividis (doi:10.1371/journal.pone.0199239), which looks the same to people with and without colour-vision
deficiency, and whose lightness rises evenly: dark is improbable, light is probable.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from nuclex.bio.secondary_structure import as_pairs

STEPS = 40
_INK, _PAPER = "#111111", "#ffffff"  # on a filled mark, where the page's own ink may not be seen


def colour_of(probability: float) -> str:
    """The colour of a probability from 0 to 1, as hexadecimal text."""
    from matplotlib import colormaps
    from matplotlib.colors import to_hex

    step = min(int(probability * STEPS), STEPS - 1)
    return str(to_hex(colormaps["cividis"](step / (STEPS - 1))))


def letter_colour(probability: float) -> str:
    """The colour of a letter that is readable on ``colour_of(probability)``."""
    return _PAPER if probability < 0.5 else _INK


def drawn_probability(probability_LL: NDArray[np.floating], pairs: Any) -> NDArray[np.float64]:
    """How probable what is drawn of each nucleotide is (L,): its pair, or, where it has none, that it is unpaired.

    Of a base triple the likelier pair counts. Unpaired is 1 - the sum of the probabilities of all its pairs, 0 where
    that sum is above 1.
    """
    upper_LL = np.triu(np.asarray(probability_LL, dtype=np.float64), 1)
    alone_L = np.maximum(1 - upper_LL.sum(axis=0) - upper_LL.sum(axis=1), 0)
    pairs_P2 = as_pairs(pairs, len(upper_LL))
    paired_L = np.full(len(upper_LL), -1.0)
    np.maximum.at(paired_L, pairs_P2, upper_LL[pairs_P2[:, 0], pairs_P2[:, 1]][:, None])
    return np.where(paired_L < 0, alone_L, paired_L)


SURE = "probability of the pair, or of being unpaired"


def colour_bar(drawing: Any, place: tuple[float, float, float, float], label: str) -> None:
    """Draw the scale from 0 to 1 into ``place`` (left, bottom, width, height, as shares of the picture)."""
    from matplotlib.patches import Rectangle

    axes = drawing.add_axes(place)
    for step in range(STEPS):
        colour = colour_of((step + 0.5) / STEPS)
        axes.add_patch(Rectangle((step / STEPS, 0), 1 / STEPS, 1, facecolor=colour, edgecolor=colour, linewidth=0.3))
    axes.set_xlim(0, 1)
    axes.set_ylim(0, 1)
    axes.set_yticks(())
    axes.set_xticks((0, 0.25, 0.5, 0.75, 1), ("0", "0.25", "0.5", "0.75", "1"))
    axes.spines["left"].set_visible(False)
    axes.set_xlabel(label)
