"""A result for people: names and values, one a line, nested ones indented, records as tables (--json has all)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

LICENCE_WIDTH = 48
FOR_PROGRAMS = {"config", "provenance", "arguments", "linking_arguments"}
"""What is needed to do a thing again, not to understand what came of it."""


def show(result: dict[str, Any], indent: int = 0) -> str:
    """Spell a plain result out.

    >>> print(show({"loss": 1.23456, "memory_bytes": 2_500_000, "by_source": {"a": 1, "b": 2}}))
    loss          1.2346
    memory_bytes  2.5 MB
    by_source
      a  1
      b  2
    """
    told = {name: value for name, value in result.items() if name not in FOR_PROGRAMS}
    width = max((len(str(name)) for name in told), default=0)
    lines = []
    for name, value in told.items():
        pad = " " * indent
        if isinstance(value, dict) and value:
            lines += [f"{pad}{name}", show(value, indent + 2)]
        elif isinstance(value, list) and value and all(isinstance(row, dict) for row in value):
            brief = BRIEF.get(name)
            lines += [f"{pad}{name}", _table([brief(row) for row in value] if brief else value, indent + 2)]
        else:
            said = _size(value) if name.endswith("bytes") and isinstance(value, int) else _text(value)
            lines.append(f"{pad}{name:<{width}}  {said}".rstrip())
    if not indent and (more := [name for name in result if name in FOR_PROGRAMS]):
        lines.append(f"(--json also has {' and '.join(more)})")
    return "\n".join(lines)


def _table(rows: list[dict[str, Any]], indent: int) -> str:
    nested = {name for row in rows for name, value in row.items() if isinstance(value, dict)}
    columns = [name for name in dict.fromkeys(name for row in rows for name in row) if name not in nested]
    cells = [columns, *([_text(row.get(name, "")) for name in columns] for row in rows)]
    widths = [max(len(line[place]) for line in cells) for place in range(len(columns))]
    return "\n".join(
        (" " * indent + "  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True))).rstrip()
        for line in cells
    )


def _dataset(row: dict[str, Any]) -> dict[str, str]:
    """A data set on one line; --json has its address, sums, licence in full and citation."""
    licence = str(row["licence"])
    return {
        "name": row["name"],
        "size": "?" if row["bytes"] is None else _size(row["bytes"]),
        "records": "" if row["records"] is None else _text(row["records"]),
        "at hand": "yes" if row["available"] else "no",
        "licence": licence if len(licence) <= LICENCE_WIDTH else licence[: LICENCE_WIDTH - 1] + "…",
        "collection": ", ".join(row["collections"]),
    }


def _library(row: dict[str, Any]) -> dict[str, str]:
    """An optional library on one line: how to install it only where it is missing."""
    there = row["version"] is not None
    return {
        "library": row["library"],
        "version": row["version"] if there else "not installed",
        "for": row["for"],
        "": "" if there else row.get("install", ""),
    }


BRIEF: dict[str, Callable[[dict[str, Any]], dict[str, str]]] = {
    "datasets": _dataset,
    "sources": lambda row: {name: value for name, value in row.items() if name != "sha256"},
    "optional": _library,
    "kernels": _library,
}
"""How to tell a long record to a person, by the name of the list that it is in."""


def _size(count: int) -> str:
    """Bytes as people say them.

    >>> _size(812), _size(1_207_144), _size(75_442)
    ('812 B', '1.2 MB', '75.4 kB')
    """
    for unit, factor in (("GB", 10**9), ("MB", 10**6), ("kB", 10**3)):
        if count >= factor:
            return f"{count / factor:.1f} {unit}"
    return f"{count} B"


def _text(value: Any) -> str:
    if isinstance(value, float):
        return f"{value:.5g}"
    if isinstance(value, int) and not isinstance(value, bool):
        return f"{value:,}".replace(",", " ")
    if isinstance(value, list | tuple | dict) and not value:
        return "none"
    if isinstance(value, list | tuple):
        return ", ".join(_text(item) for item in value)
    return str(value)
