"""The sizes in which RiNALMo (arXiv:2403.00043) and HELM (arXiv:2410.12459) were published."""

from __future__ import annotations

from typing import Literal

from nuclex.models.base import ModelConfig
from nuclex.models.blocks.hyena import HyenaConfig
from nuclex.models.presets import BertConfig, Gpt2Config, HyenaModelConfig, MambaConfig, RinalmoConfig

RinalmoSize = Literal["nano", "micro", "mega", "giga"]
HelmFamily = Literal["gpt2", "bert", "mamba", "bimamba", "hyena"]
HelmSize = Literal["20M", "50M", "100M", "150M"]

RINALMO_SIZES: dict[str, tuple[int, int]] = {
    "nano": (6, 320),
    "micro": (12, 480),
    "mega": (30, 640),
    "giga": (33, 1280),
}
"""Depth and width of the published sizes; every one has 20 heads."""

HELM_SIZES: dict[str, tuple[int, int, int]] = {
    "20M": (12, 384, 1536),
    "50M": (10, 640, 2560),
    "100M": (14, 768, 3072),
    "150M": (12, 1024, 4096),
}
"""Depth, width and feed-forward width of HELM's transformers; the released commands have four heads."""
HELM_POSITIONS = 2048
HELM_TOKENS = 444
"""The longest input of the released commands, which is the unit of time of its Hyena."""


def rinalmo(size: RinalmoSize) -> RinalmoConfig:
    """RiNALMo in one of its published sizes: nano 7.5 M, micro 33 M, mega 148 M, giga 651 M parameters.

    >>> rinalmo("giga").depth
    33
    """
    depth, width = RINALMO_SIZES[size]
    return RinalmoConfig(depth=depth, width=width)


def helm(family: HelmFamily, size: HelmSize = "50M") -> ModelConfig:
    """HELM's four families in the sizes of its paper; Mamba and Hyena were published with 50 M parameters only.

    GPT-2 has an output matrix of its own and, unlike in the released commands, positions. KeyError for another size.

    >>> helm("gpt2", "20M").depth, helm("bimamba").depth
    (12, 20)
    """
    if family in ("gpt2", "bert"):
        depth, width, inner = HELM_SIZES[size]
        if family == "gpt2":
            return Gpt2Config(depth=depth, width=width, heads=4, inner=inner, max_positions=HELM_POSITIONS, tied=False)
        return BertConfig(
            depth=depth, width=width, heads=4, inner=inner, max_positions=HELM_POSITIONS, token_types=1, dropout=0,
            attention_dropout=0,
        )  # fmt: skip
    others: dict[str, ModelConfig] = {
        "mamba": MambaConfig(depth=40, width=256, inner=1024, tied=False),
        "bimamba": MambaConfig(depth=20, width=256, inner=1024, tied=False, causal=False, embedding_gate=True),
        "hyena": HyenaModelConfig(
            depth=7, width=768, inner=3072, tied=False, hyena=HyenaConfig(reference_length=HELM_TOKENS)
        ),
    }
    return {("50M", name): config for name, config in others.items()}[size, family]
