"""How likely a model finds each token of a sequence where it stands: three ways to ask, one sum.

``exact``     each token is hidden alone and foretold from all others, in as many passes as there are tokens: the terms
              of the pseudo-log-likelihood (arXiv:1910.14659)
``one-pass``  nothing is hidden: one pass, in which the model sees the very token that it is asked for, as in the
              wild-type marginals of doi:10.1101/2021.07.09.450648. Models copy what they see, so these numbers are too
              high; the correction that arXiv:2407.07265 trains for that is not made here
``causal``    each token is foretold from those before it, in one pass: the log-likelihood itself

The first two ask models that see both sides, the third those that read from left to right. The first token of a
sequence is foretold, by a causal model, from ``<cls>`` alone. ``<cls>`` and ``<eos>`` are read and never asked for.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Literal

import numpy as np
import torch
from numpy.typing import NDArray

from nuclex.bundle import Bundle
from nuclex.core.errors import InputError
from nuclex.data.tokens import TokenTable
from nuclex.inference.reading import MICRO_TOKENS
from nuclex.inference.windows import Ints, Windows
from nuclex.models import BackboneConfig, LanguageModel, Layout
from nuclex.objectives import Question
from nuclex.tokenizers import Tokenizer

Method = Literal["exact", "one-pass", "causal"]
NUMBERS = 1 << 26
"""Scores held at a time (256 MB)."""


def method_for(config: BackboneConfig, wanted: Method | None) -> Method:
    """How to ask a model: as wanted, else causal or exact; InputError where it cannot be asked so."""
    if config.head == "none":
        raise InputError("this model is an encoder without a language head (head = 'none'); it gives no likelihood")
    allowed: tuple[Method, ...] = ("causal",) if config.causal else ("exact", "one-pass")
    if wanted is not None and wanted not in allowed:
        reads = "reads from left to right" if config.causal else "sees both sides of every token"
        raise InputError(f"method: found {wanted!r}; this model {reads}, so allowed: {', '.join(allowed)}")
    return wanted or allowed[0]


def log_likelihoods(bundle: Bundle, table: TokenTable, windows: Windows, method: Method) -> NDArray[np.float64]:
    """The sum of ln p over the tokens of each of N sequences, in nats; what else is asked does not matter."""
    sums_N = np.zeros(len(table))
    for index_M, _, log_M1 in foretold(bundle, (table, windows), method, np.zeros(0, dtype=np.int64)):
        sums_N += np.bincount(index_M, weights=log_M1[:, 0], minlength=len(table))
    return sums_N


def foretold(
    bundle: Bundle,
    asked: tuple[TokenTable, Windows],
    method: Method,
    others_K: Ints,
    *,
    micro_tokens: int = MICRO_TOKENS,
) -> Iterator[tuple[Ints, Ints, NDArray[np.float64]]]:
    """ln p of the token that stands at each place, and of K others in its stead: one forward pass after the other.

    Each pass gives, for M tokens, the sequence (M,), the token's place in it (M,) and the numbers (M, 1 + K) in nats,
    those of the token itself in front. Every token of the table comes once; the order is that of the passes, each of at
    most ``micro_tokens`` tokens where the windows are not longer.
    """
    table, windows = asked
    for index_M, token_M, question, lengths_P in _questions((table, windows), bundle.tokenizer, method, micro_tokens):
        others_MK = np.broadcast_to(others_K, (len(index_M), len(others_K)))
        wanted_MK = np.concatenate([question.targets_M[:, None], others_MK], axis=1)
        yield index_M, token_M, log_p(bundle.model, question, lengths_P, wanted_MK)


def log_p(model: LanguageModel, question: Question, lengths_P: Ints, wanted_MK: Ints) -> NDArray[np.float64]:
    """ln p of K tokens at each of the M places that are asked for: (M, K), in nats.

    Scores of ``NUMBERS`` tokens of the vocabulary are held at a time. The model must be in evaluation mode (ValueError:
    dropout would make the numbers random), as ``bundle.load`` gives it.
    """
    if model.training:
        raise ValueError("the model is in training mode; call model.eval() before scoring")
    device = next(model.parameters()).device
    inputs_T, where_M, wanted = (torch.from_numpy(part) for part in (question.inputs_T, question.selected_M, wanted_MK))
    step, found = max(NUMBERS // model.vocabulary_size, 1), np.zeros(wanted_MK.shape)
    with torch.no_grad():
        hidden_TD = model.encode(inputs_T.to(device), Layout.of(lengths_P, device))
        for first in range(0, len(where_M), step):
            some = slice(first, first + step)
            scores_MV = model.scores(hidden_TD[where_M[some].to(device)]).float().log_softmax(-1)
            found[some] = scores_MV.gather(-1, wanted[some].to(device)).cpu().numpy()
    return found


def _questions(
    asked: tuple[TokenTable, Windows], tokenizer: Tokenizer, method: Method, micro_tokens: int
) -> Iterator[tuple[Ints, Ints, Question, Ints]]:
    """For each forward pass: sequence and place of the tokens asked for (M,), the question, and the lengths packed."""
    table, windows = asked
    each = windows.one_token_each() if method == "exact" else windows
    for part, batch in each.batches(table, tokenizer, micro_tokens):
        window_M, token_M, place_M = part.answers()
        if not len(place_M):
            continue
        inputs_T, targets_M = batch.tokens_T, batch.tokens_T[place_M]
        if method == "exact":
            inputs_T = inputs_T.copy()
            inputs_T[place_M] = tokenizer.mask_id
        where_M = place_M - 1 if method == "causal" else place_M
        yield part.pieces.index_P[window_M], token_M, Question(inputs_T, where_M, targets_M), batch.lengths_N
