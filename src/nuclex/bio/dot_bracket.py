"""Secondary structure as text: a bracket opens a base pair, its mate closes it, a dot is unpaired.

Four kinds of brackets, then the letters Aa, Bb, … Zz (upper case opens), so that up to 30 layers of crossing pairs can
be written. In the first place a pair is ``()``; the other kinds are used only by pairs that cross one already there.
"""

from __future__ import annotations

import string

from numpy.typing import ArrayLike

from nuclex.bio.base_pairs import Pairs, as_pairs, to_partners
from nuclex.core.errors import InputError

OPENING = "([{<" + string.ascii_uppercase
CLOSING = ")]}>" + string.ascii_lowercase
UNPAIRED = ".,:-_~"
"""What is read as unpaired: the dot, and the other marks of Infernal's and Rfam's WUSS notation."""

_FAMILY = {mark: family for marks in (OPENING, CLOSING) for family, mark in enumerate(marks)}


def parse_dot_bracket(text: str) -> Pairs:
    """The base pairs (P, 2) of a structure in dot-bracket notation.

    Each kind of bracket is matched by itself, so pseudoknots are read. The notation is read strictly: no blanks, and
    an unknown mark or a bracket without its mate is an InputError that names mark and position.

    >>> parse_dot_bracket("((.[)).]").tolist()
    [[0, 5], [1, 4], [3, 7]]
    """
    open_positions: list[list[int]] = [[] for _ in OPENING]
    pairs: list[tuple[int, int]] = []
    for position, mark in enumerate(text):
        if mark in UNPAIRED:
            continue
        family = _FAMILY.get(mark)
        if family is None:
            allowed = f"{UNPAIRED} {OPENING[:4]} {CLOSING[:4]} A-Z a-z"
            raise InputError(f"dot-bracket: {mark!r} at position {position} is not one of {allowed}")
        if mark == OPENING[family]:
            open_positions[family].append(position)
        elif open_positions[family]:
            pairs.append((open_positions[family].pop(), position))
        else:
            raise InputError(f"dot-bracket: {mark!r} at position {position} closes no {OPENING[family]!r}")
    unclosed = [(stack[-1], family) for family, stack in enumerate(open_positions) if stack]
    if unclosed:
        position, family = min(unclosed)
        raise InputError(f"dot-bracket: {OPENING[family]!r} at position {position} is never closed")
    return as_pairs(pairs)


def to_dot_bracket(pairs: ArrayLike, length: int) -> str:
    """Write base pairs (P, 2) of an RNA of ``length`` nucleotides in dot-bracket notation.

    From the 5' end on, each pair takes the first kind of bracket in which it crosses no pair already written; a
    structure without pseudoknots has only ``()``. Base triples are an InputError, and so are more than 30 layers.

    >>> to_dot_bracket([(0, 5), (1, 4), (3, 7)], 8)
    '((.[)).]'
    """
    partners = to_partners(pairs, length).tolist()
    marks = ["."] * length
    still_open: list[list[int]] = [[] for _ in OPENING]  # for each family, where its open pairs end; innermost last
    for i, j in enumerate(partners):
        if j < i:  # unpaired (-1), or the closing side of a pair that is written already
            continue
        for family, ends in enumerate(still_open):
            while ends and ends[-1] < i:
                ends.pop()
            if not ends or j < ends[-1]:
                ends.append(j)
                marks[i], marks[j] = OPENING[family], CLOSING[family]
                break
        else:
            raise InputError(f"base pair ({i}, {j}) crosses pairs of all {len(OPENING)} kinds of brackets there are")
    return "".join(marks)


def as_dot_bracket(pairs: ArrayLike, length: int) -> str | None:
    """``to_dot_bracket``, and None for a matching whose layers cross more deeply than there are brackets."""
    to_partners(pairs, length)  # base triples and positions outside are errors here, too
    try:
        return to_dot_bracket(pairs, length)
    except InputError:
        return None
