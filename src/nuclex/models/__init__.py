"""Neural networks that read sequences: one backbone, its blocks, and the heads that answer questions."""
