"""The one report of nuclex: headline numbers, verdicts, pictures and tables in one HTML file that needs nothing else.

A report is a frozen value; :func:`render` makes the page from it and ``report.html.jinja``. The page loads nothing from
anywhere and runs no script (its content security policy forbids both), follows the reader's light or dark
setting, prints, and carries the numbers behind every picture and table as CSV.
"""

from __future__ import annotations

import base64
import csv
import io
import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from importlib import resources
from pathlib import Path
from typing import Any

import numpy as np

from nuclex.core.artifact import atomic_file
from nuclex.evaluation import palette
from nuclex.evaluation.svg import inline
from nuclex.metrics.statistics import Interval

Cell = str | int | float | bool | Interval | None


@dataclass(frozen=True)
class Table:
    """Rows of numbers and words with a caption; ``formats`` gives a column's format specification (``".3f"``).

    ``highlight`` holds the row numbers (from 0) to set off. The CSV of a table has every number in full; a column of
    Intervals becomes four: the value, low, high and n.
    """

    columns: tuple[str, ...]
    rows: tuple[tuple[Cell, ...], ...]
    caption: str = ""
    highlight: tuple[int, ...] = ()
    notes: tuple[str, ...] = ()
    formats: Mapping[str, str] = field(default_factory=dict)
    name: str = ""

    def __post_init__(self) -> None:
        rows = tuple(tuple(cell.item() if isinstance(cell, np.generic) else cell for cell in row) for row in self.rows)
        for number, row in enumerate(rows):
            if len(row) != len(self.columns):
                raise ValueError(f"table {self.caption!r}: row {number} has {len(row)} cells, not {len(self.columns)}")
        if strange := {*self.formats} - {*self.columns}:
            raise ValueError(f"table {self.caption!r}: formats name columns that do not exist: {sorted(strange)}")
        object.__setattr__(self, "columns", tuple(self.columns))
        object.__setattr__(self, "rows", rows)

    def csv(self) -> str:
        """The table as CSV (RFC 4180, lines end with CR LF); numbers in full, a missing value is empty.

        >>> Table(("family", "n"), (("tRNA", 3),)).csv()
        'family,n\\r\\ntRNA,3\\r\\n'
        """
        wide = [any(isinstance(row[c], Interval) for row in self.rows) for c in range(len(self.columns))]
        header = []
        for name, is_interval in zip(self.columns, wide, strict=True):
            header += [name, f"{name} low", f"{name} high", f"{name} n"] if is_interval else [name]
        out = io.StringIO()
        writer = csv.writer(out)
        writer.writerow(header)
        for row in self.rows:
            cells: list[Any] = []
            for cell, is_interval in zip(row, wide, strict=True):
                if isinstance(cell, Interval):
                    cells += [cell.value, cell.low, cell.high, cell.n]
                else:
                    cells += [cell, None, None, None] if is_interval else [cell]
            writer.writerow(cells)
        return out.getvalue()


@dataclass(frozen=True)
class Figure:
    """A picture (SVG text) with its title, caption and the numbers it shows.

    ``alt`` says in a sentence what is to be seen, for those who cannot see it; ``wide`` gives it the full page width.
    ``reading`` tells somebody who never saw such a picture how to read it, and ``n`` what it is of ("n = 9 molecules").
    """

    name: str
    title: str
    svg: str
    data: Table
    caption: str = ""
    alt: str = ""
    wide: bool = False
    reading: str = ""
    n: str = ""


@dataclass(frozen=True)
class Verdict:
    """A conclusion in one sentence, and whether it is good news."""

    good: bool
    sentence: str


@dataclass(frozen=True)
class Headline:
    """A number to read first: what it is, the number as text, and a note (what it was measured on)."""

    label: str
    value: str
    note: str = ""


@dataclass(frozen=True)
class Step:
    """Something to do next: what it does and the command for it."""

    text: str
    command: str = ""


@dataclass(frozen=True)
class Section:
    """A chapter of a report: verdicts, plain paragraphs (split at empty lines), pictures, tables, steps."""

    title: str
    text: str = ""
    figures: tuple[Figure, ...] = ()
    tables: tuple[Table, ...] = ()
    verdicts: tuple[Verdict, ...] = ()
    steps: tuple[Step, ...] = ()


@dataclass(frozen=True)
class Report:
    """Everything a page says. ``notice`` is a banner nobody can overlook, for example that the data are simulated."""

    title: str
    subtitle: str = ""
    summary: tuple[Headline, ...] = ()
    sections: tuple[Section, ...] = ()
    provenance: Mapping[str, Any] = field(default_factory=dict)
    notice: str = ""
    verdicts: tuple[Verdict, ...] = ()


def render(report: Report) -> str:
    """The report as one self-contained HTML page; equal reports give equal text."""
    import jinja2

    environment = jinja2.Environment(
        autoescape=True, undefined=jinja2.StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    template = resources.files("nuclex.evaluation").joinpath("report.html.jinja").read_text(encoding="utf-8")
    figures, tables = _Counter(), _Counter()
    sections = [_section_view(section, figures, tables) for section in report.sections]
    page = environment.from_string(template).render(
        report=report, sections=sections, provenance=list(flattened(report.provenance)), palette=palette
    )
    return page.rstrip() + "\n"


def write_report(report: Report, path: str | Path) -> Path:
    """Write the page to ``path``, whole or not at all; DiskError if the disk does not let it."""
    page = render(report)
    with atomic_file(path) as temporary:
        temporary.write_text(page, encoding="utf-8")
    return Path(path)


def flattened(facts: Mapping[str, Any], above: str = "") -> list[tuple[str, str]]:
    """Nested facts as (key, text) lines, keys joined with dots.

    >>> flattened({"seed": 1, "packages": {"numpy": "2.0"}, "command": ["nuclex", "quickstart"]})
    [('seed', '1'), ('packages.numpy', '2.0'), ('command', 'nuclex quickstart')]
    """
    lines: list[tuple[str, str]] = []
    for key, value in facts.items():
        if isinstance(value, Mapping):
            lines += flattened(value, f"{above}{key}.")
        elif isinstance(value, list | tuple):
            lines.append((f"{above}{key}", " ".join(str(part) for part in value)))
        else:
            lines.append((f"{above}{key}", "–" if value is None else str(value)))
    return lines


def interval_text(interval: Interval, spec: str = ".3f") -> str:
    """A number with its interval in brackets; the number alone where there is no interval.

    >>> interval_text(Interval(0.5123, 0.49, 0.5301, n=812, level=0.95, method="BCa bootstrap"))
    '0.512 [0.490, 0.530]'
    """
    value = format(interval.value, spec)
    if not (math.isfinite(interval.low) and math.isfinite(interval.high)):
        return value
    return f"{value} [{interval.low:{spec}}, {interval.high:{spec}}]"


def cell_text(cell: Cell, spec: str = "") -> str:
    """A cell as a reader sees it: thousands set apart, a dash for what is not there, numbers by ``spec``.

    >>> [cell_text(cell) for cell in (12345, 0.123456, None, True, float("nan"), "tRNA")]
    ['12,345', '0.1235', '–', 'yes', '–', 'tRNA']
    """
    if isinstance(cell, Interval):
        return interval_text(cell, spec or ".3f")
    if isinstance(cell, bool):
        return "yes" if cell else "no"
    if cell is None or (isinstance(cell, float) and math.isnan(cell)):
        return "–"
    if isinstance(cell, str):
        return cell
    return format(cell, spec or ("," if isinstance(cell, int) else ".4g"))


class _Counter:
    """Counts figures or tables through all sections of one page."""

    def __init__(self) -> None:
        self.number = 0

    def next(self) -> int:
        self.number += 1
        return self.number


def _section_view(section: Section, figures: _Counter, tables: _Counter) -> dict[str, Any]:
    return {
        "title": section.title,
        "verdicts": section.verdicts,
        "steps": section.steps,
        "paragraphs": [part.strip() for part in re.split(r"\n\s*\n", section.text) if part.strip()],
        "figures": [_figure_view(figure, figures.next()) for figure in section.figures],
        "tables": [_table_view(table, tables.next()) for table in section.tables],
    }


def _figure_view(figure: Figure, number: int) -> dict[str, Any]:
    from markupsafe import Markup

    label = f"{figure.title}. {figure.alt}".strip()
    return {
        "number": number,
        "title": figure.title,
        "caption": figure.caption,
        "n": figure.n,
        "reading": figure.reading,
        "wide": figure.wide,
        # Safe: svg.inline let through only drawing elements without scripts or references to elsewhere.
        "svg": Markup(inline(figure.svg, f"figure-{number}", label)),
        "file": _file_name(figure.name or f"figure-{number}"),
        "csv": _data_uri("text/csv", figure.data.csv()),
        "picture": _data_uri("image/svg+xml", figure.svg),
    }


def _table_view(table: Table, number: int) -> dict[str, Any]:
    cells = [[row[c] for row in table.rows] for c in range(len(table.columns))]
    numeric = [bool(column) and not any(isinstance(cell, str) for cell in column) for column in cells]
    specs = [table.formats.get(name) or _column_spec(column) for name, column in zip(table.columns, cells, strict=True)]
    return {
        "number": number,
        "caption": table.caption,
        "columns": list(zip(table.columns, numeric, strict=True)),
        "rows": [
            (r in table.highlight, [(text, numeric[c]) for c, text in enumerate(map(cell_text, row, specs))])
            for r, row in enumerate(table.rows)
        ],
        "notes": table.notes,
        "wide": len(table.columns) > 4,
        "file": _file_name(table.name or f"table-{number}"),
        "csv": _data_uri("text/csv", table.csv()),
    }


def _column_spec(cells: Sequence[Cell]) -> str:
    """One format for all numbers of a column: three decimals, fewer for large and digits that count for tiny ones."""
    sizes = [abs(cell) for cell in cells if isinstance(cell, float) and math.isfinite(cell) and cell]
    if not sizes:
        return ""
    if min(sizes) < 0.001 or max(sizes) >= 1e9:
        return ".3g"
    return ".3f" if max(sizes) < 100 else ",.1f"


def _file_name(name: str) -> str:
    return re.sub(r"[^A-Za-z0-9._-]+", "-", name).strip("-.") or "data"


def _data_uri(media_type: str, text: str) -> str:
    content = base64.b64encode(text.encode("utf-8")).decode("ascii")
    return f"data:{media_type};charset=utf-8;base64,{content}"
