"""Which window answers for which token, against a search through all windows, and what the cuts leave alone."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from nuclex.core.errors import InputError
from nuclex.data.tokens import tokenize
from nuclex.inference.windows import Windows, window_for, windows_of
from nuclex.models import RinalmoConfig, RobertaConfig
from nuclex.tokenizers import NucleotideConfig


def plain_windows(length: int, room: int) -> list[tuple[int, int]]:
    """The windows written down one after the other."""
    if length <= room:
        return [(0, length)]
    found, first = [], 0
    while first + room < length:
        found.append((first, first + room))
        first += max(room // 2, 1)
    return [*found, (length - room, length)]


def best_window(cuts: list[tuple[int, int]], token: int, length: int, causal: bool) -> int:
    """The first window in which the token is farthest from a cut edge, by looking at every one."""

    def distance(first: int, last: int) -> float:
        if not first <= token < last:
            return -1
        left = math.inf if first == 0 else token - first
        right = math.inf if last == length or causal else last - 1 - token
        return min(left, right)

    return max(range(len(cuts)), key=lambda number: (distance(*cuts[number]), -number))


@given(st.lists(st.integers(0, 90), min_size=1, max_size=6), st.integers(4, 40), st.booleans())
@example([10, 11, 12, 13], 12, False)
@example([5, 6, 7], 4, True)
def test_every_token_is_answered_for_by_the_window_in_which_it_is_farthest_from_a_cut(
    lengths: list[int], window: int, causal: bool
) -> None:
    found = windows_of(np.array(lengths), window, causal=causal)
    pieces, place = found.pieces, 0
    for index, length in enumerate(lengths):
        cuts = plain_windows(length, window - 2)
        mine = slice(place, place + len(cuts))
        place += len(cuts)
        assert list(zip(pieces.first_P[mine].tolist(), pieces.last_P[mine].tolist(), strict=True)) == cuts
        assert set(pieces.index_P[mine].tolist()) == {index}
        assert pieces.starts_P[mine].tolist() == [first == 0 for first, _ in cuts]
        assert pieces.ends_P[mine].tolist() == [last == length for _, last in cuts]
        owners = np.repeat(np.arange(len(cuts)), found.counts_P[mine])
        assert owners.tolist() == [best_window(cuts, token, length, causal) for token in range(length)]
        assert found.from_P[mine].tolist() == [0, *found.to_P[mine].tolist()[:-1]]
        if not causal and len(cuts) > 1:
            for number, token in zip(owners.tolist(), range(length), strict=True):
                first, last = cuts[number]
                quarter = (window - 2) // 4
                assert token - first >= quarter - 1 or first == 0
                assert last - 1 - token >= quarter - 1 or last == length
    assert place == len(pieces)
    assert (pieces.lengths_P <= window).all()


def test_a_causal_model_has_half_a_window_before_every_token() -> None:
    found = windows_of(np.array([1000]), 42, causal=True)
    ahead = found.from_P[1:] - found.pieces.first_P[1:]
    assert ahead.min() == 20


def test_short_sequences_and_no_limit_are_one_piece() -> None:
    lengths = np.array([0, 3, 38, 7])
    for window in (40, None):
        found = windows_of(lengths, window, causal=False)
        assert found.pieces.index_P.tolist() == [0, 1, 2, 3]
        assert (found.from_P.tolist(), found.to_P.tolist()) == ([0] * 4, lengths.tolist())
        assert found.pieces.starts_P.all()
        assert found.pieces.ends_P.all()
    assert len(windows_of(np.zeros(0, dtype=np.int64), None, causal=True).pieces) == 0


@pytest.mark.parametrize("each", [False, True])
@pytest.mark.parametrize("micro_tokens", [1, 30, 10_000])
def test_places_in_the_batch_are_those_of_the_tokens(each: bool, micro_tokens: int) -> None:
    tokenizer = NucleotideConfig().build()
    texts = ["".join(np.random.default_rng(length).choice(list("ACGT"), length)) for length in (3, 40, 17, 0, 8)]
    table = tokenize(texts, tokenizer)
    windows = windows_of(table.lengths_N, 12, causal=False)
    seen: list[tuple[int, int]] = []
    batches = list((windows.one_token_each() if each else windows).batches(table, tokenizer, micro_tokens))
    for part, batch in batches:
        assert isinstance(part, Windows)
        window_M, token_M, place_M = part.answers()
        index_M = part.pieces.index_P[window_M]
        wanted = [table.ids[table.offsets[i] + t] for i, t in zip(index_M, token_M, strict=True)]
        assert batch.tokens_T[place_M].tolist() == wanted
        assert len(batch.tokens_T) <= max(micro_tokens, 12)
        assert not each or (part.counts_P == 1).all()
        seen += zip(index_M.tolist(), token_M.tolist(), strict=True)
    assert sorted(seen) == [(index, token) for index, text in enumerate(texts) for token in range(len(text))]
    lengths = np.concatenate([batch.lengths_N for _, batch in batches])
    assert (np.diff(lengths) >= 0).all(), "equal lengths stand together"


def test_the_window_is_what_is_asked_for_or_all_that_the_model_reads() -> None:
    free = RinalmoConfig(depth=1, width=8, heads=2).backbone()
    table = RobertaConfig(depth=1, width=8, heads=2, inner=8, max_positions=42).backbone()
    assert [window_for(free, None), window_for(free, 1 << 20), window_for(table, None), window_for(table, 9)] == [
        *(None, 1 << 20, 40, 9),
    ]
    for config, wanted, sentence in (
        (free, 3, r"window: found 3 tokens; this model takes 4 or more"),
        (table, 41, r"window: found 41 tokens; this model takes 4 to 40"),
    ):
        with pytest.raises(InputError, match=sentence):
            window_for(config, wanted)
