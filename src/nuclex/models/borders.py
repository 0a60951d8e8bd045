"""Where regions begin and end, each border as one choice among places: HELM's head for antibodies (arXiv:2410.12459).

One vector for the whole sequence has to tell every place by its number. A label for each token, the way that is usual
here, knows where it is; this head is for those who want what HELM's code did.
"""

from __future__ import annotations

from torch import Tensor, nn

from nuclex.models.layout import Layout
from nuclex.models.text_convolution import TextConvolutionHead

KERNELS, MAPS, DROPOUT = (3, 4, 5), 100, 0.2


def borders_of(regions: int) -> int:
    """How many borders so many regions have: the end of the first, which begins the sequence, and two of each other.

    >>> borders_of(4)
    7
    """
    return 2 * regions - 1


class BorderHead(nn.Module):
    """Hidden vectors to a score for every place and border, by HELM's TextCNN.

    A place is a number of tokens in front of a border, from 0 up to ``positions`` - 1.
    """

    def __init__(self, width: int, regions: int, positions: int) -> None:
        super().__init__()
        self.positions = positions
        self.places = TextConvolutionHead(width, borders_of(regions) * positions, KERNELS, MAPS, DROPOUT)

    def forward(self, hidden_TD: Tensor, layout: Layout) -> Tensor:
        """(T, D) of N whole sequences to (N, B, P)."""
        scores_NX: Tensor = self.places(hidden_TD, layout)
        return scores_NX.unflatten(1, (-1, self.positions))
