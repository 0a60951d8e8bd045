"""What a model is asked to learn: masking rules and losses. They receive logits and know no model."""

from nuclex.objectives.base import OBJECTIVES, AnyObjectiveConfig, ObjectiveConfig, Question
from nuclex.objectives.masked import MaskedConfig, masked_cross_entropy

__all__ = ["OBJECTIVES", "AnyObjectiveConfig", "MaskedConfig", "ObjectiveConfig", "Question", "masked_cross_entropy"]
