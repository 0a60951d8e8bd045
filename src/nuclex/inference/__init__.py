"""Using a model: embeddings and predictions for any file of sequences."""
