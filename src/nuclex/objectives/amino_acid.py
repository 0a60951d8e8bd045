"""The amino acid is what counts: - ln of the sum of p over all codons that mean what the true one means.

HELM's ``aa_loss_only``, and with the cross entropy of the codon itself added ``aa_loss_add`` (arXiv:2410.12459).
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

from nuclex.objectives.hierarchy import Hierarchy

LOWEST = -1e30
"""Stands for ln 0 where a token is left out of a sum: its gradient is 0, and never not a number."""


def meanings(hierarchy: Hierarchy) -> Tensor:
    """The number of what each token means (V,), which is the last node above it: an amino acid, start, stop, itself."""
    names = [path[-1] for path in hierarchy.paths]
    numbers = {name: place for place, name in enumerate(dict.fromkeys(names))}
    return torch.tensor([numbers[name] for name in names])


def amino_acid_cross_entropy(logits_NV: Tensor, target_N: Tensor, hierarchy: Hierarchy) -> Tensor:
    """- ln p(what the true token means) of each of N predictions: (N,), in nats, in log space."""
    return meaning_cross_entropy(logits_NV, target_N, meanings(hierarchy.widened(logits_NV.shape[1])))


def meaning_cross_entropy(logits_NV: Tensor, target_N: Tensor, meaning_V: Tensor) -> Tensor:
    """The same for a table of meanings (V,), which has a number for every column of ``logits_NV``."""
    log_NV = F.log_softmax(logits_NV if logits_NV.dtype is torch.float64 else logits_NV.float(), dim=-1)
    meaning_V = meaning_V.to(logits_NV.device)
    other_NV = meaning_V[None] != meaning_V[target_N][:, None]
    return -log_NV.masked_fill(other_NV, LOWEST).logsumexp(1)


def released_cross_entropy(logits_NV: Tensor, target_N: Tensor, meaning_V: Tensor) -> Tensor:
    """What HELM's code computes: the probabilities of meanings are taken for logits, a softmax of a softmax."""
    probability_NV = F.softmax(logits_NV.float(), dim=-1)
    meaning_V = meaning_V.to(logits_NV.device)
    of_NM = probability_NV.new_zeros(len(target_N), int(meaning_V.max()) + 1).index_add(1, meaning_V, probability_NV)
    return F.cross_entropy(of_NM, meaning_V[target_N], reduction="none")
