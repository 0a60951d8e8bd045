"""A language model with a head on top; what is frozen reads each sequence once and keeps the vectors."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor, nn

from nuclex.models.backbone import LanguageModel
from nuclex.models.borders import BorderHead
from nuclex.models.heads import (
    HeadConfig,
    PairHead,
    PooledHead,
    PositionHead,
    RibosomeLoadHead,
    build_head,
    inside,
)
from nuclex.models.layout import Layout
from nuclex.models.motifs import ConvolutionHead, KmerHead
from nuclex.models.one_hot import OneHot
from nuclex.models.partners import PartnerHead
from nuclex.models.scaling import Growth, growth, resize
from nuclex.models.text_convolution import TextConvolutionHead

Head = (
    PooledHead
    | TextConvolutionHead
    | RibosomeLoadHead
    | PositionHead
    | BorderHead
    | PairHead
    | PartnerHead
    | ConvolutionHead
    | KmerHead
)

KEPT_BYTES = 1 << 30
"""How much of the hidden vectors of a frozen model is kept at most; sequences beyond it are read anew each time."""


class KeptVectors:
    """Hidden vectors by the tokens of their sequence, and how much memory they take; models of equal weights may share.

    >>> KeptVectors().room(1 << 31)
    False
    """

    def __init__(self) -> None:
        self.of: dict[bytes, Tensor] = {}
        self.bytes = 0

    def room(self, size: int) -> bool:
        """Whether so many bytes more are kept."""
        return self.bytes + size <= KEPT_BYTES

    def keep(self, name: bytes, vectors: Tensor) -> None:
        """Keep them as long as there is room."""
        if self.room(vectors.nbytes):
            self.of[name] = vectors
            self.bytes += vectors.nbytes


def head_over(
    config: HeadConfig, model: LanguageModel | OneHot, outputs: int, seed: int
) -> tuple[Head, dict[str, Growth]]:
    """A head for ``model`` with the random weights that ``seed`` gives, and how its weights grew with the width.

    Over a network with a base width what reads the hidden vectors begins as a read-out does (``models/scaling``);
    without one nothing grew.
    """
    if isinstance(model, OneHot):
        return build_head(config, model.width, outputs, seed), {}
    head, base_width = build_head(config, model.config.width, outputs, seed), model.config.base_width
    if not base_width:
        return head, {}
    with torch.device("meta"):
        base = config.build(base_width, outputs)
    if base_width != model.config.width:
        resize(head, base, by_inputs=True)
    return head, growth(head, base)


class AnsweringModel(nn.Module):
    """A language model with a head: what fine-tuning trains and prediction asks.

    Where no weight of the language model learns and its dropout is off (``frozen``), its hidden vectors of a sequence
    are the same each time: they are computed for that sequence by itself and kept, whatever the batch, so that a run
    that is taken up computes what the whole run does, bit for bit. ``kept`` may hold those of an equal model already.
    ``head_growth`` is that of ``head_over``, for the rates at which the head learns.
    """

    def __init__(
        self,
        model: LanguageModel | OneHot,
        head: Head,
        kept: KeptVectors | None = None,
        head_growth: Mapping[str, Growth] | None = None,
    ) -> None:
        super().__init__()
        self.model, self.head, self.head_growth = model, head, dict(head_growth or {})
        self._kept = KeptVectors() if kept is None else kept

    @property
    def frozen(self) -> bool:
        """Whether the language model gives the same vectors as long as nobody loads other weights."""
        return not self.model.training and not any(part.requires_grad for part in self.model.parameters())

    def forget(self) -> None:
        """Leave the kept vectors behind: needed where other weights were loaded."""
        self._kept = KeptVectors()

    def class_logits(self, tokens_T: Tensor, layout: Layout) -> Tensor:
        """Scores (N, C) of N whole sequences."""
        return self.head(self._hidden(tokens_T, layout), layout)

    def scalars(self, tokens_T: Tensor, layout: Layout, *partners_NP: Tensor) -> Tensor:
        """One number for each of N whole sequences, or for each with the vector of its partner, if these come: (N,)."""
        return self.head(self._hidden(tokens_T, layout), layout, *partners_NP)[:, 0]

    def position_logits(self, tokens_T: Tensor, layout: Layout) -> Tensor:
        """Scores (T - 2N, C) of all tokens but start and end, sequence after sequence."""
        return self.head(self._hidden(tokens_T, layout)[inside(layout)])

    def pair_logits(self, tokens_T: Tensor) -> Tensor:
        """Scores (L, L) of the base pairs of one whole molecule of L + 2 tokens."""
        return self.head(self._hidden(tokens_T, Layout.of([len(tokens_T)], tokens_T.device))[1:-1])

    def _hidden(self, tokens_T: Tensor, layout: Layout) -> Tensor:
        """The language model's vectors (T, D)."""
        if isinstance(self.model, OneHot):
            return self.model.encode(tokens_T, layout)
        if not self.frozen:
            self.forget()
            return self.model.encode(tokens_T, layout)
        return torch.cat([self._once(part_L) for part_L in tokens_T.split(layout.lengths)])

    def _once(self, tokens_L: Tensor) -> Tensor:
        """The vectors (L, D) of one sequence, kept from the first time on as long as there is room."""
        assert isinstance(self.model, LanguageModel)
        name = tokens_L.cpu().numpy().tobytes()
        found = self._kept.of.get(name)
        if found is None:
            with torch.no_grad():
                found = self.model.encode(tokens_L, Layout.of([len(tokens_L)], tokens_L.device))
            self._kept.keep(name, found)
        return found
