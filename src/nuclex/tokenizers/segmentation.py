"""All ways to cut a text into tokens at once, and how often each token is expected (forward and backward sums).

A text is a lattice: its places are nodes, a token that fits between two places is an edge. The sum over all paths of
the products of token probabilities is the text's probability; every sum is kept as a logarithm. Shapes: R rows of C
letters (rows are cut from one another), E edges, V tokens.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import final

import numpy as np
from numpy.typing import NDArray

Codes = NDArray[np.uint8]
Numbers = NDArray[np.float64]
Places = NDArray[np.int32]
BREAK = 0


@final
class Trie:
    """Tokens by their letters: a walk from the root along the letters of a text meets every token that begins there."""

    def __init__(self, tokens: Sequence[bytes]) -> None:
        """``tokens`` are made of letter codes from 1; the place of a token is its id. No token stands twice."""
        self.width = 1 + max(map(max, tokens))
        branches: list[list[int]] = [[0] * self.width]
        ids = [-1]
        for index, token in enumerate(tokens):
            state = 0
            for code in token:
                if not branches[state][code]:
                    branches[state][code] = len(branches)
                    branches.append([0] * self.width)
                    ids.append(-1)
                state = branches[state][code]
            ids[state] = index
        self.next_S = np.array(branches, dtype=np.int32).ravel()  # S states, the next one for each letter
        self.ids_S = np.array(ids, dtype=np.int32)
        self.longest = max(map(len, tokens))


@final
class Lattice:
    """Every token that fits into a text, edge by edge, those that end at the same column together."""

    def __init__(self, text_RC: Codes, trie: Trie, *, whole: bool = True) -> None:
        """A break is an edge of probability 1. Without ``whole``, a token that is all the text of a row is no edge."""
        self.rows, self.columns = text_RC.shape
        text_T = text_RC.ravel()
        starts_E, lengths_E, ids_E = _edges(text_T, self.columns, trie)
        row_E, column_E = np.divmod(starts_E, self.columns)
        if not whole:
            letters_R = np.count_nonzero(text_RC, axis=1)
            part_E = (column_E > 0) | (lengths_E < letters_R[row_E])
            row_E, column_E, lengths_E, ids_E = row_E[part_E], column_E[part_E], lengths_E[part_E], ids_E[part_E]
        end_E = (column_E + lengths_E).astype(np.uint16)
        order_E = np.argsort(end_E, kind="stable")
        self.bounds_C = np.searchsorted(end_E[order_E], np.arange(self.columns + 2)).tolist()
        self.ids_E, self.rows_E = ids_E[order_E], row_E[order_E].astype(np.int32)
        self.starts_E = (column_E * self.rows + row_E)[order_E].astype(np.int32)  # into (column, row)

    def forward(self, scores_V: Numbers) -> Numbers:
        """The logarithm of the sum over all ways to reach each node: (C + 1, R), 0 in column 0."""
        scores_V = np.append(scores_V, 0.0)  # id -1 is a break
        reached_CR = np.full((self.columns + 1, self.rows), -np.inf)
        reached_CR[0] = 0.0
        for column in range(1, self.columns + 1):
            edges = slice(self.bounds_C[column], self.bounds_C[column + 1])
            rows_E, before_R = self.rows_E[edges], reached_CR[column - 1]
            terms_E = scores_V.take(self.ids_E[edges]) + reached_CR.ravel().take(self.starts_E[edges])
            terms_E -= before_R.take(rows_E)  # every letter is a token, so this node is not far from the one before
            reached_CR[column] = before_R + np.log(np.bincount(rows_E, np.exp(terms_E), self.rows))
        return reached_CR

    def expected(self, scores_V: Numbers) -> tuple[Numbers, float]:
        """How often each token is expected in the text (V,), and the logarithm of the text's probability."""
        reached_CR = self.forward(scores_V)
        scores_V = np.append(scores_V, 0.0)
        total_R = reached_CR[-1]
        counts_V = np.zeros(len(scores_V))
        through_T = np.zeros(reached_CR.size)  # the probability of passing through each node
        through_T[-self.rows :] = 1.0
        flat_T = reached_CR.ravel()
        for column in range(self.columns, 0, -1):
            edges = slice(self.bounds_C[column], self.bounds_C[column + 1])
            ids_E, rows_E, starts_E = self.ids_E[edges], self.rows_E[edges], self.starts_E[edges]
            nodes = slice(column * self.rows, (column + 1) * self.rows)
            # an edge's share of the ways that reach the node it ends at, times the probability of passing there
            share_E = np.exp(scores_V.take(ids_E) + flat_T.take(starts_E) - flat_T[nodes].take(rows_E))
            share_E *= through_T[nodes].take(rows_E)
            counts_V += np.bincount(ids_E + 1, weights=share_E, minlength=len(scores_V))
            if len(starts_E):
                first = int(starts_E.min())
                passing = np.bincount(starts_E - first, weights=share_E)
                through_T[first : first + len(passing)] += passing
        return counts_V[1:], float(total_R.sum())


def _edges(text_T: Codes, columns: int, trie: Trie) -> tuple[Places, Places, Places]:
    """Starts in the flat text, lengths and ids of all tokens in it, breaks (of length 1 and id -1) included."""
    places = np.flatnonzero(text_T != BREAK).astype(np.int32)
    breaks = np.flatnonzero(text_T == BREAK).astype(np.int32)
    found = [(breaks, np.ones_like(breaks), np.full_like(breaks, -1))]
    states = np.zeros(len(places), dtype=np.int32)
    for length in range(1, trie.longest + 1):
        states = trie.next_S.take(states * trie.width + text_T.take(places + (length - 1)))
        alive = states > 0
        places, states = places.compress(alive), states.compress(alive)
        ids = trie.ids_S.take(states)
        ends = ids >= 0
        token_places = places.compress(ends)
        found.append((token_places, np.full_like(token_places, length), ids.compress(ends)))
        inside = places % columns + length < columns
        places, states = places.compress(inside), states.compress(inside)
    starts_E, lengths_E, ids_E = (np.concatenate(parts) for parts in zip(*found, strict=True))
    return starts_E, lengths_E, ids_E
