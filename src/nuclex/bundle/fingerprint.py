"""What lets a load prove itself: hashes of tokenizer and weights, and scores of three probe sequences.

The hashes say that the same numbers and rules are there, the scores that the same function is still computed from them
(by this version of nuclex, on this machine). The hashes are exact. Scores are not: the order of additions differs
between processors and libraries, so a digest of them, rounded or not, would refuse sound bundles. They are therefore
stored as numbers and compared with a tolerance, a thousandth of the largest of each probe: some hundred times what
machines differ by in float32, and far below what a misplaced layer changes.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from nuclex.core.errors import CorruptError, InputError, NonFiniteError
from nuclex.models.backbone import LanguageModel
from nuclex.models.layout import Layout
from nuclex.tokenizers.base import Tokenizer, tokenizer_hash

PROBES = (
    "GCGGATTTAGCTCAGTTGGGAGAGCGCCAGACTGAAGATCTGGAGGTCCTGTGTTCGATCCACAGAATTCGCACCA",
    "CAGCAGCAGCAGCAGCAGCAGCAGCAGCAGCAGCAG",
    "ATGGCTTGCGATGAATTTGGCCATATTAAACTGATGAACCCGCAGCGCAGCACCGTGTGGTATTAA",
)
"""Yeast's tRNA-Phe (with CCA), a CAG repeat, and a reading frame with every amino acid."""

MASKED_PROBE, MASKED_EVERY = 2, 5
POSITIONS, IDS = 4, 16
TOLERANCE = 1e-3


def fingerprint(model: LanguageModel, tokenizer: Tokenizer, tensors: Mapping[str, Tensor]) -> dict[str, Any]:
    """The fingerprint of a model in evaluation mode on the CPU, as plain data.

    ``tensors`` are all weights of the bundle under nuclex's names. NonFiniteError if a score is not a finite number.
    """
    return {
        "tokenizer": tokenizer_hash(tokenizer),
        "parameters": parameter_hash(tensors),
        "tolerance": TOLERANCE,
        "probes": _probe(model, tokenizer),
    }


def check_fingerprint(
    stored: Mapping[str, Any], model: LanguageModel, tokenizer: Tokenizer, tensors: Mapping[str, Tensor], origin: Path
) -> None:
    """CorruptError if tokenizer, weights or scores are not those that the fingerprint was taken from."""
    try:
        hashes = (stored["tokenizer"], stored["parameters"])
        wanted = [(list(probe["tokens"]), _scores(probe)) for probe in stored["probes"]]
    except (KeyError, TypeError, ValueError):
        raise CorruptError(f"{origin}: the fingerprint is not readable") from None
    if tokenizer_hash(tokenizer) != hashes[0]:
        raise CorruptError(f"{origin}: the tokenizer is not the one that the model was saved with")
    if parameter_hash(tensors) != hashes[1]:
        raise CorruptError(f"{origin}: the weights are not those that the fingerprint was taken from")
    if len(wanted) != len(PROBES):
        raise CorruptError(f"{origin}: the fingerprint has {len(wanted)} probe sequences, not {len(PROBES)}")
    for number, (probe, (tokens, scores)) in enumerate(zip(_probe(model, tokenizer), wanted, strict=True), start=1):
        if probe["tokens"] != tokens:
            raise CorruptError(
                f"{origin}: the tokenizer reads probe sequence {number} otherwise than when it was saved"
            )
        found = _scores(probe)
        if found.shape != scores.shape:
            raise CorruptError(f"{origin}: probe sequence {number} has {found.size} scores, not {scores.size}")
        difference, scale = float(np.abs(found - scores).max()), float(np.abs(scores).max())
        if not difference <= TOLERANCE * scale:
            raise CorruptError(
                f"{origin}: the model gives probe sequence {number} other scores than when it was saved: they differ "
                f"by {difference:.2g}, allowed is {TOLERANCE * scale:.2g}"
            )


def parameter_hash(tensors: Mapping[str, Tensor]) -> str:
    """Hex sha256 over name, type, shape and bytes of each tensor, in alphabetical order of the names."""
    digest = hashlib.sha256()
    for name in sorted(tensors):
        value = tensors[name].detach().cpu().contiguous()
        digest.update(f"{name} {str(value.dtype).removeprefix('torch.')} {list(value.shape)}\n".encode())
        digest.update(value.reshape(-1).view(torch.uint8).numpy().data)
    return digest.hexdigest()


def _probe(model: LanguageModel, tokenizer: Tokenizer) -> list[dict[str, Any]]:
    """Tokens of each probe, and the scores at a few positions: of some tokens, and log-sum-exp over all of them.

    An encoder without a language head has no scores; the numbers of its hidden vectors stand for them.
    """
    sequences = probes(model, tokenizer)
    layout = Layout.of([len(tokens) for tokens in sequences])
    with torch.no_grad(), torch.autocast("cpu", enabled=False):
        hidden_TD = model.encode(torch.cat(sequences), layout)
        logits_TV = hidden_TD if model.head is None else model.scores(hidden_TD)
    ids = _spread(logits_TV.shape[1], IDS)
    described = []
    for tokens, logits_LV in zip(sequences, logits_TV.split(layout.lengths), strict=True):
        positions = _spread(len(tokens), POSITIONS)
        chosen = logits_LV[positions]
        if not bool(torch.isfinite(chosen).all()):
            raise NonFiniteError("the model gives a probe sequence scores that are not finite numbers; it is not saved")
        described.append(
            {
                "tokens": tokens.tolist(),
                "positions": positions,
                "ids": ids,
                "logits": [[_short(value) for value in row] for row in chosen[:, ids].tolist()],
                "logsumexp": [_short(value) for value in chosen.logsumexp(1).tolist()],
            }
        )
    return described


def probes(model: LanguageModel, tokenizer: Tokenizer) -> list[Tensor]:
    """The probe sequences as the model reads them, (L,) ids each."""
    return [_tokens(number, model, tokenizer) for number in range(len(PROBES))]


def _tokens(number: int, model: LanguageModel, tokenizer: Tokenizer) -> Tensor:
    """A probe's tokens (L,): as much of it as the tokenizer reads and the model has room for; the last has masks."""
    letters = PROBES[number]
    for shortened in (letters, letters[:-1], letters[:-2]):  # codons may leave one or two letters over
        try:
            ids = torch.from_numpy(tokenizer.encode(shortened))[: model.config.longest]
            break
        except InputError as error:
            refused = error
    else:
        raise refused
    if number == MASKED_PROBE:
        ordinary = ~torch.isin(ids, torch.from_numpy(tokenizer.special_ids))
        ids = torch.where(ordinary & (torch.arange(len(ids)) % MASKED_EVERY == 1), tokenizer.mask_id, ids)
    return ids


def _scores(probe: Mapping[str, Any]) -> np.ndarray:
    return np.column_stack(
        [np.array(probe["logits"], dtype=np.float64), np.array(probe["logsumexp"], dtype=np.float64)]
    )


def _spread(length: int, most: int) -> list[int]:
    """At most ``most`` different places in ``range(length)``, the first and the last among them."""
    return sorted({round(place) for place in np.linspace(0, length - 1, min(most, length)).tolist()})


def _short(value: float) -> float:
    return float(f"{value:.7g}")
