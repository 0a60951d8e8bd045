"""One layer: a mixer among tokens, then a feed-forward on each, with norms where the architecture puts them.

A state space looks back only. To look both ways its layer is two blocks, one of which reads every sequence backwards,
whose results are joined (``BothWays``).
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn

from nuclex.models.architecture import BackboneConfig, MixerName
from nuclex.models.blocks.attention import Attention
from nuclex.models.blocks.feedforward import feed_forward
from nuclex.models.blocks.hyena import Hyena
from nuclex.models.blocks.mixer import CosSin, Mixer, State
from nuclex.models.blocks.state_space import Mamba
from nuclex.models.blocks.state_space_dual import Mamba2
from nuclex.models.layout import Layout


def norm(config: BackboneConfig) -> nn.LayerNorm | nn.RMSNorm:
    """The norm of this architecture over D features."""
    kind = nn.RMSNorm if config.norm_kind == "rms" else nn.LayerNorm
    return kind(config.width, eps=config.norm_epsilon)


def build_mixer(name: MixerName, config: BackboneConfig) -> Mixer:
    """The mixer of this name with PyTorch's random weights."""
    if name == "attention":
        return Attention(config.width, config.attention)
    if name == "hyena":
        return Hyena(config.width, config.hyena, causal=config.causal)
    return (Mamba if name == "mamba" else Mamba2)(config.width, config.state_space)


def build_block(name: MixerName, config: BackboneConfig) -> Block | BothWays:
    """A layer of this mixer that looks both ways unless the network is causal."""
    one_way = name in ("mamba", "mamba2")
    return BothWays(name, config) if one_way and not config.causal else Block(name, config)


class Block(nn.Module):
    """Mixer and feed-forward, each with its norm and its way around."""

    def __init__(self, name: MixerName, config: BackboneConfig) -> None:
        super().__init__()
        self.arrangement = config.norm
        self.mixer_norm = norm(config)
        self.mixer = build_mixer(name, config)
        self.feedforward = None
        if config.inner:
            self.feedforward_norm = norm(config)
            self.feedforward = feed_forward(config.width, config.inner, config.activation, bias=config.feedforward_bias)
        self.dropout = nn.Dropout(config.dropout)

    def forward(self, hidden_TD: Tensor, layout: Layout, cos_sin: CosSin | None) -> Tensor:
        """(T, D) to (T, D)."""
        stream_TD, change_TD = self.parts(hidden_TD, lambda values_TD: self.mixer(values_TD, layout, cos_sin))
        return self._joined(stream_TD, change_TD)

    def prefill(self, hidden_TD: Tensor, layout: Layout, cos_sin: CosSin | None) -> tuple[Tensor, State]:
        """As ``forward``, with the mixer's state behind each sequence."""
        kept: list[State] = []

        def mix(values_TD: Tensor) -> Tensor:
            mixed_TD, state = self.mixer.prefill(values_TD, layout, cos_sin)
            kept.append(state)
            return mixed_TD

        joined_TD = self._joined(*self.parts(hidden_TD, mix))
        return joined_TD, kept[0]

    def step(self, hidden_ND: Tensor, state: State, cos_sin: CosSin | None) -> Tensor:
        """One more token of N sequences: (N, D) to (N, D)."""
        return self._joined(*self.parts(hidden_ND, lambda values_ND: self.mixer.step(values_ND, state, cos_sin)))

    def padded(self, hidden_TD: Tensor, read_BL: Tensor, cos_sin: CosSin | None) -> Tensor:
        """As ``forward`` over a padded batch, where the mixer is attention that looks both ways."""
        mixer = self.mixer
        assert isinstance(mixer, Attention)
        return self._joined(*self.parts(hidden_TD, lambda values_TD: mixer.padded(values_TD, read_BL, cos_sin)))

    def maps(self, hidden_TD: Tensor, layout: Layout, cos_sin: CosSin | None) -> list[Tensor]:
        """The attention weights (H, L, L) of each sequence, where the mixer is attention."""
        assert isinstance(self.mixer, Attention)
        read_TD = hidden_TD if self.arrangement == "post" else self.mixer_norm(hidden_TD)
        return self.mixer.maps(read_TD, layout, cos_sin)

    def parts(self, hidden_TD: Tensor, mix: Callable[[Tensor], Tensor]) -> tuple[Tensor, Tensor]:
        """The stream behind the mixer, and what the feed-forward adds to it (where there is none, the mixer)."""
        if self.arrangement == "post":
            stream_TD = self.mixer_norm(hidden_TD + self.dropout(mix(hidden_TD)))
            return stream_TD, self.dropout(self._fed(stream_TD))
        normed_TD = self.mixer_norm(hidden_TD)
        stream_TD = normed_TD if self.arrangement == "rinalmo" else hidden_TD
        mixed_TD = self.dropout(mix(normed_TD))
        if self.feedforward is None:
            return stream_TD, mixed_TD
        stream_TD = stream_TD + mixed_TD
        return stream_TD, self.dropout(self._fed(self.feedforward_norm(stream_TD)))

    def _fed(self, values_TD: Tensor) -> Tensor:
        assert self.feedforward is not None
        return self.feedforward(values_TD)

    def _joined(self, stream_TD: Tensor, change_TD: Tensor) -> Tensor:
        joined_TD = stream_TD + change_TD
        return self.feedforward_norm(joined_TD) if self.arrangement == "post" else joined_TD


class BothWays(nn.Module):
    """Two blocks, one reading forwards and one backwards: the mean of their streams, and a linear map of both changes.

    This is how HELM's bidirectional Mamba joins its two stacks in every layer (arXiv:2410.12459).
    """

    def __init__(self, name: MixerName, config: BackboneConfig) -> None:
        super().__init__()
        self.forwards, self.backwards = Block(name, config), Block(name, config)
        self.output = nn.Linear(2 * config.width, config.width)

    def forward(self, hidden_TD: Tensor, layout: Layout, cos_sin: CosSin | None) -> Tensor:
        """(T, D) to (T, D)."""
        turned_T = layout.reversed_T
        ahead_TD, ahead_change_TD = self.forwards.parts(
            hidden_TD, lambda values_TD: self.forwards.mixer(values_TD, layout, cos_sin)
        )
        back_TD, back_change_TD = self.backwards.parts(
            hidden_TD, lambda values_TD: self.backwards.mixer(values_TD[turned_T], layout, cos_sin)[turned_T]
        )
        return (ahead_TD + back_TD) / 2 + self.output(torch.cat([ahead_change_TD, back_change_TD], dim=-1))
