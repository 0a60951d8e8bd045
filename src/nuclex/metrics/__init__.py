"""One place that computes numbers: classification, regression, base pairs, and how sure they are. No tensors."""

from nuclex.metrics.classification import (
    PerClass,
    PrecisionRecallF1,
    accuracy,
    auprc,
    auroc,
    balanced_accuracy,
    confusion_matrix,
    matthews,
    per_class,
    precision_recall_f1,
)
from nuclex.metrics.correction import enough_swaps, holm
from nuclex.metrics.regression import mae, pearson, r_squared, rmse, spearman
from nuclex.metrics.statistics import (
    Interval,
    PairedDifference,
    Ratio,
    bootstrap,
    bootstrap_statistic,
    bootstrap_sums,
    paired_difference,
    paired_statistic,
)
from nuclex.metrics.structure import PairMatch, PairScore, mean_score, score_pairs, score_pseudoknots

__all__ = [
    "Interval",
    "PairMatch",
    "PairScore",
    "PairedDifference",
    "PerClass",
    "PrecisionRecallF1",
    "Ratio",
    "accuracy",
    "auprc",
    "auroc",
    "balanced_accuracy",
    "bootstrap",
    "bootstrap_statistic",
    "bootstrap_sums",
    "confusion_matrix",
    "enough_swaps",
    "holm",
    "mae",
    "matthews",
    "mean_score",
    "paired_difference",
    "paired_statistic",
    "pearson",
    "per_class",
    "precision_recall_f1",
    "r_squared",
    "rmse",
    "score_pairs",
    "score_pseudoknots",
    "spearman",
]
