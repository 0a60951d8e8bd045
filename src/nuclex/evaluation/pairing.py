"""Did the model learn base pairing, or only composition? Hide a paired base with its partner in sight, and without.

Both conditions hide the same bases and, besides, the same letters of the same molecule: in the second the partners, in
the first as many other bases with the partners' letters. So what is left in sight has the same composition in both (a
molecule with as many G as C tells by its composition alone what is missing), and the difference in accuracy is what
seeing the partner in its place gave.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from nuclex.bio.secondary_structure import to_partners
from nuclex.bundle import Bundle
from nuclex.core.errors import InputError
from nuclex.core.randomness import bits, key
from nuclex.data.pack import PackedBatch
from nuclex.data.sample import Pieces
from nuclex.data.tokens import tokenize
from nuclex.metrics.statistics import Interval, PairedDifference, Ratio, bootstrap, paired_difference
from nuclex.models import Layout
from nuclex.objectives.masking import folds_of
from nuclex.objectives.question import Question
from nuclex.training.validation import ask, packed_batches

FOLDS = 14
"""Turns; with the partners (or the control bases) about a tenth of a molecule is hidden at a time."""

TRACE = 0.02
"""Gains in masked accuracy below this may be surely above zero, and still are no knowledge of pairs."""


@dataclass(frozen=True)
class Pairing:
    """Masked accuracy at paired positions with the partner visible and hidden, and the paired difference."""

    visible: Interval
    hidden: Interval
    difference: PairedDifference
    positions: int

    @property
    def learned(self) -> bool:
        """Whether the interval of the difference lies above zero, and the difference is more than a ``TRACE``."""
        return self.difference.difference.low > 0 and self.difference.difference.value >= TRACE


def pairing(
    bundle: Bundle,
    sequences: Sequence[bytes],
    pairs: Sequence[NDArray[np.integer]],
    clusters: Sequence[int] | NDArray[np.integer] | None = None,
) -> Pairing:
    """Measure on N molecules with known structures: ``pairs[i]`` is (P, 2), 0-based, over nucleotides.

    The model must see both sides and the tokenizer have one token a nucleotide (InputError). Intervals resample whole
    ``clusters``.
    """
    if bundle.model.config.causal:
        raise InputError("pairing is asked of models that see both sides; this one is causal")
    table = tokenize(sequences, bundle.tokenizer)
    wanted = np.array([len(sequence) for sequence in sequences])
    if not np.array_equal(table.lengths_N, wanted):
        raise InputError("pairing can only be measured where every token is one nucleotide")
    whole = np.ones(len(table), dtype=bool)
    pieces = Pieces(np.arange(len(table)), np.zeros_like(wanted), wanted, whole, whole)
    partners = [to_partners(pair, length) for pair, length in zip(pairs, wanted, strict=True)]
    counts_N3 = np.zeros((len(table), 3), dtype=np.int64)
    for part, batch in packed_batches(table, pieces, bundle.tokenizer, 16_384):
        _count(bundle, batch, part.index_P, [partners[index] for index in part.index_P], counts_N3)
    visible_N, hidden_N, asked_N = counts_N3.T
    if not asked_N.sum():
        raise InputError("pairing cannot be measured: none of the structures has a base pair")
    shown, covered = Ratio(visible_N, asked_N), Ratio(hidden_N, asked_N)
    groups = None if clusters is None else np.asarray(clusters)
    return Pairing(
        visible=bootstrap(shown, clusters=groups),
        hidden=bootstrap(covered, clusters=groups),
        difference=paired_difference(shown, covered, clusters=groups),
        positions=int(asked_N.sum()),
    )


def _count(
    bundle: Bundle,
    batch: PackedBatch,
    index_P: NDArray[np.int64],
    partners: Sequence[NDArray[np.integer]],
    counts_N3: NDArray[np.int64],
) -> None:
    """Add this batch's hits with the partner visible, hits with it hidden, and questions to ``counts_N3``."""
    device = next(bundle.model.parameters()).device
    layout, fold_T = Layout.of(batch.lengths_N, device), folds_of(batch, FOLDS)
    piece_T = np.repeat(np.arange(len(index_P)), batch.lengths_N)
    partner_T = np.full(len(batch.tokens_T), -1, dtype=np.int64)
    starts = np.cumsum(batch.lengths_N) - batch.lengths_N
    for start, partner_L in zip(starts, partners, strict=True):
        inner = slice(start + 1, start + 1 + len(partner_L))
        partner_T[inner] = np.where(partner_L >= 0, partner_L + start + 1, -1)
    with torch.no_grad():
        for fold in range(FOLDS):
            asked_M = np.flatnonzero((fold_T == fold) & (partner_T >= 0) & (fold_T[partner_T] != fold))
            if not len(asked_M):
                continue
            asked_M, others_M = _controls(batch, asked_M, partner_T[asked_M], piece_T)
            for column, also_M in enumerate((others_M, partner_T[asked_M])):
                hits_M = _hits(bundle, batch, layout, asked_M, also_M)
                np.add.at(counts_N3[:, column], index_P[piece_T[asked_M]], hits_M)
            np.add.at(counts_N3[:, 2], index_P[piece_T[asked_M]], 1)


def _hits(
    bundle: Bundle, batch: PackedBatch, layout: Layout, asked_M: NDArray[np.int64], also_M: NDArray[np.int64]
) -> NDArray[np.int64]:
    inputs_T = batch.tokens_T.copy()
    inputs_T[asked_M] = inputs_T[also_M] = bundle.tokenizer.mask_id
    guesses_M = ask(bundle.model, Question(inputs_T, asked_M, batch.tokens_T[asked_M]), layout).argmax(-1)
    return (guesses_M.cpu().numpy() == batch.tokens_T[asked_M]).astype(np.int64)


def _controls(
    batch: PackedBatch, asked_M: NDArray[np.int64], partner_M: NDArray[np.int64], piece_T: NDArray[np.int64]
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """For each question another base of the same molecule with the partner's letter, neither asked nor a partner.

    Drawn at random without replacement; questions for which there is none are dropped. Returns what is left of the
    questions, and the controls.
    """
    free_T = ~batch.special_T
    free_T[asked_M] = free_T[partner_M] = False
    free = np.flatnonzero(free_T)
    kind_T = piece_T * (int(batch.tokens_T.max()) + 1) + batch.tokens_T  # molecule and letter
    free = free[np.lexsort((bits(key("control"), batch.row_T[free], batch.position_T[free]), kind_T[free]))]
    first = np.searchsorted(kind_T[free], kind_T[partner_M], side="left")
    count = np.searchsorted(kind_T[free], kind_T[partner_M], side="right") - first
    order = np.argsort(kind_T[partner_M], kind="stable")
    _, starts, sizes = np.unique(kind_T[partner_M][order], return_index=True, return_counts=True)
    rank = np.empty(len(partner_M), dtype=np.int64)
    rank[order] = np.arange(len(partner_M)) - np.repeat(starts, sizes)
    kept = rank < count
    return asked_M[kept], free[first[kept] + rank[kept]]
