"""The API's description as a page to read, made from its OpenAPI document; it needs no script and no other host."""

from __future__ import annotations

import html
import json
from collections.abc import Iterator, Mapping
from typing import Any

STYLE = """:root { color-scheme: light dark; }
body { font: 16px/1.5 system-ui, sans-serif; max-width: 52rem; margin: 0 auto; padding: 1rem; }
h1, h2 { line-height: 1.2; } h2 { border-top: 1px solid; padding-top: 1rem; margin-top: 2rem; }
h2 code, td { overflow-wrap: anywhere; }
code, pre { font: 0.9em/1.45 ui-monospace, monospace; } pre { overflow-x: auto; padding: 0.6rem; border: 1px solid; }
table { border-collapse: collapse; width: 100%; }
th, td { text-align: left; vertical-align: top; padding: 0.25rem 0.5rem; }
tr + tr { border-top: 1px solid; } .table { overflow-x: auto; }
"""
Schema = Mapping[str, Any]


def manual(document: Schema) -> str:
    """HTML of an OpenAPI document: every address with its parameters, its body with an example, and its answers."""
    body = "\n".join(_sections(document))
    title = html.escape(f"{document['info']['title']}: the API")
    return (
        f'<!doctype html>\n<html lang="en"><head><meta charset="utf-8"><title>{title}</title>'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f'<link rel="stylesheet" href="/api/style.css"></head><body><main>\n{body}\n</main></body></html>\n'
    )


def _sections(document: Schema) -> Iterator[str]:
    info = document["info"]
    yield f"<h1>{html.escape(info['title'])}, version {html.escape(info['version'])}: the API</h1>"
    yield f"<p>{html.escape(info['description'])}</p>"
    yield (
        '<p>The same for programs: <a href="/api/v1/openapi.json">/api/v1/openapi.json</a> (OpenAPI 3.1). '
        'The page: <a href="/">/</a>.</p>'
    )
    for address, ways in document["paths"].items():
        for way, operation in ways.items():
            yield from _operation(document, f"{way.upper()} {address}", operation)
    yield "<h2>What stands inside of answers</h2>"
    for name, schema in _inside(document):
        yield f"<h3>{html.escape(name)}</h3>"
        yield _table(("key", "kind", "always", "meaning"), _keys(schema))
    yield "<h2>What a refusal looks like</h2><p>Every answer from 400 on is one sentence:</p>"
    yield _pre({"error": "record 1 ('x'), letter 5: found 'E'; A C G T U, … are allowed"})


def _inside(document: Schema) -> Iterator[tuple[str, Schema]]:
    """The shapes that other shapes refer to, by name."""
    schemas = document["components"]["schemas"]
    text = json.dumps(schemas)
    for name, schema in schemas.items():
        if f'"#/components/schemas/{name}"' in text and "properties" in schema:
            yield name, schema


def _operation(document: Schema, title: str, operation: Schema) -> Iterator[str]:
    yield f"<h2><code>{html.escape(title)}</code></h2>"
    summary = operation.get("summary", "")
    yield f"<p><strong>{html.escape(summary)}</strong></p>"
    for paragraph in filter(None, operation.get("description", "").split("\n\n")):
        yield f"<p>{html.escape(paragraph)}</p>"
    rows = [
        (part["name"], part["in"], _kind(part["schema"]), part.get("description", ""))
        for part in operation.get("parameters", [])
    ]
    if rows:
        yield _table(("parameter", "in", "kind", "meaning"), rows)
    if body := operation.get("requestBody"):
        schema = _resolved(document, body["content"]["application/json"]["schema"])
        yield "<p>The body is JSON:</p>"
        yield _table(("key", "kind", "needed", "meaning"), _keys(schema))
        yield _pre(_example(schema))
    answers = [(status, answer["description"]) for status, answer in operation["responses"].items()]
    yield _table(("answer", "meaning"), answers)
    for answer in operation["responses"].values():
        content = answer.get("content", {}).get("application/json", {})
        if "$ref" in content.get("schema", {}) and "Refusal" not in content["schema"]["$ref"]:
            yield "<p>The answer is JSON:</p>"
            yield _table(("key", "kind", "always", "meaning"), _keys(_resolved(document, content["schema"])))


def _resolved(document: Schema, schema: Schema) -> Schema:
    name = schema.get("$ref", "").rpartition("/")[2]
    return document["components"]["schemas"][name] if name else schema


def _keys(schema: Schema) -> list[tuple[str, ...]]:
    needed = schema.get("required", [])
    return [
        (name, _kind(part), "yes" if name in needed else "no", part.get("description", ""))
        for name, part in schema.get("properties", {}).items()
    ]


def _kind(schema: Schema) -> str:
    """A schema in a few words."""
    if "$ref" in schema:
        return str(schema["$ref"].rpartition("/")[2])
    if "anyOf" in schema:
        return " or ".join(_kind(part) for part in schema["anyOf"])
    if "enum" in schema or "const" in schema:
        return ", ".join(json.dumps(value) for value in schema.get("enum", [schema.get("const")]))
    if schema.get("type") == "array":
        return f"list of {_kind(schema.get('items', {}))}"
    return str(schema.get("type", "anything"))


def _example(schema: Schema) -> Any:
    if "example" in schema:
        return schema["example"]
    parts = schema.get("properties", {}).items()
    return {name: part["examples"][0] if "examples" in part else part.get("default") for name, part in parts}


def _pre(value: Any) -> str:
    return f"<pre>{html.escape(json.dumps(value, indent=2, ensure_ascii=False))}</pre>"


def _table(head: tuple[str, ...], rows: list[Any]) -> str:
    top = "".join(f'<th scope="col">{html.escape(text)}</th>' for text in head)
    lines = "".join("<tr>" + "".join(f"<td>{html.escape(str(text))}</td>" for text in row) + "</tr>" for row in rows)
    return f'<div class="table" tabindex="0"><table><thead><tr>{top}</tr></thead><tbody>{lines}</tbody></table></div>'
