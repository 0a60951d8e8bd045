"""What pages say of `--json`: the table of a verb's keys and its JSON Schema, both read from the declared results."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from nuclex.cli.schema import RESULTS, kinds, schema

Row = tuple[str, str, str]
HEAD = ("key", "kind", "what it is")
PLAIN = {"string": "text", "integer": "whole number", "number": "number", "boolean": "yes or no", "null": "null"}


def files() -> dict[str, str]:
    """The schemas to download, by their places under docs."""
    return {f"json/{page(verb)}.json": json.dumps(schema(verb), indent=2) + "\n" for verb in RESULTS}


def page(verb: str) -> str:
    """A verb as its page is called."""
    return verb.replace("_", "-")


def section(verb: str) -> list[str]:
    """The part of a verb's page: a table for each kind of answer, and where the schema is."""
    found = schema(verb)
    many = [part.__name__ for part in kinds(verb)] if len(kinds(verb)) > 1 else []
    parts = [
        "## What `--json` prints",
        f"One object ([what holds for all](../json.md), [its schema](../json/{page(verb)}.json)).",
    ]
    for name in many or [""]:
        one = found["$defs"][name] if name else found
        parts += [f"### `{name}`"] if name else []
        parts += [one["description"], _table(list(_rows(one, found.get("$defs", {}))))]
    return parts


def index() -> str:
    """Every verb, with its page and its schema."""
    lines = ["| verb | its keys | its schema |", "| --- | --- | --- |"]
    for verb in RESULTS:
        name = page(verb)
        keys, whole = f"[table](verbs/{name}.md#what-json-prints)", f"[{name}.json](json/{name}.json)"
        lines.append(f"| `nuclex {verb.replace('_', ' ')}` | {keys} | {whole} |")
    return "\n".join(lines)


def _rows(part: dict[str, Any], known: dict[str, Any], before: str = "") -> Iterator[Row]:
    for name, value in part["properties"].items():
        key = f"{before}{name}"
        kind, inner, sign = _kind(value, known)
        always = "" if name in part.get("required", ()) or "default" in value else " (not always there)"
        yield f"`{key}`", kind, f"{value.get('description', '')}{always}"
        if inner is not None:
            yield from _rows(inner, known, f"{key}{sign}.")


def _kind(value: dict[str, Any], known: dict[str, Any]) -> tuple[str, dict[str, Any] | None, str]:
    """In words; the object whose keys follow, if there is one; and how it is reached: `[]`, `.NAME` or nothing."""
    if "$ref" in value:
        return "table", known[value["$ref"].rpartition("/")[2]], ""
    if "anyOf" in value:
        found = [_kind(one, known) for one in value["anyOf"]]
        inner = next(((inner, sign) for _, inner, sign in found if inner is not None), (None, ""))
        return " or ".join(dict.fromkeys(kind for kind, _, _ in found)), *inner
    if "const" in value or "enum" in value:
        return " or ".join(f"`{json.dumps(one)}`" for one in value.get("enum", [value.get("const")])), None, ""
    if value.get("type") == "array":
        if "prefixItems" in value:
            return f"list of {len(value['prefixItems'])} numbers", None, ""
        kind, inner, sign = _kind(value.get("items", {}), known)
        return f"list of {kind}", inner, f"[]{sign}"
    if value.get("type") == "object":
        of = value.get("additionalProperties")
        if not isinstance(of, dict):
            return "table", None, ""
        kind, inner, sign = _kind(of, known)
        return f"table of {kind}", inner, f".NAME{sign}"
    return PLAIN[value["type"]] if "type" in value else "anything", None, ""


def _table(rows: list[Row]) -> str:
    lines = [HEAD, ("---",) * len(HEAD), *((key, kind, _cell(text)) for key, kind, text in rows)]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def _cell(text: str) -> str:
    return " ".join(text.split()).replace("``", "`").replace("|", "\\|")
