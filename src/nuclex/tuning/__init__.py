"""Searching for settings: a narrow proxy is trained at many, and the best are written down for the full model."""
