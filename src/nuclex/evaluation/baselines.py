"""What short-range statistics alone can guess of a nucleotide or codon: the numbers a language model has to beat.

A Markov chain of order k is fitted by counting (k + 1)-mers of the train split. Beside a masked model it guesses a
hidden nucleotide from both sides: P(x_i | all others) is proportional to the product of P(x_j | k symbols before j)
over the k + 1 windows j = i … i + k that contain it. This is the exact answer of the chain, stronger than its
left-to-right guess, and it sees every other position of the sequence, while a masked model has lost 15 % of them: the
comparison is generous to the baseline. Beside a causal model it foretells each nucleotide, and the end of the sequence,
from the k symbols before it. Order 0 is the unigram baseline: how common each letter is.

Symbols are A, C, G, T (or U) and "other" (IUPAC codes, N, gaps: one symbol, again generous), upper or lower case; or
the 64 codons and "other" (``of = Codons(frame)``), for models whose tokens are codons.
Both ends of a sequence are known to the chain that guesses hidden letters, as ``<cls>`` and ``<eos>`` are to a model;
the one that foretells knows where a sequence begins.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from nuclex.core.errors import InputError
from nuclex.evaluation.symbols import LETTERS, Integers, Stream, Symbols, streams, window_codes, window_counts
from nuclex.training.validation import codon_summary

Floats = NDArray[np.float64]
Merit = Literal["accuracy", "nll"]

STRENGTHS = (0.5, 2.0, 8.0, 32.0, 128.0, 512.0, 2048.0)

_BLOCK_POSITIONS = 1 << 14


@dataclass(frozen=True, eq=False)
class SequenceScores:
    """What a baseline got right in each of N sequences: positions asked, hits, and summed surprise in nats.

    ``hits`` and ``n`` of one sequence belong together in an interval (``metrics.Ratio(hits, n)``): positions of one
    sequence are not independent.
    """

    n: Integers
    hits: Integers
    nll_sum: Floats
    kin_hits: Integers | None = None
    """Guesses that mean what the truth means: of codons, the same amino acid."""

    @property
    def accuracy(self) -> float:
        """Hits over positions, all sequences pooled."""
        return float(self.hits.sum() / self.n.sum())

    def codon_summary(self) -> dict[str, float]:
        """As of a model: accuracy of what is meant, and the share of the wrong guesses that mean what is true."""
        kin_N = self.hits if self.kin_hits is None else self.kin_hits
        return codon_summary(int(self.n.sum()), int(self.hits.sum()), int(kin_N.sum()))

    @property
    def nll(self) -> float:
        """The mean negative log-likelihood of a position, in nats; its exponential is the perplexity."""
        return float(self.nll_sum.sum() / self.n.sum())


@dataclass(frozen=True, eq=False)
class MarkovBaseline:
    """A chain of order ``order`` that guesses hidden nucleotides from both sides; order 0 is the unigram baseline.

    ``strengths`` are the smoothing strengths of orders 0 … k; ``log_table`` holds ln P(symbol | k before it), flat,
    (k + 1 symbols in base ``of.radix``, the last one running fastest). A ``causal`` one guesses every symbol, then the
    end, from what is before it alone.
    """

    order: int
    strengths: tuple[float, ...]
    log_table: NDArray[np.float32]
    causal: bool = False
    of: Symbols = LETTERS

    def predict(self, sequence: bytes) -> Floats:
        """ln P(symbol | the rest of the sequence) of each position as if it alone were hidden, (L, S) as ``of.names``.

        ``causal``: ln P(symbol | what is before it), (L + 1, S + 1); the last row is of the end, the last column too.
        """
        if not sequence and not self.causal:
            return np.empty((0, len(self.of.names)))
        stream = next(streams([sequence], max(self.order, 1), self.of))
        at_L, _ = self._everywhere(stream)
        return np.concatenate([log_SM.T for _, log_SM in self._conditionals(stream.symbols, at_L)])

    def score(
        self, sequences: Iterable[bytes], positions: Sequence[NDArray[np.integer]] | None = None
    ) -> SequenceScores:
        """Hide each position in turn (or only ``positions``, one array of 0-based indices a sequence) and guess it.

        A guess is the likeliest of the symbols. ``causal``: a sequence has one position more, its end. InputError for a
        position outside of its sequence.
        """
        parts: list[SequenceScores] = []
        done = 0
        for stream in streams(sequences, max(self.order, 1), self.of):
            chosen = None if positions is None else positions[done : done + len(stream.lengths)]
            done += len(stream.lengths)
            asked = self._everywhere(stream) if chosen is None else _chosen(stream, chosen, int(self.causal))
            parts.append(self._score_stream(stream, *asked))
        if positions is not None and len(positions) != done:
            raise InputError(f"positions: found {len(positions)} arrays for {done} sequences; one each is needed")
        if not parts:
            return SequenceScores(np.zeros(0, np.int64), np.zeros(0, np.int64), np.zeros(0))
        return SequenceScores(
            np.concatenate([part.n for part in parts]),
            np.concatenate([part.hits for part in parts]),
            np.concatenate([part.nll_sum for part in parts]),
            np.concatenate([part.hits if part.kin_hits is None else part.kin_hits for part in parts]),
        )

    def _score_stream(self, stream: Stream, at_M: Integers, owner_M: Integers) -> SequenceScores:
        guess_M, nll_M = np.empty(len(at_M), dtype=np.int64), np.empty(len(at_M))
        for block, log_SM in self._conditionals(stream.symbols, at_M):
            truth_M = stream.symbols[at_M[block]]
            guess_M[block] = log_SM.argmax(axis=0)
            nll_M[block] = -log_SM[truth_M, np.arange(len(truth_M))]
        truth_M, meanings, rows = stream.symbols[at_M], self.of.meanings, len(stream.lengths)
        hits_N, kin_N = (
            np.bincount(owner_M, weights=right_M, minlength=rows).astype(np.int64)
            for right_M in (guess_M == truth_M, meanings[guess_M] == meanings[truth_M])
        )
        nll_N: Floats = np.bincount(owner_M, weights=nll_M, minlength=rows).astype(np.float64)
        return SequenceScores(np.bincount(owner_M, minlength=rows), hits_N, nll_N, kin_N)

    def _everywhere(self, stream: Stream) -> tuple[Integers, Integers]:
        """All places to guess in a stream, and the sequence that each belongs to."""
        asked_T = stream.symbols < self.of.boundary
        if self.causal:
            asked_T[stream.starts + stream.lengths] = True
        return np.flatnonzero(asked_T), np.repeat(np.arange(len(stream.lengths)), stream.lengths + self.causal)

    def _conditionals(self, symbols_T: NDArray[np.uint8], at_M: Integers) -> Iterator[tuple[slice, Floats]]:
        """Blocks of ``at_M`` with ln P of each symbol there, (S, M); of ends too where ``causal``, (S + 1, M)."""
        radix = self.of.radix
        codes_T = window_codes(symbols_T, self.order, radix)
        for start in range(0, len(at_M), _BLOCK_POSITIONS):
            block = slice(start, min(start + _BLOCK_POSITIONS, len(at_M)))
            at_m = at_M[block]
            hidden_m = symbols_T[at_m].astype(np.int64)
            if self.causal:
                before_m = codes_T[at_m] - hidden_m
                yield block, np.stack([self.log_table.take(before_m + s) for s in range(radix)]).astype(np.float64)
                continue
            joint_Sm = np.zeros((len(self.of.names), len(at_m)), dtype=np.float32)
            for offset in range(self.order + 1):  # every window that contains the hidden position
                place = radix**offset
                window_m = codes_T[at_m + offset] - hidden_m * place
                for symbol in range(len(self.of.names)):
                    joint_Sm[symbol] += self.log_table.take(window_m + symbol * place)
            log_Sm = joint_Sm.astype(np.float64)
            log_Sm -= log_Sm.max(axis=0)
            yield block, log_Sm - np.log(np.exp(log_Sm).sum(axis=0))


@dataclass(frozen=True, eq=False)
class NgramCounts:
    """How often each (k + 1)-mer, sequence ends included, occurs in the train split, for every k up to ``max_order``.

    ``counts[k]`` is flat: k + 1 symbols in base ``of.radix`` (the boundary included), the last one running fastest.
    """

    max_order: int
    counts: tuple[Integers, ...]
    of: Symbols = LETTERS

    def unigram(self, *, causal: bool = False) -> MarkovBaseline:
        """The baseline that always guesses the commonest letter."""
        return self.markov(0, [1.0], causal=causal)

    def markov(self, order: int, strengths: Sequence[float], *, causal: bool = False) -> MarkovBaseline:
        """The baseline of one order, smoothed with one strength for each of the orders 0 … ``order``.

        p_k = (count + strength p_{k-1}) / (total + strength), down to the uniform distribution: a context that was
        never seen falls back on the shorter one (MacKay & Peto 1995, A hierarchical Dirichlet language model,
        Natural Language Engineering 1:289).
        """
        if not 0 <= order <= self.max_order or len(strengths) != order + 1:
            raise InputError(
                f"order: found {order} with {len(strengths)} strengths; allowed: 0 to {self.max_order}, order + 1 each"
            )
        probability = _uniform(self.of)
        for lower, strength in enumerate(strengths):
            probability = _sharpened(self.counts[lower], probability, strength, self.of.radix)
        return _baseline(probability, tuple(strengths), causal, self.of)


@dataclass(frozen=True)
class OrderScore:
    """How one order did on the sequences it was chosen on, with its best smoothing strength; ``nll`` in nats."""

    order: int
    strength: float
    positions: int
    accuracy: float
    nll: float


@dataclass(frozen=True, eq=False)
class OrderChoice:
    """The chosen baseline and the table of all orders that were tried."""

    baseline: MarkovBaseline
    table: tuple[OrderScore, ...]


def count_ngrams(sequences: Iterable[bytes], max_order: int | None = None, *, of: Symbols = LETTERS) -> NgramCounts:
    """Count all (k + 1)-mers, k = 0 … ``max_order``, of the train split in one pass; by default up to ``of.max_order``.

    Give it the train split only: what is counted here is all that a baseline ever knows.
    """
    max_order, radix, boundary = of.max_order if max_order is None else max_order, of.radix, of.boundary
    if not 0 <= max_order <= of.max_order:
        raise InputError(f"max_order: found {max_order}; allowed: 0 to {of.max_order}")
    top = window_counts(sequences, max(max_order, 1), of)
    top.reshape(-1, radix, radix)[:, boundary, boundary] = 0  # padding between sequences, not data
    counts = [top]
    while len(counts[0]) > radix:
        counts.insert(0, counts[0].reshape(radix, -1).sum(axis=0))
    if not counts[0][:boundary].any():
        raise InputError("baseline: found no nucleotides to count; at least one sequence is needed")
    return NgramCounts(max_order, tuple(counts[: max_order + 1]), of)


def choose_order(
    counts: NgramCounts,
    sequences: Iterable[bytes],
    *,
    max_order: int | None = None,
    strengths: Sequence[float] = STRENGTHS,
    by: Merit = "accuracy",
    causal: bool = False,
) -> OrderChoice:
    """Choose the order, and for each order its smoothing strength, by guessing every position of ``sequences``.

    The sequences are not counted, only scored. If the number to be reported is to be free of this choice, give here
    other sequences than those reported on (for example one half of validation, report on the other); choosing and
    reporting on the same ones flatters the baseline a little, which is the safe side for claims about a model.
    Strengths are chosen from the lowest order up; a tie goes to the lower order and the smaller strength.
    """
    if by not in ("accuracy", "nll"):
        raise InputError(f"by: found {by!r}; allowed: 'accuracy', 'nll'")
    sequences = [sequence for sequence in sequences if sequence]
    highest = counts.max_order if max_order is None else max_order
    if not sequences or not strengths or not 0 <= highest <= counts.max_order:
        raise InputError(
            f"choose_order: found {len(sequences)} sequences, {len(strengths)} strengths, order {highest}; "
            f"needed: one or more of each and an order from 0 to {counts.max_order}"
        )

    table: list[OrderScore] = []
    best: MarkovBaseline | None = None
    chosen: tuple[float, ...] = ()
    shorter = _uniform(counts.of)
    for order in range(highest + 1):
        row, shorter = _best_strength(counts, shorter, (order, strengths, by, causal), sequences)
        chosen = (*chosen, row.strength)
        if best is None or all(_better(row, other, by) for other in table):
            best = _baseline(shorter, chosen, causal, counts.of)
        table.append(row)
    assert best is not None
    return OrderChoice(best, tuple(table))


def _best_strength(
    counts: NgramCounts,
    shorter: NDArray[np.float32],
    plan: tuple[int, Sequence[float], Merit, bool],
    sequences: list[bytes],
) -> tuple[OrderScore, NDArray[np.float32]]:
    """The row of the table for one order, and the probabilities that gave it."""
    order, strengths, by, causal = plan
    best: tuple[OrderScore, NDArray[np.float32]] | None = None
    for strength in strengths:
        probability = _sharpened(counts.counts[order], shorter, strength, counts.of.radix)
        scores = _baseline(probability, (0.0,) * (order + 1), causal, counts.of).score(sequences)
        row = OrderScore(order, strength, int(scores.n.sum()), scores.accuracy, scores.nll)
        if best is None or _better(row, best[0], by):
            best = row, probability
    assert best is not None
    return best


def _better(row: OrderScore, other: OrderScore, by: Merit) -> bool:
    return row.accuracy > other.accuracy if by == "accuracy" else row.nll < other.nll


def _sharpened(counts: Integers, shorter: NDArray[np.float32], strength: float, radix: int) -> NDArray[np.float32]:
    """p_k from its counts and p_{k-1}; the oldest symbol of a context is the first axis, so p_{k-1} is broadcast."""
    if not strength > 0:
        raise InputError(f"strength: found {strength}; smoothing needs a number above 0")
    counted = counts.astype(np.float32).reshape(-1, len(shorter) // radix, radix)
    total = counted.sum(axis=-1, keepdims=True) + np.float32(strength)
    counted += np.float32(strength) * shorter.reshape(1, -1, radix)
    counted /= total
    return counted.reshape(-1)


def _baseline(
    probability: NDArray[np.float32], strengths: tuple[float, ...], causal: bool, of: Symbols
) -> MarkovBaseline:
    """The chain with these P(symbol | k before it)."""
    order = len(strengths) - 1
    log_table = np.log(probability)
    if order > 0 and not causal:  # padding after the end of a sequence says nothing about it
        log_table.reshape(-1, of.radix, of.radix)[:, of.boundary, of.boundary] = 0.0
    return MarkovBaseline(order, strengths, log_table, causal, of)


def _chosen(stream: Stream, positions: Sequence[NDArray[np.integer]], ends: int) -> tuple[Integers, Integers]:
    """Where to guess, as places in the stream, and the sequence that each belongs to; ``ends`` is 1 for ends too."""
    rows = np.arange(len(stream.lengths))
    if len(positions) != len(rows):
        raise InputError("positions: found fewer arrays than sequences; one each is needed")
    owner_M = np.repeat(rows, [len(position) for position in positions])
    at_M = np.concatenate([np.asarray(position, dtype=np.int64).reshape(-1) for position in positions])
    outside_M = (at_M < 0) | (at_M >= stream.lengths[owner_M] + ends)
    if outside_M.any():
        row = owner_M[outside_M][0]
        raise InputError(
            f"positions: found {at_M[outside_M][0]}; allowed in this sequence: 0 to {stream.lengths[row] - 1 + ends}"
        )
    return at_M + stream.starts[owner_M], owner_M


def _uniform(of: Symbols) -> NDArray[np.float32]:
    return np.full(of.radix, 1 / of.radix, dtype=np.float32)
