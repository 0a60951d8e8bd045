"""How sequences lie end to end in a packed batch: no padding, so no sequence can touch another.

Shape legend of the package: B batch, N sequences, T packed tokens, M selected tokens, L positions, D width, H heads,
K head size, F feed-forward, V vocabulary, S state, C classes.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import groupby

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor


@dataclass(frozen=True)
class Layout:
    """The lengths of the sequences of a packed batch, and what follows from them.

    ``groups`` are runs of neighbours of equal length, as (first token, number of sequences, length): each run is a
    rectangle without copying, which is what makes exact-length attention cheap on a CPU.
    """

    lengths: tuple[int, ...]
    groups: tuple[tuple[int, int, int], ...]
    boundaries_N1: Tensor
    positions_T: Tensor
    sequence_T: Tensor

    @classmethod
    def of(cls, lengths: Sequence[int] | NDArray[np.integer], device: torch.device | str = "cpu") -> Layout:
        """Lay out sequences of these lengths (tokens, each at least 1) in this order."""
        lengths = tuple(int(length) for length in lengths)
        lengths_N = torch.tensor(lengths, dtype=torch.int64)
        boundaries_N1 = torch.cat([torch.zeros(1, dtype=torch.int64), lengths_N.cumsum(0)])
        sequence_T = torch.repeat_interleave(torch.arange(len(lengths)), lengths_N)
        positions_T = torch.arange(int(boundaries_N1[-1])) - boundaries_N1[:-1][sequence_T]
        groups, first = [], 0
        for length, run in groupby(lengths):
            count = len(list(run))
            groups.append((first, count, length))
            first += count * length
        return cls(lengths, tuple(groups), boundaries_N1.to(device), positions_T.to(device), sequence_T.to(device))

    @property
    def tokens(self) -> int:
        """Number of packed tokens T."""
        return sum(self.lengths)

    @cached_property
    def reversed_T(self) -> Tensor:
        """The token that stands where each token would if every sequence were written backwards: (T,) places.

        >>> Layout.of([3, 2]).reversed_T.tolist()
        [2, 1, 0, 4, 3]
        """
        first_T, last_T = (self.boundaries_N1[part][self.sequence_T] for part in (slice(-1), slice(1, None)))
        return first_T + last_T - 1 - torch.arange(len(first_T), device=first_T.device)

    @property
    def longest(self) -> int:
        """Length of the longest sequence, in tokens."""
        return max(self.lengths, default=0)

    def sequence_mean(self, values_TD: Tensor) -> Tensor:
        """Mean over each sequence's tokens: (T, D) to (N, D)."""
        sums_ND = values_TD.new_zeros(len(self.lengths), values_TD.shape[-1]).index_add_(0, self.sequence_T, values_TD)
        lengths_N = (self.boundaries_N1[1:] - self.boundaries_N1[:-1]).to(values_TD.dtype)
        return sums_ND / lengths_N[:, None]
