"""Docstrings as Markdown: examples of an interpreter become code, a shape or a name in double backticks stays one."""

from __future__ import annotations

from typing import Any

import griffe


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
    """Fences the examples of every docstring that griffe reads."""

    def on_instance(self, *, obj: griffe.Object, **kwargs: Any) -> None:
        """One object of the package, after it was read."""
        if obj.docstring and ">>> " in obj.docstring.value:
            obj.docstring.value = fenced(obj.docstring.value)
