"""Using a model: embeddings and predictions for any FASTA file."""
