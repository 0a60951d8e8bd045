"""Vectors by name are read alike from every kind of file, and what is wrong is named with file and line."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from nuclex.core.errors import InputError
from nuclex.data.vectors import read_vectors

NAMES = ["aspirin", "d 2", "ñ"]
NUMBERS = np.array([[0.5, -1.0], [2.0, 1e-3], [3.0, 4.0]], dtype=np.float32)


def npz(path: Path, **arrays: Any) -> Path:
    np.savez(path, **{"ids": np.array(NAMES), "embeddings": NUMBERS, **arrays})
    return path


def parquet(path: Path, **columns: Any) -> Path:
    pq.write_table(pa.table({"id": NAMES, "embedding": NUMBERS.tolist(), **columns}), path)
    return path


def text(path: Path, content: str) -> Path:
    path.write_text(content, encoding="utf-8")
    return path


CSV = "smiles_length,id,v1\n0.5,aspirin,-1\n2,d 2,1e-3\n3,ñ,4\n"


@pytest.mark.parametrize("make", [
    lambda folder: npz(folder / "a.npz"),
    lambda folder: npz(folder / "a.npz", embeddings=NUMBERS.astype(np.float64), offsets=np.arange(4)),
    lambda folder: parquet(folder / "a.parquet", tokens=[1, 1, 1]),
    lambda folder: text(folder / "a.csv", CSV),
    lambda folder: text(folder / "a.tsv", CSV.replace(",", "\t").replace("id", "key")),
    lambda folder: text(folder / "a.csv", "molecule,v0,v1\naspirin,0.5,-1\nd 2,2,0.001\nñ,3,4\n"),
])  # fmt: skip
def test_every_kind_of_file_says_the_same(tmp_path: Path, make: Callable[[Path], Path]) -> None:
    found = read_vectors(make(tmp_path))
    assert list(found.names) == NAMES
    assert found.numbers_KP.dtype == np.float32
    assert np.array_equal(found.numbers_KP, NUMBERS)
    assert (found.size, found.place["ñ"]) == (2, 2)


@pytest.mark.parametrize(("make", "sentence"), [
    (lambda f: text(f / "a.txt", CSV), r"a\.txt: the ending says how vectors are read; allowed: \.npz, \.parquet"),
    (lambda f: f / "none.npz", r"none\.npz: no such file of vectors"),
    (lambda f: text(f / "a.npz", "no zip"), r"a\.npz: cannot be read as \.npz"),
    (lambda f: text(f / "a.parquet", "no parquet"), r"a\.parquet: cannot be read as Parquet"),
    (lambda f: npz(f / "a.npz", ids=np.array([*NAMES[:2], "aspirin"])), r"a\.npz: the name 'aspirin' stands twice"),
    (lambda f: npz(f / "a.npz", ids=np.array(NAMES, dtype=object)), r"a\.npz: cannot be read as \.npz: .*allow_pickle"),
    (lambda f: npz(f / "a.npz", ids=np.arange(3)), r"a\.npz: 'ids' has shape \(3,\) and type int64; texts \(N,\) are"),
    (lambda f: npz(f / "a.npz", ids=np.array(NAMES[:2])), r"a\.npz: has 2 names for 3 vectors; one vector a name is"),
    (lambda f: npz(f / "a.npz", ids=np.array(NAMES[:2]), offsets=np.array([0, 1, 3])), r"a\.npz: has 2 names for 3"),
    (lambda f: npz(f / "a.npz", embeddings=NUMBERS[0]), r"'embeddings' has shape \(2,\) and type float32; numbers"),
    (lambda f: npz(f / "a.npz", embeddings=NUMBERS * np.nan), r"number 1 of the vector of 'aspirin' is not finite"),
    (lambda f: npz(f / "a.npz", embeddings=NUMBERS.astype(float) * 1e300),
     r"number 1 of the vector of 'aspirin' is not finite"),
    (lambda f: npz(f / "a.npz", ids=np.array(["a", " ", "b"])), r"a\.npz: vector 2 has no name; every one needs one"),
    (lambda f: parquet(f / "a.parquet", tokens=[1, 2, 1]), r"a\.parquet: has several vectors a name; one is needed"),
    (lambda f: parquet(f / "a.parquet", embedding=[[1.0], [1.0, 2.0], [3.0]]),
     r"a\.parquet: the vector of 'd 2' has 2 numbers, that of 'aspirin' 1; all are as long as each other"),
    (lambda f: parquet(f / "a.parquet", embedding=[[1.0], None, [3.0]]), r"the vector of 'd 2' is None; a list of"),
    (lambda f: parquet(f / "a.parquet", embedding=["x", "y", "z"]), r"the vector of 'aspirin' is 'x'; a list of"),
    (lambda f: text(f / "a.csv", "id,v0\na,1\nb,x\n"), r"a\.csv:3: the column 'v0' has 'x'; a number is needed"),
    (lambda f: text(f / "a.csv", "id,v0\na,1\nb,inf\n"), r"a\.csv:3: number 1 of the vector of 'b' is not finite"),
    (lambda f: text(f / "a.csv", "id,v0\na,1\na,2\n"), r"a\.csv:3: the name 'a' stands twice; one vector a name"),
    (lambda f: text(f / "a.csv", "id,v0\na,1\nb,1,2\n"), r"a\.csv:3: found 3 fields, the first line has 2"),
    (lambda f: text(f / "a.csv", "id,v0\n"), r"a\.csv: is empty; a line with the columns' names and at least one row"),
    (lambda f: text(f / "a.csv", "id\na\n"), r"a\.csv: holds no vector; a name and its numbers are needed"),
])  # fmt: skip
def test_what_is_wrong_is_named(tmp_path: Path, make: Callable[[Path], Path], sentence: str) -> None:
    with pytest.raises(InputError, match=sentence) as caught:
        read_vectors(make(tmp_path))
    assert "\n" not in str(caught.value)


def test_a_file_that_calls_things_otherwise_says_what_it_has(tmp_path: Path) -> None:
    np.savez(tmp_path / "a.npz", drugs=np.array(["a"]), embeddings=np.ones((1, 2)))
    with pytest.raises(InputError, match=r"a\.npz: has no 'ids'; found 'drugs', 'embeddings'; called 'ids' or 'id' or"):
        read_vectors(tmp_path / "a.npz")
