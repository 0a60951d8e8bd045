from __future__ import annotations

import csv
from collections.abc import Iterator
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from nuclex.core.errors import InputError
from nuclex.inference import tables
from nuclex.inference.tables import check_table, write_rows

COLUMNS: dict[str, type] = {"id": str, "count": int, "share": float}
ROWS = [["a,b", 3, 1 / 3], ['quo"te', -7, float("nan")], ["ä\tß", 1 << 40, 1e-12]]


@pytest.mark.parametrize(("ending", "mark"), [("csv", ","), ("tsv", "\t")])
def test_text_has_so_many_digits_and_is_read_back(ending: str, mark: str, tmp_path: Path) -> None:
    path = tmp_path / f"out.{ending}"
    assert write_rows(path, COLUMNS, ROWS, digits=4) == 3
    with path.open(encoding="utf-8", newline="") as handle:
        names, *rows = csv.reader(handle, delimiter=mark)
    assert names == ["id", "count", "share"]
    assert rows == [["a,b", "3", "0.3333"], ['quo"te', "-7", ""], ["ä\tß", "1099511627776", "1e-12"]]


def test_parquet_has_all_digits(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tables, "AT_ONCE", 2)
    pulled = 0

    def rows() -> Iterator[list[object]]:
        nonlocal pulled
        for row in ROWS:
            pulled += 1
            yield row

    assert write_rows(tmp_path / "out.parquet", COLUMNS, rows()) == pulled == 3
    found = pq.read_table(tmp_path / "out.parquet")
    assert [str(kind) for kind in found.schema.types] == ["string", "int64", "double"]
    assert [list(row.values()) for row in found.to_pylist()] == [ROWS[0], [*ROWS[1][:2], None], ROWS[2]]
    write_rows(tmp_path / "none.parquet", COLUMNS, [])
    assert pq.read_table(tmp_path / "none.parquet").column_names == list(COLUMNS)


def test_other_endings_are_refused() -> None:
    check_table(Path("x.csv"))
    with pytest.raises(InputError, match=r"^x\.txt: a table is written to \.csv, \.tsv, \.parquet, found '\.txt'$"):
        check_table(Path("x.txt"))
    with pytest.raises(InputError, match=r"^x: a map is written to \.dbn, found 'no ending'$"):
        check_table(Path("x"), [".dbn"], "a map")
