"""What a licence of the catalogue allows, as one of a few words, so that the strictest of several can be told."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Literal

Terms = Literal["open", "attribution", "share-alike", "academic", "not stated"]
TERMS: dict[Terms, str] = {
    "open": "any use",
    "attribution": "any use, if the source is named",
    "share-alike": "any use, if what is made of it is given on under the same licence",
    "academic": "academic, non-commercial use only",
    "not stated": "not stated",
}
"""From the freest to the strictest; what is not stated is not allowed, but nobody said so."""
_MARKS: dict[Terms, re.Pattern[str]] = {
    "academic": re.compile(r"academic use|non-commercial|commercial use needs"),
    "not stated": re.compile(r"without (explicit )?licence|\bsays$|claim rights"),
    "share-alike": re.compile(r"gpl|share-?alike|\bby-sa\b"),
    "attribution": re.compile(r"\b(cc[ -]by|mit|bsd|apache|artistic)\b"),
    "open": re.compile(r"\bcc0\b|public domain|no restrictions|free use"),
}
"""What tells the terms in a licence's text; the first that is found counts, so the strictest of a text does. "Public"
alone says that data can be had, not what may be done with them."""
_CARRIER = "carrier "


def terms_of(licence: str) -> Terms:
    """The terms of a licence's text, of all its parts the strictest; who only carries a copy of the data has no say.

    >>> terms_of("Rfam: CC0; carrier repository GPL-3.0")
    'open'
    >>> terms_of("SILVA 119: free for academic use, commercial use needs a licence")
    'academic'
    """
    parts = [part.strip() for part in licence.lower().split(";")]
    own = [part for part in parts if not part.startswith(_CARRIER)]
    return next((terms for terms, mark in _MARKS.items() if any(map(mark.search, own))), "not stated")


def strictest(terms: Iterable[Terms]) -> Terms | None:
    """The strictest of those that are stated; None where none is.

    >>> strictest(["open", "academic", "not stated", "attribution"])
    'academic'
    """
    stated = [one for one in terms if one != "not stated"]
    return max(stated, key=list(TERMS).index, default=None)
