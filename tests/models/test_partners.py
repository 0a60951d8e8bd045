"""The head for pairs computes what its description says, by itself for each pair, and can only do so with a vector."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from nuclex.models import LanguageModel, Layout, PartnerHeadConfig, RinalmoConfig
from nuclex.models.answering import AnsweringModel, head_over
from nuclex.models.heads import build_head
from nuclex.models.partners import PartnerHead

WIDTH, VECTOR = 8, 3


def made(hidden: int = 4) -> PartnerHead:
    head = build_head(PartnerHeadConfig(vector=VECTOR, hidden=hidden), WIDTH, 1, 1)
    assert isinstance(head, PartnerHead)
    return head


def by_hand(head: PartnerHead, hidden_LD: Tensor, partner_P: Tensor) -> Tensor:
    """One pair, spelled out: start and end are no part of the mean."""
    a_H = head.sequence(hidden_LD[1:-1].mean(0))
    b_H = head.partner((partner_P - head.mean_P) / head.deviation_P)
    return head.decoder(F.gelu(head.dense(torch.cat([F.gelu(a_H), F.gelu(b_H), a_H * b_H]))))


def test_a_pair_is_answered_as_written_and_whatever_else_is_in_the_batch() -> None:
    torch.manual_seed(0)
    head, lengths, hidden_TD, partners_NP = made(), [5, 3, 9], torch.randn(17, WIDTH), torch.randn(3, VECTOR)
    head.scale_by(torch.randn(6, VECTOR) * 4 + 2)
    together = head(hidden_TD, Layout.of(lengths), partners_NP)
    alone = [by_hand(head, part, partner) for part, partner in zip(hidden_TD.split(lengths), partners_NP, strict=True)]
    torch.testing.assert_close(together, torch.stack(alone), rtol=1e-5, atol=1e-6)


def test_partners_are_scaled_as_those_that_were_learned_from() -> None:
    head = made()
    head.scale_by(torch.tensor([[1.0, 5.0, 1e4], [3.0, 5.0, 3e4]]))
    assert head.mean_P.tolist() == [2.0, 5.0, 2e4]
    assert head.deviation_P.tolist() == [1.0, 1.0, 1e4], "a number that all have alike is only centred"
    assert not any(name in dict(head.named_parameters()) for name in ("mean_P", "deviation_P")), "they do not learn"


def test_what_the_partner_does_can_depend_on_the_sequence() -> None:
    """Two sequences and two partners: the difference between partners differs between sequences, as no sum can."""
    torch.manual_seed(0)
    head = made()
    hidden_TD, layout = torch.randn(5, WIDTH).repeat(1, 1), Layout.of([5])
    other_TD, one, two = torch.randn(5, WIDTH), torch.randn(1, VECTOR), torch.randn(1, VECTOR)
    first = head(hidden_TD, layout, one) - head(hidden_TD, layout, two)
    second = head(other_TD, layout, one) - head(other_TD, layout, two)
    assert (first - second).abs() > 1e-3


def test_no_gradient_reaches_the_vectors_unless_it_is_asked_for_and_a_width_may_grow() -> None:
    config = RinalmoConfig(depth=1, width=16, heads=2, base_width=8).backbone()
    model = LanguageModel(config, vocabulary_size=22, pad_id=1, mask_id=4)
    head, grown = head_over(PartnerHeadConfig(vector=VECTOR, hidden=4), model, 1, 0)
    assert grown["sequence.weight"].inputs == 2.0
    assert {grown[name].inputs for name in ("partner.weight", "dense.weight", "decoder.weight")} == {1.0}
    answering, partners_NP = AnsweringModel(model, head), torch.randn(1, VECTOR)
    answering.scalars(torch.tensor([0, 5, 6, 2]), Layout.of([4]), partners_NP).sum().backward()  # type: ignore[no-untyped-call]
    assert partners_NP.grad is None
    assert all(value.grad is not None for value in head.parameters())


def test_a_head_does_not_guess_how_long_vectors_are() -> None:
    with pytest.raises(ValueError, match=r"head\.vector: how many numbers a partner's vector has is not known"):
        PartnerHeadConfig().build(WIDTH, 1)
