"""Files of vectors: Parquet, NumPy's .npz, safetensors and AnnData's .h5ad, written part by part.

Sizes are counted before anything is written, so that each file is one pass over the parts and none is ever in memory.

================ ====================================================================================================
.parquet         a row a sequence: ``id``, ``length`` (letters), ``tokens``, ``width``, ``embedding`` (the ``tokens`` x
                 ``width`` numbers row by row; one row where pooled)
.npz             ``ids`` (N,), ``lengths`` (N,), ``offsets`` (N + 1,), ``embeddings`` (R, D): sequence i has the rows
                 ``offsets[i]`` to ``offsets[i + 1]``
.safetensors     the same, but ``ids`` is UTF-8 text with a line an id, as bytes: ``bytes(ids).decode().split()``
.h5ad            ``X`` is (R, D); a row is a sequence or, without pooling, a token; ``obs`` has ``id``, ``length`` and,
                 without pooling, ``token`` (its place, from 0). Names of rows are ids, and ``id:token`` for tokens; an
                 id that stands twice gets ``-1``, ``-2``, … as by AnnData's ``obs_names_make_unique``, for which all
                 ids are held in memory.
================ ====================================================================================================
"""

from __future__ import annotations

import itertools
import json
import zipfile
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from nuclex.core.errors import InputError, missing_extra
from nuclex.data.sample import budget_cuts
from nuclex.inference.parts import Part, Parts

if TYPE_CHECKING:
    import h5py

NUMBERS_AT_ONCE = 1 << 24
"""Numbers of vectors handled together (64 MB)."""
MOST_IN_A_ROW = (1 << 31) - 1
"""Numbers that one row of Parquet can hold."""


@dataclass(frozen=True)
class Sizes:
    """Of all parts together: sequences N, rows R, width D, and of the ids the bytes and the letters of the longest."""

    sequences: int
    rows: int
    width: int
    id_bytes: int
    longest_id: int

    @classmethod
    def of(cls, parts: Parts, width: int) -> Sizes:
        """Count."""
        sequences = rows = id_bytes = longest = 0
        for part in parts:
            names = part.texts["id"]
            sequences, rows = sequences + len(names), rows + len(part.arrays["vectors"])
            id_bytes += sum(len(name.encode()) + 1 for name in names)
            longest = max(longest, *map(len, names))
        return cls(sequences, rows, width, max(id_bytes - 1, 0), longest)


Writer = Callable[[Path, Parts, Sizes, bool], None]
"""Writes parts, gone through several times, into a file; the last says whether a row is a token."""


def writer_for(out: Path) -> Writer:
    """What writes a file of this ending; InputError for another ending, or where what it needs is not installed."""
    if out.suffix not in WRITERS:
        raise InputError(f"{out}: the ending says how to write; allowed: {', '.join(WRITERS)}")
    if out.suffix == ".h5ad":
        try:
            import h5py  # noqa: F401
        except ImportError:
            raise missing_extra("h5py", "scverse", f"{out}: writing .h5ad") from None
    return WRITERS[out.suffix]


def _slices(parts: Parts, width: int) -> Iterator[tuple[Part, slice, slice]]:
    """Each part in pieces of whole sequences that fit into memory: the sequences and their rows."""
    for part in parts:
        tokens_N = part.arrays["tokens"]
        stops_N = np.concatenate([[0], np.cumsum(tokens_N)])
        for first, last in itertools.pairwise(budget_cuts(tokens_N * width, NUMBERS_AT_ONCE)):
            yield part, slice(first, last), slice(int(stops_N[first]), int(stops_N[last]))


def _write_parquet(path: Path, parts: Parts, sizes: Sizes, per_token: bool) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    numbers = pa.list_(pa.float32())
    fields = [("id", pa.string()), *((name, pa.int64()) for name in ("length", "tokens", "width"))]
    schema = pa.schema([*fields, ("embedding", numbers)])
    with pq.ParquetWriter(path, schema) as writer:
        for part, some, rows in _slices(parts, sizes.width):
            tokens_N = np.asarray(part.arrays["tokens"][some])
            ends_N = np.concatenate([[0], np.cumsum(tokens_N * sizes.width)])
            if ends_N[-1] > MOST_IN_A_ROW:
                name = part.texts["id"][some.start]
                raise InputError(
                    f"{name}: has {tokens_N.max()} vectors; a row of Parquet holds at most {MOST_IN_A_ROW} numbers, "
                    "so write .npz or .safetensors"
                )
            values = pa.array(np.asarray(part.arrays["vectors"][rows]).ravel())
            columns = [
                pa.array(part.texts["id"][some], pa.string()),
                pa.array(part.arrays["length"][some], pa.int64()),
                pa.array(tokens_N, pa.int64()),
                pa.array(np.full(len(tokens_N), sizes.width), pa.int64()),
                pa.ListArray.from_arrays(pa.array(ends_N, pa.int32()), values, type=numbers),
            ]
            writer.write_table(pa.table(columns, schema=schema))


@dataclass(frozen=True)
class _Column:
    """One array of a file: its name, kind and shape, and its content piece by piece."""

    name: str
    kind: np.dtype[Any]
    shape: tuple[int, ...]
    pieces: Iterator[NDArray[Any]]

    def write(self, handle: IO[bytes]) -> None:
        """The content, end to end, little-endian."""
        for piece in self.pieces:
            handle.write(np.ascontiguousarray(piece, dtype=self.kind).data.cast("B") if piece.size else b"")

    @property
    def bytes(self) -> int:
        """The size of the content."""
        return int(np.prod(self.shape, dtype=object)) * self.kind.itemsize


def _columns(parts: Parts, sizes: Sizes, ids: _Column) -> list[_Column]:
    whole, number = np.dtype("<i8"), np.dtype("<f4")
    vectors = (part.arrays["vectors"][rows] for part, _, rows in _slices(parts, sizes.width))
    return [
        _Column("lengths", whole, (sizes.sequences,), (part.arrays["length"] for part in parts)),
        _Column("offsets", whole, (sizes.sequences + 1,), _offsets(parts)),
        _Column("embeddings", number, (sizes.rows, sizes.width), vectors),
        ids,
    ]


def _offsets(parts: Parts) -> Iterator[NDArray[np.int64]]:
    total = 0
    yield np.zeros(1, dtype=np.int64)
    for part in parts:
        ends_N = total + np.cumsum(part.arrays["tokens"])
        total = int(ends_N[-1])
        yield ends_N


def _write_npz(path: Path, parts: Parts, sizes: Sizes, per_token: bool) -> None:
    kind = np.dtype(f"<U{max(sizes.longest_id, 1)}")
    ids = _Column("ids", kind, (sizes.sequences,), (np.array(part.texts["id"], dtype=kind) for part in parts))
    with zipfile.ZipFile(path, "w") as archive:
        for column in _columns(parts, sizes, ids):
            with archive.open(f"{column.name}.npy", "w", force_zip64=True) as member:
                facts = {"descr": column.kind.str, "fortran_order": False, "shape": column.shape}
                np.lib.format.write_array_header_1_0(member, facts)
                column.write(member)


def _write_safetensors(path: Path, parts: Parts, sizes: Sizes, per_token: bool) -> None:
    ids = _Column("ids", np.dtype("u1"), (sizes.id_bytes,), _lines(parts))
    columns = _columns(parts, sizes, ids)
    header: dict[str, Any] = {}
    names, place = {"<i8": "I64", "<f4": "F32", "|u1": "U8"}, 0
    for column in columns:
        end = place + column.bytes
        header[column.name] = {"dtype": names[column.kind.str], "shape": column.shape, "data_offsets": (place, end)}
        place = end
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)  # so that the numbers behind it lie at multiples of eight bytes
    with path.open("wb") as handle:
        handle.write(len(text).to_bytes(8, "little") + text)
        for column in columns:
            column.write(handle)


def _lines(parts: Parts) -> Iterator[NDArray[np.uint8]]:
    for number, part in enumerate(parts):
        text = ("\n" if number else "") + "\n".join(part.texts["id"])
        yield np.frombuffer(text.encode(), dtype=np.uint8)


def _write_h5ad(path: Path, parts: Parts, sizes: Sizes, per_token: bool) -> None:
    """AnnData's on-disk format, which no library writes piece by piece."""
    import h5py

    names, seen = ["id", "length", *(["token"] if per_token else [])], Counter[str]()
    with h5py.File(path, "w", locking=False) as file:  # locked already: it is in the making
        _mark(file, "anndata", "0.1.0")
        for name in ("layers", "obsm", "obsp", "uns", "varm", "varp"):
            _mark(file.create_group(name), "dict", "0.1.0")
        values = file.create_dataset("X", (sizes.rows, sizes.width), "<f4")
        _mark(values, "array", "0.2.0")
        var = _frame(file, "var", sizes.width, [])
        var["_index"][...] = [str(place) for place in range(sizes.width)]
        obs, place = _frame(file, "obs", sizes.rows, names), 0
        for part, some, rows in _slices(parts, sizes.width):
            tokens_N, to = np.asarray(part.arrays["tokens"][some]), place + rows.stop - rows.start
            ids = part.texts["id"][some]
            rows_of = [_unique(seen, name) for name in ids]
            token_R = np.arange(to - place) - np.repeat(np.cumsum(tokens_N) - tokens_N, tokens_N)
            if per_token:
                obs["token"][place:to] = token_R
                ids, rows_of = _repeated(ids, tokens_N), _repeated(rows_of, tokens_N)
                rows_of = [f"{name}:{token}" for name, token in zip(rows_of, token_R.tolist(), strict=True)]
            obs["_index"][place:to], obs["id"][place:to] = rows_of, ids
            obs["length"][place:to] = np.repeat(part.arrays["length"][some], tokens_N)
            values[place:to] = part.arrays["vectors"][rows]
            place = to


def _unique(seen: Counter[str], name: str) -> str:
    """The name, with a number where it was there before."""
    seen[name] += 1
    if seen[name] == 1:
        return name
    while (numbered := f"{name}-{seen[name] - 1}") in seen:
        seen[name] += 1
    seen[numbered] = 1
    return numbered


def _repeated(texts: list[str], counts: NDArray[np.int64]) -> list[str]:
    return [text for text, count in zip(texts, counts.tolist(), strict=True) for _ in range(count)]


def _frame(file: h5py.File, name: str, rows: int, columns: list[str]) -> h5py.Group:
    """An empty table with a column of names; ``id`` holds text, every other column whole numbers."""
    import h5py

    group = file.create_group(name)
    _mark(group, "dataframe", "0.2.0")
    group.attrs["_index"] = "_index"
    group.attrs.create("column-order", np.array(columns, dtype=object), dtype=h5py.string_dtype())
    for column in ("_index", *columns):
        if column in ("_index", "id"):
            _mark(group.create_dataset(column, (rows,), h5py.string_dtype()), "string-array", "0.2.0")
        else:
            _mark(group.create_dataset(column, (rows,), "<i8"), "array", "0.2.0")
    return group


def _mark(thing: h5py.HLObject, kind: str, version: str) -> None:
    thing.attrs["encoding-type"], thing.attrs["encoding-version"] = kind, version


WRITERS: dict[str, Writer] = {
    ".parquet": _write_parquet,
    ".npz": _write_npz,
    ".safetensors": _write_safetensors,
    ".h5ad": _write_h5ad,
}
"""By the ending of the file."""
