"""What a head is worth by itself: each token as a vector of its own, with nothing learned about its neighbours."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Self

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from nuclex.bio.alphabet import RNA, RNA_IUPAC, to_rna
from nuclex.models.layout import Layout


class OneHot(nn.Module):
    """Stands where a language model would, under a head, and has no parameters: a fixed row (D,) for each token."""

    rows_VD: Tensor

    def __init__(self, rows_VD: Tensor) -> None:
        super().__init__()
        self.width = rows_VD.shape[1]
        self.register_buffer("rows_VD", rows_VD, persistent=False)  # follows the head's device and precision

    @classmethod
    def of_tokens(cls, count: int) -> Self:
        """A dimension for every one of ``count`` tokens, special ones included."""
        return cls(torch.eye(count))

    @classmethod
    def of_letters(cls, vocabulary: Sequence[str]) -> Self:
        """Four dimensions, A, C, G and U; what may be several bases is shared among them, other tokens are 0.

        ``vocabulary`` has one letter a token, of DNA or RNA.

        >>> OneHot.of_letters(["<cls>", "G", "R", "-"]).rows_VD.tolist()
        [[0.0, 0.0, 0.0, 0.0], [0.0, 0.0, 1.0, 0.0], [0.5, 0.0, 0.5, 0.0], [0.0, 0.0, 0.0, 0.0]]
        """
        rows_V4 = torch.zeros(len(vocabulary), len(RNA))
        for token, symbol in enumerate(vocabulary):
            letter = to_rna(symbol)
            bases = RNA_IUPAC.expand(letter) if letter in tuple(RNA_IUPAC.symbols) else frozenset()
            for base in bases:
                rows_V4[token, RNA.symbols.index(base)] = 1 / len(bases)
        return cls(rows_V4)

    def encode(self, tokens_T: Tensor, layout: Layout) -> Tensor:
        """Token ids (T,) to their rows (T, D)."""
        return F.embedding(tokens_T, self.rows_VD)
