"""What every registered objective and criterion must keep; those of installed outside packages are asked, too."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from nuclex.data.pack import PackedBatch, pack
from nuclex.data.sample import windows
from nuclex.data.tokens import tokenize
from nuclex.objectives import CRITERIA, OBJECTIVES, MaskedConfig, Question
from nuclex.tokenizers import CodonConfig, Tokenizer


def packed() -> tuple[PackedBatch, Tokenizer]:
    """Sequences of codons of several lengths, one of a single codon."""
    tokenizer = CodonConfig(frame=0).build()
    draw = np.random.default_rng(0)
    table = tokenize(["".join(draw.choice(list("ACGT"), 3 * codons)) for codons in (40, 1, 90, 12, 30)], tokenizer)
    return pack(table, windows(table, 64), tokenizer), tokenizer


def asked(kind: str, seed: int, epoch: int) -> Question:
    batch, tokenizer = packed()
    return OBJECTIVES.parse({"kind": kind}).ask(batch, tokenizer, seed, epoch)


@pytest.mark.parametrize("kind", OBJECTIVES.names())
def test_a_question_is_a_pure_function_of_seed_and_epoch(kind: str) -> None:
    for left, right in zip(vars(asked(kind, 3, 1)).values(), vars(asked(kind, 3, 1)).values(), strict=True):
        assert np.array_equal(left, right)


@pytest.mark.parametrize("kind", OBJECTIVES.names())
def test_the_truth_is_what_stood_there_and_is_not_shown_ahead(kind: str) -> None:
    (batch, tokenizer), config, question = packed(), OBJECTIVES.parse({"kind": kind}), asked(kind, 0, 0)
    assert 0 < len(question.targets_M) == len(question.selected_M) <= len(batch.tokens_T)
    assert np.array_equal(question.targets_M, batch.tokens_T[question.places_M])
    assert len(np.unique(question.selected_M)) == len(question.selected_M)
    assert 0 < config.expected_share() <= 1
    piece_T = np.repeat(np.arange(len(batch.lengths_N)), batch.lengths_N)
    assert np.array_equal(piece_T[question.selected_M], piece_T[question.places_M]), "an answer of the same sequence"
    if config.causal:
        assert question.ahead >= 1
        assert np.array_equal(question.inputs_T, batch.tokens_T)
    else:
        changed = np.flatnonzero(question.inputs_T != batch.tokens_T)
        assert set(changed) <= set(question.places_M), "what is hidden is asked for"
        assert not np.isin(question.targets_M, tokenizer.special_ids).any()


@pytest.mark.parametrize("kind", CRITERIA.names())
def test_a_loss_is_finite_and_least_where_the_truth_is_certain(kind: str) -> None:
    batch, tokenizer = packed()
    question, criterion = MaskedConfig(share=0.4).ask(batch, tokenizer, 0, 0), CRITERIA.parse({"kind": kind})
    criterion.check(tokenizer)
    truth = torch.zeros(len(question.targets_M), len(tokenizer))
    truth[torch.arange(len(truth)), torch.from_numpy(question.targets_M)] = 1.0
    found = []
    for gap in (0.0, 10.0, 200.0, -200.0):
        logits = (gap * truth).requires_grad_()
        loss = criterion.total(logits, question, batch, tokenizer)
        loss.backward()
        assert loss.isfinite()
        assert logits.grad is not None
        assert logits.grad.isfinite().all()
        found.append(loss.item())
    even, right, _, wrong = found
    assert 0 <= right < even < wrong
