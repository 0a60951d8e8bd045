"""Token ids to vectors: a table, with positions, token types, a norm and a gate where the architecture says so."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from nuclex.models.architecture import BackboneConfig
from nuclex.models.blocks.block import norm
from nuclex.models.layout import Layout


class Embedding(nn.Module):
    """The first layer of every network."""

    def __init__(self, config: BackboneConfig, rows: int, pad_id: int, mask_id: int) -> None:
        super().__init__()
        self.token_dropout, self.mask_id, self.offset = config.token_dropout, mask_id, config.position_offset
        learned, size = config.positions == "learned", config.position_width or config.width
        self.concatenate = learned and config.position_use == "concatenate"
        self.tokens = nn.Embedding(rows, config.width - size if self.concatenate else config.width, padding_idx=pad_id)
        self.positions = nn.Embedding(config.max_positions, size) if learned else None
        widened = learned and not self.concatenate and size != config.width
        self.widen = nn.Linear(size, config.width, bias=False) if widened else None
        self.types = nn.Embedding(config.token_types, config.width) if config.token_types else None
        self.norm = norm(config) if config.embedding_norm else None
        self.gate = nn.Linear(config.width, config.width) if config.embedding_gate else None
        self.dropout = nn.Dropout(config.embedding_dropout)

    def forward(self, tokens_T: Tensor, layout: Layout) -> Tensor:
        """(T,) ids to (T, D)."""
        share_T1 = None
        if self.token_dropout:
            masked_T1 = (tokens_T == self.mask_id).to(self.tokens.weight.dtype)[:, None]
            share_T1 = layout.sequence_mean(masked_T1)[layout.sequence_T]
        return self.placed(tokens_T, layout.positions_T, share_T1)

    def placed(self, tokens_T: Tensor, positions_T: Tensor, share_T1: Tensor | None) -> Tensor:
        """(T,) ids at these positions to (T, D); ``share_T1`` is how much of each token's sequence is masked.

        With token dropout the vectors of ``<mask>`` are 0, and all others are multiplied with (1 - expected share) /
        (1 - share), as in RiNALMo.
        """
        hidden_TD = self.tokens(tokens_T)
        if share_T1 is not None:
            seen_T1 = (tokens_T != self.mask_id).to(hidden_TD.dtype)[:, None]
            hidden_TD = hidden_TD * seen_T1 * ((1 - self.token_dropout) / (1 - share_T1).clamp(min=1e-6))
        if self.types is not None:
            hidden_TD = hidden_TD + self.types.weight[0]
        if self.positions is not None:
            where_TP = self.positions(positions_T + self.offset)
            where_TP = where_TP if self.widen is None else self.widen(where_TP)
            hidden_TD = torch.cat([hidden_TD, where_TP], -1) if self.concatenate else hidden_TD + where_TP
        if self.norm is not None:
            hidden_TD = self.norm(hidden_TD)
        if self.gate is not None:
            hidden_TD = hidden_TD * torch.sigmoid(self.gate(hidden_TD))
        return self.dropout(hidden_TD)
