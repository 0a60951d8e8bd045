"""A result for people: names and values, one a line, nested ones indented, records as tables (--json has all)."""

from __future__ import annotations

from typing import Any


def show(result: dict[str, Any], indent: int = 0) -> str:
    """Spell a plain result out.

    >>> print(show({"loss": 1.23456, "by_source": {"a": 1, "b": 2}}))
    loss       1.2346
    by_source
      a  1
      b  2
    """
    width = max((len(str(name)) for name in result), default=0)
    lines = []
    for name, value in result.items():
        pad = " " * indent
        if isinstance(value, dict) and value:
            lines += [f"{pad}{name}", show(value, indent + 2)]
        elif isinstance(value, list) and value and all(isinstance(row, dict) for row in value):
            lines += [f"{pad}{name}", _table(value, indent + 2)]
        else:
            lines.append(f"{pad}{name!s:<{width}}  {_text(value)}".rstrip())
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


def _text(value: Any) -> str:
    if isinstance(value, float):
        return f"{value:.5g}"
    if isinstance(value, int) and not isinstance(value, bool):
        return f"{value:,}".replace(",", " ")
    if isinstance(value, list | tuple):
        return ", ".join(_text(item) for item in value)
    return str(value)
