"""Using a model: embeddings, likelihoods, effects of variants and predictions for any file of sequences."""
