"""What a head is worth by itself: each token as a vector of its own, with nothing learned about its neighbours."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from nuclex.models.layout import Layout


class OneHot(nn.Module):
    """Stands where a language model would, under a head, and has no parameters."""

    rows_VV: Tensor

    def __init__(self, tokens: int) -> None:
        super().__init__()
        self.width = tokens
        self.register_buffer("rows_VV", torch.eye(tokens), persistent=False)  # follows the head's device and precision

    def encode(self, tokens_T: Tensor, layout: Layout) -> Tensor:
        """Token ids (T,) to (T, V): 1 at the token's id."""
        return F.embedding(tokens_T, self.rows_VV)
