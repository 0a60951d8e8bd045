"""Soft labels: the true token's relatives are a little right, too (Bertinetto et al. 2020, arXiv:1912.09393).

With d(c, t) the height of the deepest node above both, over that of the tree, the label of t is q(c) ∝ exp(-β d(c, t)),
and the loss is the cross entropy - Σ_c q(c) ln p(c).
"""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F

from nuclex.objectives.hierarchy import Hierarchy


def soft_labels(hierarchy: Hierarchy, beta: float) -> NDArray[np.float64]:
    """The label of each token: (V, V), a row a true token, each row sums to 1.

    >>> from nuclex.bio import GeneticCode
    >>> q = soft_labels(Hierarchy.of_code(["GUU", "GUC", "UGG"], GeneticCode.ncbi(1)), beta=15.0)
    >>> q.round(3).tolist()
    [[0.976, 0.023, 0.001], [0.023, 0.976, 0.001], [0.001, 0.001, 0.999]]
    """
    weights_VV = np.exp(-beta * hierarchy.distance_VV)
    found_VV: NDArray[np.float64] = weights_VV / weights_VV.sum(1, keepdims=True)
    return found_VV


def released_labels(hierarchy: Hierarchy, beta: float) -> NDArray[np.float64]:
    """What HELM's code gives: a token is as far from itself as can be, and columns are in alphabetical order.

    So the true codon gets the least of all codons below its node, and the rest goes to columns that are other tokens.
    """
    order_V = np.argsort(np.array([token.replace("U", "T") for token in hierarchy.tokens]), kind="stable")
    distance_VV = hierarchy.distance_VV.copy()
    np.fill_diagonal(distance_VV, 1.0)
    weights_VV = np.exp(-beta * distance_VV)
    found_VV: NDArray[np.float64] = (weights_VV / weights_VV.sum(1, keepdims=True))[:, order_V]
    return found_VV


def label_cross_entropy(logits_NV: Tensor, target_N: Tensor, labels_VV: Tensor) -> Tensor:
    """- Σ_c q(c) ln p(c) of each of N predictions: (N,), in nats, computed in float32 (of float64 in float64)."""
    log_NV = F.log_softmax(logits_NV if logits_NV.dtype is torch.float64 else logits_NV.float(), dim=-1)
    return -(labels_VV.to(log_NV)[target_N] * log_NV[:, : labels_VV.shape[1]]).sum(1)


def soft_label_cross_entropy(logits_NV: Tensor, target_N: Tensor, hierarchy: Hierarchy, beta: float) -> Tensor:
    """The loss of each of N predictions (N,), in nats; columns of logits beyond the tree's tokens get no label."""
    labels_VV = torch.from_numpy(soft_labels(hierarchy, beta)).to(logits_NV.device)
    return label_cross_entropy(logits_NV, target_N, labels_VV)
