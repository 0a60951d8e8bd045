"""Pictures as SVG text that sit safely inside a page: readable on light and dark paper, no id twice, nothing fetched.

Two gates. :func:`adaptive` turns what a drawing library wrote into a small picture whose black is ``currentColor``,
so that axes and letters take the colour of the text around them. :func:`inline` puts such a picture into a page: it
refuses everything that could run or load something, and gives every id a prefix of its own.
"""

from __future__ import annotations

import re
import xml.etree.ElementTree as ElementTree
from collections.abc import Callable

NAMESPACE = "http://www.w3.org/2000/svg"
FONTS = "system-ui, -apple-system, 'Segoe UI', Roboto, Helvetica, Arial, 'DejaVu Sans', sans-serif"
SHAPES = {"path", "rect", "circle", "ellipse", "line", "polyline", "polygon", "text", "tspan", "use"}
ELEMENTS = SHAPES | {"svg", "g", "defs", "title", "desc", "clipPath", "marker", "pattern", "symbol", "stop"}
ELEMENTS |= {"linearGradient", "radialGradient"}

_LONG_NUMBER = re.compile(r"-?\d+\.\d{3,}")
_FONT_FAMILY = re.compile(r"font-family:([^;]*);?\s*")
_NO_ROTATION = re.compile(r"^rotate\(-?0 [^)]*\)$")
_LOCAL_URL = re.compile(r"url\(#([^)]+)\)")
_NOT_XML = re.compile("[^\t\n\r\u0020-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


def drawable(text: str) -> str:
    """Text without the control characters that XML cannot hold.

    >>> drawable("tRNA\\x00-Ala")
    'tRNA-Ala'
    """
    return _NOT_XML.sub("", text)


def adaptive(drawing: str) -> str:
    """Make a drawing library's SVG small and independent of the paper: black becomes ``currentColor``.

    Metadata, style sheets and fonts by name go (the page's font is used), coordinates keep two decimals (1/100 point).
    """
    root = _parsed(drawing)
    _without(root, lambda element: element.tag in {"metadata", "style"})
    _without(root, lambda element: element.tag == "defs" and not len(element))
    _without(root, lambda element: element.tag == "path" and not element.get("d", "").strip())
    for element in root.iter():
        for name, value in list(element.attrib.items()):
            element.set(name, _adapted(name, value))
        if _NO_ROTATION.match(element.get("transform", "")):
            del element.attrib["transform"]
        if element.tag == "defs":
            for shape in element.findall("path"):  # a mark takes its whole look from the <use> that places it
                shape.attrib.pop("style", None)
        element.tail = None
        if element.tag not in {"text", "tspan"}:
            element.text = None
    root.set("fill", "currentColor")
    root.set("stroke-linejoin", "round")
    root.set("font-family", FONTS)
    return _written(root)


def inline(svg: str, prefix: str, label: str) -> str:
    """The picture as an element of a page, its ids and the references to them beginning with ``prefix``.

    ``label`` is what a screen reader says. ValueError if the text is not SVG, or holds a script, a style sheet, an
    event handler or a reference to anything outside the picture.
    """
    root = _parsed(svg)
    if root.tag != "svg":
        raise ValueError(f"figure {prefix}: expected an <svg> element, found <{root.tag}>")
    for element in root.iter():
        if element.tag not in ELEMENTS:
            raise ValueError(f"figure {prefix}: the element <{element.tag}> is not allowed in a report's picture")
        for name, value in list(element.attrib.items()):
            element.set(name, _prefixed(name, value, prefix))
    root.set("role", "img")
    root.set("aria-label", drawable(label))
    return _written(root)


def _without(root: ElementTree.Element, unwanted: Callable[[ElementTree.Element], bool]) -> None:
    for parent in root.iter():
        for child in [child for child in parent if unwanted(child)]:
            parent.remove(child)


def _adapted(name: str, value: str) -> str:
    if name == "style":
        value = _FONT_FAMILY.sub(lambda match: "font-family: monospace; " if "mono" in match[1].lower() else "", value)
        value = value.replace("#000000", "currentColor").strip().removesuffix(";")
    if name in {"fill", "stroke"} and value == "#000000":
        return "currentColor"
    if name in {"d", "x", "y", "x1", "x2", "y1", "y2", "width", "height", "points", "transform", "viewBox"}:
        value = _LONG_NUMBER.sub(lambda match: f"{float(match[0]):.2f}".rstrip("0").rstrip("."), value)
        value = " ".join(value.split())
    return value


def _prefixed(name: str, value: str, prefix: str) -> str:
    if name.lower().startswith("on"):
        raise ValueError(f"figure {prefix}: the event handler {name!r} is not allowed in a report's picture")
    if name == "id":
        return f"{prefix}-{value}"
    if name == "href":
        if not value.startswith("#"):
            raise ValueError(f"figure {prefix}: a reference outside the picture is not allowed: {value[:60]!r}")
        return f"#{prefix}-{value[1:]}"
    value, found = _LOCAL_URL.subn(rf"url(#{prefix}-\1)", value)
    if len(re.findall(r"url\s*\(", value, re.IGNORECASE)) != found or (name == "style" and re.search(r"@|\\", value)):
        raise ValueError(f"figure {prefix}: the attribute {name} refers to something outside the picture")
    return value


def _parsed(text: str) -> ElementTree.Element:
    """The tree with plain names: ``path`` for ``{http://www.w3.org/2000/svg}path``, ``href`` for ``xlink:href``."""
    try:
        root = ElementTree.fromstring(text)
    except ElementTree.ParseError as error:
        raise ValueError(f"a figure's SVG is not well-formed XML: {error}") from None
    for element in root.iter():
        element.tag = element.tag.rpartition("}")[2]
        plain = {name.rpartition("}")[2]: value for name, value in element.attrib.items()}
        element.attrib.clear()
        element.attrib.update(plain)
    return root


def _written(root: ElementTree.Element) -> str:
    root.attrib = {"xmlns": NAMESPACE, **root.attrib}
    return ElementTree.tostring(root, encoding="unicode")
