"""Vectors for sequences: one a molecule (pooled) or one a token, for any file of sequences, of any length.

A sequence longer than the model reads at once goes through it in overlapping windows (``inference.windows``): each
token's vector is that of the window in which the token is farthest from a cut edge. Means and maxima go over all of
them; ``<cls>`` stands in the first window only.
"""

from __future__ import annotations

import copy
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from pydantic import Field

from nuclex.bundle import Bundle, load
from nuclex.core.artifact import atomic_file
from nuclex.core.config import Config, load_config
from nuclex.core.errors import InputError
from nuclex.core.progress import say
from nuclex.inference.parts import Part, chunked, opened_parts
from nuclex.inference.reading import LETTERS, MICRO_TOKENS, MOST, Named, digest_of, how_many, named, named_in, tokens_of
from nuclex.inference.vectors import Sizes, writer_for
from nuclex.inference.windows import Windows, window_for, windows_of
from nuclex.models import Layout
from nuclex.training.device import within_memory

Pool = Literal["mean", "cls", "max", "none"]
AT_ONCE = MOST
"""Sequences embedded together, which is one part of the work; bounds memory."""
NUMBERS = 1 << 27
"""Numbers of vectors without pooling that are made together (512 MB)."""


class EmbedConfig(Config):
    """What is taken from a model for each sequence."""

    pool: Pool = "mean"
    """``mean`` and ``max`` go over the sequence's own tokens, ``cls`` is the vector of the token in front of them,
    ``none`` gives the vector of each token (``<cls>`` and ``<eos>`` left out)."""
    layer: int | None = Field(
        default=None, description="the block after which to read, 0 being the embedding; the last, after its norm"
    )
    window: int | None = Field(
        default=None, description="tokens read at once; by default all that the model reads, which may be any number"
    )
    precision: Literal["fp32", "bf16"] = "fp32"
    """``bf16`` computes with a copy of the model in half precision: about 1 % off, faster where the hardware has it."""

    def computing(self, bundle: Bundle) -> Bundle:
        """The bundle itself, or with a copy of its model in half precision."""
        if self.precision == "fp32":
            return bundle
        return replace(bundle, model=copy.deepcopy(bundle.model).to(torch.bfloat16))

    def checked(self, bundle: Bundle) -> EmbedConfig:
        """This with the window that will be used; InputError where the model has no such layer or window."""
        depth = bundle.model.config.depth
        if self.layer is not None and not 0 <= self.layer <= depth:
            raise InputError(f"layer: found {self.layer}; this model has layers 0 to {depth}")
        if self.pool == "cls" and bundle.model.config.causal:
            raise InputError("pool: 'cls' is the first token, and a causal model has seen nothing by then; give 'mean'")
        return self.model_copy(update={"window": window_for(bundle.model.config, self.window)})


@dataclass(frozen=True)
class Embedding:
    """The vectors of one sequence: (D,) when pooled, (L, D) a token (``<cls>`` and ``<eos>`` left out) when not."""

    id: str
    length: int
    vectors: NDArray[np.float32]


def embed_sequences(
    bundle: Bundle,
    sequences: Iterable[tuple[str, bytes]],
    *,
    pool: Pool = "mean",
    layer: int | None = None,
    window: int | None = None,
    precision: Literal["fp32", "bf16"] = "fp32",
) -> Iterator[Embedding]:
    """Embed (id, sequence) pairs, in their order; a result does not depend on what else is embedded.

    Settings as in ``EmbedConfig``. At most ``AT_ONCE`` sequences are taken before the first result is given. InputError
    for a sequence that the tokenizer refuses, and for a mean or maximum over no tokens.
    """
    asked = {"pool": pool, "layer": layer, "window": window, "precision": precision}
    config = load_config(EmbedConfig, None, asked).checked(bundle)
    bundle = config.computing(bundle)
    for chunk in _chunks(named(sequences), bundle, config):
        part = _embedded(bundle, chunk, config)
        stops_N = np.cumsum(part.arrays["tokens"])
        for item, count, stop in zip(chunk, part.arrays["tokens"], stops_N, strict=True):
            vectors_RD = part.arrays["vectors"][stop - count : stop]
            yield Embedding(item.id, len(item.sequence), (vectors_RD if pool == "none" else vectors_RD[0]).copy())


def embed(
    bundle: Bundle | str | Path,
    inputs: str | Path,
    out: str | Path,
    *,
    resume: bool = False,
    device: str = "cpu",
    **settings: Any,
) -> dict[str, Any]:
    """Embed every sequence of a file into ``out``: .parquet, .npz, .safetensors or .h5ad (see ``inference.vectors``).

    ``settings`` are the keys of ``EmbedConfig``: pool, layer, window, precision. Sequences come and vectors go part by
    part, so that memory does not grow with their number; the parts lie beside ``out`` until it is whole
    (``inference.parts``) and take as much room as it does. ``resume`` goes on from those of a process that was killed.
    """
    out = Path(out)
    given: EmbedConfig = load_config(EmbedConfig, None, settings)
    write = writer_for(out)
    opened = bundle if isinstance(bundle, Bundle) else load(bundle, device=device)
    config = given.checked(opened)
    width, per_token = opened.model.config.width, config.pool == "none"
    asked = {"verb": "embed", **config.to_data()}
    with within_memory(), opened_parts(out, opened, asked, resume=resume) as parts:
        chunks = _chunks(named_in(inputs), opened, config)
        computing = config.computing(opened)
        parts.fill(chunks, digest_of, lambda chunk: _embedded(computing, chunk, config), how_many(inputs))
        sizes = Sizes.of(parts, width)
        with atomic_file(out) as temporary:
            write(temporary, parts, sizes, per_token)
    say(f"{out}: {sizes.sequences} sequences, {width} numbers each")
    return {"out": str(out), "sequences": sizes.sequences, "width": width, "pool": config.pool, "vectors": sizes.rows}


def _chunks(waiting: Iterator[Named], bundle: Bundle, config: EmbedConfig) -> Iterator[list[Named]]:
    letters = LETTERS if config.pool != "none" else min(LETTERS, NUMBERS // bundle.model.config.width)
    return chunked(waiting, AT_ONCE, lambda item: len(item.sequence), letters)


def _embedded(bundle: Bundle, chunk: list[Named], config: EmbedConfig) -> Part:
    """The vectors of some sequences: those of the first, then those of the second, and so on."""
    model, table = bundle.model, tokens_of(chunk, bundle.tokenizer)
    found = _Found(config.pool, table.lengths_N, model.config.width)
    for item, length in zip(chunk, table.lengths_N, strict=True):
        if not length and config.pool in ("mean", "max"):
            raise InputError(f"{item.place}: has no token of its own, so no mean or max; pool 'cls' and 'none' take it")
    device = next(model.parameters()).device
    windows = windows_of(table.lengths_N, config.window, causal=model.config.causal)
    with torch.no_grad():
        for part, batch in windows.batches(table, bundle.tokenizer, MICRO_TOKENS):
            tokens_T = torch.from_numpy(batch.tokens_T).to(device)
            hidden_TD = model.encode(tokens_T, Layout.of(batch.lengths_N, device), layer=config.layer)
            found.take(part, hidden_TD.float().cpu().numpy())
    counts_N = table.lengths_N if config.pool == "none" else np.ones(len(chunk), dtype=np.int64)
    lengths_N = np.array([len(item.sequence) for item in chunk], dtype=np.int64)
    arrays: dict[str, NDArray[Any]] = {"length": lengths_N, "tokens": counts_N, "vectors": found.vectors()}
    return Part({"id": [item.id for item in chunk]}, arrays)


class _Found:
    """The vectors of some sequences, filled in by one batch of windows after the other."""

    def __init__(self, pool: Pool, lengths_N: NDArray[np.int64], width: int) -> None:
        self._pool, self._lengths_N = pool, lengths_N
        self._starts_N = np.cumsum(lengths_N) - lengths_N
        rows = int(lengths_N.sum()) if pool == "none" else len(lengths_N)
        kind = np.float64 if pool == "mean" else np.float32  # sums over windows lose nothing that matters
        self._found_RD = np.full((rows, width), -np.inf if pool == "max" else 0, dtype=kind)

    def take(self, part: Windows, hidden_TD: NDArray[np.float32]) -> None:
        """Take what these windows answer for, from their hidden vectors, packed."""
        index_P, counts_P = part.pieces.index_P, part.counts_P
        if self._pool == "cls":
            first_P, lengths_P = part.pieces.starts_P, part.pieces.lengths_P
            self._found_RD[index_P[first_P]] = hidden_TD[(np.cumsum(lengths_P) - lengths_P)[first_P]]
            return
        window_M, token_M, place_M = part.answers()
        if self._pool == "none":
            self._found_RD[self._starts_N[index_P[window_M]] + token_M] = hidden_TD[place_M]
            return
        begin_P, combine = np.cumsum(counts_P) - counts_P, np.add if self._pool == "mean" else np.maximum
        own_PD = combine.reduceat(hidden_TD[place_M].astype(self._found_RD.dtype), begin_P, axis=0)
        combine.at(self._found_RD, index_P, own_PD)

    def vectors(self) -> NDArray[np.float32]:
        """(R, D): a row a sequence, or without pooling a row a token."""
        if self._pool == "mean":
            return (self._found_RD / self._lengths_N[:, None]).astype(np.float32)
        return self._found_RD
