"""Vectors for sequences: one a molecule (pooled) or one a token, for any file of sequences, as Parquet or NPZ."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any, Literal, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray

from nuclex.bundle import Bundle, load
from nuclex.core.artifact import atomic_file
from nuclex.core.errors import InputError, at
from nuclex.core.progress import say
from nuclex.data.read import STDIN, read_sequences
from nuclex.data.sample import Pieces
from nuclex.data.tokens import tokenize
from nuclex.models import Layout
from nuclex.training.device import within_memory
from nuclex.training.validation import packed_batches

Pool = Literal["mean", "cls", "max", "none"]
AT_ONCE = 4096
"""Sequences read, sorted by length and embedded together; bounds memory."""


@dataclass(frozen=True)
class Embedding:
    """The vectors of one sequence: (D,) when pooled, (L, D) a token (``<cls>`` and ``<eos>`` left out) when not."""

    id: str
    length: int
    vectors: NDArray[np.float32]


def embed_sequences(
    bundle: Bundle, sequences: Iterable[tuple[str, bytes]], *, pool: Pool = "mean", layer: int | None = None
) -> Iterator[Embedding]:
    """Embed (id, sequence) pairs, in their order; a result does not depend on what else is embedded.

    ``layer`` counts blocks (0 = the embedding itself); None is the last, after the final norm. ``mean`` and ``max``
    go over the sequence's own tokens. InputError for a sequence longer than a model with a position table takes.
    """
    yield from _embed_named(bundle, (_Named(name, sequence, name) for name, sequence in sequences), pool, layer)


class _Named(NamedTuple):
    """A sequence to embed, and where it stands, for messages."""

    id: str
    sequence: bytes
    place: str


def _embed_named(bundle: Bundle, waiting: Iterator[_Named], pool: Pool, layer: int | None) -> Iterator[Embedding]:
    depth = bundle.model.config.depth
    if layer is not None and not 0 <= layer <= depth:
        raise InputError(f"layer: found {layer}; this model has layers 0 to {depth}")
    while chunk := list(islice(waiting, AT_ONCE)):
        yield from _embed_chunk(bundle, chunk, pool, layer)


def _embed_chunk(bundle: Bundle, chunk: Sequence[_Named], pool: Pool, layer: int | None) -> Iterator[Embedding]:
    sequences = (item.sequence for item in chunk)
    table = tokenize(sequences, bundle.tokenizer, name_of=lambda index: chunk[index].place)
    lengths, room = table.lengths_N, bundle.model.config.longest
    if room is not None and len(lengths) and lengths.max() + 2 > room:
        worst = int(lengths.argmax())
        raise InputError(f"{chunk[worst].place}: has {lengths[worst]} tokens; this model reads at most {room - 2}")
    whole = np.ones(len(chunk), dtype=bool)
    pieces = Pieces(np.arange(len(chunk)), np.zeros_like(lengths), lengths, whole, whole)
    found: dict[int, NDArray[np.float32]] = {}
    device = next(bundle.model.parameters()).device
    with torch.no_grad():
        for part, batch in packed_batches(table, pieces, bundle.tokenizer, 16_384):
            layout = Layout.of(batch.lengths_N, device)
            tokens_T = torch.from_numpy(batch.tokens_T).to(device)
            hidden_TD = bundle.model.encode(tokens_T, layout, layer=layer).float().cpu().numpy()
            stops = np.cumsum(batch.lengths_N)
            for index, stop, length in zip(part.index_P, stops, batch.lengths_N, strict=True):
                found[int(index)] = _pooled(hidden_TD[stop - length : stop], pool, chunk[index].place)
    for index, item in enumerate(chunk):
        yield Embedding(item.id, len(item.sequence), found[index])


def _pooled(hidden_LD: NDArray[np.float32], pool: Pool, place: str) -> NDArray[np.float32]:
    inner_LD = hidden_LD[1:-1]
    if pool == "cls":
        return hidden_LD[0].copy()
    if pool == "none":
        return inner_LD.copy()
    if not len(inner_LD):
        raise InputError(f"{place}: has no token of its own, so no mean or max; pool 'cls' and 'none' take it")
    return inner_LD.mean(0) if pool == "mean" else inner_LD.max(0)


def embed(
    bundle: Bundle | str | Path,
    inputs: str | Path,
    out: str | Path,
    *,
    pool: Pool = "mean",
    layer: int | None = None,
    device: str = "cpu",
) -> dict[str, Any]:
    """Embed every sequence of a file into ``out`` (.parquet: id, length, embedding; .npz: one array each).

    Without pooling, Parquet holds the (L, D) vectors row-major in ``embedding`` with ``tokens`` and ``width`` beside
    them; NPZ holds ``embeddings`` (all tokens, T x D) and ``offsets`` (N + 1).
    """
    out = Path(out)
    if out.suffix not in (".parquet", ".npz"):
        raise InputError(f"{out}: the ending says how to write; allowed: .parquet, .npz")
    if pool not in ("mean", "cls", "max", "none"):
        raise InputError(f"pool: found {pool!r}; allowed: mean, cls, max, none")
    bundle = bundle if isinstance(bundle, Bundle) else load(bundle, device=device)
    label = "stdin" if str(inputs) == STDIN else str(inputs)
    records = read_sequences(inputs)
    named = (_Named(record.id, record.sequence, f"{at(label, record.line)}: {record.id}") for record in records)
    width = bundle.model.config.width
    results = _embed_named(bundle, named, pool, layer)
    with atomic_file(out) as temporary, within_memory():
        count, tokens = (
            _write_parquet(temporary, results) if out.suffix == ".parquet" else _write_npz(temporary, results)
        )
    say(f"{out}: {count} sequences, {width} numbers each")
    return {"out": str(out), "sequences": count, "width": width, "pool": pool, "vectors": tokens}


def _write_parquet(path: Path, results: Iterator[Embedding]) -> tuple[int, int]:
    import pyarrow as pa
    import pyarrow.parquet as pq

    kind = pa.list_(pa.float32())
    fields = [
        ("id", pa.string()),
        ("length", pa.int64()),
        ("tokens", pa.int64()),
        ("width", pa.int64()),
        ("embedding", kind),
    ]
    schema, count, vectors = pa.schema(fields), 0, 0
    with pq.ParquetWriter(path, schema) as writer:
        while part := list(islice(results, 256)):
            shapes = [np.atleast_2d(item.vectors).shape for item in part]
            columns = [
                pa.array([item.id for item in part]),
                pa.array([item.length for item in part], pa.int64()),
                pa.array([shape[0] for shape in shapes], pa.int64()),
                pa.array([shape[1] for shape in shapes], pa.int64()),
                pa.array([item.vectors.ravel() for item in part], kind),
            ]
            writer.write_table(pa.table(columns, schema=schema))
            count, vectors = count + len(part), vectors + sum(shape[0] for shape in shapes)
    return count, vectors


def _write_npz(path: Path, results: Iterator[Embedding]) -> tuple[int, int]:
    items = list(results)
    names, lengths = np.array([item.id for item in items]), np.array([item.length for item in items])
    offsets = np.cumsum([0] + [len(np.atleast_2d(item.vectors)) for item in items])
    vectors = np.concatenate([np.atleast_2d(item.vectors) for item in items]) if items else np.zeros((0, 0), np.float32)
    with path.open("wb") as handle:
        np.savez(handle, ids=names, lengths=lengths, offsets=offsets, embeddings=vectors)
    return len(items), len(vectors)
