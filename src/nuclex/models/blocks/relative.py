"""Relative positions as sines and cosines of the distance, as in Transformer-XL (arXiv:1901.02860).

The score of query i and key j is, before scaling, q_i·k_j + u·k_j + (q_i + v)·W r(i - j): ``u`` and ``v`` are one
trained vector a head, r(d) has D sines and cosines of the distance d with wavelengths from 2π to 20 000π,
and W is a matrix.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn


class RelativePositions(nn.Module):
    """The parts of attention's scores that know of distances, for heads of size K = width / heads."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.width, self.heads = width, heads
        self.projection = nn.Linear(width, width, bias=False)
        self.content_HK = nn.Parameter(torch.zeros(heads, width // heads))
        self.position_HK = nn.Parameter(torch.zeros(heads, width // heads))

    def content(self, key_NHSK: Tensor) -> Tensor:
        """u·k of every key: (N, H, 1, S)."""
        return torch.einsum("hk,nhsk->nhs", self.content_HK.to(key_NHSK.dtype), key_NHSK)[:, :, None]

    def bias(self, query_NHLK: Tensor, keys: int, places_N: Tensor | None = None) -> Tensor:
        """(q + v)·W r(i - j) for the keys j = 0 … keys - 1: (N, H, L, S).

        The queries are at i = 0 … L - 1, or one a sequence at ``places_N``.
        """
        span = torch.arange(1 - keys, keys, device=query_NHLK.device)  # i - j, ascending
        waves_RHK = self.projection(sinusoids(span, self.width).to(query_NHLK.dtype)).unflatten(-1, (self.heads, -1))
        asked = query_NHLK + self.position_HK.to(query_NHLK.dtype)[:, None]
        scores_NHLR = torch.einsum("nhlk,rhk->nhlr", asked, waves_RHK)
        here = torch.arange(query_NHLK.shape[2], device=span.device)[None] if places_N is None else places_N[:, None]
        distance_NLS = here[:, :, None] - torch.arange(keys, device=span.device)
        index = (distance_NLS + keys - 1).clamp(0, 2 * keys - 2)[:, None]
        return scores_NHLR.gather(-1, index.expand(*scores_NHLR.shape[:3], keys))


def sinusoids(distance_R: Tensor, width: int) -> Tensor:
    """Sines, then cosines, of each distance: (R, width), float32; wavelengths are 2π · 10000^(2i / width)."""
    exponent = torch.arange(0, width, 2, dtype=torch.float32, device=distance_R.device) / width
    angle = distance_R.float()[:, None] * 10_000.0**-exponent
    return torch.cat([angle.sin(), angle.cos()], dim=-1)[:, :width]
