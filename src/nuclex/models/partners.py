"""A head for a sequence together with something else that is given as a vector: a drug, a protein, another sequence."""

from __future__ import annotations

from typing import Literal

import torch
from pydantic import Field
from torch import Tensor, nn
from torch.nn import functional as F

from nuclex.models.base import Size
from nuclex.models.heads import HEADS, HeadConfig, mean_inside
from nuclex.models.layout import Layout


@HEADS.register
class PartnerHeadConfig(HeadConfig):
    """One vector a sequence and one of its partner, each projected, then two layers over both and their product."""

    kind: Literal["partner"] = "partner"
    vector: Size | None = Field(default=None, description="numbers of a partner's vector; None = as the data have")
    hidden: Size = 256
    dropout: float = Field(default=0.0, ge=0, lt=1)

    def build(self, width: int, outputs: int) -> PartnerHead:
        """The head for ``outputs`` numbers; ValueError where it is not known how long a partner's vector is."""
        if self.vector is None:
            raise ValueError("head.vector: how many numbers a partner's vector has is not known; give it")
        return PartnerHead(self, width, self.vector, outputs)


class PartnerHead(nn.Module):
    """The mean hidden vector of a sequence and the vector of its partner to numbers.

    Both are projected to ``hidden`` numbers, a and b; a layer with GELU and a last one read GELU(a), GELU(b) and the
    product a·b, by which what the one does may depend on the other (a bilinear form of rank ``hidden``). The partner's
    numbers are centred and scaled by ``mean_P`` and ``deviation_P``, 0 and 1 until fine-tuning sets them to those of
    the partners it learns from. The partner's vector is given, not computed: nothing learns beyond its projection.
    """

    mean_P: Tensor
    deviation_P: Tensor

    def __init__(self, config: PartnerHeadConfig, width: int, vector: int, outputs: int) -> None:
        super().__init__()
        self.register_buffer("mean_P", torch.zeros(vector))
        self.register_buffer("deviation_P", torch.ones(vector))
        self.sequence = nn.Linear(width, config.hidden)
        self.partner = nn.Linear(vector, config.hidden)
        self.dense = nn.Linear(3 * config.hidden, config.hidden)
        self.dropout = nn.Dropout(config.dropout)
        self.decoder = nn.Linear(config.hidden, outputs)

    def forward(self, hidden_TD: Tensor, layout: Layout, partners_NP: Tensor) -> Tensor:
        """(T, D) of N whole sequences and (N, P) of their partners to (N, outputs)."""
        a_NH = self.sequence(mean_inside(hidden_TD, layout))
        b_NH = self.partner((partners_NP - self.mean_P) / self.deviation_P)
        both_NX = torch.cat([F.gelu(a_NH), F.gelu(b_NH), a_NH * b_NH], dim=1)
        return self.decoder(self.dropout(F.gelu(self.dense(self.dropout(both_NX)))))

    def scale_by(self, partners_KP: Tensor) -> None:
        """Centre and scale partners as these K different ones; a number that all have alike is only centred."""
        deviation_P = partners_KP.std(0, correction=0)
        self.mean_P.copy_(partners_KP.mean(0))
        self.deviation_P.copy_(torch.where(deviation_P > 1e-6 * (1e-6 + partners_KP.abs().amax(0)), deviation_P, 1.0))
