"""Using a model: embeddings, likelihoods, effects of variants and predictions for any file of sequences."""

from nuclex.inference.attention import attention_maps
from nuclex.inference.embed import embed_sequences
from nuclex.inference.score import score_sequences

__all__ = ["attention_maps", "embed_sequences", "score_sequences"]
