"""The amino acid is what counts: - ln of the sum of p over all codons that mean what the true one means.

HELM's ``aa_loss_only``, and with the cross entropy of the codon itself added ``aa_loss_add`` (arXiv:2410.12459).
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

from nuclex.objectives.hierarchical import HierarchicalLoss
from nuclex.objectives.hierarchy import Hierarchy


def meanings(hierarchy: Hierarchy) -> Tensor:
    """The number of what each token means (V,), which is the last node above it: an amino acid, start, stop, itself."""
    names = [path[-1] for path in hierarchy.paths]
    numbers = {name: place for place, name in enumerate(dict.fromkeys(names))}
    return torch.tensor([numbers[name] for name in names])


def amino_acid_cross_entropy(logits_NV: Tensor, target_N: Tensor, hierarchy: Hierarchy) -> Tensor:
    """- ln p(what the true token means) of each of N predictions: (N,), in nats, in log space."""
    tree = hierarchy.widened(logits_NV.shape[1])
    return HierarchicalLoss.of_last_nodes(tree, 0.0, logits_NV.device)(logits_NV, target_N)


def released_cross_entropy(logits_NV: Tensor, target_N: Tensor, meaning_V: Tensor) -> Tensor:
    """What HELM's code computes: the probabilities of meanings are taken for logits, a softmax of a softmax."""
    probability_NV = F.softmax(logits_NV.float(), dim=-1)
    meaning_V = meaning_V.to(logits_NV.device)
    of_NM = probability_NV.new_zeros(len(target_N), int(meaning_V.max()) + 1).index_add(1, meaning_V, probability_NV)
    return F.cross_entropy(of_NM, meaning_V[target_N], reduction="none")
