"""Under which terms a model learned: the licences of its corpus's sources, and the strictest of them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from nuclex.data.terms import TERMS, Terms, strictest

ACADEMIC = {"license": "other", "license_name": "academic-use-only"}
"""How the front matter of a card names what no public licence is; the hub knows "other"."""
COLUMNS = ("source", "data set", "sequences", "nucleotides", "licence", "to cite")


def front_licence(licence: str | None, corpus: Mapping[str, Any] | None) -> dict[str, str]:
    """The front matter's words: the licence that is stated; else academic use, where a source allows no more."""
    if licence is not None:
        return {"license": licence}
    return dict(ACADEMIC) if _strictest(corpus) == "academic" else {}


def told_rights(licence: str | None, corpus: Mapping[str, Any] | None) -> Iterator[str]:
    """What the card says of licences, a paragraph each; names in it may come from anybody."""
    yield f"The weights: {licence or 'no licence is stated'}."
    sources = _sources(corpus)
    if not sources:
        return
    found = _strictest(corpus)
    if found is not None:
        names = ", ".join(_name(source) for source in sources if source.get("terms") == found)
        yield f"The data that it learned from: {TERMS[found]}. The strictest is the licence of {names}."
    silent = [_name(source) for source in sources if source.get("terms", "not stated") == "not stated"]
    if silent:
        yield f"Of {len(silent)} of {len(sources)} sources no licence is known: {', '.join(silent)}."
    if licence is not None and found == "academic":
        yield "The licence of the weights must not promise more than the data allow."


def rights_rows(corpus: Mapping[str, Any] | None) -> list[tuple[Any, ...]]:
    """One row a source, as ``COLUMNS`` says; those that the catalogue knows have a licence."""
    return [
        (
            *(_name(source), source.get("dataset"), source.get("sequences_out"), source.get("nucleotides_out")),
            *(source.get("licence", "not known"), source.get("citation")),
        )
        for source in _sources(corpus)
    ]


def _sources(corpus: Mapping[str, Any] | None) -> list[Mapping[str, Any]]:
    return list((corpus or {}).get("sources", ()))


def _name(source: Mapping[str, Any]) -> str:
    return str(source.get("name", source.get("path", "a source without a name")))


def _strictest(corpus: Mapping[str, Any] | None) -> Terms | None:
    return strictest(source["terms"] for source in _sources(corpus) if source.get("terms") in TERMS)
