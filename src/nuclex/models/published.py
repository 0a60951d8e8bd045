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
MAMBA_SIZES: dict[str, tuple[int, int, int]] = {
    "20M": (16, 256, 1024),
    "50M": (40, 256, 1024),
    "100M": (36, 384, 1536),
    "150M": (32, 512, 2048),
}
"""The same of its Mamba; a bidirectional layer is two, so it has half as many. Only 50M was published."""
HYENA_SIZES: dict[str, tuple[int, int, int]] = {**HELM_SIZES, "50M": (7, 768, 3072)}
"""The same of its Hyena; only 50M was published, the others, as deep and wide as the transformers, are ours."""
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
    """HELM's four families in the sizes of its paper.

    Mamba and Hyena were published with 50 M parameters; their other sizes are ours. GPT-2 has an output matrix of its
    own and, unlike in the released commands, positions. KeyError for another family or size.

    >>> helm("gpt2", "20M").depth, helm("bimamba").depth
    (12, 20)
    """
    if family == "gpt2":
        depth, width, inner = HELM_SIZES[size]
        return Gpt2Config(depth=depth, width=width, heads=4, inner=inner, max_positions=HELM_POSITIONS, tied=False)
    if family == "bert":
        depth, width, inner = HELM_SIZES[size]
        return BertConfig(
            depth=depth, width=width, heads=4, inner=inner, max_positions=HELM_POSITIONS, token_types=1, dropout=0,
            attention_dropout=0,
        )  # fmt: skip
    if family == "hyena":
        depth, width, inner = HYENA_SIZES[size]
        filters = HyenaConfig(reference_length=HELM_TOKENS)
        return HyenaModelConfig(depth=depth, width=width, inner=inner, tied=False, hyena=filters)
    depth, width, inner = MAMBA_SIZES[size]
    if family == "mamba":
        return MambaConfig(depth=depth, width=width, inner=inner, tied=False)
    if family != "bimamba":
        raise KeyError(family)
    return MambaConfig(depth=depth // 2, width=width, inner=inner, tied=False, causal=False, embedding_gate=True)
