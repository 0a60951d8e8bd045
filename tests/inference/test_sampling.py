"""The rules for choosing the next token, against those of transformers and against probabilities counted."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from nuclex.core.randomness import key, uniform
from nuclex.inference.sampling import choose, forbid_repeats, keep_top_k, keep_top_p

VOCABULARY = 12


def scores(seed: int, rows: int = 6, columns: int = VOCABULARY) -> torch.Tensor:
    return 3 * torch.randn(rows, columns, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


@pytest.fixture(scope="module")
def theirs():  # type: ignore[no-untyped-def]
    pytest.importorskip("transformers")
    from transformers.generation import logits_process

    return logits_process


@pytest.mark.parametrize("count", [1, 2, 5, VOCABULARY, 40])
def test_top_k_is_that_of_transformers(theirs, count: int) -> None:  # type: ignore[no-untyped-def]
    for seed in range(20):
        logits = scores(seed)
        assert torch.equal(keep_top_k(logits, count), theirs.TopKLogitsWarper(count)(None, logits))
    assert torch.equal(keep_top_k(logits, 0), logits)


@pytest.mark.parametrize("share", [0.01, 0.3, 0.9, 0.95, 0.999])
def test_top_p_is_that_of_transformers(theirs, share: float) -> None:  # type: ignore[no-untyped-def]
    for seed in range(20):
        logits = scores(seed)
        logits[0, 3:8] = -torch.inf  # what is ruled out stays so
        assert torch.equal(keep_top_p(logits, share), theirs.TopPLogitsWarper(share)(None, logits))
    assert torch.equal(keep_top_p(logits, 1.0), logits)


@given(st.integers(1, 5), st.integers(0, 30), st.integers(0, 1000))
@settings(max_examples=60)
def test_repeats_are_those_of_transformers(size: int, length: int, seed: int) -> None:
    pytest.importorskip("transformers")
    from transformers.generation.logits_process import NoRepeatNGramLogitsProcessor

    random = np.random.default_rng(seed)
    history = torch.from_numpy(random.integers(0, 3, (4, length)))  # three tokens only: they repeat soon
    logits = scores(seed, rows=4, columns=3)
    wanted = NoRepeatNGramLogitsProcessor(size)(history, logits.clone())
    assert torch.equal(forbid_repeats(logits, history, torch.full((4,), length), size), wanted)


def test_repeats_are_found_in_histories_of_unequal_length() -> None:
    pytest.importorskip("transformers")
    from transformers.generation.logits_process import NoRepeatNGramLogitsProcessor

    random, lengths, logits = np.random.default_rng(0), [3, 0, 25, 1, 14, 2, 29, 30], scores(0, rows=8, columns=3)
    rows = [torch.from_numpy(random.integers(0, 3, length)) for length in lengths]
    history = torch.full((8, 30), -1)
    for number, row in enumerate(rows):
        history[number, : len(row)] = row
    found = forbid_repeats(logits, history, torch.tensor(lengths), 3)
    for number, row in enumerate(rows):
        assert torch.equal(found[number], NoRepeatNGramLogitsProcessor(3)(row[None], logits[number : number + 1])[0])
    assert torch.isinf(found).any(1).sum() > 2
    assert torch.equal(forbid_repeats(logits, history, torch.tensor(lengths), 0), logits)


def test_repeats_by_hand() -> None:
    history, logits = torch.tensor([[0, 1, 2, 0, 1, -1]]), torch.zeros(1, 3)
    assert forbid_repeats(logits, history, torch.tensor([5]), 3).tolist() == [[0, 0, -np.inf]]  # 0 1 was followed by 2
    assert forbid_repeats(logits, history, torch.tensor([5]), 2).tolist() == [[0, 0, -np.inf]]
    assert forbid_repeats(logits, history, torch.tensor([5]), 1).tolist() == [[-np.inf] * 3]


def test_draws_have_the_probabilities_of_the_scores() -> None:
    logits = scores(3, rows=1)
    logits[0, [0, 4, 11]] = -torch.inf
    draws, chances = 40_000, logits.softmax(-1)[0].numpy()
    chosen = choose(logits.expand(draws, -1), uniform(key(0), np.arange(draws)))
    counts = np.bincount(chosen.numpy(), minlength=VOCABULARY)
    possible = chances > 0
    assert counts[~possible].sum() == 0
    assert stats.chisquare(counts[possible], draws * chances[possible]).pvalue > 1e-4


@pytest.mark.parametrize("kind", [torch.float32, torch.float64])
def test_the_ends_of_the_interval_draw_what_is_possible(kind: torch.dtype) -> None:
    logits = torch.tensor([[-torch.inf, 0.0, -torch.inf, 1.0, -torch.inf]], dtype=kind).expand(2, -1)
    assert choose(logits, np.array([0.0, 1 - 2.0**-53])).tolist() == [1, 3]
    turn = 1 / (1 + np.e)
    assert choose(logits, np.array([turn - 1e-6, turn + 1e-6])).tolist() == [1, 3]


def test_greedy_takes_the_likeliest() -> None:
    logits = scores(1)
    assert choose(logits, np.zeros(6), greedy=True).tolist() == logits.argmax(-1).tolist()
