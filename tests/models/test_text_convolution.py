"""HELM's TextCNN against the literal one: Conv2d over all channels of one sequence, the maximum over places."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

from nuclex.models import Layout
from nuclex.models.heads import HEADS, TextConvolutionHeadConfig
from nuclex.models.text_convolution import TextConvolutionHead

WIDTH = 6


def literal(head: TextConvolutionHead, hidden_LD: Tensor) -> Tensor:
    """One sequence as an image of L × 2D with one channel, as HELM's code has it; zeros up to the widest kernel."""
    image_11LW = head.projection(hidden_LD)[None, None]
    answers = []
    for convolution in head.convolutions:
        weight_MWk = convolution.weight
        kernel = weight_MWk.shape[2]
        padded_11LW = F.pad(image_11LW, (0, 0, 0, max(kernel - len(hidden_LD), 0)))
        found_1ML1 = F.relu(F.conv2d(padded_11LW, weight_MWk.transpose(1, 2)[:, None], convolution.bias))
        answers.append(F.max_pool2d(found_1ML1, (found_1ML1.shape[2], 1)).flatten())
    return head.decoder(torch.cat(answers))


def test_in_a_packed_batch_it_is_the_literal_head_of_each_sequence() -> None:
    torch.manual_seed(0)
    head = TextConvolutionHeadConfig(maps=9).build(WIDTH, 2).double().eval()
    lengths = [4, 11, 2, 5, 11]  # 2 and 4: shorter than the widest kernel
    hidden_TD = torch.randn(sum(lengths), WIDTH, dtype=torch.float64, requires_grad=True)
    weight_NC = torch.randn(len(lengths), 2, dtype=torch.float64)
    expected_NC = torch.stack([literal(head, piece) for piece in hidden_TD.split(lengths)])
    wanted = torch.autograd.grad((expected_NC * weight_NC).sum(), [hidden_TD, *head.parameters()])
    found_NC = head(hidden_TD, Layout.of(lengths))
    found = torch.autograd.grad((found_NC * weight_NC).sum(), [hidden_TD, *head.parameters()])
    torch.testing.assert_close(found_NC, expected_NC, atol=1e-12, rtol=1e-10)
    assert all(value.abs().max() > 0 for value in wanted)
    for left, right in zip(found, wanted, strict=True):
        torch.testing.assert_close(left, right, atol=1e-12, rtol=1e-9)


def test_it_has_as_many_parameters_as_by_hand() -> None:
    head = HEADS.parse({"kind": "text-cnn"}).build(640, 1)  # HELM's GPT-2 of 50 M
    by_hand = (640 * 1280 + 1280) + (3 + 4 + 5) * 1280 * 100 + 3 * 100 + (300 + 1)
    assert sum(value.numel() for value in head.parameters()) == by_hand == 2_357_081
    assert isinstance(head, TextConvolutionHead)
    assert head.dropout.p == 0.2
