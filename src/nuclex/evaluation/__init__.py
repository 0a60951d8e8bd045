"""Honest numbers: scores beside baselines, what was learned of pairing, pictures, one report."""
