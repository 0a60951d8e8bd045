"""Tables to download, and numbers as short as they are sure: seven digits."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from nuclex.web.jobs import File


def rounded(values: ArrayLike) -> Any:
    """Nested lists of numbers with seven digits each; what float32 computes has no more.

    >>> rounded(np.array([[1 / 3, 12345678.0]]))
    [[0.3333333, 12345680.0]]
    """
    found = np.asarray(values, dtype=np.float64)
    short = np.array([float(f"{value:.7g}") for value in found.ravel().tolist()])
    return short.reshape(found.shape).tolist()


def csv_file(about: str, columns: Sequence[str], rows: Iterable[Sequence[object]]) -> File:
    """A CSV file (RFC 4180); a text that a spreadsheet would take for a formula gets an apostrophe in front."""
    buffer = io.StringIO()
    writer = csv.writer(buffer)
    writer.writerow(columns)
    writer.writerows([_harmless(value) for value in row] for row in rows)
    content = buffer.getvalue().encode()
    return File(about, "text/csv; charset=utf-8", lambda: content, len(content))


def _harmless(value: object) -> object:
    formula = isinstance(value, str) and len(value) > 1 and value[0] in "=+-@"
    return f"'{value}" if formula else value
