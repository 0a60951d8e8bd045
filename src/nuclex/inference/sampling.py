"""How the next token is chosen from a model's scores: what may not come, what is too unlikely, and the draw.

Pure functions of scores (N, V), one row a sequence; -inf stands for what is ruled out.
"""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor


def forbid_repeats(logits_NV: Tensor, history_NL: Tensor, lengths_N: Tensor, size: int) -> Tensor:
    """Rule out every token that would complete a run of ``size`` tokens which the sequence holds already.

    ``history_NL`` are the ids so far, the first ``lengths_N`` of each row; what is behind them is negative.
    """
    if size == 0 or size > history_NL.shape[1]:
        return logits_NV
    windows_NWS = history_NL.unfold(1, size, 1)
    last_NS = lengths_N[:, None] + torch.arange(1 - size, 0)
    newest_NS = history_NL.gather(1, last_NS.clamp(min=0))
    alike_NW = (windows_NWS[..., :-1] == newest_NS[:, None]).all(-1) & (windows_NWS[..., -1] >= 0)
    rows_M, places_M = alike_NW.nonzero(as_tuple=True)
    return logits_NV.index_put((rows_M, windows_NWS[rows_M, places_M, -1]), logits_NV.new_tensor(-torch.inf))


def keep_top_k(logits_NV: Tensor, count: int) -> Tensor:
    """Rule out all but the ``count`` most likely tokens (and what is as likely as the last of them); 0 keeps all."""
    if count == 0 or count >= logits_NV.shape[1]:
        return logits_NV
    return logits_NV.masked_fill(logits_NV < logits_NV.topk(count).values[:, -1:], -torch.inf)


def keep_top_p(logits_NV: Tensor, share: float) -> Tensor:
    """Keep the fewest tokens that have ``share`` of the probability, likeliest first (nucleus, arXiv:1904.09751)."""
    if share >= 1:
        return logits_NV
    sorted_NV, order_NV = logits_NV.sort(dim=-1, descending=True, stable=True)
    chances_NV = sorted_NV.softmax(-1)
    before_NV = chances_NV.cumsum(-1) - chances_NV
    before_NV[:, 0] = 0  # the likeliest always stays
    beyond_NV = before_NV >= share
    return logits_NV.masked_fill(beyond_NV.scatter(1, order_NV, beyond_NV), -torch.inf)


def choose(logits_NV: Tensor, uniform_N: NDArray[np.float64], *, greedy: bool = False) -> Tensor:
    """One token id for each row (N,): drawn from softmax(logits), or the likeliest.

    A draw is the first token at which the summed probabilities, in the order of the ids, exceed ``uniform_N``, numbers
    in [0, 1). What is ruled out is never drawn.
    """
    if greedy:
        return logits_NV.argmax(-1)
    sums_NV = logits_NV.double().softmax(-1).cumsum(-1)
    wanted_N1 = torch.from_numpy(uniform_N)[:, None] * sums_NV[:, -1:]
    return torch.searchsorted(sums_NV, wanted_N1, right=True)[:, 0]
