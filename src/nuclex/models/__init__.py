"""Neural networks that read sequences: one backbone, its blocks, and the heads that answer questions."""

from nuclex.models.architecture import BackboneConfig
from nuclex.models.backbone import Cache, LanguageModel
from nuclex.models.base import MODELS, AnyModelConfig, ModelConfig
from nuclex.models.layout import Layout
from nuclex.models.partners import PartnerHeadConfig
from nuclex.models.presets import (
    BertConfig,
    Gpt2Config,
    HyenaModelConfig,
    MambaConfig,
    RinalmoConfig,
    RobertaConfig,
    roberta,
)
from nuclex.models.published import helm, rinalmo

__all__ = [
    "MODELS",
    "AnyModelConfig",
    "BackboneConfig",
    "BertConfig",
    "Cache",
    "Gpt2Config",
    "HyenaModelConfig",
    "LanguageModel",
    "Layout",
    "MambaConfig",
    "ModelConfig",
    "PartnerHeadConfig",
    "RinalmoConfig",
    "RobertaConfig",
    "helm",
    "rinalmo",
    "roberta",
]
