"""The two gates every picture passes on its way into a page."""

from __future__ import annotations

import xml.etree.ElementTree as ElementTree

import pytest

from nuclex.evaluation.svg import adaptive, drawable, inline

PLAIN = '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 9 9">{}</svg>'


def test_black_becomes_the_colour_of_the_text_and_nothing_else_does() -> None:
    drawing = PLAIN.format(
        '<metadata><x/></metadata><defs><style>*{stroke: red}</style></defs><path d="M 1.23456 2 L 3 -0.0004" '
        'style="fill: none; stroke: #000000"/><path d="M 0 0" style="fill: #0072b2; stroke: #010000"/>'
        "<text style=\"font-size: 8px; font-family: 'DejaVu Sans', sans-serif; text-anchor: end\">A</text>"
    )
    root = ElementTree.fromstring(adaptive(drawing))
    tags = [element.tag.rpartition("}")[2] for element in root.iter()]
    assert tags == ["svg", "path", "path", "text"]
    assert root.get("fill") == "currentColor"
    assert root[0].get("style") == "fill: none; stroke: currentColor"
    assert root[0].get("d") in {"M 1.23 2 L 3 -0", "M 1.23 2 L 3 0"}
    assert "#0072b2" in root[1].get("style", "")
    assert root[2].get("style") == "font-size: 8px; text-anchor: end"
    assert root[2].text == "A"


def test_ids_and_the_references_to_them_get_the_prefix_together() -> None:
    body = (
        '<defs><clipPath id="c"><rect width="1" height="1"/></clipPath><path id="m" d="M 0 0"/></defs>'
        '<g clip-path="url(#c)" style="fill: url(#c)"><use href="#m"/></g>'
    )
    root = ElementTree.fromstring(inline(PLAIN.format(body), "figure-3", 'a "quoted" <label>'))
    namespace = "{http://www.w3.org/2000/svg}"
    assert {element.get("id") for element in root.iter()} - {None} == {"figure-3-c", "figure-3-m"}
    group = root.find(f"{namespace}g")
    assert group is not None
    assert group.get("clip-path") == "url(#figure-3-c)"
    assert group.get("style") == "fill: url(#figure-3-c)"
    assert group[0].get("href") == "#figure-3-m"
    assert root.get("aria-label") == 'a "quoted" <label>'


@pytest.mark.parametrize(
    "body",
    [
        "<script>alert(1)</script>",
        "<style>@import 'x'</style>",
        "<foreignObject/>",
        "<image href='a.png'/>",
        "<a href='#m'/>",
        "<g onclick='x()'/>",
        "<g ONLOAD='x()'/>",
        "<use href='https://example.org/a.svg#m'/>",
        "<use href='javascript:x'/>",
        "<use href='data:image/svg+xml,x'/>",
        "<g style='fill: url(https://example.org/a)'/>",
        "<g style='fill: URL (https://example.org/a)'/>",
        "<g style='fill: url(#a); stroke: url(b.svg#c)'/>",
        "<g style='fill: \\75rl(x)'/>",
        "<g clip-path='url(other.svg#c)'/>",
        "<g>",
    ],
)
def test_what_could_run_or_load_something_is_refused(body: str) -> None:
    with pytest.raises(ValueError, match="figure"):
        inline(PLAIN.format(body), "figure-1", "")


def test_only_an_svg_element_is_a_picture() -> None:
    with pytest.raises(ValueError, match="expected an <svg> element, found <html>"):
        inline("<html/>", "figure-1", "")


def test_names_that_xml_cannot_hold_lose_only_what_it_cannot_hold() -> None:
    every = "".join(map(chr, range(0x20))) + "é日😀\ufffe\ud800"
    assert drawable(every) == "\t\n\ré日😀"
    ElementTree.fromstring(f"<x>{drawable(every)}</x>")
