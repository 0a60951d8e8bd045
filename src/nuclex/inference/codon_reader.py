"""What a model says of the next codon, or of a hidden one, whatever its tokens: one a codon or one a letter."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from nuclex.bio.alphabet import to_dna
from nuclex.bio.genetic_code import CODONS
from nuclex.bundle import Bundle
from nuclex.core.errors import InputError
from nuclex.inference.reading import MICRO_TOKENS
from nuclex.models import Layout
from nuclex.models.backbone import Cache
from nuclex.tokenizers import CodonConfig, KmerConfig, Tokenizer

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]


def codon_ids(tokenizer: Tokenizer) -> dict[str, Ints]:
    """The token ids of each codon (written with T), one or three: (S,).

    InputError for a tokenizer that does not read a coding sequence codon by codon or letter by letter.
    """
    rules = tokenizer.config
    word = (rules.k, rules.stride) if isinstance(rules, KmerConfig) else (0, 0)
    if isinstance(rules, CodonConfig) and rules.frame:
        raise InputError("the tokenizer passes over letters in front of the first codon; frame 0 is needed for design")
    if rules.kind not in ("codon", "nucleotide") and word not in ((1, 1), (3, 3)):
        raise InputError(
            f"the tokenizer is {rules.kind!r}; to design codon by codon, its tokens must be codons, nucleotides or "
            "words of 3 letters side by side"
        )
    return {codon: tokenizer.encode(codon, start=False, end=False) for codon in CODONS}


class CausalReader:
    """N coding sequences that grow codon by codon under a model that reads from left to right."""

    def __init__(self, bundle: Bundle, rows: int) -> None:
        self._model, self._ids = bundle.model, codon_ids(bundle.tokenizer)
        self._device = next(bundle.model.parameters()).device
        start_N = torch.full((rows,), bundle.tokenizer.cls_id, device=self._device)
        with torch.no_grad():
            self._logits_NV, self._cache = self._model.prefill(start_N, Layout.of([1] * rows, self._device))

    def log_p(self, codons: Sequence[str]) -> Floats:
        """ln p of each of K codons to come next, for each sequence: (N, K), in nats.

        Of three letters it is the sum over them, each given those before it; the model is asked for all at once.
        """
        ids_KS = self._tokens(codons)
        log_NK = self._logits_NV.double().log_softmax(-1)[:, ids_KS[:, 0]]
        rows, (options, spelled) = len(log_NK), ids_KS.shape
        if spelled > 1:
            cache = Cache(self._cache.lengths_N, [dict(state) for state in self._cache.states])
            cache.keep(torch.arange(rows, device=self._device).repeat_interleave(options))  # copies; ours stays
            for turn in range(spelled - 1):
                logits_MV = self._step(ids_KS[:, turn].repeat(rows), cache)
                log_M = logits_MV.double().log_softmax(-1).gather(1, ids_KS[:, turn + 1].repeat(rows)[:, None])[:, 0]
                log_NK = log_NK + log_M.view(rows, options)
        return log_NK.cpu().numpy()

    def go_on(self, rows_M: Sequence[int] | Ints, codons: Sequence[str]) -> None:
        """Go on from these of the sequences (some perhaps twice, others not) with one codon each."""
        which_M = torch.as_tensor(np.asarray(rows_M, dtype=np.int64), device=self._device)
        self._cache.keep(which_M)
        for ids_M in self._tokens(codons).T:
            self._logits_NV = self._step(ids_M, self._cache)

    def _tokens(self, codons: Sequence[str]) -> Tensor:
        return torch.from_numpy(np.stack([self._ids[codon] for codon in codons])).to(self._device)

    def _step(self, ids_M: Tensor, cache: Cache) -> Tensor:
        with torch.no_grad():
            return self._model.step(ids_M, cache)


class MaskedReader:
    """What a model that sees both sides says of a hidden codon, given all others."""

    def __init__(self, bundle: Bundle) -> None:
        self._model, self._tokenizer, self._ids = bundle.model, bundle.tokenizer, codon_ids(bundle.tokenizer)
        self._device = next(bundle.model.parameters()).device

    def log_p(self, sequences: Sequence[Sequence[str]], place: int, codons: Sequence[str]) -> Floats:
        """ln p of each of K codons at one place of each of N sequences of codons: (N, K), in nats.

        The codon's tokens are hidden together, so three letters are taken for independent of each other.
        """
        ids_KS = np.stack([self._ids[codon] for codon in codons])
        spelled = ids_KS.shape[1]
        first, length = 1 + spelled * place, spelled * len(sequences[0]) + 2
        tokens_NL = np.stack([self._tokenizer.encode("".join(sequence)) for sequence in sequences])
        tokens_NL[:, first : first + spelled] = self._tokenizer.mask_id
        found, at_once = [], max(MICRO_TOKENS // length, 1)
        for start in range(0, len(tokens_NL), at_once):
            some = torch.from_numpy(tokens_NL[start : start + at_once]).to(self._device)
            asked_M = torch.arange(len(some))[:, None] * length + first + torch.arange(spelled)
            layout = Layout.of([length] * len(some), self._device)
            with torch.no_grad():
                logits_MV = self._model(some.flatten(), layout, asked_M.flatten().to(self._device))
            log_NSV = logits_MV.double().log_softmax(-1).unflatten(0, (len(some), spelled)).cpu().numpy()
            found.append(sum(log_NSV[:, turn, ids_KS[:, turn]] for turn in range(spelled)))
        return np.concatenate(found)


def as_codons(sequence: str) -> tuple[str, ...]:
    """A coding sequence cut into codons, written with T; what is behind the last whole one is left out.

    >>> as_codons("AUGGCCTA")
    ('ATG', 'GCC')
    """
    text = to_dna(sequence.upper())
    return tuple(text[start : start + 3] for start in range(0, len(text) - 2, 3))
