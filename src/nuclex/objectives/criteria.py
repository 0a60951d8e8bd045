"""How a wrong answer is counted: plain cross entropy, or losses that know which codons mean the same.

A criterion knows no model and no masking rule; every objective takes any of them (``objective.criterion``).
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from functools import lru_cache
from typing import Annotated, Literal

import torch
from pydantic import BeforeValidator, Field, SerializeAsAny
from torch import Tensor
from torch.nn import functional as F

from nuclex.bio import GeneticCode
from nuclex.core.config import Config
from nuclex.core.registry import Registry
from nuclex.data.pack import PackedBatch
from nuclex.objectives.amino_acid import meanings, released_cross_entropy
from nuclex.objectives.codons import CodonView
from nuclex.objectives.hierarchical import HierarchicalLoss
from nuclex.objectives.hierarchy import Hierarchy
from nuclex.objectives.question import Question
from nuclex.objectives.soft_labels import label_cross_entropy, released_labels, soft_labels
from nuclex.tokenizers.base import Tokenizer

Compatibility = Literal["none", "helm-released"]
Losses = Callable[[Tensor, Tensor], Tensor]
"""Scores (N, C) and true columns (N,) to losses (N,)."""


class CriterionConfig(Config, ABC):
    """A way to count; ``kind`` names it."""

    kind: str

    @abstractmethod
    def total(self, logits_MV: Tensor, question: Question, batch: PackedBatch, tokenizer: Tokenizer) -> Tensor:
        """The SUM of the losses of M predictions; the caller divides by the count of the whole batch."""

    def check(self, tokenizer: Tokenizer) -> None:
        """InputError where it cannot be counted in these tokens."""


CRITERIA: Registry[CriterionConfig] = Registry("criteria", CriterionConfig)  # type: ignore[type-abstract]

AnyCriterionConfig = Annotated[SerializeAsAny[CriterionConfig], BeforeValidator(CRITERIA.validator())]
"""The type of a config field that takes any registered criterion."""


def token_cross_entropy(logits_MV: Tensor, targets_M: Tensor, smoothing: float = 0.0) -> Tensor:
    """Sum of -ln p(target) over M predictions, in nats, computed in float32."""
    return F.cross_entropy(logits_MV.float(), targets_M, reduction="sum", label_smoothing=smoothing)


@CRITERIA.register
class CrossEntropyConfig(CriterionConfig):
    """- ln p of the true token."""

    kind: Literal["cross-entropy"] = "cross-entropy"
    label_smoothing: float = Field(
        default=0.0, ge=0, lt=1, description="share of the label that is spread evenly over the vocabulary"
    )

    def total(self, logits_MV: Tensor, question: Question, batch: PackedBatch, tokenizer: Tokenizer) -> Tensor:
        """Sum of cross entropies."""
        targets_M = torch.from_numpy(question.targets_M).to(logits_MV.device)
        return token_cross_entropy(logits_MV, targets_M, self.label_smoothing)


class CodonCriterionConfig(CriterionConfig):
    """A loss on the tree of codons, for every tokenizer whose tokens spell codons (see ``objectives.codons``)."""

    tree: Literal["code", "random"] = Field(default="code", description="random: a control, drawn by tree_seed")
    code: int = Field(default=1, description="the genetic code, as the NCBI numbers them")
    tree_seed: int = 0
    compatibility: Compatibility = Field(default="none", description="helm-released: what HELM's code computes")
    frame: Literal[0, 1, 2] = Field(
        default=0, description="letters before the first codon; codon tokens have their own"
    )

    @abstractmethod
    def losses(self, hierarchy: Hierarchy, columns: int, device: torch.device) -> Losses:
        """The loss of each prediction; of ``columns`` those beyond the tokens of the tree are of no use."""

    def hierarchy(self, tokens: tuple[str, ...]) -> Hierarchy:
        """The tree over these tokens; InputError where none is a codon or the genetic code is not known."""
        if self.tree == "random":
            return Hierarchy.random(tokens, self.tree_seed)
        return Hierarchy.of_code(tokens, GeneticCode.ncbi(self.code))

    def check(self, tokenizer: Tokenizer) -> None:
        """InputError where the tokens spell no codons, or the genetic code is not known."""
        self.hierarchy(_view(tokenizer, self.frame).tokens)

    def total(self, logits_MV: Tensor, question: Question, batch: PackedBatch, tokenizer: Tokenizer) -> Tensor:
        """Sum over codons; a token that is in no whole codon counts by its own cross entropy."""
        view = _view(tokenizer, self.frame)
        said = view.spoken(logits_MV, question, batch)
        losses = _losses(self, view, said.scores_NC.shape[1], said.scores_NC.device)
        found = losses(said.scores_NC, said.target_N).sum()
        if said.alone_M is None:
            return found
        targets_M = torch.from_numpy(question.targets_M).to(logits_MV.device)
        return found + token_cross_entropy(logits_MV[said.alone_M], targets_M[said.alone_M])


@CRITERIA.register
class HierarchicalConfig(CodonCriterionConfig):
    """Hierarchical cross entropy; HELM's HXE (arXiv:2410.12459).

    As released all weights of the tree sum to 1, so that the loss is 15 to 20 times smaller.
    """

    kind: Literal["hierarchical"] = "hierarchical"
    alpha: float = Field(default=0.2, ge=0, le=100, description="0 = cross entropy; more: coarse mistakes weigh more")

    def losses(self, hierarchy: Hierarchy, columns: int, device: torch.device) -> Losses:
        """Weighted edges from the root to the true token."""
        released = self.compatibility == "helm-released"
        return HierarchicalLoss.of(hierarchy.widened(columns), self.alpha, "released" if released else "path", device)


@CRITERIA.register
class SoftLabelsConfig(CodonCriterionConfig):
    """Cross entropy with labels that are a little true of relatives, too.

    As released the true codon gets the least, in columns of other tokens; it is a mean over columns, too.
    """

    kind: Literal["soft-labels"] = "soft-labels"
    beta: float = Field(default=15.0, ge=0, le=1e4, description="the greater, the harder the labels")

    def losses(self, hierarchy: Hierarchy, columns: int, device: torch.device) -> Losses:
        """Cross entropy with the label of the true token."""
        released = self.compatibility == "helm-released"
        labels_VV = torch.from_numpy((released_labels if released else soft_labels)(hierarchy, self.beta))
        labels_VV = labels_VV.to(device, torch.float32)
        if not released:
            return lambda logits_NV, target_N: label_cross_entropy(logits_NV, target_N, labels_VV)
        entropy_V = torch.special.entr(labels_VV).sum(1)

        def divergence(logits_NV: Tensor, target_N: Tensor) -> Tensor:
            own_N = label_cross_entropy(logits_NV, target_N, labels_VV) - entropy_V[target_N]
            return own_N / len(labels_VV)

        return divergence


@CRITERIA.register
class AminoAcidConfig(CodonCriterionConfig):
    """- ln p of what the true codon means; HELM's ``aa_loss_only``, and ``add`` its ``aa_loss_add``.

    As released probabilities of meanings are taken for logits, a softmax of a softmax.
    """

    kind: Literal["amino-acid"] = "amino-acid"
    add: bool = Field(default=False, description="add the cross entropy of the codon itself")

    def losses(self, hierarchy: Hierarchy, columns: int, device: torch.device) -> Losses:
        """Over the sums of what means the same."""
        if self.compatibility == "none":
            return HierarchicalLoss.of_last_nodes(hierarchy.widened(columns), float(self.add), device)
        meaning_V = meanings(hierarchy.widened(columns)).to(device)

        def released(logits_NV: Tensor, target_N: Tensor) -> Tensor:
            own_N = F.cross_entropy(logits_NV, target_N, reduction="none") if self.add else 0.0
            return released_cross_entropy(logits_NV, target_N, meaning_V) + own_N

        return released


@lru_cache(maxsize=8)
def _view(tokenizer: Tokenizer, frame: int) -> CodonView:
    return CodonView(tokenizer, frame)


@lru_cache(maxsize=8)
def _losses(config: CodonCriterionConfig, view: CodonView, columns: int, device: torch.device) -> Losses:
    return config.losses(config.hierarchy(view.tokens), columns, device)
