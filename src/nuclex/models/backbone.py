"""The one network behind every architecture: embedding, blocks, language head; a value of BackboneConfig each.

RoBERTa, RiNALMo, GPT-2, Mamba, Hyena and their relatives differ in what mixes tokens, where the norms stand, how
positions enter, which feed-forward they use and which biases they have; each difference is a named key. Inputs are
packed (``Layout``), never padded.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from functools import partial
from typing import cast

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from nuclex.core.errors import InputError
from nuclex.models.architecture import BackboneConfig, refuse_uneven
from nuclex.models.blocks.block import Block, build_block, norm
from nuclex.models.blocks.embedding import Embedding
from nuclex.models.blocks.mixer import CosSin, Mixer, State
from nuclex.models.blocks.rotary import rotation
from nuclex.models.layout import Layout
from nuclex.models.scaling import Growth, growth, resize

__all__ = ["BackboneConfig", "Cache", "LanguageHead", "LanguageModel", "refuse_uneven"]


READOUT = "head.decoder.weight"


class LanguageHead(nn.Module):
    """Hidden vectors to scores over the vocabulary.

    ``dense``: Linear, exact GELU, norm, Linear (tied or not), with biases. ``linear``: one matrix. With a
    base width, what the last matrix reads is multiplied with base width / width (``share``).
    """

    def __init__(self, config: BackboneConfig, rows: int) -> None:
        super().__init__()
        self.kind, self.share = config.head, config.base_width / config.width if config.base_width else 1.0
        if config.head == "dense":
            self.dense = nn.Linear(config.width, config.width)
            self.norm = norm(config)
        self.decoder = nn.Linear(config.width, rows, bias=config.head == "dense")

    def forward(self, hidden_MD: Tensor) -> Tensor:
        """(M, D) to (M, V)."""
        if self.kind == "dense":
            hidden_MD = self.norm(F.gelu(self.dense(hidden_MD)))
        if self.share != 1:
            hidden_MD = hidden_MD * self.share
        return self.decoder(hidden_MD)


@dataclass
class Cache:
    """What a causal model remembers of N sequences: how long they are (N,), and each block's state."""

    lengths_N: Tensor
    states: list[State]

    def keep(self, which_N: Tensor) -> None:
        """Forget all sequences but these: a mask (N,), or their places in a new order."""
        self.lengths_N = self.lengths_N[which_N]
        self.states = [{name: part[which_N] for name, part in state.items()} for state in self.states]


class LanguageModel(nn.Module):
    """A whole language model over packed sequences; see ``forward`` for logits and ``encode`` for hidden vectors.

    ``vocabulary_size`` is that of the token table: the tokenizer's, rounded up where ``vocabulary_multiple`` says so.
    """

    def __init__(self, config: BackboneConfig, *, vocabulary_size: int, pad_id: int, mask_id: int) -> None:
        super().__init__()
        self.config = config
        self.vocabulary_size, self.pad_id, self.mask_id = config.rows(vocabulary_size), pad_id, mask_id
        self.embedding = Embedding(config, self.vocabulary_size, pad_id, mask_id)
        self.blocks = nn.ModuleList(build_block(name, config) for name in config.mixers)
        self.norm = norm(config) if config.final_norm else nn.Identity()
        self.head = LanguageHead(config, self.vocabulary_size) if config.head != "none" else None
        if config.initialisation != "torch":
            self._initialise()
        base = config.base
        if base is not None and (base.width, base.inner) != (config.width, config.inner):
            resize(self, self._bare(base), by_inputs=config.initialisation == "torch", readout=READOUT)
        if config.tied and self.head is not None:
            self.head.decoder.weight = self.embedding.tokens.weight

    def encode(self, tokens_T: Tensor, layout: Layout, *, layer: int | None = None) -> Tensor:
        """(T,) ids to (T, D) hidden vectors after the last norm, or after block ``layer`` (0 = embedding)."""
        cos_sin, hidden_TD = self._cos_sin(layout), self.embedding(tokens_T, layout)
        for number, block in enumerate(self.blocks):
            if number == layer:
                return hidden_TD
            hidden_TD = block(hidden_TD, layout, cos_sin)
        return hidden_TD if layer == len(self.blocks) else self.norm(hidden_TD)

    def forward(self, tokens_T: Tensor, layout: Layout, selected_M: Tensor | None = None) -> Tensor:
        """(T,) ids to logits: (M, V) at the ``selected_M`` token positions, or (T, V) at all."""
        hidden_TD = self.encode(tokens_T, layout)
        return self.scores(hidden_TD if selected_M is None else hidden_TD[selected_M])

    def attention_maps(self, tokens_T: Tensor, layout: Layout) -> list[list[Tensor]]:
        """The weights of every layer of attention for every sequence, (H, L, L) each: [layer][sequence].

        A slow path that spells out what the fast one computes; memory grows with the square of the lengths. InputError
        where no layer is attention.
        """
        if not self.config.attends:
            raise InputError(f"this model has no attention, its layers are {self.config.mixer!r}")
        cos_sin, hidden_TD = self._cos_sin(layout), self.embedding(tokens_T, layout)
        found = []
        for name, block in zip(self.config.mixers, self.blocks, strict=True):
            if name == "attention":
                found.append(cast(Block, block).maps(hidden_TD, layout, cos_sin))
            hidden_TD = block(hidden_TD, layout, cos_sin)
        return found

    def prefill(self, tokens_T: Tensor, layout: Layout) -> tuple[Tensor, Cache]:
        """Read N sequences: the logits (N, V) behind their last tokens, and what ``step`` goes on from."""
        self._refuse_lookahead()
        cos_sin, hidden_TD = self._cos_sin(layout), self.embedding(tokens_T, layout)
        states = []
        for block in self.blocks:
            hidden_TD, state = cast(Block, block).prefill(hidden_TD, layout, cos_sin)
            states.append(state)
        logits_NV = self.scores(self.norm(hidden_TD)[layout.boundaries_N1[1:] - 1])
        return logits_NV, Cache(layout.boundaries_N1.diff(), states)

    def step(self, tokens_N: Tensor, cache: Cache) -> Tensor:
        """One more token of each of N sequences: logits (N, V) behind it; ``cache`` is changed in place."""
        layout = replace(Layout.of([1] * len(tokens_N), tokens_N.device), positions_T=cache.lengths_N)
        cos_sin, hidden_ND = self._cos_sin(layout), self.embedding(tokens_N, layout)
        for block, state in zip(self.blocks, cache.states, strict=True):
            hidden_ND = cast(Block, block).step(hidden_ND, state, cos_sin)
        cache.lengths_N = cache.lengths_N + 1
        return self.scores(self.norm(hidden_ND))

    def scores(self, hidden_MD: Tensor) -> Tensor:
        """Hidden vectors (M, D) to logits (M, V); InputError for an encoder without a head."""
        if self.head is None:
            raise InputError("this model is an encoder without a language head (head = 'none'); it gives no scores")
        return self.head(hidden_MD)

    def growth(self) -> dict[str, Growth] | None:
        """How every weight grew from the base width on, by its name; None in standard parametrisation."""
        base = self.config.base
        return None if base is None else growth(self._bare(self.config), self._bare(base), readout=READOUT)

    def _bare(self, config: BackboneConfig) -> LanguageModel:
        """A network that takes no memory."""
        with torch.device("meta"):
            return LanguageModel(config, vocabulary_size=self.vocabulary_size, pad_id=0, mask_id=0)

    def _refuse_lookahead(self) -> None:
        if not self.config.causal:
            raise InputError("this model sees both sides of every token; only a causal one can go on token by token")

    def _cos_sin(self, layout: Layout) -> CosSin | None:
        if self.config.positions != "rotary" or not self.config.attends:
            return None
        return rotation(layout.positions_T, self.config.width // self.config.heads, self.config.rotary_base)

    def _initialise(self) -> None:
        self.apply(partial(_normal_initialisation, std=self.config.initializer_range))
        if self.config.initialisation == "gpt2":
            with torch.no_grad():
                for module in self.modules():
                    if isinstance(module, Block):
                        module.mixer.output.weight.div_(math.sqrt(2 * self.config.depth))
                        if module.feedforward is not None:
                            module.feedforward.output.weight.div_(math.sqrt(2 * self.config.depth))
        for module in self.modules():
            if isinstance(module, Mixer):
                module.reset_special()


def _normal_initialisation(module: nn.Module, std: float) -> None:
    """BERT's: weights N(0, std), biases 0, the padding row 0."""
    if isinstance(module, nn.Linear | nn.Embedding):
        nn.init.normal_(module.weight, std=std)
        if isinstance(module, nn.Linear) and module.bias is not None:
            nn.init.zeros_(module.bias)
        if isinstance(module, nn.Embedding) and module.padding_idx is not None:
            with torch.no_grad():
                module.weight[module.padding_idx].zero_()
