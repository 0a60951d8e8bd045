"""Which nucleotides a language model couples, without any label: contact scores from its outputs or its attention.

``jacobian``   how much the model's scores at j change when the letter at i does: the categorical Jacobian
               (doi:10.1101/2024.01.30.577970). Masks nothing; as many passes as there are other letters.
``attention``  how much the tokens i and j take from each other, for every layer and head (arXiv:1906.04341,
               doi:10.1101/2020.12.15.422761)

Both are made symmetric and freed of what a position has with all others (average product correction,
doi:10.1093/bioinformatics/btm604). Scores have no unit: only their order within one molecule means something.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

import numpy as np
import torch
from numpy.typing import NDArray

from nuclex.bundle import Bundle
from nuclex.core.errors import InputError
from nuclex.data.tokens import tokenize
from nuclex.inference.attention import attention_maps
from nuclex.models import Layout

LETTERS = "ACGU"
MICRO_TOKENS = 8_192
"""Tokens in one forward pass."""
Logits = Callable[[NDArray[np.int64]], NDArray[np.float64]]
"""Scores (B, L, A) of the letters at every position, given B sequences of L letter numbers (B, L)."""


def jacobian_contacts(
    bundle: Bundle, sequence: str, each_pass: Callable[[int], object] = lambda sequences: None
) -> NDArray[np.float64]:
    """Contact scores (L, L) of one molecule from the categorical Jacobian; symmetric, zero on the diagonal.

    4 L + 1 sequences or less go through the model; before each pass ``each_pass`` hears how many go in it, and may
    raise. InputError for a model that reads one way, has no language head or joins nucleotides to tokens, and for a
    sequence that it cannot read at once.
    """
    ids_L, ids_A = _readable(bundle, sequence)
    known_L = np.array([np.flatnonzero(ids_A == ids)[0] if ids in ids_A else -1 for ids in ids_L])

    def logits_of(ids_BL: NDArray[np.int64]) -> NDArray[np.float64]:
        each_pass(len(ids_BL))
        return _logits(bundle, ids_BL, ids_A)

    return coupling_strength(categorical_jacobian(logits_of, ids_L, ids_A, known_L))


def categorical_jacobian(
    logits_of: Logits, ids_L: NDArray[np.int64], ids_A: NDArray[np.int64], known_L: NDArray[np.int64]
) -> NDArray[np.float64]:
    """By how much each letter's score at each position changes with the letter at another: (L, A, L, A).

    Entry [i, a, j, b] is the score of b at j with a at i, less that with the letter that is there. ``known_L`` is the
    number of each position's letter in ``ids_A``, -1 where it is none of them.
    """
    length, letters = len(ids_L), len(ids_A)
    jacobian_LALA = np.zeros((length, letters, length, letters))
    asked = [(i, a) for i in range(length) for a in range(letters) if known_L[i] != a]
    before_LA = logits_of(ids_L[None])[0]
    step = max(MICRO_TOKENS // (length + 2), 1)
    for first in range(0, len(asked), step):
        places_B, letters_B = np.array(asked[first : first + step]).T
        ids_BL = np.repeat(ids_L[None], len(places_B), axis=0)
        ids_BL[np.arange(len(places_B)), places_B] = ids_A[letters_B]
        jacobian_LALA[places_B, letters_B] = logits_of(ids_BL) - before_LA
    return jacobian_LALA


def coupling_strength(jacobian_LALA: NDArray[np.float64]) -> NDArray[np.float64]:
    """One number a pair of positions: (L, L), symmetric, zero on the diagonal.

    The Jacobian is centred over either letter, made symmetric, summed up by its Frobenius norm over the letters, and
    corrected by ``average_product``.
    """
    centred = jacobian_LALA - jacobian_LALA.mean(1, keepdims=True)
    centred -= centred.mean(3, keepdims=True)
    symmetric = (centred + centred.transpose(2, 3, 0, 1)) / 2
    strength_LL = np.sqrt((symmetric**2).sum((1, 3)))
    np.fill_diagonal(strength_LL, 0)
    return average_product(strength_LL)


def average_product(score_LL: NDArray[np.float64]) -> NDArray[np.float64]:
    """Scores (..., L, L) less the product of their row and column means over the mean of all; the diagonal is 0.

    The diagonal is left out of every mean (doi:10.1093/bioinformatics/btm604).

    >>> average_product(np.outer([1.0, 2.0, 4.0], [1.0, 2.0, 4.0]) * (1 - np.eye(3))).round(3).tolist()
    [[0.0, -1.214, 0.143], [-1.214, 0.0, 1.571], [0.143, 1.571, 0.0]]
    """
    length = score_LL.shape[-1]
    off_LL = 1 - np.eye(length)
    kept = score_LL * off_LL
    if length < 2:
        return kept
    mean_L = kept.sum(-1, keepdims=True) / (length - 1)
    total = kept.sum((-2, -1), keepdims=True) / (length * (length - 1))
    expected = np.divide(mean_L * np.swapaxes(mean_L, -1, -2), total, out=np.zeros_like(kept), where=total != 0)
    rest = kept - expected
    noise = 1e-12 * np.abs(kept).max((-2, -1), keepdims=True)  # what is left where all positions are alike
    return np.where(off_LL.astype(bool) & (np.abs(rest) > noise), rest, 0.0)


def attention_contacts(
    bundle: Bundle, sequence: str, heads: Sequence[tuple[int, int]]
) -> Iterator[NDArray[np.float64]]:
    """Contact scores (L, L) of one molecule from the attention of each of these (layer, head), one at a time.

    Start and end tokens are left out. Errors as in ``jacobian_contacts``, and for a model without attention.
    """
    _readable(bundle, sequence)
    maps = next(attention_maps(bundle, [sequence]))
    for layer, head in heads:
        weights_LL = maps[layer, head, 1:-1, 1:-1].astype(np.float64)
        yield average_product((weights_LL + weights_LL.T) / 2)


def _readable(bundle: Bundle, sequence: str) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """The sequence's tokens (L,) and the tokens of the four letters (4,)."""
    model, tokenizer = bundle.model, bundle.tokenizer
    if not sequence:
        raise InputError("contacts: the sequence is empty")
    if model.config.causal or model.config.head == "none":
        kind = "reads from left to right" if model.config.causal else "has no language head"
        raise InputError(f"contacts: this model {kind}; one that sees both sides and foretells letters is needed")
    ids_L = tokenize([sequence], tokenizer).ids.astype(np.int64)
    if len(ids_L) != len(sequence):
        raise InputError("contacts: the tokenizer joins nucleotides; one token a nucleotide is needed")
    if model.config.longest is not None and len(ids_L) + 2 > model.config.longest:
        raise InputError(
            f"contacts: found {len(ids_L)} nucleotides; this model reads {model.config.longest - 2} at once"
        )
    return ids_L, np.concatenate([tokenize([letter], tokenizer).ids for letter in LETTERS]).astype(np.int64)


def _logits(bundle: Bundle, ids_BL: NDArray[np.int64], ids_A: NDArray[np.int64]) -> NDArray[np.float64]:
    model, tokenizer = bundle.model, bundle.tokenizer
    device = next(model.parameters()).device
    count, length = ids_BL.shape
    whole_BL = np.concatenate(
        [np.full((count, 1), tokenizer.cls_id), ids_BL, np.full((count, 1), tokenizer.eos_id)], axis=1
    )
    layout = Layout.of([length + 2] * count, device)
    with torch.no_grad():
        hidden_TD = model.encode(torch.from_numpy(whole_BL.reshape(-1)).to(device), layout)
        inside_BLD = hidden_TD.view(count, length + 2, -1)[:, 1:-1]
        scores_MA = model.scores(inside_BLD.reshape(count * length, -1)).float()[:, torch.from_numpy(ids_A).to(device)]
    return scores_MA.cpu().double().numpy().reshape(count, length, len(ids_A))
