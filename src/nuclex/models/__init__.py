"""Neural networks that read sequences: one backbone, its blocks, and the heads that answer questions."""

from nuclex.models.backbone import BackboneConfig, LanguageModel
from nuclex.models.base import MODELS, AnyModelConfig, ModelConfig
from nuclex.models.layout import Layout
from nuclex.models.presets import RinalmoConfig, RobertaConfig, rinalmo, roberta

__all__ = [
    "MODELS",
    "AnyModelConfig",
    "BackboneConfig",
    "LanguageModel",
    "Layout",
    "ModelConfig",
    "RinalmoConfig",
    "RobertaConfig",
    "rinalmo",
    "roberta",
]
