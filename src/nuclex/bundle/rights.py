"""Under which terms a model learned: the licences of its corpus and fine-tuning data, and the strictest of them."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

from nuclex.bundle.record import Record
from nuclex.data.terms import TERMS, Terms, strictest

ACADEMIC = {"license": "other", "license_name": "academic-use-only"}
"""How the front matter of a card names what no public licence is; the hub knows "other"."""
CODE = "The code of nuclex: Apache-2.0, which says nothing of these weights."
COLUMNS = ("source", "data set", "sequences", "nucleotides", "licence", "to cite")
HUB_LICENCES = frozenset(
    re.split(
        r"\s+",
        """apache-2.0 mit openrail bigscience-openrail-m creativeml-openrail-m bigscience-bloom-rail-1.0
        bigcode-openrail-m afl-3.0 artistic-2.0 bsl-1.0 bsd bsd-2-clause bsd-3-clause bsd-3-clause-clear
        c-uda cc cc0-1.0 cc-by-2.0 cc-by-2.5 cc-by-3.0 cc-by-4.0 cc-by-sa-3.0 cc-by-sa-4.0 cc-by-nc-2.0
        cc-by-nc-3.0 cc-by-nc-4.0 cc-by-nd-4.0 cc-by-nc-nd-3.0 cc-by-nc-nd-4.0 cc-by-nc-sa-2.0
        cc-by-nc-sa-3.0 cc-by-nc-sa-4.0 cdla-sharing-1.0 cdla-permissive-1.0 cdla-permissive-2.0 wtfpl
        ecl-2.0 epl-1.0 epl-2.0 etalab-2.0 eupl-1.1 eupl-1.2 agpl-3.0 gfdl gpl gpl-2.0 gpl-3.0 lgpl lgpl-2.1
        lgpl-3.0 isc ms-pl mpl-2.0 odc-by odbl openrail++ osl-3.0 postgresql ofl-1.1 ncsa unlicense zlib
        pddl lgpl-lr unknown other""",
    )
)
"""The names that the hub's front matter knows; any other is told as "other", with its own name beside it."""


def front_licence(record: Record) -> dict[str, str]:
    """The front matter's words: the licence that is stated; else academic use, where a source allows no more."""
    if record.licence is None:
        return dict(ACADEMIC) if learned_under(record) == "academic" else {}
    name = record.licence.strip().lower()
    if name in HUB_LICENCES - {"other"}:
        return {"license": name}
    return {"license": "other", "license_name": re.sub(r"[^a-z0-9.-]+", "-", name).strip("-") or "unnamed"}


def promises_more(record: Record) -> bool:
    """Whether the stated licence allows more than academic use, which is all that some of the data allow."""
    if record.licence is None or learned_under(record) != "academic":
        return False
    name = record.licence.lower()
    return "-nc" not in name and "academic" not in name and "non-commercial" not in name


def told_rights(record: Record) -> Iterator[str]:
    """What the card says of licences, a paragraph each; names in it may come from anybody."""
    yield f"The weights: {record.licence or 'no licence is stated'}."
    yield CODE
    sources = all_sources(record)
    if not sources:
        return
    found = learned_under(record)
    if found is not None:
        names = ", ".join(dict.fromkeys(_name(source) for source in sources if source.get("terms") == found))
        yield f"The data that it learned from: {TERMS[found]}. The strictest is the licence of {names}."
    silent = [_name(source) for source in sources if source.get("terms", "not stated") == "not stated"]
    if silent:
        yield f"Of {len(silent)} of {len(sources)} sources no licence is known: {', '.join(silent)}."
    if promises_more(record):
        yield "The licence of the weights must not promise more than the data allow."


def rights_rows(sources: list[Mapping[str, Any]]) -> list[tuple[Any, ...]]:
    """One row a source, as ``COLUMNS`` says; those that the catalogue knows have a licence."""
    return [
        (
            *(_name(source), source.get("dataset"), source.get("sequences_out"), source.get("nucleotides_out")),
            *(source.get("licence", "not known"), source.get("citation")),
        )
        for source in sources
    ]


def corpus_sources(record: Record) -> list[Mapping[str, Any]]:
    """What it was pre-trained on, a record a source."""
    return list((record.corpus or {}).get("sources", ()))


def tuning_sources(record: Record) -> list[Mapping[str, Any]]:
    """What it was fine-tuned on, a record a source."""
    return list((record.finetuned or {}).get("sources", ()))


def all_sources(record: Record) -> list[Mapping[str, Any]]:
    """What it learned from, in pre-training and in fine-tuning."""
    return [*corpus_sources(record), *tuning_sources(record)]


def learned_under(record: Record) -> Terms | None:
    """The strictest terms of all that it learned from; None where none are stated."""
    return strictest(source["terms"] for source in all_sources(record) if source.get("terms") in TERMS)


def _name(source: Mapping[str, Any]) -> str:
    return str(source.get("name", source.get("path", "a source without a name")))
