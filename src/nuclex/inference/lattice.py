"""The synonymous sequences of a protein, codon by codon, and which of them keep what was asked of GC and of words.

Words are looked ahead for exactly: a codon after which every way on would complete one is never taken. GC windows are
looked ahead for one at a time, each with the least and the most GC that codons still to come can have; so a dead end
is possible where windows, or windows and words, contradict each other, and whoever walks has to go back then.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from nuclex.bio.avoided import Avoided, State
from nuclex.bio.genetic_code import GeneticCode
from nuclex.core.errors import InputError

Ints = NDArray[np.int64]
SLACK = 1e-9
"""A share of 0.3 of 10 letters is 3 of them, whatever rounding makes of it."""


@dataclass(frozen=True)
class GcRange:
    """The least and the largest share of G and C in every ``window`` letters in a row.

    A sequence shorter than the window is one window.
    """

    window: int
    lowest: float
    highest: float

    def counts(self, length: int) -> tuple[int, int, int]:
        """For a sequence of so many letters: the window, the fewest and the most G and C in it."""
        window = min(self.window, length)
        return window, math.ceil(self.lowest * window - SLACK), math.floor(self.highest * window + SLACK)

    def broken_in(self, sequence: str) -> list[int]:
        """Where (0-based) the windows begin that have too little or too much."""
        window, fewest, most = self.counts(len(sequence))
        sums = np.concatenate([[0], np.cumsum(gc_of(sequence))])
        found = sums[window:] - sums[: len(sums) - window]
        return np.flatnonzero((found < fewest) | (found > most)).tolist() if window else []


@dataclass(frozen=True)
class Rules:
    """What a sequence has to keep."""

    avoided: Avoided
    gc: GcRange | None = None

    @property
    def reach(self) -> int:
        """How many letters from a change a rule can be broken."""
        return max(self.avoided.longest, self.gc.window if self.gc else 0, 1) - 1

    def broken_in(self, sequence: str) -> list[str]:
        """What a finished sequence (or a stretch of one) breaks, by a search of all of it; empty where nothing."""
        found = [f"{name} at {place}" for name, place in self.avoided.found_in(sequence)]
        return found + [f"GC from {place}" for place in (self.gc.broken_in(sequence) if self.gc else [])]


class Prefix(NamedTuple):
    """The first codons of a sequence: how many, which unwanted words have begun, and the last letters."""

    place: int
    state: State
    tail: str


class Lattice:
    """The codons that each place of a protein may have (``*`` is stop), under rules.

    InputError, beginning with ``name``, for a letter that no codon means, and where no sequence keeps the rules.
    """

    def __init__(self, name: str, protein: str, code: GeneticCode, rules: Rules) -> None:
        self.name, self.rules, self.code = name, rules, code
        self.options = tuple(self._codons(place, letter, protein) for place, letter in enumerate(protein))
        self.length = 3 * len(protein)
        self.count = math.prod(map(len, self.options))
        self._alive = self._words_ahead()
        self._window, self._fewest, self._most = rules.gc.counts(self.length) if rules.gc else (0, 0, 0)
        if rules.gc:
            self._ahead = [self._extremes(place) for place in range(len(protein) + 1)]
            self._refuse_hopeless_windows()

    @property
    def start(self) -> Prefix:
        """No codon yet."""
        return Prefix(0, frozenset(), "")

    def extended(self, prefix: Prefix, codon: str) -> Prefix | None:
        """One more codon, or None where no sequence that begins so keeps the rules, as far as is looked ahead."""
        state = self.rules.avoided.read(prefix.state, codon)
        if isinstance(state, int) or state not in self._alive[prefix.place + 1]:
            return None
        tail = prefix.tail + codon
        if self._window and not self._windows_fit(prefix.place + 1, tail):
            return None
        return Prefix(prefix.place + 1, state, tail[-(self._window + 2) :] if self._window else "")

    def choices(self, prefix: Prefix) -> list[Prefix | None]:
        """What each codon that the next place may have leads to, in the order of ``options``."""
        return [self.extended(prefix, codon) for codon in self.options[prefix.place]]

    def allows(self, codons: list[str], place: int, codon: str) -> bool:
        """Whether a sequence that keeps the rules still does with another codon at this place."""
        reach = self.rules.reach
        text = "".join([*codons[:place], codon, *codons[place + 1 :]])
        around = text if self.rules.gc and self.length <= self.rules.gc.window else None
        return not self.rules.broken_in(around or text[max(0, 3 * place - reach) : 3 * place + 3 + reach])

    def _codons(self, place: int, letter: str, protein: str) -> tuple[str, ...]:
        if letter == "*":
            if place + 1 < len(protein):
                raise InputError(f"{self.name}: has a stop (*) at {place}, before its end")
            return self.code.stop_codons
        try:
            return self.code.codons_of(letter)
        except InputError as error:
            raise InputError(f"{self.name}: at {place}: {error}") from None

    def _words_ahead(self) -> list[set[State]]:
        """For each number of codons, the states from which the end can be reached without an unwanted word."""
        avoided, reached = self.rules.avoided, [{frozenset[tuple[int, int]]()}]
        for place, codons in enumerate(self.options):
            found = [avoided.read(state, codon) for state in reached[-1] for codon in codons]
            after = {state for state in found if not isinstance(state, int)}
            if not after:
                hit = ", ".join(sorted({avoided.names[number] for number in found if isinstance(number, int)}))
                raise InputError(f"{self.name}: no synonymous sequence is without {hit}; none gets past codon {place}")
            reached.append(after)
        for place in range(len(self.options) - 1, -1, -1):
            following = reached[place + 1]
            ways = {s: [avoided.read(s, codon) for codon in self.options[place]] for s in reached[place]}
            reached[place] = {state for state, found in ways.items() if not following.isdisjoint(_states(found))}
        return reached

    def _extremes(self, place: int) -> Ints:
        """The least and the most GC of the first 0, 1, … letters (of at most a window) from this codon on: (2, W + 1).

        Behind the end there is nothing: it stays as it is.
        """
        found = np.zeros((2, self._window + 1), dtype=np.int64)
        before, at = np.zeros(2, dtype=np.int64), 0
        for codons in self.options[place : place + -(-self._window // 3)]:
            sums = np.cumsum([gc_of(codon) for codon in codons], axis=1)
            some = np.stack([sums.min(0), sums.max(0)])
            room = min(3, self._window - at)
            found[:, at + 1 : at + 1 + room] = before[:, None] + some[:, :room]
            before, at = before + some[:, 2], at + room
        found[:, at + 1 :] = before[:, None]
        return found

    def _refuse_hopeless_windows(self) -> None:
        """InputError for a window that cannot have as much or as little GC as is asked, whatever stands around it."""
        for start in range(self.length - self._window + 1):
            place, inside = divmod(start, 3)
            heads = [(sum(gc_of(codon[inside:])), codon) for codon in (self.options[place] if inside else [])]
            rest = self._window - (3 - inside if heads else 0)
            least, most = self._ahead[place + bool(heads)][:, rest]
            least, most = least + min(heads, default=(0, ""))[0], most + max(heads, default=(0, ""))[0]
            if most < self._fewest or least > self._most:
                share = f"{least / self._window:.2f} to {most / self._window:.2f}"
                raise InputError(
                    f"{self.name}: the GC of letters {start} to {start + self._window} can only be {share}; "
                    "gc_min, gc_max or gc_window must leave it that"
                )

    def _windows_fit(self, place: int, tail: str) -> bool:
        """Whether every window that touches the letters known so far (``tail`` are the last) can still be kept."""
        window, known = self._window, 3 * place
        sums = np.concatenate([[0], np.cumsum(gc_of(tail))])
        starts = np.arange(max(0, known - 2 - window), min(known, self.length - window + 1))
        first = starts - (known - len(tail))
        starts, first = starts[first >= 0], first[first >= 0]
        inside = sums[np.minimum(first + window, len(tail))] - sums[first]
        least, most = self._ahead[place][:, np.maximum(starts + window - known, 0)]
        return bool(((inside + least <= self._most) & (inside + most >= self._fewest)).all())


def gc_of(sequence: str) -> Ints:
    """1 for each G or C, 0 for any other letter."""
    letters = np.frombuffer(sequence.encode("ascii"), dtype=np.uint8)
    return ((letters == ord("G")) | (letters == ord("C"))).astype(np.int64)


def _states(found: list[State | int]) -> set[State]:
    return {state for state in found if not isinstance(state, int)}
