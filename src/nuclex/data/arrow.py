"""Tables in Parquet and Arrow files (IPC file, IPC stream, Feather), a bounded number of rows at a time."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Any

from nuclex.core.errors import InputError, shown
from nuclex.data.columns import SAMPLE_ROWS, ReadConfig, choose_columns
from nuclex.data.record import Record

if TYPE_CHECKING:
    import pyarrow as pa

ROWS = 1024
"""Rows that are turned into records together; bounds memory."""


def read_arrow(path: Path, label: str, source: str, config: ReadConfig) -> Iterator[Record]:
    """The rows of a Parquet or Arrow file as records, whose ``line`` is the row, counted from 1.

    InputError that names the row: no sequence in it, a letter that is none; and for a file that is damaged.
    """
    import pyarrow as pa

    try:
        with path.open("rb") as handle:
            head = handle.read(8)
        opener = _parquet if head.startswith(b"PAR1") else _stream if head.startswith(b"\xff" * 4) else _file
        with pa.OSFile(str(path)) as handle:
            yield from _records(opener(handle), label, source, config)
    except (pa.ArrowException, OSError, UnicodeDecodeError) as error:
        why = "".join(sign if sign.isprintable() else " " for sign in str(error))
        raise InputError(f"{label}: cannot be read as Parquet or Arrow: {' '.join(why.split())[:200]}") from None


def _records(
    opened: tuple[pa.Schema, Iterator[pa.RecordBatch]], label: str, source: str, config: ReadConfig
) -> Iterator[Record]:
    schema, batches = opened
    simple = [name for name, kind in zip(schema.names, schema.types, strict=True) if _is_simple(kind)]
    for name in (config.sequence_column, config.id_column):
        if name in schema.names and name not in simple:
            raise InputError(
                f"{label}: the column {shown(name)} is of type {shown(str(schema.field(name).type))}; text is needed"
            )
    repeated = [name for name in simple if schema.names.count(name) > 1]
    if repeated:
        raise InputError(f"{label}: the column {shown(repeated[0])} stands twice; each name is needed once")
    first = next(batches, None)
    sample = [] if first is None else _rows(first.slice(0, SAMPLE_ROWS), simple)
    columns = choose_columns(simple, sample, config, label)
    row = 0
    for batch in chain([] if first is None else [first], batches):
        for start in range(0, len(batch), ROWS):
            for values in _rows(batch.slice(start, ROWS), simple):
                row += 1
                yield columns.record(values, source, row, row, f"{label}: row {row}")


def _rows(batch: pa.RecordBatch, names: list[str]) -> list[tuple[str | None, ...]]:
    """The values of the named columns as text, row by row."""
    columns = []
    for name in names:
        values = batch.column(batch.schema.get_field_index(name)).to_pylist()
        columns.append([_text(value) for value in values])
    return list(zip(*columns, strict=True))


def _text(value: Any) -> str | None:
    if isinstance(value, bytes):
        return value.decode("latin-1")  # one letter a byte, so that the check of the letters sees each
    return None if value is None else str(value)


def _is_simple(kind: pa.DataType) -> bool:
    import pyarrow.types as types

    if types.is_dictionary(kind):
        return _is_simple(kind.value_type)
    return not (types.is_nested(kind) or types.is_null(kind))


def _parquet(handle: Any) -> tuple[pa.Schema, Iterator[pa.RecordBatch]]:
    import pyarrow.parquet as pq

    file = pq.ParquetFile(handle)
    simple = [field.name for field in file.schema_arrow if _is_simple(field.type)]
    return file.schema_arrow, file.iter_batches(batch_size=ROWS, columns=simple, use_threads=False)


def _file(handle: Any) -> tuple[pa.Schema, Iterator[pa.RecordBatch]]:
    import pyarrow as pa

    file = pa.ipc.open_file(handle)
    return file.schema, (_sound(file.get_batch(place)) for place in range(file.num_record_batches))


def _stream(handle: Any) -> tuple[pa.Schema, Iterator[pa.RecordBatch]]:
    import pyarrow as pa

    stream = pa.ipc.open_stream(handle)
    return stream.schema, map(_sound, stream)


def _sound(batch: pa.RecordBatch) -> pa.RecordBatch:
    """The batch, after a look at every offset in it: IPC files are not checked by reading them."""
    batch.validate(full=True)
    return batch
