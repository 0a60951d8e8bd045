"""What a model is asked to learn: masking rules and losses. They receive logits and know no model."""

from nuclex.objectives.base import OBJECTIVES, AnyObjectiveConfig, ObjectiveConfig, Question, token_cross_entropy
from nuclex.objectives.causal import CausalConfig
from nuclex.objectives.masked import MaskedConfig

__all__ = [
    "OBJECTIVES",
    "AnyObjectiveConfig",
    "CausalConfig",
    "MaskedConfig",
    "ObjectiveConfig",
    "Question",
    "token_cross_entropy",
]
