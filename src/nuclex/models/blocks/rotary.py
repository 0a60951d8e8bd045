"""Rotary positions: each pair of features turns by an angle that grows with the position (arXiv:2104.09864)."""

from __future__ import annotations

import torch
from torch import Tensor


def rotation(positions_T: Tensor, head_size: int, base: float = 10_000.0) -> tuple[Tensor, Tensor]:
    """Cosine and sine of every position's angles, each (T, head_size / 2), in float32."""
    exponents = torch.arange(0, head_size, 2, dtype=torch.float32, device=positions_T.device) / head_size
    angles = positions_T.to(torch.float32)[:, None] * (base**-exponents)[None, :]
    return angles.cos(), angles.sin()


def rotate(features_THK: Tensor, cos_sin: tuple[Tensor, Tensor]) -> Tensor:
    """Turn (T, H, K) features; feature i is paired with feature i + K/2 (half-split, as in GPT-NeoX and RiNALMo)."""
    cos, sin = (part[:, None, :].to(features_THK.dtype) for part in cos_sin)
    first, second = features_THK.chunk(2, dim=-1)
    return torch.cat([first * cos - second * sin, second * cos + first * sin], dim=-1)
