"""Reads to learn from that begin and end anywhere, so that where a letter stands in a read says nothing of its region.

Reads of one protocol begin at one primer, and a model may learn to count from there. Labels stay on their letters.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from pydantic import Field

from nuclex.bio.regions import OUTSIDE
from nuclex.core.config import Config
from nuclex.core.randomness import integers, key, uniform
from nuclex.tasks.base import Example

LETTERS = np.array(list("ACGT"))


class Shift(Config):
    """How far the ends of a read may move; the defaults are about those of the longest gold reads.

    Of a read that is changed, a whole number is drawn for its 5' end, each from -``cut`` to ``before`` as likely, and
    one for its 3' end, from -``cut_behind`` to ``behind``. So many random letters (A, C, G and T, each as likely)
    stand before its first region, in place of those that the read had there; of a number below 0 nothing stands there,
    and so many letters of the regions are gone, too. A third of the letters in regions, at most, is cut off an end.
    """

    before: int = Field(default=180, ge=0, description="at most so many random letters before the first region")
    behind: int = Field(default=120, ge=0, description="and behind the last one")
    cut: int = Field(default=60, ge=0, description="at most so many letters of the regions cut off at the 5' end")
    cut_behind: int = Field(default=20, ge=0, description="and at the 3' end")
    share: float = Field(default=1.0, gt=0, le=1, description="of the reads that are changed; the others stay")


def shifted(example: Example, shift: Shift, seed: int, *, step: int = 1) -> Example:
    """A read with other ends: random letters, labelled ``OUTSIDE``, before and behind its regions, or less of these.

    It depends on ``seed`` and the read's id alone. ``step`` is 3 for a read that begins with a whole codon and ends
    with one: it still does, with up to two letters more at either end. A read without regions is returned as it is.
    """
    stream = key(seed, "shift", example.id)
    inside = np.flatnonzero(example.track != OUTSIDE)
    if not len(inside) or uniform(stream, 0) >= shift.share:
        return example
    first, last = int(inside[0]), int(inside[-1]) + 1
    most = (last - first) // 3
    start = first - _drawn(key(stream, "5'"), min(shift.cut, most), shift.before)
    end = last + _drawn(key(stream, "3'"), min(shift.cut_behind, most), shift.behind)
    start, end = start - start % step, end + -end % step
    kept = slice(max(start, first), min(end, last))
    before, behind = max(first - start, 0), max(end - last, 0)
    added = "".join(LETTERS[integers(key(stream, "letters"), len(LETTERS), np.arange(before + behind))])
    labels = [np.full(before, OUTSIDE), example.track[kept].astype(np.str_), np.full(behind, OUTSIDE)]
    letters = added[:before] + example.sequence[kept] + added[before:]
    return replace(example, sequence=letters, label=np.concatenate(labels))


def _drawn(stream: int, cut: int, most: int) -> int:
    """A whole number from -``cut`` to ``most``."""
    return int(integers(stream, cut + most + 1, 0)) - cut
