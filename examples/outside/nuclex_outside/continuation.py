"""Continuation: the beginning of a sequence is given, and only what follows is learned."""

from __future__ import annotations

from typing import Literal

import numpy as np
from pydantic import Field

from nuclex.data.pack import PackedBatch
from nuclex.objectives import ObjectiveConfig, Question
from nuclex.objectives.causal import next_tokens
from nuclex.tokenizers import Tokenizer


class ContinuationConfig(ObjectiveConfig):
    """The next token is asked for behind the first ``given`` tokens of a piece; of a shorter piece, the last token."""

    kind: Literal["continuation"] = "continuation"
    given: int = Field(default=8, ge=0, le=1 << 20, description="tokens behind the start token that are not asked for")

    @property
    def causal(self) -> bool:
        """True: the model must look back only."""
        return True

    def ask(self, batch: PackedBatch, tokenizer: Tokenizer, seed: int, epoch: int) -> Question:
        """Ask for the next token behind the beginning; nothing is drawn, so seed and epoch do not matter."""
        return next_tokens(batch, np.minimum(self.given + 1, batch.lengths_N - 1).clip(min=1))

    def expected_share(self) -> float:
        """At most all tokens; how many fewer depends on how long the sequences are."""
        return 1.0
