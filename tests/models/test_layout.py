from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from nuclex.models.layout import Layout


def test_a_layout_spelled_out() -> None:
    layout = Layout.of([2, 3, 3, 1, 3])
    assert layout.lengths == (2, 3, 3, 1, 3)
    assert layout.groups == ((0, 1, 2), (2, 2, 3), (8, 1, 1), (9, 1, 3)), "only neighbours of equal length join"
    assert layout.boundaries_N1.tolist() == [0, 2, 5, 8, 9, 12]
    assert layout.positions_T.tolist() == [0, 1, 0, 1, 2, 0, 1, 2, 0, 0, 1, 2]
    assert layout.sequence_T.tolist() == [0, 0, 1, 1, 1, 2, 2, 2, 3, 4, 4, 4]
    assert (layout.tokens, layout.longest) == (12, 3)


@given(st.lists(st.integers(1, 9), max_size=12))
def test_groups_cover_every_token_once_in_order(lengths: list[int]) -> None:
    layout = Layout.of(np.array(lengths, dtype=np.int64))
    spelled = [length for _, count, length in layout.groups for _ in range(count)]
    assert spelled == lengths
    first = 0
    for start, count, length in layout.groups:
        assert start == first
        first += count * length
    assert first == layout.tokens == len(layout.positions_T) == sum(lengths)
    assert layout.longest == max(lengths, default=0)


def test_the_mean_of_each_sequence() -> None:
    layout = Layout.of([2, 1, 3])
    values = torch.tensor([[1.0, 0.0], [3.0, 2.0], [5.0, -1.0], [0.0, 0.0], [3.0, 3.0], [6.0, 6.0]], requires_grad=True)
    mean = layout.sequence_mean(values)
    assert mean.tolist() == [[2.0, 1.0], [5.0, -1.0], [3.0, 3.0]]
    mean.sum().backward()
    assert values.grad is not None
    assert values.grad[:, 0].tolist() == pytest.approx([1 / 2, 1 / 2, 1, 1 / 3, 1 / 3, 1 / 3])
