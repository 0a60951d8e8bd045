"""How likely a model finds sequences, and by how much a variant changes that.

Sequences longer than the model reads at once go through it in overlapping windows, and each token is asked for in the
one in which it is farthest from a cut edge (``inference.windows``). How tokens are asked for: ``inference.likelihood``;
how variants are scored: ``inference.effects``. Work is done in parts that outlive a kill (``inference.parts``).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import astuple, dataclass
from pathlib import Path
from typing import Any, Literal, Self

import numpy as np
from pydantic import Field, model_validator

from nuclex.bundle import Bundle, load
from nuclex.core.artifact import atomic_file, scratch_folder
from nuclex.core.config import Config, load_config
from nuclex.core.progress import say
from nuclex.data.reference import Reference
from nuclex.data.variants import Variant, read_variants
from nuclex.inference import effects
from nuclex.inference.likelihood import Method, log_likelihoods, method_for
from nuclex.inference.parts import Part, chunked, digest, opened_parts
from nuclex.inference.reading import LETTERS, MOST, Named, digest_of, how_many, named, named_in, tokens_of
from nuclex.inference.tables import check_table, write_rows
from nuclex.inference.windows import window_for, windows_of
from nuclex.training.device import within_memory

AT_ONCE, VARIANTS_AT_ONCE = MOST, 1024
"""Sequences, and variants, scored together, which is one part of the work; bounds memory."""
PAIRS = 1 << 24
"""By exact masking, letters times letters in one part of the work, unless one sequence alone has more."""
AROUND = 512
COLUMNS: dict[str, type] = {
    "id": str, "length": int, "tokens": int, "log_likelihood": float, "mean_log_likelihood": float, "method": str,
}  # fmt: skip


class ScoreConfig(Config):
    """How to score: see ``inference.likelihood`` for the methods and ``inference.effects`` for variants."""

    method: Method | None = None
    """By default ``causal`` for a model that reads from left to right, else ``exact``."""
    window: int | None = Field(
        default=None, description="tokens read at once; by default all that the model reads, which may be any number"
    )
    variants: Path | None = Field(default=None, description="a VCF file or a table of variants of the input sequences")
    around: int | None = Field(
        default=None, ge=3, description="letters read around a variant; by default 512, or as many as the model reads"
    )
    strands: Literal["forward", "both"] = "forward"
    """``both``: the mean over the window and its reverse complement."""

    @model_validator(mode="after")
    def _fits(self) -> Self:
        if self.variants is None and (self.around is not None or self.strands != "forward"):
            raise ValueError("around and strands are for variants; give --variants FILE")
        if self.variants is not None and self.window is not None:
            raise ValueError("window is for whole sequences; around says how much is read around a variant")
        return self

    def checked(self, bundle: Bundle) -> ScoreConfig:
        """This with the method and the sizes that will be used; InputError where the model cannot be asked so."""
        network = bundle.model.config
        found: dict[str, Any] = {"method": method_for(network, self.method)}
        if self.variants is None:
            found["window"] = window_for(network, self.window)
        else:
            room = AROUND if network.longest is None else min(AROUND, network.longest - 2)
            found["around"] = self.around or room
        return self.model_copy(update=found)


@dataclass(frozen=True)
class Score:
    """What a model makes of one sequence: ``log_likelihood`` is the sum of ln p over its tokens, in nats."""

    id: str
    length: int
    tokens: int
    log_likelihood: float

    @property
    def mean(self) -> float:
        """The mean of ln p over the tokens, in nats; not a number where there is none."""
        return self.log_likelihood / self.tokens if self.tokens else float("nan")


def score_sequences(
    bundle: Bundle,
    sequences: Iterable[tuple[str, bytes]],
    *,
    method: Method | None = None,
    window: int | None = None,
) -> Iterator[Score]:
    """Score (id, sequence) pairs, in their order; a result does not depend on what else is scored.

    At most ``AT_ONCE`` sequences are taken before the first result is given. InputError for a method that the model
    cannot be asked by, and for a sequence that the tokenizer refuses.
    """
    config = load_config(ScoreConfig, None, {"method": method, "window": window}).checked(bundle)
    for chunk in _chunks(named(sequences), config):
        yield from _scores(_scored(bundle, chunk, config))


def score(
    bundle: Bundle | str | Path,
    inputs: str | Path,
    out: str | Path,
    *,
    resume: bool = False,
    device: str = "cpu",
    **settings: Any,
) -> dict[str, Any]:
    """Score every sequence of a file, or the variants of its sequences, into ``out`` (.csv, .tsv or .parquet).

    ``settings`` are the keys of ``ScoreConfig``: method, window; variants, around, strands. Columns of sequences are
    id, length (letters), tokens, log_likelihood (the sum of ln p over the tokens, in nats), mean_log_likelihood (a
    token) and method; those of variants stand in ``inference.effects`` (start is 0-based, score is in nats). Memory
    does not grow with the number of sequences or variants. ``resume`` goes on from the parts of a killed process.
    """
    out = Path(out)
    check_table(out)
    given: ScoreConfig = load_config(ScoreConfig, None, settings)
    opened = bundle if isinstance(bundle, Bundle) else load(bundle, device=device)
    config = given.checked(opened)
    if config.variants is not None:
        with within_memory(), scratch_folder(out) as folder:
            return _score_variants(opened, Reference(inputs, folder), out, config, resume=resume)
    asked = {"verb": "score", **config.to_data()}
    with within_memory(), opened_parts(out, opened, asked, resume=resume) as parts:
        chunks = _chunks(named_in(inputs), config)
        parts.fill(chunks, digest_of, lambda chunk: _scored(opened, chunk, config), how_many(inputs))
        rows = ([*astuple(one), one.mean, config.method] for part in parts for one in _scores(part))
        with atomic_file(out) as temporary:
            count = write_rows(temporary, COLUMNS, rows)
    say(f"{out}: {count} sequences, {config.method}")
    return {"out": str(out), "sequences": count, "method": config.method}


def _chunks(waiting: Iterable[Named], config: ScoreConfig) -> Iterator[list[Named]]:
    if config.method == "exact":  # as many passes as letters, each of a window
        return chunked(waiting, AT_ONCE, lambda item: len(item.sequence) ** 2, PAIRS)
    return chunked(waiting, AT_ONCE, lambda item: len(item.sequence), LETTERS)


def _scored(bundle: Bundle, chunk: list[Named], config: ScoreConfig) -> Part:
    assert config.method is not None
    table = tokens_of(chunk, bundle.tokenizer)
    windows = windows_of(table.lengths_N, config.window, causal=bundle.model.config.causal)
    sums_N = log_likelihoods(bundle, table, windows, config.method)
    lengths_N = np.array([len(item.sequence) for item in chunk], dtype=np.int64)
    arrays: dict[str, Any] = {"length": lengths_N, "tokens": table.lengths_N, "log_likelihood": sums_N}
    return Part({"id": [item.id for item in chunk]}, arrays)


def _scores(part: Part) -> Iterator[Score]:
    numbers = (part.arrays[name].tolist() for name in ("length", "tokens", "log_likelihood"))
    return map(Score, part.texts["id"], *numbers)


def _score_variants(
    bundle: Bundle, reference: Reference, out: Path, config: ScoreConfig, *, resume: bool
) -> dict[str, Any]:
    assert config.variants is not None
    assert config.method is not None
    assert config.around is not None
    both = config.strands == "both"
    manner = effects.Manner(config.method, config.around, both)
    asked = {"verb": "score", **config.to_data(), "variants": "of a file", "reference": reference.digest}
    with opened_parts(out, bundle, asked, resume=resume) as parts:
        chunks = chunked(read_variants(config.variants), VARIANTS_AT_ONCE, lambda variant: 1, VARIANTS_AT_ONCE)
        many = how_many(config.variants, read_variants)
        parts.fill(chunks, _digest, lambda chunk: effects.effects(bundle, reference, chunk, manner), many)
        skipped = Counter(reason for part in parts for reason in part.texts["skipped"])
        rows = (row for part in parts for row in effects.effect_rows(part))
        with atomic_file(out) as temporary:
            count = write_rows(temporary, effects.COLUMNS | (effects.STRANDS if both else {}), rows)
    left_out = ", ".join(f"{reason}: {number}" for reason, number in sorted(skipped.items()))
    say(f"{out}: {count} variants" + (f"; not scored: {left_out}" if left_out else ""))
    facts = {"method": config.method, "around": config.around, "strands": config.strands}
    return {"out": str(out), "variants": count, "skipped": dict(sorted(skipped.items())), **facts}


def _digest(chunk: list[Variant]) -> str:
    return digest(str(field).encode() for variant in chunk for field in variant[:-1])
