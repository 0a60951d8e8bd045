from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from nuclex.models.blocks.long_convolution import lags_needed, last_values, long_convolution, transform_size
from nuclex.models.layout import Layout

LENGTHS = [5, 1, 12, 5, 33, 2, 7]
WIDTH = 3


def drawn(*shape: int, seed: int = 0, dtype: torch.dtype = torch.float64) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64).to(dtype)


def direct(values_TD: Tensor, filters_LD: Tensor, lengths: list[int], ahead_LD: Tensor | None = None) -> Tensor:
    """The definition: for every sequence, every token and every token it sees, weight times value."""
    rows = []
    for values_LD in values_TD.split(lengths):
        for here in range(len(values_LD)):
            row = torch.zeros_like(values_LD[0])
            for there in range(len(values_LD)):
                lag = here - there
                if 0 <= lag < len(filters_LD):
                    row = row + filters_LD[lag] * values_LD[there]
                elif lag < 0 and ahead_LD is not None and -lag < len(ahead_LD):
                    row = row + ahead_LD[-lag] * values_LD[there]
            rows.append(row)
    return torch.stack(rows)


@given(st.integers(1, 100_000))
def test_a_transform_has_room_for_twice_the_length_and_is_fast(length: int) -> None:
    fast = sorted([2**power for power in range(20)] + [3 * 2**power for power in range(18)])
    assert transform_size(length) == min(size for size in fast if size >= 2 * length)


def test_the_lags_a_batch_needs() -> None:
    assert lags_needed(Layout.of([3, 20, 1])) == 24  # 48 is the first 2^a or 3 * 2^a from 40 on


@pytest.mark.parametrize("two_sided", [False, True])
def test_the_transform_gives_what_the_definition_gives_in_values_and_gradients(two_sided: bool) -> None:
    layout = Layout.of(LENGTHS)
    parts = [drawn(layout.tokens, WIDTH), drawn(48, WIDTH, seed=1), drawn(48, WIDTH, seed=2)]
    parts = [part.requires_grad_() for part in (parts if two_sided else parts[:2])]
    values, filters, *ahead = parts
    found, wanted = (
        long_convolution(values, filters, layout, *ahead),
        direct(values, filters, LENGTHS, *ahead),
    )
    assert torch.allclose(found, wanted, atol=1e-12)
    upstream = drawn(*found.shape, seed=3)
    gradients = [torch.autograd.grad(result, parts, upstream) for result in (found, wanted)]
    for gradient, reference in zip(*gradients, strict=True):
        assert reference.abs().max() > 0.1
        assert torch.allclose(gradient, reference, atol=1e-12)


@given(st.lists(st.integers(1, 40), min_size=1, max_size=6), st.integers(1, 60), st.booleans())
@settings(max_examples=25, deadline=None)
def test_any_lengths_and_filters_shorter_or_longer_than_them(lengths: list[int], lags: int, two_sided: bool) -> None:
    layout = Layout.of(lengths)
    values, filters = drawn(layout.tokens, 2), drawn(lags, 2, seed=1)
    ahead = drawn(lags, 2, seed=2) if two_sided else None
    found = long_convolution(values, filters, layout, ahead)
    assert torch.allclose(found, direct(values, filters, lengths, ahead), atol=1e-12)


def test_nothing_crosses_not_even_what_is_no_number() -> None:
    layout = Layout.of([5, 7, 5, 6])
    first, last = 5, 12  # the second sequence; the fourth has the same transform
    values, filters = drawn(layout.tokens, WIDTH).requires_grad_(), drawn(8, WIDTH, seed=1)
    whole = long_convolution(values, filters, layout)
    (gradient,) = torch.autograd.grad(whole[first:last].square().sum(), values)
    assert gradient[:first].abs().max() == gradient[last:].abs().max() == 0
    assert gradient[first:last].abs().min() > 0
    spoilt = values.detach().clone()
    spoilt[first:last] = torch.nan
    found = long_convolution(spoilt, filters, layout)
    assert torch.equal(found[:first], whole[:first])
    assert torch.equal(found[last:], whole[last:])


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
def test_batch_mates_do_not_matter(dtype: torch.dtype) -> None:
    lengths = [130, 7, 65, 64, 200, 1, 97, 7, 131]
    parts = [drawn(length, WIDTH, seed=length + place, dtype=dtype) for place, length in enumerate(lengths)]
    filters = drawn(256, WIDTH, dtype=dtype)
    together = long_convolution(torch.cat(parts), filters, Layout.of(lengths)).split(lengths)
    backwards = long_convolution(torch.cat(parts[::-1]), filters, Layout.of(lengths[::-1])).split(lengths[::-1])[::-1]
    for part, among, turned in zip(parts, together, backwards, strict=True):
        alone = long_convolution(part, filters, Layout.of([len(part)]))
        tolerance = 4 * torch.finfo(dtype).eps * float(alone.abs().max())
        assert (among - alone).abs().max() <= tolerance
        assert (turned - alone).abs().max() <= tolerance


@pytest.mark.parametrize("length", [30, 500, 4000])
def test_the_error_of_single_precision_is_a_millionth_of_the_largest_value(length: int) -> None:
    values, filters, layout = drawn(length, WIDTH), drawn(length, WIDTH, seed=1), Layout.of([length])
    exact = long_convolution(values, filters, layout)
    error = (long_convolution(values.float(), filters.float(), layout) - exact).abs().max()
    assert 0 < error < 1e-6 * exact.abs().max()


def test_the_future_is_not_seen_but_for_rounding() -> None:
    layout = Layout.of([50])
    values, filters = drawn(50, WIDTH), drawn(50, WIDTH, seed=1)
    changed = values.clone()
    changed[20:] += 100
    before, after = (long_convolution(part, filters, layout) for part in (values, changed))
    assert torch.allclose(before[:20], after[:20], rtol=0, atol=1e-11)
    assert (before[20:] - after[20:]).abs().min() > 1e-3


def test_half_precision_is_transformed_in_single_precision() -> None:
    layout = Layout.of(LENGTHS)
    values, filters = drawn(layout.tokens, WIDTH, dtype=torch.bfloat16), drawn(48, WIDTH, seed=1, dtype=torch.float32)
    wanted = long_convolution(values.float(), filters, layout)
    assert torch.equal(long_convolution(values, filters, layout), wanted.bfloat16())
    with torch.autocast("cpu", torch.bfloat16):
        assert torch.equal(long_convolution(values.float(), filters, layout), wanted)


def test_the_last_values_spelled_out() -> None:
    values = torch.arange(1.0, 7.0)[:, None] * torch.tensor([1.0, 10.0])
    found = last_values(values, Layout.of([3, 1, 2]), 2)
    assert found[..., 0].tolist() == [[2, 3], [0, 4], [5, 6]]
    assert found[..., 1].tolist() == [[20, 30], [0, 40], [50, 60]]
    deep = last_values(values[:, :, None], Layout.of([3, 1, 2]), 2)
    assert torch.equal(deep, found[..., None])
