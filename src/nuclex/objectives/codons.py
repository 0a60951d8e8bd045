"""Predictions of codons from those of any tokens that spell them: codons, words of 3, 6 … letters, single letters.

A loss on codons then is a loss for every such tokenizer: what a word's tokens say is summed over the words that agree
in a codon, what three letters say is multiplied. With equal weights on all edges of the tree, and words of one codon
or single letters, it is the cross entropy of the tokens.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F

from nuclex.bio.alphabet import to_dna
from nuclex.bio.genetic_code import CODONS, GeneticCode
from nuclex.core.errors import InputError
from nuclex.data.pack import PackedBatch
from nuclex.objectives.hierarchical import LOWEST
from nuclex.objectives.question import Question
from nuclex.tokenizers.base import Tokenizer, TokenizerConfig

OTHER = "<other>"


@dataclass(frozen=True, eq=False)
class Spoken:
    """What is said of N codons: scores (N, C), the true ones (N,), and tokens to be judged by themselves.

    A score is ln p but for a number that is the same for a whole row. ``alone_M`` marks the asked tokens (M,) that are
    in no whole codon: their own cross entropy is their loss; None where there are none.
    """

    scores_NC: Tensor
    target_N: Tensor
    alone_M: Tensor | None


class CodonView:
    """How a tokenizer's tokens spell codons; InputError where they do not.

    ``tokens`` are the columns of what is said. ``frame`` is the number of letters before the first codon where tokens
    are letters or words; codon tokens carry their frame themselves.
    """

    def __init__(self, tokenizer: Tokenizer, frame: int = 0) -> None:
        self.frame = frame
        words = [to_dna(token) if token.isalpha() else token for token in tokenizer.vocabulary]
        self.size, self.stride = _spelling(tokenizer)
        word_V = np.array([_is_word(word, self.size) for word in words])
        self.tokens = tuple(words)
        if self.size == 1:
            self.tokens = (*CODONS, OTHER)
            self._letter_V = np.array([("ACGT".index(w) if _is_word(w, 1) else -1) for w in words])
        elif self.size > 3:
            self._rest = np.flatnonzero(~word_V)
            self.tokens = (*CODONS, *(words[place] for place in self._rest))
            number = {codon: place for place, codon in enumerate(CODONS)}
            self._codons_VJ = np.array(
                [[number[w[3 * j : 3 * j + 3]] for j in range(self.count)] if ok else [-1] * self.count
                 for w, ok in zip(words, word_V, strict=True)]
            )  # fmt: skip

    @property
    def count(self) -> int:
        """How many codons in frame a token spells."""
        return 1 if self.stride == 1 else max(self.size // 3, 1)

    def spoken(self, logits_MV: Tensor, question: Question, batch: PackedBatch) -> Spoken:
        """What the scores of the asked tokens say of codons."""
        target_M = torch.from_numpy(question.targets_M).to(logits_MV.device)
        logits_MV = logits_MV if logits_MV.dtype is torch.float64 else logits_MV.float()
        if self.size == 3 and self.stride == 3:
            return Spoken(logits_MV, target_M, None)
        log_MV = F.log_softmax(logits_MV, dim=-1)
        if self.size == 1:
            return self._of_letters(log_MV, question, batch)
        if self.stride > 1:
            return self._of_words(log_MV, target_M, None)
        alone_M = (batch.position_T[question.places_M] - self.frame) % 3 != 0
        kept = torch.from_numpy(np.flatnonzero(~alone_M)).to(log_MV.device)
        alone = torch.from_numpy(alone_M).to(log_MV.device)
        if self.size == 3:
            return Spoken(log_MV[kept], target_M[kept], alone)
        return self._of_words(log_MV[kept], target_M[kept], alone)

    def _of_words(self, log_NV: Tensor, target_N: Tensor, alone_M: Tensor | None) -> Spoken:
        """Row after row of each token: its first codon, its second …; a token that is no word has one row."""
        device, rows, targets = log_NV.device, [], []
        rest = torch.from_numpy(self._rest).to(device)
        codons_VJ = torch.from_numpy(self._codons_VJ).to(device)
        column_V = torch.full((log_NV.shape[1],), -1, device=device)
        column_V[rest] = torch.arange(len(rest), device=device) + len(CODONS)
        for j in range(self.count):
            words = torch.nonzero(codons_VJ[:, j] >= 0)[:, 0]
            log_NC = _grouped(log_NV[:, words], codons_VJ[words, j])
            own_N = codons_VJ[target_N, j]
            use_N = (own_N >= 0) | (j == 0)
            rows.append(torch.cat([log_NC, log_NV[:, rest]], 1)[use_N])
            targets.append(torch.where(own_N >= 0, own_N, column_V[target_N])[use_N])
        return Spoken(torch.cat(rows), torch.cat(targets), alone_M)

    def _of_letters(self, log_MV: Tensor, question: Question, batch: PackedBatch) -> Spoken:
        """The product over the asked letters of a codon; letters in sight are certain."""
        device = log_MV.device
        at_N3, asked_N3, alone_M = self._whole_codons(question, batch)
        letter_N3 = torch.from_numpy(self._letter_V[batch.tokens_T[at_N3]]).to(device)
        letters = torch.from_numpy(np.argsort(np.where(self._letter_V < 0, 9, self._letter_V), kind="stable")[:4])
        log_M4 = log_MV[:, letters.to(device)]
        asked = torch.from_numpy(asked_N3).to(device)
        seen_N34 = torch.full((*letter_N3.shape, 4), LOWEST, device=device, dtype=log_MV.dtype)
        seen_N34 = seen_N34.scatter(2, letter_N3[:, :, None], 0.0)
        log_N34 = torch.where((asked >= 0)[:, :, None], log_M4[asked.clamp(min=0)], seen_N34)
        first, second, third = log_N34.unbind(1)
        log_N64 = (first[:, :, None, None] + second[:, None, :, None] + third[:, None, None, :]).flatten(1)
        some_N1 = log_N34.logsumexp(2).sum(1, keepdim=True)
        other_N1 = torch.log(-torch.expm1(some_N1.clamp(max=-1e-12)))
        target_N = letter_N3[:, 0] * 16 + letter_N3[:, 1] * 4 + letter_N3[:, 2]
        return Spoken(torch.cat([log_N64, other_N1], 1), target_N, torch.from_numpy(alone_M).to(device))

    def _whole_codons(
        self, question: Question, batch: PackedBatch
    ) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.bool_]]:
        """Places in the batch of the letters of each codon that is asked for (N, 3), which asked token each is (-1 for
        none), and which asked tokens are in no whole codon of A, C, G and T."""
        piece_T = np.repeat(np.arange(len(batch.lengths_N)), batch.lengths_N)
        turn_M = (batch.position_T[question.places_M] - self.frame) % 3
        first_M = question.places_M - turn_M
        inside_M3 = first_M[:, None] + np.arange(3)
        safe_M3 = inside_M3.clip(0, len(batch.tokens_T) - 1)
        fits_M = (inside_M3 == safe_M3).all(1) & (batch.position_T[question.places_M] >= self.frame)
        fits_M &= (piece_T[safe_M3] == piece_T[question.places_M][:, None]).all(1)
        fits_M &= ~batch.special_T[safe_M3].any(1) & (self._letter_V[batch.tokens_T[safe_M3]] >= 0).all(1)
        firsts_N = np.unique(first_M[fits_M])
        at_N3 = firsts_N[:, None] + np.arange(3)
        asked_T = np.full(len(batch.tokens_T), -1, dtype=np.int64)
        asked_T[question.places_M] = np.arange(len(question.places_M))
        return at_N3, asked_T[at_N3], ~fits_M


def is_of_codons(config: TokenizerConfig) -> bool:
    """Whether each word of a kind of tokenizer is one codon: codons, or three letters side by side."""
    return config.kind == "codon" or (getattr(config, "k", 0), getattr(config, "stride", 0)) == (3, 3)


def codon_meanings(tokenizer: Tokenizer, code: int, rows: int) -> NDArray[np.int64] | None:
    """What each of ``rows`` outputs means under a genetic code of the NCBI: those of one number are one amino acid, or
    stop.

    What is no codon means itself; so do rows beyond the vocabulary. None where a token is not one codon.
    """
    if not is_of_codons(tokenizer.config):
        return None
    letters = dict(zip(CODONS, GeneticCode.ncbi(code).amino_acids, strict=True))
    names = [letters.get(to_dna(token), token) for token in tokenizer.vocabulary]
    names += [f"row {row}" for row in range(len(names), rows)]
    return np.unique(names, return_inverse=True)[1].astype(np.int64)


def _spelling(tokenizer: Tokenizer) -> tuple[int, int]:
    """Letters of a word and letters from one word to the next."""
    config = tokenizer.config
    if config.kind == "codon":
        return 3, 3
    if config.kind == "nucleotide":
        return 1, 1
    size, stride = getattr(config, "k", 0), getattr(config, "stride", 0)
    if config.kind == "kmer" and (size == 1 or (size >= 3 and (stride == 1 or (stride == size and size % 3 == 0)))):
        return size, stride
    raise InputError(
        f"a loss on codons needs tokens that spell codons in frame: codons, nucleotides, words of 3, 6 or 9 letters "
        f"side by side, or overlapping words of 3 and more; the tokenizer is {config.kind!r}"
        + (f" with k = {size} and stride = {stride}" if config.kind == "kmer" else "")
    )


def _is_word(word: str, size: int) -> bool:
    return len(word) == size and set(word) <= set("ACGT")


def _grouped(log_NW: Tensor, group_W: Tensor) -> Tensor:
    """ln of the sum of p over the words of each of 64 groups, in log space: (N, 64)."""
    order = torch.argsort(group_W, stable=True)
    return log_NW[:, order].unflatten(1, (len(CODONS), -1)).logsumexp(2)
