"""What a model is asked to learn: masking rules and losses. They receive logits and know no model."""

from nuclex.objectives.amino_acid import amino_acid_cross_entropy
from nuclex.objectives.base import OBJECTIVES, AnyObjectiveConfig, ObjectiveConfig
from nuclex.objectives.causal import CausalConfig
from nuclex.objectives.criteria import CRITERIA, CriterionConfig, token_cross_entropy
from nuclex.objectives.hierarchical import hierarchical_cross_entropy
from nuclex.objectives.hierarchy import Hierarchy
from nuclex.objectives.masked import MaskedConfig
from nuclex.objectives.question import Question
from nuclex.objectives.soft_labels import soft_label_cross_entropy

__all__ = [
    "CRITERIA",
    "OBJECTIVES",
    "AnyObjectiveConfig",
    "CausalConfig",
    "CriterionConfig",
    "Hierarchy",
    "MaskedConfig",
    "ObjectiveConfig",
    "Question",
    "amino_acid_cross_entropy",
    "hierarchical_cross_entropy",
    "soft_label_cross_entropy",
    "token_cross_entropy",
]
