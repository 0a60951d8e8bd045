"""What every mixer promises: it lets the tokens of one sequence see each other, and those of another never."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import Self

from torch import Tensor, nn

from nuclex.models.layout import Layout

State = dict[str, Tensor]
"""What a mixer remembers of N sequences so that they can go on; the first axis of every tensor is N."""

CosSin = tuple[Tensor, Tensor]
"""Cosine and sine of the rotary angles of each position, as ``rotary.rotation`` gives them."""


class Mixer(nn.Module, ABC):
    """One way to mix tokens over packed sequences; ``width`` D in, D out.

    The matrix that writes into the residual stream is called ``output``.
    """

    output: nn.Linear

    @abstractmethod
    def forward(self, hidden_TD: Tensor, layout: Layout, cos_sin: CosSin | None = None) -> Tensor:
        """(T, D) to (T, D). What a sequence gets does not depend on what else is in the batch."""

    @abstractmethod
    def prefill(self, hidden_TD: Tensor, layout: Layout, cos_sin: CosSin | None = None) -> tuple[Tensor, State]:
        """The same as ``forward``, and the state behind the last token of each sequence."""

    @abstractmethod
    def step(self, hidden_ND: Tensor, state: State, cos_sin: CosSin | None = None) -> Tensor:
        """One more token of each of N sequences: (N, D) to (N, D), equal to ``forward`` on the longer sequences.

        ``state`` is changed in place. Only for causal mixers.
        """

    def reset_special(self) -> None:
        """Draw anew those parameters that are not initialised as ordinary matrices and biases are; none by default."""
        return

    def stacked(self) -> Mapping[str, tuple[int, ...]]:
        """Matrices in which rows of several uses lie on each other, by name, and how many rows each use has."""
        return {}

    def spread(self, base: Self) -> None:
        """Where special parameters depend on how many channels there are: those of the narrower ``base``, repeated."""
        return
