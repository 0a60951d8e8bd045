"""Tables, lists and quoted data as Markdown; what came from anybody can neither hold HTML nor break a table."""

from __future__ import annotations

import html
import json
import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import PurePath
from typing import Any

SHOWN_ROWS, SHOWN_CHARACTERS = 30, 120
_PATH_INSIDE = re.compile(r"(?<![^\s=\"'(\[,])(/[^\s=\"',)\]]+)")


class Markdown(str):
    """A text that is meant as it stands; all others may come from anybody and hold HTML."""


def line(text: str) -> str:
    """A text from anybody as one line of Markdown."""
    return html.escape(" ".join(text.split()), quote=False)


def table(columns: Sequence[str], rows: Sequence[Sequence[Any]]) -> str:
    """A table, cut where it is long, with a word about it."""
    lines = ["| " + " | ".join(map(cell, columns)) + " |", "|" + " --- |" * len(columns)]
    lines += ["| " + " | ".join(cell(value) for value in row) + " |" for row in rows[:SHOWN_ROWS]]
    more = len(rows) - SHOWN_ROWS
    return "\n".join(lines) + (f"\n\n({more} more are in `nuclex.json`.)" if more > 0 else "")


def cell(value: Any) -> str:
    """A value as a table shows it."""
    if isinstance(value, bool) or value is None:
        text = {True: "yes", False: "no", None: "–"}[value]
    elif isinstance(value, int):
        text = f"{value:,}"
    elif isinstance(value, float):
        text = f"{value:.5g}"
    else:
        text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    text = " ".join(text.split())
    text = text if len(text) <= SHOWN_CHARACTERS else text[: SHOWN_CHARACTERS - 1] + "…"
    return (text if isinstance(value, Markdown) else html.escape(text, quote=False)).replace("|", "\\|")


def flat(value: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Names joined by dots, and values."""
    for key, inner in value.items():
        if isinstance(inner, Mapping) and inner:
            yield from flat(inner, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}", inner


def as_json(value: Any) -> str:
    """Plain data as a block of code."""
    return f"```json\n{json.dumps(value, indent=2, ensure_ascii=False)}\n```"


def folded(title: str, text: str) -> str:
    """A part that is open only for who asks for it."""
    return f"<details>\n<summary>{line(title)}</summary>\n\n{text}\n\n</details>"


def bullets(sentences: Sequence[str]) -> str:
    """A list, a sentence a line."""
    return "\n".join(f"- {sentence}" for sentence in sentences)


def without_paths(value: Any) -> Any:
    """Plain data in which every absolute path is cut to its last name; where a file lay is nobody else's business.

    >>> without_paths({"corpus": "/data/my corpus", "command": ["nuclex", "--out=/data/run", "a/b"]})
    {'corpus': 'my corpus', 'command': ['nuclex', '--out=run', 'a/b']}
    """
    if isinstance(value, Mapping):
        return {key: without_paths(inner) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [without_paths(inner) for inner in value]
    if not isinstance(value, str):
        return value
    if value.startswith("/"):
        return PurePath(value).name or value
    return _PATH_INSIDE.sub(lambda found: PurePath(found[1]).name, value)
