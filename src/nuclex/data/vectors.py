"""Vectors that another program computed, one for each name: of small molecules, of proteins, of anything.

============= ==========================================================================================================
.npz          NumPy's: the names in ``ids`` (N,), the numbers in ``embeddings`` (N, P); so ``nuclex embed`` writes them
.parquet      a row each: the name in ``id``, the numbers as a list in ``embedding``; so ``nuclex embed`` does, too
.csv .tsv     a row each: the name in the column ``id``, else in the first; every other column holds numbers
============= ==========================================================================================================
"""

from __future__ import annotations

import zipfile
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nuclex.core.errors import InputError, at, one_line, shown
from nuclex.data.compression import opened
from nuclex.data.table import delimiter_of, rows

ENDINGS = (".npz", ".parquet", ".csv", ".tsv")
NAMES, NUMBERS = ("ids", "id", "keys", "key"), ("embeddings", "embedding", "vectors", "vector")
"""What the names and the numbers are called in a file, the usual first."""
Floats = NDArray[np.float32]


@dataclass(frozen=True, eq=False)
class Vectors:
    """K different names, a vector of P finite numbers for each, and where they came from, for messages."""

    names: tuple[str, ...]
    numbers_KP: Floats
    origin: str

    @classmethod
    def of(cls, names: Sequence[str], numbers_KP: NDArray[Any], origin: str, lines: Sequence[int] = ()) -> Vectors:
        """Checked; InputError for a name that stands twice or is none, and for a number that is not finite.

        ``lines`` are those of a text file, for messages.
        """
        where = [at(origin, line) for line in lines] or [origin] * len(names)
        with np.errstate(over="ignore", invalid="ignore"):
            found_KP = np.ascontiguousarray(numbers_KP, dtype=np.float32)
        if not len(names) or not found_KP.shape[1]:
            raise InputError(f"{origin}: holds no vector; a name and its numbers are needed, at least one of each")
        met = set[str]()
        for place, name in enumerate(names):
            if not name:
                raise InputError(f"{where[place]}: vector {place + 1} has no name; every one needs one")
            if name in met:
                raise InputError(f"{where[place]}: the name {shown(name)} stands twice; one vector a name is needed")
            met.add(name)
            if not np.isfinite(found_KP[place]).all():
                bad = int(np.flatnonzero(~np.isfinite(found_KP[place]))[0])
                raise InputError(
                    f"{where[place]}: number {bad + 1} of the vector of {shown(name)} is not finite (in 32 bits); "
                    "all have to be"
                )
        return cls(tuple(names), found_KP, origin)

    @property
    def size(self) -> int:
        """How many numbers P each vector has."""
        return int(self.numbers_KP.shape[1])

    @cached_property
    def place(self) -> dict[str, int]:
        """The row of each name."""
        return {name: row for row, name in enumerate(self.names)}


def read_vectors(path: str | Path) -> Vectors:
    """The vectors of a file, whose ending says how it is read.

    InputError with file and line (or name): another ending, no names, a name that stands twice, vectors of different
    sizes, a number that is none or is not finite.
    """
    path = Path(path)
    if path.suffix not in ENDINGS:
        raise InputError(f"{path}: the ending says how vectors are read; allowed: {', '.join(ENDINGS)}")
    if not path.is_file():
        raise InputError(f"{path}: no such file of vectors")
    if path.suffix == ".npz":
        return _npz(path)
    return _parquet(path) if path.suffix == ".parquet" else _text(path)


def _npz(path: Path) -> Vectors:
    try:
        with np.load(path, allow_pickle=False) as file:
            found = {name: file[name] for name in (*NAMES, *NUMBERS, "offsets") if name in file.files}
            others = list(file.files)
    except (ValueError, OSError, EOFError, KeyError, zipfile.BadZipFile) as error:
        raise InputError(f"{path}: cannot be read as .npz: {one_line(str(error))}") from None
    names, numbers = (_called(wanted, found, others, path) for wanted in (NAMES, NUMBERS))
    name_K, numbers_KP = found[names], found[numbers]
    if name_K.ndim != 1 or name_K.dtype.kind not in "US":
        raise InputError(f"{path}: {names!r} has shape {name_K.shape} and type {name_K.dtype}; texts (N,) are needed")
    if numbers_KP.ndim != 2 or numbers_KP.dtype.kind not in "fiu":
        raise InputError(
            f"{path}: {numbers!r} has shape {numbers_KP.shape} and type {numbers_KP.dtype}; numbers (N, P) are needed"
        )
    several = "offsets" in found and not np.array_equal(found["offsets"], np.arange(len(name_K) + 1))
    if several or len(name_K) != len(numbers_KP):
        raise InputError(
            f"{path}: has {len(name_K)} names for {len(numbers_KP)} vectors; one vector a name is needed "
            "(nuclex embed: --pool mean)"
        )
    texts = name_K.astype(str) if name_K.dtype.kind == "U" else np.char.decode(name_K, "utf-8", "replace")
    return Vectors.of([text.strip() for text in texts.tolist()], numbers_KP, str(path))


def _parquet(path: Path) -> Vectors:
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        with pq.ParquetFile(path) as file:
            columns = file.schema_arrow.names
            names, numbers = (_called(wanted, columns, columns, path) for wanted in (NAMES, NUMBERS))
            table = file.read(columns=[names, numbers, *(["tokens"] if "tokens" in columns else [])])
        lists = table.column(numbers).to_pylist()
        texts = ["" if name is None else str(name).strip() for name in table.column(names).to_pylist()]
    except (pa.ArrowException, OSError, UnicodeDecodeError) as error:
        raise InputError(f"{path}: cannot be read as Parquet: {one_line(str(error))}") from None
    if "tokens" in table.column_names and set(table.column("tokens").to_pylist()) - {1}:
        raise InputError(f"{path}: has several vectors a name; one is needed (nuclex embed: --pool mean)")
    for text, values in zip(texts, lists, strict=True):
        if not isinstance(values, list) or not all(isinstance(value, float | int) for value in values):
            raise InputError(f"{path}: the vector of {shown(text)} is {shown(values)}; a list of numbers is needed")
    return Vectors.of(texts, _stacked(texts, lists, [str(path)] * len(texts)), str(path))


def _text(path: Path) -> Vectors:
    with opened(path, str(path)) as text:
        found = list(rows(text, delimiter_of(text.peek(), path.suffix.removeprefix("."))))
    if len(found) < 2:
        raise InputError(f"{path}: is empty; a line with the columns' names and at least one row are needed")
    (_, columns), kept = found[0], found[1:]
    place = next((columns.index(name) for name in NAMES if name in columns), 0)
    names = [fields[place].strip() for _, fields in kept]
    lists = [
        [_number(field, column, at(path, line)) for column, field in zip(columns, fields, strict=True)
         if column is not columns[place]]
        for line, fields in kept
    ]  # fmt: skip
    lines = [line for line, _ in kept]
    return Vectors.of(names, _stacked(names, lists, [at(path, line) for line in lines]), str(path), lines)


def _number(text: str, column: str, where: str) -> float:
    try:
        return float(text)
    except ValueError:
        raise InputError(f"{where}: the column {shown(column)} has {shown(text)}; a number is needed") from None


def _called(wanted: Sequence[str], found: Iterable[str], columns: Sequence[str], path: Path) -> str:
    """The first of the wanted names that is there; InputError that says what is."""
    known = set(found)
    for name in wanted:
        if name in known:
            return name
    there = ", ".join(shown(name, 30) for name in columns[:12]) or "nothing"
    raise InputError(f"{path}: has no {wanted[0]!r}; found {there}; called {' or '.join(map(repr, wanted))} it is read")


def _stacked(names: Sequence[str], lists: Sequence[Sequence[float]], where: Sequence[str]) -> NDArray[np.float64]:
    """Rows of numbers as one (K, P); InputError for the first that is not as long as the one before it."""
    for place, values in enumerate(lists):
        if len(values) != len(lists[0]):
            raise InputError(
                f"{where[place]}: the vector of {shown(names[place])} has {len(values)} numbers, that of "
                f"{shown(names[0])} {len(lists[0])}; all are as long as each other"
            )
    return np.asarray(lists, dtype=np.float64).reshape(len(lists), -1)
