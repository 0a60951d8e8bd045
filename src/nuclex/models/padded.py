"""The same encoder over padded batches, for programs that know no packing; made of the packed network's own parts."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from nuclex.core.errors import InputError
from nuclex.models.architecture import BackboneConfig
from nuclex.models.backbone import LanguageModel
from nuclex.models.blocks.block import Block
from nuclex.models.blocks.rotary import rotation


def unpaddable(config: BackboneConfig) -> str | None:
    """Why such a network cannot be computed over padding as it is over packed sequences; None where it can."""
    others = sorted(set(config.mixers) - {"attention"})
    if others:
        return f"its layers are {', '.join(others)}, where only attention can leave padding unread"
    return "it looks left to right, where only encoders, which look both ways, are written" if config.causal else None


class PaddedEncoder(nn.Module):
    """An encoder, put into evaluation mode, whose weights it shares; numbers at padding are 0.

    InputError for a causal network and for mixers other than attention.
    """

    def __init__(self, network: LanguageModel) -> None:
        super().__init__()
        if problem := unpaddable(network.config):
            raise InputError(f"padded: {problem}")
        self.network = network
        self.eval()

    def forward(self, input_ids: Tensor, attention_mask: Tensor) -> tuple[Tensor, ...]:
        """(B, L) ids and (B, L) marks (1 = is read, 0 = padding) to hidden vectors (B, L, D) and logits (B, L, V).

        Without a language head there are no logits. Positions count from the start of each row: padding is behind.
        """
        config, read_BL = self.network.config, attention_mask.bool()
        tokens_T = input_ids.flatten()
        positions_T = torch.arange(input_ids.shape[1], device=input_ids.device).expand_as(input_ids).flatten()
        hidden_TD = self.network.embedding.placed(tokens_T, positions_T, self._share(input_ids, read_BL))
        cos_sin = None
        if config.positions == "rotary":
            cos_sin = rotation(positions_T, config.width // config.heads, config.rotary_base)
        for block in self.network.blocks:
            assert isinstance(block, Block)
            hidden_TD = block.padded(hidden_TD, read_BL, cos_sin)
        hidden_TD = self.network.norm(hidden_TD)
        outputs = (hidden_TD,) if self.network.head is None else (hidden_TD, self.network.scores(hidden_TD))
        return tuple(part_TX.unflatten(0, input_ids.shape) * read_BL[..., None] for part_TX in outputs)

    def _share(self, input_ids: Tensor, read_BL: Tensor) -> Tensor | None:
        """How much of each token's sequence is masked: (T, 1)."""
        if not self.network.config.token_dropout:
            return None
        masked_BL = ((input_ids == self.network.mask_id) & read_BL).to(self.network.embedding.tokens.weight.dtype)
        share_B1 = masked_BL.sum(1, keepdim=True) / read_BL.sum(1, keepdim=True).clamp(min=1)
        return share_B1.expand_as(input_ids).flatten()[:, None]
