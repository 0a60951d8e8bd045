"""What a model is asked to learn: masking rules and losses. They receive logits and know no model."""
