"""Docstrings as Markdown: what an interpreter shows becomes code, and brackets stay brackets."""

from __future__ import annotations

import re
from typing import Any

import griffe

INDEXED = re.compile(r"(?<!`)((?:\[\w+\]){2,})(?!`)")
"""Places in nested lists, [layer][sequence], which Markdown would take for a link."""


def fenced(text: str) -> str:
    """The text with each run of ``>>>`` lines, and what they print, as a block of code."""
    lines: list[str] = []
    inside = False
    for line in text.splitlines():
        starts = line.lstrip().startswith(">>> ")
        if starts and not inside:
            lines += ["", "```pycon"]
            inside = True
        elif inside and not line.strip():
            lines.append("```")
            inside = False
        lines.append(line.strip() if inside and (starts or line.lstrip().startswith("... ")) else line)
    return "\n".join([*lines, "```"] if inside else lines)


class Fenced(griffe.Extension):
    """Turns every docstring that griffe reads into Markdown."""

    def on_instance(self, *, obj: griffe.Object, **kwargs: Any) -> None:
        """One object of the package, after it was read."""
        if obj.docstring:
            obj.docstring.value = fenced(INDEXED.sub(r"`\1`", obj.docstring.value))
