"""The smallest thing that learns, for tests of the training loop."""

from __future__ import annotations

from torch import Tensor, nn


class Line(nn.Module):
    """A line through points, with dropout so that what is random matters."""

    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Linear(3, 1, bias=False)
        self.dropout = nn.Dropout(0.3)
        nn.init.constant_(self.layer.weight, 0.5)

    def forward(self, points: Tensor) -> Tensor:
        return self.layer(self.dropout(points))[:, 0]
