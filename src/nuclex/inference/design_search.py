"""How codons are chosen for a protein: drawn by a model one after the other, the best path, or changed in place.

Under a model that reads from left to right, ``sample`` draws each codon from the model's own conditional, renormalised
over the codons that are synonymous there and can still keep the rules: the sequences follow

    q(c) = Π p(cᵢ | c₁ … cᵢ₋₁) / Z(c₁ … cᵢ₋₁),   Z the sum of p over the codons allowed at i,

exactly (where the rules lead into a dead end the sequence is drawn again, so q is that of the sequences that come
through). This is not the model's distribution over synonymous sequences, p(c) over its sum: q does not weigh in what a
codon makes of those behind it. ``log_weight``, ln p(c) - ln q(c), corrects means by importance weights; with a pool of
several, one is kept of so many drawn, by its weight, and what is kept nears that distribution as the pool grows
(sampling importance resampling, Rubin 1987, doi:10.2307/2289460). ``drawn_from_all`` draws from it exactly, by looking
at every synonymous sequence, where they are no more than ``EVERY``. ``best_paths`` is a beam: with as many paths as
there are sequences it finds the likeliest of all, with fewer a good one. A beginning is never less likely than what it
is continued to, so a sequence at least as likely as every beginning that the beam gave up is proven to be among the
best.

A model that sees both sides has no likelihood. It is asked for one hidden codon at a time: ``resampled`` (Gibbs) draws
it anew from the conditional, renormalised in the same way, sweep after sweep; ``climbed`` takes the likeliest until
none changes. A masked model's conditionals need not belong to one distribution (arXiv:1902.04094 and its erratum), so
what the sweeps converge to, if to anything, is the model's own affair.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from nuclex.bundle import Bundle
from nuclex.core.errors import InputError
from nuclex.core.randomness import bits, uniform
from nuclex.inference.codon_reader import CausalReader, MaskedReader, as_codons
from nuclex.inference.lattice import Lattice, Prefix
from nuclex.inference.sampling import choose
from nuclex.inference.score import score_sequences

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
TRIES = 50
"""How often a sequence is begun anew after a dead end."""
SWEEPS_UPWARD = 50
EVERY = 1 << 16
"""So many synonymous sequences of a protein are looked at one by one, and no more."""


@dataclass(frozen=True)
class Path:
    """A sequence of codons; ``log_likelihood`` is the sum of ln p over its tokens, ``log_weight`` ln p - ln q.

    Not a number where a model gives none. ``proven``: of a search for the likeliest, whether no sequence that it did
    not look at can be likelier.
    """

    codons: tuple[str, ...]
    log_likelihood: float = float("nan")
    log_weight: float = float("nan")
    proven: bool | None = None

    @property
    def sequence(self) -> str:
        """Its letters, with T."""
        return "".join(self.codons)


@dataclass(frozen=True)
class Draws:
    """By what numbers sequences are drawn: a stream, the number of each, and the temperature (0: the likeliest)."""

    stream: int
    numbers_N: Ints
    temperature: float = 1.0

    def pick(self, rows_M: Ints, log_MK: Floats, counters: tuple[int, ...]) -> tuple[Ints, Floats]:
        """For some sequences one of K codons each (M,), and ln of the probability that it was drawn with (M,).

        What is -inf is never drawn.
        """
        if not self.temperature:
            return log_MK.argmax(1), np.zeros(len(rows_M))
        best_M1 = log_MK.max(1, keepdims=True)
        scaled_MK = torch.from_numpy((log_MK - best_M1) / self.temperature)
        chances_M = uniform(self.stream, self.numbers_N[rows_M], *counters)
        chosen_M = choose(scaled_MK, chances_M)
        q_M = scaled_MK.log_softmax(-1).gather(1, chosen_M[:, None])[:, 0]
        return chosen_M.numpy(), q_M.numpy()


class _Growing:
    """Sequences that are drawn codon by codon, those in a dead end leaving."""

    def __init__(self, lattice: Lattice, rows_M: Ints) -> None:
        self.lattice, self.rows_M = lattice, rows_M
        self.prefixes: list[Prefix] = [lattice.start] * len(rows_M)
        self.codons: list[list[str]] = [[] for _ in rows_M]
        self.log_p_M, self.log_q_M = np.zeros(len(rows_M)), np.zeros(len(rows_M))

    def grow(self, log_MK: Floats, draws: Draws, attempt: int) -> tuple[Ints, list[str]]:
        """One more codon of each; which of them went on, and with what."""
        place = self.prefixes[0].place
        options = self.lattice.options[place]
        onward = [self.lattice.choices(prefix) for prefix in self.prefixes]
        open_MK = np.array([[further is not None for further in row] for row in onward])
        alive_A = np.flatnonzero(open_MK.any(1))
        self.rows_M, self.log_p_M = self.rows_M[alive_A], self.log_p_M[alive_A]
        self.log_q_M = self.log_q_M[alive_A]
        chosen = list[int]()
        if len(alive_A):
            allowed_AK = np.where(open_MK, log_MK, -np.inf)[alive_A]
            chosen_A, q_A = draws.pick(self.rows_M, allowed_AK, (place, attempt))
            self.log_p_M, self.log_q_M = self.log_p_M + log_MK[alive_A, chosen_A], self.log_q_M + q_A
            chosen = chosen_A.tolist()
        rows, picked = alive_A.tolist(), [options[column] for column in chosen]
        taken = (onward[row][column] for row, column in zip(rows, chosen, strict=True))
        self.prefixes = [further for further in taken if further is not None]  # which none is: it was allowed
        self.codons = [[*self.codons[row], codon] for row, codon in zip(rows, picked, strict=True)]
        return alive_A, picked

    def paths(self) -> dict[int, Path]:
        """The finished sequences by their row."""
        numbers = zip(self.rows_M.tolist(), self.codons, self.log_p_M, self.log_p_M - self.log_q_M, strict=True)
        return {row: Path(tuple(codons), float(log_p), float(weight)) for row, codons, log_p, weight in numbers}


def sample(bundle: Bundle, lattice: Lattice, draws: Draws, pool: int = 1) -> list[Path]:
    """Draw as many sequences as ``draws`` has numbers, in their order; see above for from what.

    Of a ``pool`` of several for each number one is kept; it has no weight. InputError where ``TRIES`` beginnings of a
    sequence all ended in a dead end.
    """
    numbers_N = draws.numbers_N
    many = Draws(draws.stream, (numbers_N[:, None] * pool + np.arange(pool)).ravel(), draws.temperature)
    paths = _drawn(lattice, many, lambda rows: CausalReader(bundle, rows))
    if pool == 1:
        return paths
    weights_NP = torch.tensor([path.log_weight for path in paths], dtype=torch.float64).view(len(numbers_N), pool)
    kept_N = choose(weights_NP, uniform(draws.stream, numbers_N, len(lattice.options), TRIES))
    kept = [paths[row * pool + place] for row, place in enumerate(kept_N.tolist())]
    return [Path(path.codons, path.log_likelihood) for path in kept]


class _Indifferent:
    """Finds every codon as likely as any other."""

    def __init__(self, rows: int) -> None:
        self._rows = rows

    def log_p(self, codons: Sequence[str]) -> Floats:
        return np.full((self._rows, len(codons)), -np.log(len(codons)))

    def go_on(self, rows_M: Sequence[int] | Ints, codons: Sequence[str]) -> None:
        self._rows = len(codons)


def _drawn(lattice: Lattice, draws: Draws, reader_for: Callable[[int], CausalReader | _Indifferent]) -> list[Path]:
    found, waiting_M = dict[int, Path](), np.arange(len(draws.numbers_N))
    for attempt in range(TRIES):
        growing, reader = _Growing(lattice, waiting_M), reader_for(len(waiting_M))
        for place, options in enumerate(lattice.options):
            alive_A, picked = growing.grow(reader.log_p(options), draws, attempt)
            if not picked:
                break
            if place + 1 < len(lattice.options):
                reader.go_on(alive_A, picked)
        found |= growing.paths()
        waiting_M = np.array([row for row in range(len(draws.numbers_N)) if row not in found], dtype=np.int64)
        if not len(waiting_M):
            return [found[row] for row in range(len(found))]
        if not draws.temperature:
            break  # the likeliest would be the same again
    raise dead_end(lattice, f"{attempt + 1} beginnings all")


def dead_end(lattice: Lattice, what: str, first: str = "") -> InputError:
    """The sentence for rules that one by one can be kept, and together could not."""
    return InputError(
        f"{lattice.name}: {what} led into a dead end: no synonymous sequence that keeps all rules together was found; "
        f"{first}loosen gc_min, gc_max, homopolymer, avoid or enzymes"
    )


def best_paths(bundle: Bundle, lattice: Lattice, count: int, width: int) -> list[Path]:
    """The ``count`` likeliest sequences that a beam of ``width`` paths finds, the best first (fewer if there are).

    InputError where all paths ended in a dead end.
    """
    reader = CausalReader(bundle, 1)
    paths: list[tuple[Prefix, tuple[str, ...]]] = [(lattice.start, ())]
    scores_W, given_up = np.zeros(1), -np.inf
    for place, options in enumerate(lattice.options):
        sums_WK, kept = scores_W[:, None] + reader.log_p(options), list[tuple[int, int, Prefix]]()
        for flat in np.argsort(-sums_WK, axis=None, kind="stable").tolist():
            row, column = divmod(flat, len(options))
            further = lattice.extended(paths[row][0], options[column])
            if further is None:
                continue
            if len(kept) == width:
                given_up = max(given_up, sums_WK[row, column])
                break
            kept.append((row, column, further))
        if not kept:
            raise dead_end(lattice, f"all {len(paths)} paths of the beam", "widen the beam, or ")
        scores_W = np.array([sums_WK[row, column] for row, column, _ in kept])
        paths = [(further, (*paths[row][1], options[column])) for row, column, further in kept]
        if place + 1 < len(lattice.options):
            reader.go_on([row for row, _, _ in kept], [options[column] for _, column, _ in kept])
    best = zip(paths[:count], scores_W[:count].tolist(), strict=True)
    return [Path(codons, score, proven=bool(score >= given_up)) for (_, codons), score in best]


def drawn_from_all(bundle: Bundle, lattice: Lattice, draws: Draws) -> list[Path]:
    """As many sequences as ``draws`` has numbers, from p over its sum over all synonymous ones that keep the rules.

    At temperature 0 it is the likeliest, proven. InputError where there are more than ``EVERY``.
    """
    found = [(lattice.start, "")]
    for options in lattice.options:
        onward = [(lattice.extended(prefix, codon), text + codon) for prefix, text in found for codon in options]
        found = [(prefix, text) for prefix, text in onward if prefix is not None]
        if len(found) > EVERY:
            raise InputError(
                f"{lattice.name}: has {lattice.count:.3g} synonymous sequences, and {EVERY} are looked at one by one; "
                "give a shorter protein or method sample, whose pool nears the same distribution"
            )
        if not found:
            raise dead_end(lattice, "all paths")
    log_p_M = np.array([one.log_likelihood for one in score_sequences(bundle, (("", t.encode()) for _, t in found))])
    if draws.temperature:
        sums_M = np.exp((log_p_M - log_p_M.max()) / draws.temperature).cumsum()
        wanted_N = uniform(draws.stream, draws.numbers_N) * sums_M[-1]
        chosen_N = np.searchsorted(sums_M, wanted_N, side="right")
    else:
        chosen_N = np.full(len(draws.numbers_N), log_p_M.argmax())
    proven = None if draws.temperature else True
    return [Path(as_codons(found[row][1]), float(log_p_M[row]), proven=proven) for row in chosen_N.tolist()]


def resampled(bundle: Bundle, lattice: Lattice, draws: Draws, sweeps: int) -> list[Path]:
    """Sequences of a model that sees both sides: begun with any codons, each drawn anew ``sweeps`` times (Gibbs)."""
    begun = _drawn(lattice, Draws(draws.stream, draws.numbers_N), _Indifferent)
    reader, texts = MaskedReader(bundle), [list(path.codons) for path in begun]
    for sweep in range(1, sweeps + 1):
        order = np.argsort(bits(draws.stream, np.arange(len(lattice.options)), sweep), kind="stable")
        for place in order.tolist():
            _changed(reader, lattice, texts, place, (draws, TRIES + sweep))
    return [Path(tuple(codons)) for codons in texts]


def climbed(bundle: Bundle, lattice: Lattice, paths: Sequence[Path]) -> list[Path]:
    """Each sequence with the likeliest codon at one place after the other until none changes, in at most 50 sweeps."""
    reader, texts = MaskedReader(bundle), [list(path.codons) for path in paths]
    greedy = Draws(0, np.arange(len(texts)), temperature=0.0)
    for _ in range(SWEEPS_UPWARD):
        before = [tuple(codons) for codons in texts]
        for place in range(len(lattice.options)):
            _changed(reader, lattice, texts, place, (greedy, 0))
        if before == [tuple(codons) for codons in texts]:
            break
    return [Path(tuple(codons)) for codons in texts]


def _changed(
    reader: MaskedReader, lattice: Lattice, texts: list[list[str]], place: int, how: tuple[Draws, int]
) -> None:
    """Choose the codon at one place of every sequence anew."""
    options, (draws, turn) = lattice.options[place], how
    if len(options) == 1:
        return
    log_NK = reader.log_p(texts, place, options)
    open_NK = np.array([[lattice.allows(text, place, codon) for codon in options] for text in texts])
    chosen_N, _ = draws.pick(np.arange(len(texts)), np.where(open_NK, log_NK, -np.inf), (place, turn))
    for text, column in zip(texts, chosen_N.tolist(), strict=True):
        text[place] = options[column]
