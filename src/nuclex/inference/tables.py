"""Rows of results as a table: .csv, .tsv or .parquet, written as the rows come."""

from __future__ import annotations

import csv
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import islice
from math import isnan
from pathlib import Path
from typing import Any

from nuclex.core.errors import InputError

TABLES = (".csv", ".tsv", ".parquet")
AT_ONCE = 4096
Row = Sequence[Any]


def check_table(out: Path, endings: Sequence[str] = TABLES, what: str = "a table") -> None:
    """InputError for an ending that says no way to write."""
    if out.suffix not in endings:
        found = out.suffix or "no ending"
        raise InputError(f"{out}: {what} is written to {', '.join(endings)}, found {found!r}")


def write_rows(path: Path, columns: Mapping[str, type], rows: Iterable[Row], digits: int = 9) -> int:
    """Write rows of text, whole numbers and floats under named columns; returns how many.

    In text, floats have so many significant digits; one that is not a number is an empty field (null in Parquet, where
    floats are of double precision).
    """
    if path.suffix == ".parquet":
        return _write_parquet(path, columns, iter(rows))
    count = 0
    with path.open("w", encoding="utf-8", newline="") as handle:
        table = csv.writer(handle, delimiter="\t" if path.suffix == ".tsv" else ",", lineterminator="\n")
        table.writerow(columns)
        for row in rows:
            table.writerow([_shown(value, digits) for value in row])
            count += 1
    return count


def _shown(value: Any, digits: int) -> Any:
    if not isinstance(value, float):
        return value
    return "" if isnan(value) else f"{value:.{digits}g}"


def _write_parquet(path: Path, columns: Mapping[str, type], rows: Iterator[Row]) -> int:
    import pyarrow as pa
    import pyarrow.parquet as pq

    kinds = {str: pa.string(), int: pa.int64(), float: pa.float64()}
    schema = pa.schema([(name, kinds[kind]) for name, kind in columns.items()])
    count = 0
    with pq.ParquetWriter(path, schema) as writer:
        while chunk := list(islice(rows, AT_ONCE)):
            arrays = [
                pa.array(values, kinds[kind], from_pandas=True)
                for values, kind in zip(zip(*chunk, strict=True), columns.values(), strict=True)
            ]
            writer.write_table(pa.Table.from_arrays(arrays, schema=schema))
            count += len(chunk)
    return count
