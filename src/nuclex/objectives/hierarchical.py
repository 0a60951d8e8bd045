"""Hierarchical cross entropy: a mistake costs less, the nearer in the tree it is to the truth.

Bertinetto et al. 2020 (arXiv:1912.09393), for codons HELM (arXiv:2410.12459). With C_0 the root, C_1 … C_H = t the way
to the true token, and p(C) the sum of p over the tokens below C,

    loss = - Σ_l w(C_l) ln [p(C_l) / p(C_{l-1})],   w(C_l) ∝ exp(-α l).

All of it is computed in log space: a confident mistake costs much, and its gradient is finite.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal, Self

import numpy as np
import torch
from torch import Tensor
from torch.autograd.function import once_differentiable
from torch.nn import functional as F

from nuclex.objectives.hierarchy import Hierarchy

Normalisation = Literal["path", "released"]
"""``path``: the weights on the longest way to a token have mean 1, so that α = 0 is plain cross entropy and a learning
rate for one is one for the other. ``released``: as in HELM's code all weights of the tree sum to 1, which makes the
loss 15 to 20 times smaller."""


LOWEST = -1e30
"""Stands for ln 0 where a token is left out of a sum: its gradient is 0, and never not a number."""
FAINT = 1e-20
"""Of the largest exp of a logit: a node with less is computed in log space, where nothing is lost."""


def edge_weights(hierarchy: Hierarchy, alpha: float, normalisation: Normalisation = "path") -> list[float]:
    """The weight of the edge that ends at depth 1, 2 … height."""
    raw = np.exp(-alpha * np.arange(1, hierarchy.height + 1))
    if normalisation == "path":
        total = raw.mean()
    else:  # over all nodes, the root and the tokens included
        depths = {name: depth for path in hierarchy.paths for depth, name in enumerate(path, start=1)}
        of_nodes = [0, *depths.values(), *hierarchy.edges_V.tolist()]
        total = np.exp(-alpha * np.array(of_nodes)).sum()
    found: list[float] = (raw / total).tolist()
    return found


@dataclass(frozen=True, eq=False)
class HierarchicalLoss:
    """The loss for one tree and one α: tables over V tokens, K nodes and D levels below the root.

    By parts the loss is w_1 ln p(root) - w_H ln p(t) + Σ_l (w_l+1 - w_l) ln p(C_l), of which p(root) is 1; a way that
    is shorter has its token at the levels behind its end, with factor 0.
    """

    below_VK: Tensor
    """1 where a token is below a node."""
    node_VD: Tensor
    factor_VD: Tensor
    leaf_V: Tensor
    """What multiplies - ln p of each token: the weight of its last edge."""

    @classmethod
    def of(
        cls,
        hierarchy: Hierarchy,
        alpha: float,
        normalisation: Normalisation = "path",
        device: torch.device | str = "cpu",
    ) -> Self:
        """The weights of the module's formula."""
        weights = np.array(edge_weights(hierarchy, alpha, normalisation))
        inner_VD = hierarchy.ancestors_VH[:, 1:] >= 0
        return cls._of(hierarchy, np.where(inner_VD, np.diff(weights), 0.0), weights[hierarchy.edges_V - 1], device)

    @classmethod
    def of_last_nodes(cls, hierarchy: Hierarchy, leaf: float, device: torch.device | str = "cpu") -> Self:
        """- ln p of the last node above the true token, plus ``leaf`` times the cross entropy of the token."""
        inner_VD = hierarchy.ancestors_VH[:, 1:] >= 0
        last_VD = inner_VD & (inner_VD.cumsum(1) == inner_VD.sum(1, keepdims=True))
        return cls._of(hierarchy, np.where(last_VD, -1.0, 0.0), np.full(len(hierarchy), leaf), device)

    @classmethod
    def _of(cls, hierarchy: Hierarchy, factor_VD: np.ndarray, leaf_V: np.ndarray, device: torch.device | str) -> Self:
        node_VD = hierarchy.ancestors_VH[:, 1:] - 1  # without the root
        below_VK = (node_VD[:, :, None] == np.arange(len(hierarchy.nodes) - 1)).any(1)
        return cls(
            torch.tensor(below_VK, dtype=torch.float32, device=device),
            torch.tensor(node_VD.clip(min=0), device=device),
            torch.tensor(factor_VD, dtype=torch.float64, device=device).float(),
            torch.tensor(leaf_V, dtype=torch.float32, device=device),
        )

    def __call__(self, logits_NV: Tensor, target_N: Tensor) -> Tensor:
        """The loss of each of N predictions, in weighted nats: (N,), computed in float32 (of float64 in float64)."""
        if logits_NV.dtype is torch.float64:
            return self._directly(logits_NV, target_N)
        logits_NV = logits_NV.float()
        with torch.no_grad():
            top_N1 = logits_NV.amax(1, keepdim=True)
            mass_NV = (logits_NV - top_N1).exp_()
            mass_ND = (mass_NV @ self.below_VK).gather(1, self.node_VD[target_N])
            lost = bool(((mass_ND < FAINT) & (self.factor_VD[target_N] != 0)).any())
        if lost:
            return self._directly(logits_NV, target_N)
        found: Tensor = _Summed.apply(logits_NV, target_N, self, (top_N1, mass_NV, mass_ND.clamp(min=FAINT)))
        return found

    def _directly(self, logits_NV: Tensor, target_N: Tensor) -> Tensor:
        """The same level by level in log space, whatever the logits are."""
        log_NV = F.log_softmax(logits_NV, dim=-1)
        loss_N = -self.leaf_V.to(log_NV)[target_N] * log_NV.gather(1, target_N[:, None])[:, 0]
        for node_V, factor_V in zip(self.node_VD.T, self.factor_VD.to(log_NV).T, strict=True):
            outside_NV = self.below_VK.T[node_V[target_N]] == 0
            level_N = log_NV.masked_fill(outside_NV, LOWEST).logsumexp(1)
            loss_N = loss_N + factor_V[target_N] * level_N.masked_fill(factor_V[target_N] == 0, 0)
        return loss_N


class _Summed(torch.autograd.Function):
    """The loss from the masses of nodes (exp of logits, summed), and its gradient from the same numbers."""

    @staticmethod
    def forward(
        ctx: Any, logits_NV: Tensor, target_N: Tensor, loss: HierarchicalLoss, masses: tuple[Tensor, Tensor, Tensor]
    ) -> Tensor:
        top_N1, mass_NV, mass_ND = masses
        whole_N, target_N1 = mass_NV.sum(1), target_N[:, None]
        leaf_N, factor_ND = loss.leaf_V[target_N], loss.factor_VD[target_N]
        first_N = leaf_N - factor_ND.sum(1)  # w_1: the factors between are differences
        ctx.save_for_backward(target_N, mass_NV, whole_N, mass_ND)
        ctx.loss = loss
        inner_N = (factor_ND * mass_ND.log()).sum(1)
        own_N = (logits_NV.gather(1, target_N1) - top_N1)[:, 0]
        return first_N * whole_N.log() + inner_N - leaf_N * own_N

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient_N: Tensor) -> tuple[Tensor, None, None, None]:
        target_N, mass_NV, whole_N, mass_ND = ctx.saved_tensors
        loss: HierarchicalLoss = ctx.loss
        leaf_N, factor_ND = loss.leaf_V[target_N], loss.factor_VD[target_N]
        share_NK = mass_NV.new_zeros(len(target_N), loss.below_VK.shape[1])
        share_NK.scatter_add_(1, loss.node_VD[target_N], factor_ND / mass_ND)
        first_N1 = ((leaf_N - factor_ND.sum(1)) / whole_N)[:, None]
        found_NV = torch.addmm(first_N1, share_NK, loss.below_VK.T).mul_(mass_NV)
        found_NV.scatter_add_(1, target_N[:, None], -leaf_N[:, None])
        return found_NV.mul_(gradient_N[:, None]), None, None, None


def hierarchical_cross_entropy(
    logits_NV: Tensor,
    target_N: Tensor,
    hierarchy: Hierarchy,
    alpha: float = 0.2,
    normalisation: Normalisation = "path",
) -> Tensor:
    """The loss of each of N predictions (N,), in weighted nats; see the module for the formula.

    Rows of ``logits_NV`` beyond the tokens of the tree are tokens that stand alone.
    """
    tree = hierarchy.widened(logits_NV.shape[1])
    return HierarchicalLoss.of(tree, alpha, normalisation, logits_NV.device)(logits_NV, target_N)
