"""The page about the API says every address, key and answer of the OpenAPI document, and nothing runs in it."""

from __future__ import annotations

import html
import re
from pathlib import Path
from typing import Any

import pytest

from asking import answer, client_of
from nuclex.bundle import load
from nuclex.web.manual import manual

pytest.importorskip("fastapi")


@pytest.fixture(scope="module")
def read(tiny_bundle: Path) -> tuple[str, dict[str, Any], Any]:
    with client_of(load(tiny_bundle)) as client:
        yield client.get("/api").text, client.get("/api/v1/openapi.json").json(), client


def test_every_address_key_and_answer_is_there(read: tuple[str, dict[str, Any], Any]) -> None:
    text, document, _ = read
    for address, ways in document["paths"].items():
        for way, operation in ways.items():
            title = f"<code>{way.upper()} {address}</code>"
            assert text.count(title) == 1
            part = text.split(title)[1].split("<h2>")[0]
            for status, told in operation["responses"].items():
                assert f"<td>{status}</td><td>{html.escape(told['description'])}</td>" in part
            assert "<p></p>" not in part
    for name in ("Question", "OneQuestion", "CodonQuestion", "Comparison", "About", "Told", "Model"):
        for key in document["components"]["schemas"][name]["properties"]:
            assert f"<td>{key}</td>" in text, (name, key)
    assert re.findall(r"<h(\d)>", text)[:2] == ["1", "2"]


def test_every_key_has_a_meaning(read: tuple[str, dict[str, Any], Any]) -> None:
    text, document, _ = read
    shapes = document["components"]["schemas"].items()
    keys = [(name, key, part) for name, shape in shapes for key, part in shape.get("properties", {}).items()]
    assert len(keys) > 40
    assert [(name, key) for name, key, part in keys if not part.get("description")] == []
    assert "<td></td>" not in text


def test_an_answer_that_is_never_given_is_not_described(read: tuple[str, dict[str, Any], Any]) -> None:
    text, document, client = read
    assert client.post("/api/v1/predict", json={}).status_code == 400
    assert "422" not in text
    assert "ValidationError" not in str(document)


def test_its_examples_are_answered(read: tuple[str, dict[str, Any], Any]) -> None:
    """What a reader copies from the page works as it stands."""
    import json

    text, document, client = read
    asked = 0
    for address, ways in document["paths"].items():
        if "post" not in ways or address.endswith("compare"):  # which needs two bundles
            continue
        part = text.split(f"<code>POST {address}</code>")[1].split("<h2>")[0]
        body = json.loads(html.unescape(re.search(r"<pre>(.*?)</pre>", part, re.DOTALL)[1]))
        asked += bool(answer(client, address.rpartition("/")[2], **body))
    assert asked == 5


def test_what_a_description_says_is_never_markup() -> None:
    operation = {"description": "<b>x</b>", "responses": {"200": {"description": "<i>"}}}
    info = {"title": "<t>", "version": "1", "description": "&"}
    document = {"info": info, "paths": {"/<p>": {"get": operation}}, "components": {"schemas": {}}}
    assert not re.findall("<(b|i|t|p)>[^<]", manual(document).replace("<p>&amp;", "").replace("<p>", ""))
    assert "&lt;b&gt;x" in manual(document)
