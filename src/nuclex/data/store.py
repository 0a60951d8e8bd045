"""A corpus on disk: Arrow files that are mapped into memory, so that any sequence is one slice away.

The columns are id, sequence, length, source, cluster, split and family (null where unknown). The files are Arrow IPC
files, uncompressed; pyarrow, polars and datasets open them as they are. Rows are counted over all files in order.
"""

from __future__ import annotations

import hashlib
from bisect import bisect_right
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any, Self

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from nuclex.core.artifact import MANIFEST, verify_folder
from nuclex.core.errors import CorruptError, InputError, one_line
from nuclex.core.plain import from_json
from nuclex.data.split import SPLITS

CORPUS = "corpus.json"
FORMAT = {"format": "nuclex corpus", "format_version": 1}
SCHEMA = pa.schema(
    [
        ("id", pa.string()),
        ("sequence", pa.large_string()),
        ("length", pa.int64()),
        ("source", pa.string()),
        ("cluster", pa.int64()),
        ("split", pa.string()),
        ("family", pa.string()),
    ]
)
BATCH_ROWS, BATCH_BYTES = 65536, 1 << 24
"""A batch of rows is written as soon as it has this many sequences or letters."""
LETTERS_AT_ONCE = 1 << 20
"""Letters that are computed with at once."""
_FILE_BYTES = 1 << 30


class StoreWriter:
    """Writes ``sequences-*.arrow`` from batches, gathered to a good size, and computes the fingerprint meanwhile.

    The fingerprint is a sha256 over what training depends on: sequences, clusters and splits, in order.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._letters, self._clusters, self._splits = hashlib.sha256(), hashlib.sha256(), hashlib.sha256()
        self._held: list[pa.RecordBatch] = []
        self._rows = self._bytes = self._number = self._written = 0
        self._writer = pa.ipc.new_file(_file(folder, 0), SCHEMA)

    def add(self, batch: pa.RecordBatch) -> None:
        """Take rows with all columns of ``SCHEMA``."""
        self._held.append(batch)
        self._rows += batch.num_rows
        self._bytes += batch.column("sequence").nbytes
        if self._rows >= BATCH_ROWS or self._bytes >= BATCH_BYTES:
            self._flush()

    def close(self) -> str:
        """Write what is left, finish the files and return the fingerprint."""
        self._flush()
        self._writer.close()
        return _united(self._letters.digest(), self._clusters.digest(), self._splits.digest())

    def _flush(self) -> None:
        if not self._rows:
            return
        if self._written >= _FILE_BYTES:
            self._writer.close()
            self._number, self._written = self._number + 1, 0
            self._writer = pa.ipc.new_file(_file(self.folder, self._number), SCHEMA)
        for batch in pa.Table.from_batches(self._held).combine_chunks().to_batches():
            self._writer.write_batch(batch)
            for lines in lined(batch.column("sequence")):
                self._letters.update(lines)
            self._clusters.update(batch.column("cluster").to_numpy().astype("<i8").tobytes())
            self._splits.update(_split_codes(batch.column("split")).astype("<u1").tobytes())
        self._written += self._bytes
        self._held, self._rows, self._bytes = [], 0, 0


class Corpus:
    """Sequences with their clusters and splits, opened for reading; nothing is loaded until it is asked for."""

    def __init__(self, path: Path, manifest: dict[str, Any], batches: list[pa.RecordBatch]) -> None:
        self.path, self.manifest = path, manifest
        self._batches = batches
        self._starts = np.concatenate([[0], np.cumsum([batch.num_rows for batch in batches])]).astype(np.int64).tolist()
        self._letters = [letters(batch.column("sequence")) for batch in batches]
        self._cache: dict[str, Any] = {}

    @classmethod
    def open(cls, path: str | Path, verify: bool = True) -> Self:
        """Open a folder that ``nuclex corpus build`` wrote; with ``verify`` every file is checked against its sha256.

        Raises InputError where there is no such corpus, CorruptError where it is not what was written.
        """
        path = Path(path)
        if not (path / CORPUS).is_file() and not (path / MANIFEST).is_file():
            raise InputError(f"{path}: is not a corpus (no {CORPUS} in it); make one with 'nuclex corpus build'")
        if verify:
            verify_folder(path)
        manifest = read_manifest(path)
        batches = [batch for name in manifest["files"] for batch in _batches(path / name, verify)]
        rows = sum(batch.num_rows for batch in batches)
        if rows != manifest["sequences_out"]:
            raise CorruptError(f"{path}: holds {rows} sequences, {CORPUS} says {manifest['sequences_out']}")
        return cls(path, manifest, batches)

    def __len__(self) -> int:
        return int(self._starts[-1])

    def __reduce__(self) -> tuple[Any, ...]:
        # another process maps the files itself; they were verified here
        return (Corpus.open, (self.path, False))

    def sequence(self, row: int) -> bytes:
        """The letters of one sequence, copied from the mapped file."""
        number, place = self._place(row)
        data, offsets = self._letters[number]
        return bytes(data[offsets[place] : offsets[place + 1]])

    def ids(self, row: int) -> str:
        """The id that one sequence had in its file; ids need not be unique."""
        number, place = self._place(row)
        return str(self._batches[number].column("id")[place].as_py())

    @property
    def fingerprint(self) -> str:
        """sha256 over sequences, clusters and splits: equal corpora, and only they, train equal models."""
        return str(self.manifest["fingerprint"])

    @property
    def lengths(self) -> NDArray[np.int64]:
        """Nucleotides of each sequence (N,)."""
        return self._numbers("length")

    @property
    def clusters(self) -> NDArray[np.int64]:
        """Cluster of each sequence (N,), numbered from 0."""
        return self._numbers("cluster")

    @property
    def split_codes(self) -> NDArray[np.int8]:
        """Split of each sequence (N,): 0 train, 1 validation, 2 test."""
        return self._codes("split", list(SPLITS)).astype(np.int8)

    @property
    def sources(self) -> tuple[NDArray[np.int64], list[str]]:
        """Source of each sequence (N,) as an index into the list of their names."""
        names = [source["name"] for source in self.manifest["sources"]]
        return self._codes("source", names), names

    @property
    def families(self) -> list[str | None] | None:
        """Family of each sequence (None where unknown), or None where no sequence has one."""
        if "family" not in self._cache:
            column = [name for batch in self._batches for name in batch.column("family").to_pylist()]
            self._cache["family"] = column if any(name is not None for name in column) else None
        families: list[str | None] | None = self._cache["family"]
        return families

    def indices(self, split: str) -> NDArray[np.int64]:
        """The rows of one split, ascending."""
        if split not in SPLITS:
            raise InputError(f"split: found {split!r}, allowed: {', '.join(SPLITS)}")
        return np.flatnonzero(self.split_codes == SPLITS.index(split)).astype(np.int64)

    def batches(self, *splits: str) -> Iterator[pa.RecordBatch]:
        """The rows of these splits in order, block by block, as they lie in the mapped files."""
        import pyarrow.compute as pc

        for batch in self._batches:
            kept = pc.is_in(batch.column("split"), value_set=pa.array(splits, pa.string()))
            yield batch if kept.true_count == batch.num_rows else batch.filter(kept)

    def computed_fingerprint(self) -> str:
        """The fingerprint computed anew from the rows; equal to ``fingerprint`` unless something was changed."""
        sequences = hashlib.sha256()
        for batch in self._batches:
            for lines in lined(batch.column("sequence")):
                sequences.update(lines)
        return _fingerprint(sequences.digest(), self.clusters, self.split_codes)

    def _place(self, row: int) -> tuple[int, int]:
        if not 0 <= row < self._starts[-1]:
            raise IndexError(f"row {row} of a corpus of {len(self)} sequences")
        number = bisect_right(self._starts, row) - 1
        return number, row - self._starts[number]

    def _numbers(self, name: str) -> NDArray[np.int64]:
        if name not in self._cache:
            parts = [batch.column(name).to_numpy() for batch in self._batches]
            self._cache[name] = np.concatenate([np.zeros(0, dtype=np.int64), *parts])
            self._cache[name].setflags(write=False)
        numbers: NDArray[np.int64] = self._cache[name]
        return numbers

    def _codes(self, name: str, names: list[str]) -> NDArray[np.int64]:
        import pyarrow.compute as pc

        if name not in self._cache:
            parts = [pc.index_in(batch.column(name), value_set=pa.array(names, pa.string())) for batch in self._batches]
            if any(part.null_count for part in parts):
                raise CorruptError(f"{self.path}: a {name} is none of {', '.join(names)}")
            self._cache[name] = np.concatenate([np.zeros(0, dtype=np.int64), *(part.to_numpy() for part in parts)])
            self._cache[name].setflags(write=False)
        codes: NDArray[np.int64] = self._cache[name]
        return codes


def read_manifest(path: Path) -> dict[str, Any]:
    """The ``corpus.json`` of a corpus; CorruptError where it is not one."""
    try:
        manifest = from_json((path / CORPUS).read_bytes())
        known = all(manifest[key] == value for key, value in FORMAT.items())
        texts = [*manifest["files"], *(source["name"] for source in manifest["sources"]), manifest["fingerprint"]]
        if not all(isinstance(text, str) for text in texts) or not isinstance(manifest["sequences_out"], int):
            raise TypeError
        if any(Path(name).name != name for name in manifest["files"]):
            raise ValueError  # a file of a corpus lies in it
    except (OSError, ValueError, KeyError, TypeError):
        raise CorruptError(f"{path / CORPUS}: is not the readable manifest of a corpus") from None
    if not known:
        raise InputError(f"{path / CORPUS}: is of version {manifest['format_version']}, this nuclex reads 1")
    return dict(manifest)


def store_files(folder: Path) -> list[str]:
    """The names of the Arrow files of a corpus, in order."""
    return sorted(path.name for path in folder.glob("sequences-*.arrow"))


def _file(folder: Path, number: int) -> Path:
    return folder / f"sequences-{number:05d}.arrow"


def _batches(path: Path, verify: bool) -> list[pa.RecordBatch]:
    try:
        reader = pa.ipc.open_file(pa.memory_map(str(path)))
        if not reader.schema.equals(SCHEMA):
            raise CorruptError(f"{path}: its columns are not those of a corpus")
        batches = [reader.get_batch(number) for number in range(reader.num_record_batches)]
        for batch in batches if verify else ():
            batch.validate(
                full=True
            )  # Arrow itself follows any offset that a file gives, out of the file and into a crash
            _refuse_contradiction(path, batch)
        return batches
    except (OSError, pa.ArrowException) as error:
        raise CorruptError(f"{path}: is not a readable Arrow file: {one_line(str(error))}") from None


def _refuse_contradiction(path: Path, batch: pa.RecordBatch) -> None:
    import pyarrow.compute as pc

    for name in SCHEMA.names:
        if name != "family" and batch.column(name).null_count:
            raise CorruptError(f"{path}: the column {name} has holes")
    if not pc.binary_length(batch.column("sequence")).cast(pa.int64()).equals(batch.column("length")):
        raise CorruptError(f"{path}: a sequence is not as long as the column length says")


def letters(column: pa.Array) -> tuple[memoryview, memoryview]:
    """The bytes of a (large) text column and the N + 1 offsets of its values."""
    _, offsets, data = column.buffers()
    numbers = memoryview(offsets).cast("q")[column.offset : column.offset + len(column) + 1]
    return memoryview(data if data is not None else b""), numbers


def sequences_of(column: pa.Array) -> Iterator[bytes]:
    """The sequences of a text column, one at a time."""
    data, offsets = letters(column)
    for place in range(len(column)):
        yield bytes(data[offsets[place] : offsets[place + 1]])


def lined(column: pa.Array) -> Iterator[bytes]:
    """The sequences of a text column, each followed by the end of a line; some million letters at a time."""
    data, offsets = letters(column)
    offsets_N1, text = np.asarray(offsets), np.frombuffer(data, dtype=np.uint8)
    for first, last in runs(offsets_N1):
        ends = offsets_N1[first + 1 : last + 1] - offsets_N1[first] + np.arange(last - first)
        lines = np.empty(int(ends[-1]) + 1, dtype=np.uint8)
        kept = np.ones(len(lines), dtype=bool)
        kept[ends] = False
        lines[kept] = text[offsets_N1[first] : offsets_N1[last]]
        lines[ends] = ord("\n")
        yield lines.tobytes()


def runs(offsets_N1: NDArray[np.int64]) -> list[tuple[int, int]]:
    """Consecutive rows in runs of about a million letters, so that what is computed for each letter stays small."""
    number = (offsets_N1[1:] - offsets_N1[0]) // LETTERS_AT_ONCE
    cuts = [0, *(np.flatnonzero(np.diff(number)) + 1).tolist(), len(number)]
    return [(first, last) for first, last in pairwise(cuts) if last > first]


def _split_codes(column: pa.Array) -> NDArray[np.integer]:
    import pyarrow.compute as pc

    return np.asarray(pc.index_in(column, value_set=pa.array(SPLITS, pa.string())).to_numpy())


def _fingerprint(letters: bytes, clusters_N: NDArray[np.int64], codes_N: NDArray[np.integer]) -> str:
    parts = [clusters_N.astype("<i8").tobytes(), codes_N.astype("<u1").tobytes()]
    return _united(letters, *(hashlib.sha256(part).digest() for part in parts))


def _united(letters: bytes, clusters: bytes, splits: bytes) -> str:
    """The fingerprint, given the digests of the lines, the clusters and the splits."""
    return hashlib.sha256(hashlib.sha256(letters).digest() + clusters + splits).hexdigest()
