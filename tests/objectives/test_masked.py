from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from pydantic import ValidationError

from nuclex.data.pack import pack
from nuclex.data.sample import windows
from nuclex.data.tokens import tokenize
from nuclex.objectives import OBJECTIVES, MaskedConfig, token_cross_entropy
from nuclex.objectives.masking import mask_tokens
from nuclex.tokenizers import NucleotideConfig


def test_the_loss_is_the_sum_of_cross_entropies() -> None:
    logits = torch.tensor([[0.0, 0.0, 0.0, 0.0], [math.log(7), 0.0, 0.0, 0.0]])
    # ln 4 for the first; for the second p = 7/10 and 1/10
    assert token_cross_entropy(logits, torch.tensor([2, 0])).item() == pytest.approx(math.log(4) - math.log(0.7))
    assert token_cross_entropy(logits, torch.tensor([2, 1])).item() == pytest.approx(math.log(4) + math.log(10))


def test_the_loss_of_nothing_is_zero() -> None:
    logits = torch.zeros(0, 4, requires_grad=True)
    loss = token_cross_entropy(logits, torch.zeros(0, dtype=torch.int64))
    loss.backward()
    assert loss.item() == 0


def test_the_loss_is_finite_where_scores_are_far_apart() -> None:
    logits = torch.tensor([[200.0, 0.0], [0.0, 200.0]], dtype=torch.bfloat16, requires_grad=True)
    loss = token_cross_entropy(logits, torch.tensor([1, 1]))
    loss.backward()
    assert loss.dtype == torch.float32
    assert loss.item() == 200
    assert logits.grad is not None
    assert torch.isfinite(logits.grad).all()


def test_the_config_is_asked_as_it_is_set() -> None:
    tokenizer = NucleotideConfig().build()
    table = tokenize(["ACGT" * 50] * 10, tokenizer)
    batch = pack(table, windows(table, 300), tokenizer)
    config = MaskedConfig(share=0.3, mask=0.5, random=0.5)
    question = config.ask(batch, tokenizer, 4, 2)
    expected = mask_tokens(batch, (0.3, 0.5, 0.5), tokenizer, 4, 2)
    assert np.array_equal(question.inputs_T, expected.inputs_T)
    assert config.expected_share() == 0.3
    assert len(question.selected_M) / (~batch.special_T).sum() == pytest.approx(0.3, abs=0.04)


def test_shares_that_cannot_be_are_refused() -> None:
    with pytest.raises(ValidationError, match=r"mask 0\.8 and random 0\.3 are more than 1 together"):
        MaskedConfig(random=0.3)
    for wrong in ({"share": 0}, {"share": 1}, {"mask": -0.1}, {"random": 1.1}):
        with pytest.raises(ValidationError):
            MaskedConfig(**wrong)
    for tenths in range(11):
        MaskedConfig(mask=tenths / 10, random=1 - tenths / 10)


def test_it_is_registered_under_its_name() -> None:
    assert OBJECTIVES.parse({"kind": "masked", "share": 0.2}) == MaskedConfig(share=0.2)
    assert OBJECTIVES.parse(MaskedConfig().to_data()) == MaskedConfig()
