"""Files of vectors: each as its own library reads it, with odd names, empty sequences and several parts."""

from __future__ import annotations

import sys
import warnings
import zipfile
from pathlib import Path

import anndata
import numpy as np
import pyarrow.parquet as pq
import pytest
from safetensors import safe_open

from nuclex.core.errors import InputError
from nuclex.inference import vectors
from nuclex.inference.parts import Part, Parts
from nuclex.inference.vectors import WRITERS, Sizes, writer_for

IDS = [["a", "b", "ä|ß"], ["a"], ["a", "long_" * 20, "b"]]
COUNTS = [[2, 0, 3], [1], [1, 4, 2]]
WIDTH = 3


@pytest.fixture
def parts(tmp_path: Path) -> Parts:
    """Three parts with ids that stand twice, letters beyond ASCII, and a sequence without a vector."""
    made, first = Parts(tmp_path / "parts"), 0
    for number, (names, counts) in enumerate(zip(IDS, COUNTS, strict=True)):
        rows = np.arange(first, first + sum(counts) * WIDTH, dtype=np.float32).reshape(-1, WIDTH) / 7
        first += rows.size
        lengths = np.array([10 * count + number for count in counts], dtype=np.int64)
        arrays = {"length": lengths, "tokens": np.array(counts, dtype=np.int64), "vectors": rows}
        made.add("x", Part({"id": names}, arrays))
    return made


NAMES = [name for names in IDS for name in names]
ALL_COUNTS = [count for counts in COUNTS for count in counts]
LENGTHS = [20, 0, 30, 11, 12, 42, 22]
ROWS = np.arange(13 * WIDTH, dtype=np.float32).reshape(13, WIDTH) / 7


def written(ending: str, parts: Parts, folder: Path, *, per_token: bool = True) -> Path:
    out = folder / f"out{ending}"
    writer_for(out)(out, parts, Sizes.of(parts, WIDTH), per_token)
    return out


@pytest.fixture(params=[1 << 24, 1], ids=["at once", "one by one"])
def _pieces(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(vectors, "NUMBERS_AT_ONCE", request.param)


def test_sizes_are_counted(parts: Parts) -> None:
    letters = sum(len(name.encode()) for name in NAMES)
    assert Sizes.of(parts, WIDTH) == Sizes(7, 13, 3, letters + 6, 100)
    assert Sizes.of(Parts(parts.folder), WIDTH) == Sizes(0, 0, 3, 0, 0)


@pytest.mark.usefixtures("_pieces")
def test_parquet(parts: Parts, tmp_path: Path) -> None:
    table = pq.read_table(written(".parquet", parts, tmp_path)).to_pydict()
    assert (table["id"], table["length"], table["tokens"]) == (NAMES, LENGTHS, ALL_COUNTS)
    assert table["width"] == [WIDTH] * 7
    assert np.array_equal(np.concatenate([np.array(row, np.float32) for row in table["embedding"]]), ROWS.ravel())
    assert [len(row) for row in table["embedding"]] == [count * WIDTH for count in ALL_COUNTS]


@pytest.mark.usefixtures("_pieces")
def test_npz(parts: Parts, tmp_path: Path) -> None:
    out = written(".npz", parts, tmp_path)
    with np.load(out, allow_pickle=False) as found:
        assert found["ids"].tolist() == NAMES
        assert found["lengths"].tolist() == LENGTHS
        assert found["offsets"].tolist() == [0, *np.cumsum(ALL_COUNTS).tolist()]
        assert np.array_equal(found["embeddings"], ROWS)
        assert (found["embeddings"].dtype, found["lengths"].dtype) == (np.float32, np.int64)
    assert zipfile.ZipFile(out).testzip() is None


@pytest.mark.usefixtures("_pieces")
def test_safetensors(parts: Parts, tmp_path: Path) -> None:
    with safe_open(written(".safetensors", parts, tmp_path), "numpy") as found:
        assert sorted(found.keys()) == ["embeddings", "ids", "lengths", "offsets"]
        assert bytes(found.get_tensor("ids")).decode().split() == NAMES
        assert found.get_tensor("lengths").tolist() == LENGTHS
        assert found.get_tensor("offsets").tolist() == [0, *np.cumsum(ALL_COUNTS).tolist()]
        assert np.array_equal(found.get_tensor("embeddings"), ROWS)


@pytest.mark.usefixtures("_pieces")
def test_h5ad_of_tokens(parts: Parts, tmp_path: Path) -> None:
    found = anndata.read_h5ad(written(".h5ad", parts, tmp_path))
    assert np.array_equal(found.X, ROWS)
    named = [
        (name, length, token)
        for name, length, count in zip(NAMES, LENGTHS, ALL_COUNTS, strict=True)
        for token in range(count)
    ]
    assert list(zip(found.obs["id"], found.obs["length"], found.obs["token"], strict=True)) == named
    twice = ["a", "a", *["ä|ß"] * 3, "a-1", "a-2", *["long_" * 20] * 4, "b-1", "b-1"]
    assert found.obs_names.tolist() == [f"{name}:{token}" for name, (_, _, token) in zip(twice, named, strict=True)]
    assert found.obs_names.is_unique
    assert found.var_names.tolist() == ["0", "1", "2"]


def test_h5ad_of_sequences_is_as_anndata_itself_writes_it(tmp_path: Path) -> None:
    parts = Parts(tmp_path / "parts")
    for number, names in enumerate((["x", "y", "x-1"], ["x", "z", "x"])):
        counts = np.ones(len(names), dtype=np.int64)
        rows = np.full((len(names), WIDTH), number, dtype=np.float32)
        parts.add("x", Part({"id": names}, {"length": counts * 5, "tokens": counts, "vectors": rows}))
    found = anndata.read_h5ad(written(".h5ad", parts, tmp_path, per_token=False))
    assert list(found.obs) == ["id", "length"]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # that names stand twice is what it is made for
        wanted = anndata.AnnData(np.zeros((6, 1), np.float32))
        wanted.obs_names = ["x", "y", "x-1", "x", "z", "x"]
        wanted.obs_names_make_unique()
    assert found.obs_names.tolist() == wanted.obs_names.tolist() == ["x", "y", "x-1", "x-2", "z", "x-3"]
    found.write_h5ad(tmp_path / "again.h5ad")
    again = anndata.read_h5ad(tmp_path / "again.h5ad", backed="r")
    assert np.array_equal(again.X[:], found.X)
    assert again.obs.equals(found.obs)
    again.file.close()


@pytest.mark.parametrize("ending", WRITERS)
def test_the_same_parts_are_the_same_bytes(ending: str, parts: Parts, tmp_path: Path) -> None:
    first = written(ending, parts, tmp_path).read_bytes()
    (tmp_path / "later").mkdir()
    assert written(ending, parts, tmp_path / "later").read_bytes() == first


def test_a_row_that_parquet_cannot_hold_is_refused(
    parts: Parts, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(vectors, "NUMBERS_AT_ONCE", 1)
    monkeypatch.setattr(vectors, "MOST_IN_A_ROW", 10)
    with pytest.raises(InputError, match=r"^long_.*: has 4 vectors; a row of Parquet holds at most 10 numbers"):
        written(".parquet", parts, tmp_path)


def test_a_missing_extra_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "h5py", None)
    with pytest.raises(
        InputError, match=r"v\.h5ad: writing \.h5ad needs the package 'h5py'.*pip install 'nuclex\[scverse\]'"
    ):
        writer_for(tmp_path / "v.h5ad")
    assert writer_for(tmp_path / "v.npz") is WRITERS[".npz"]
