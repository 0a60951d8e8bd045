"""Causal language modelling: predict each token from those before it (GPT, Radford et al. 2018)."""

from __future__ import annotations

from typing import Literal

import numpy as np
from numpy.typing import NDArray

from nuclex.data.pack import PackedBatch
from nuclex.objectives.base import OBJECTIVES, ObjectiveConfig
from nuclex.objectives.question import Question
from nuclex.tokenizers.base import Tokenizer


@OBJECTIVES.register
class CausalConfig(ObjectiveConfig):
    """Every token of a piece but its first is predicted; ``<eos>`` where the piece touches the sequence's end."""

    kind: Literal["causal"] = "causal"

    @property
    def causal(self) -> bool:
        """True: what lies ahead is what is asked for."""
        return True

    def ask(self, batch: PackedBatch, tokenizer: Tokenizer, seed: int, epoch: int) -> Question:
        """Ask for the next token everywhere; nothing is drawn, so seed and epoch do not matter."""
        return next_tokens(batch)

    def expected_share(self) -> float:
        """All tokens: of a piece only the last is not asked for the next one."""
        return 1.0


def next_tokens(batch: PackedBatch, known_N: NDArray[np.int64] | int = 1) -> Question:
    """The question that token t answers with token t + 1 of the same piece, from its start token on.

    The first ``known_N`` tokens of each piece, at least 1, are given and not asked for.
    """
    starts_N = np.cumsum(batch.lengths_N) - batch.lengths_N
    unasked_N = np.broadcast_to(known_N, len(starts_N))
    inside_T = np.arange(len(batch.tokens_T)) - np.repeat(starts_N, batch.lengths_N)
    asked_M = np.flatnonzero(inside_T >= np.repeat(unasked_N, batch.lengths_N))
    return Question(batch.tokens_T, asked_M - 1, batch.tokens_T[asked_M], ahead=1)
