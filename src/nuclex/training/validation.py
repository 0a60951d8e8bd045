"""Scoring held-out sequences, every position once, hidden or foretold: the same numbers however often it is asked."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from nuclex.bundle import Bundle
from nuclex.core.progress import bar
from nuclex.data.pack import PackedBatch, pack
from nuclex.data.sample import Pieces, budget_cuts, overlapping_windows, windows
from nuclex.data.tokens import TokenTable
from nuclex.models.backbone import LanguageModel
from nuclex.models.layout import Layout
from nuclex.objectives.causal import next_tokens
from nuclex.objectives.codons import codon_meanings
from nuclex.objectives.masking import folds_of, mask_fold
from nuclex.objectives.question import Question
from nuclex.tokenizers.base import Tokenizer

FOLDS = 7
"""Turns in which a sequence is hidden: 1/7 = 14.3 % at a time, close to the 15 % of training."""


def names_of_a_look(*, codons: bool) -> list[str]:
    """The names of the validation numbers of a language model, whose tokens are codons or not, in alphabetical order.

    >>> names_of_a_look(codons=False)
    ['score', 'validation_accuracy', 'validation_loss', 'validation_perplexity', 'validation_tokens']
    """
    none_N = np.zeros(1, dtype=np.int64)
    return sorted(Scores(none_N, none_N, np.zeros(1), none_N if codons else None).look())


@dataclass(frozen=True)
class Scores:
    """Sums over the scored tokens of each of N sequences: how many, how many right, and -ln p in nats.

    ``kin_N`` counts the answers that mean what is true, where tokens are codons: the same amino acid, or a stop.
    """

    tokens_N: NDArray[np.int64]
    hits_N: NDArray[np.int64]
    nll_N: NDArray[np.float64]
    kin_N: NDArray[np.int64] | None = None

    @property
    def loss(self) -> float:
        """Mean -ln p(true token), in nats a token."""
        return float(self.nll_N.sum() / max(self.tokens_N.sum(), 1))

    @property
    def accuracy(self) -> float:
        """Share of tokens whose most probable symbol is the true one."""
        return float(self.hits_N.sum() / max(self.tokens_N.sum(), 1))

    def summary(self) -> dict[str, float]:
        """Loss, perplexity, accuracy, tokens; of codons also the accuracy of amino acids and the synonymous errors.

        ``synonymous_error_share`` is the share of the wrong answers that mean what is true.
        """
        numbers = {"loss": self.loss, "perplexity": float(np.exp(self.loss)), "accuracy": self.accuracy}
        if self.kin_N is not None:
            numbers |= codon_summary(int(self.tokens_N.sum()), int(self.hits_N.sum()), int(self.kin_N.sum()))
        return {**numbers, "tokens": int(self.tokens_N.sum())}

    def look(self) -> dict[str, float]:
        """The summary as numbers of a look during training; ``score``, the higher the better, is minus the loss."""
        numbers = self.summary()
        return {**{f"validation_{name}": value for name, value in numbers.items()}, "score": -numbers["loss"]}


def codon_summary(tokens: int, hits: int, kin: int) -> dict[str, float]:
    """Shares from counts: of all answers, those of the right meaning; of the wrong ones, those of the right meaning."""
    return {
        "amino_acid_accuracy": kin / max(tokens, 1),
        "synonymous_error_share": (kin - hits) / max(tokens - hits, 1),
    }


def packed_batches(
    table: TokenTable, pieces: Pieces, tokenizer: Tokenizer, micro_tokens: int
) -> Iterator[tuple[Pieces, PackedBatch]]:
    """Pieces in order of length, packed up to ``micro_tokens`` at a time."""
    order = np.argsort(pieces.lengths_P, kind="stable")
    cuts = budget_cuts(pieces.lengths_P[order], micro_tokens)
    for first, last in itertools.pairwise(cuts):
        part = pieces.take(order[first:last])
        yield part, pack(table, part, tokenizer)


def ask(model: LanguageModel, question: Question, layout: Layout) -> Tensor:
    """Log-probabilities (M, V), float32, at the asked positions."""
    inputs_T = torch.from_numpy(question.inputs_T).to(layout.positions_T.device)
    selected_M = torch.from_numpy(question.selected_M).to(inputs_T.device)
    return model(inputs_T, layout, selected_M).float().log_softmax(-1)


def longest_piece(bundle: Bundle) -> int:
    """The longest input the model was trained on, in tokens, special ones included."""
    trained = bundle.record.recipe.get("sampling", {}).get("max_tokens", 1024)
    room = bundle.model.config.longest
    return int(trained if room is None else min(trained, room))


def score(
    model: LanguageModel,
    tokenizer: Tokenizer,
    table: TokenTable,
    max_tokens: int,
    micro_tokens: int = 16_384,
    *,
    code: int = 1,
) -> Scores:
    """Every token of ``table`` once: hidden from a model that sees both sides, foretold by a causal one.

    Where tokens are codons, ``code`` is the genetic code (as the NCBI numbers them) that says what they mean.

    What is longer than ``max_tokens`` is read in windows, side by side (``data.sample.windows``) or, by a causal model,
    each with half a window of context (``overlapping_windows``).
    """
    if model.config.causal:
        return score_next(model, tokenizer, table, max_tokens, micro_tokens, code=code)
    return score_masked(model, tokenizer, table, windows(table, max_tokens), micro_tokens, code=code)


def score_masked(
    model: LanguageModel,
    tokenizer: Tokenizer,
    table: TokenTable,
    pieces: Pieces,
    micro_tokens: int = 16_384,
    *,
    code: int = 1,
) -> Scores:
    """Hide every token of ``pieces`` once, in FOLDS turns; sums per sequence of ``table``. Never keeps logits.

    The model must be in evaluation mode (ValueError: dropout would make the numbers random); no gradients.
    """

    def questions(part: Pieces, batch: PackedBatch) -> Iterator[Question]:
        fold_T = folds_of(batch, FOLDS)
        return (mask_fold(batch, fold_T, fold, tokenizer.mask_id) for fold in range(FOLDS))

    batches = packed_batches(table, pieces, tokenizer, micro_tokens)
    return _scored(model, table, batches, questions, (tokenizer, code))


def score_next(
    model: LanguageModel,
    tokenizer: Tokenizer,
    table: TokenTable,
    max_tokens: int,
    micro_tokens: int = 16_384,
    *,
    code: int = 1,
) -> Scores:
    """Foretell every token from those before it, ``<eos>`` included; otherwise as ``score_masked``.

    A sequence of L tokens is L + 1 predictions. As many are in memory at a time as of hidden tokens.
    """
    pieces, known_P = overlapping_windows(table, max_tokens)
    order = np.argsort(pieces.lengths_P, kind="stable")  # that of the batches
    known = iter(known_P[order])

    def questions(part: Pieces, batch: PackedBatch) -> Iterator[Question]:
        yield next_tokens(batch, np.fromiter(itertools.islice(known, len(part)), np.int64))

    batches = packed_batches(table, pieces.take(order), tokenizer, micro_tokens // FOLDS)
    return _scored(model, table, batches, questions, (tokenizer, code))


def _scored(
    model: LanguageModel,
    table: TokenTable,
    batches: Iterator[tuple[Pieces, PackedBatch]],
    questions: Callable[[Pieces, PackedBatch], Iterator[Question]],
    meant: tuple[Tokenizer, int],
) -> Scores:
    if model.training:
        raise ValueError("the model is in training mode; call model.eval() before scoring")
    meaning_V = codon_meanings(*meant, model.config.rows(len(meant[0].vocabulary)))
    tokens, hits, nll, kin = (np.zeros(len(table)) for _ in range(4))
    device = next(model.parameters()).device
    total = len(table.ids) + (len(table) if model.config.causal else 0)  # whose ends are foretold, too
    with torch.no_grad(), bar("scoring tokens", total) as progress:
        for part, batch in batches:
            layout = Layout.of(batch.lengths_N, device)
            index_T = np.repeat(part.index_P, batch.lengths_N)
            for question in questions(part, batch):
                if not len(question.selected_M):
                    continue
                log_p_MV = ask(model, question, layout)
                targets_M1 = torch.from_numpy(question.targets_M).to(device)[:, None]
                guess_M = log_p_MV.argmax(-1).cpu().numpy()
                cost_M = -log_p_MV.gather(-1, targets_M1)[:, 0].cpu().double().numpy()
                where = index_T[question.selected_M]
                tokens += np.bincount(where, minlength=len(table))
                right_M = guess_M == question.targets_M
                hits += np.bincount(where, weights=right_M, minlength=len(table))
                if meaning_V is not None:
                    alike_M = meaning_V[guess_M] == meaning_V[question.targets_M]
                    kin += np.bincount(where, weights=alike_M, minlength=len(table))
                nll += np.bincount(where, weights=cost_M, minlength=len(table))
                progress.advance(len(where))
    kin_N = None if meaning_V is None else kin.astype(np.int64)
    return Scores(tokens.astype(np.int64), hits.astype(np.int64), nll, kin_N)
