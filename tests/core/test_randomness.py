from __future__ import annotations

import hashlib
from itertools import product

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from nuclex.core.randomness import Runs, bits, chosen, integers, key, permutation, uniform

MASK = (1 << 64) - 1
STREAM = key(0, 1, "test")


def mix(state: int) -> int:
    """The finalizer of SplitMix64 in Python's own whole numbers (Vigna's reference code)."""
    state = ((state ^ (state >> 30)) * 0xBF58476D1CE4E5B9) & MASK
    state = ((state ^ (state >> 27)) * 0x94D049BB133111EB) & MASK
    return state ^ (state >> 31)


def reference(stream: int, *counters: int) -> int:
    state = stream
    for counter in counters:
        state = mix((state + 0x9E3779B97F4A7C15 * ((counter + 1) & MASK)) & MASK)
    return mix(state)


@given(st.integers(0, MASK), st.lists(st.integers(-(2**63), 2**63 - 1), max_size=3))
def test_bits_equal_a_reference_in_whole_numbers(stream: int, counters: list[int]) -> None:
    assert int(bits(stream, *[np.array(counter) for counter in counters])) == reference(stream, *counters)


def test_one_counter_is_splitmix64_mixed_once_more() -> None:
    # SplitMix64 seeded with 0 gives these first numbers (Steele et al. 2014; the values of Java's SplittableRandom)
    published = [0xE220A8397B1DCDAF, 0x6E789E6AA1B965F4, 0x06C45D188009454F]
    assert [int(value) for value in bits(0, np.arange(3))] == [mix(value) for value in published]


def test_golden_values_never_change() -> None:
    # Runs that were stopped under one version are resumed under another: these numbers are a promise.
    assert key(0, 1, "mask") == int.from_bytes(
        hashlib.blake2b(b"int:0\x1fint:1\x1fstr:mask", digest_size=8).digest(), "little"
    )
    assert key(42, "crop") == 0x985D7A01A5EF05E1
    assert bits(42, np.arange(3), 7).tolist() == [11803686720376915568, 8556664966423346342, 5470666631400770976]
    assert uniform(42, np.arange(3)).tolist() == [0.6977363416157777, 0.41605536023847145, 0.23007492500084792]
    assert integers(42, 1000, np.arange(6)).tolist() == [697, 416, 230, 574, 591, 196]
    assert permutation(42, 10).tolist() == [5, 6, 2, 1, 8, 7, 3, 4, 0, 9]


def test_keys_tell_their_parts_apart() -> None:
    parts = [
        (),
        (0,),
        (1,),
        ("0",),
        (0, 0),
        (0, 1),
        (1, 0),
        ("a",),
        ("a", "b"),
        ("ab",),
        ("a", 1),
        (11,),
        (1, 1),
        (-1,),
    ]
    assert len({key(*part) for part in parts}) == len(parts)


@pytest.mark.parametrize("kind", [np.int64, np.int32, np.uint16])
def test_a_number_gives_the_same_key_whatever_type_holds_it(kind: type) -> None:
    assert key(kind(3), "mask") == key(3, "mask")


def test_a_key_is_made_of_whole_numbers_and_text() -> None:
    with pytest.raises(TypeError):
        key(0.5)  # type: ignore[arg-type]


def test_draws_do_not_depend_on_order_shape_or_neighbours() -> None:
    rows, places = np.arange(50), np.arange(40)
    grid = uniform(STREAM, rows[:, None], places)
    assert grid.shape == (50, 40)
    order = np.random.default_rng(0).permutation(2000)
    flat = uniform(STREAM, np.repeat(rows, 40)[order], np.tile(places, 50)[order])
    assert np.array_equal(flat, grid.ravel()[order])
    alone = [float(uniform(STREAM, row, place)) for row, place in product((0, 49), (0, 39))]
    assert alone == [grid[0, 0], grid[0, 39], grid[49, 0], grid[49, 39]]
    assert np.array_equal(uniform(STREAM, rows.astype(np.uint16)[:, None], places.astype(np.int32)), grid)


@pytest.mark.parametrize("axis", ["rows", "positions", "seeds"])
def test_uniform_is_uniform_along_every_counter(axis: str) -> None:
    many = np.arange(20_000)
    draws = {
        "rows": lambda: uniform(STREAM, many, 3),
        "positions": lambda: uniform(STREAM, 3, many),
        "seeds": lambda: np.array([float(uniform(key(seed, 0, "select"), 3, 5)) for seed in range(20_000)]),
    }[axis]()
    assert draws.min() >= 0
    assert draws.max() < 1
    counts = np.bincount((draws * 64).astype(int), minlength=64)
    assert stats.chisquare(counts).pvalue > 1e-4
    pairs = np.bincount((draws[:-1] * 8).astype(int) * 8 + (draws[1:] * 8).astype(int), minlength=64)
    assert stats.chisquare(pairs).pvalue > 1e-4, "neighbouring counters must be independent"


def test_streams_are_independent() -> None:
    many = np.arange(50_000)
    select, fate, other_epoch = (uniform(key(0, *parts), many) for parts in ((0, "a"), (0, "b"), (1, "a")))
    for first, second in ((select, fate), (select, other_epoch)):
        assert abs(np.corrcoef(first, second)[0, 1]) < 0.02
        assert not np.intersect1d(first, second).size


def test_integers_are_uniform_and_below_their_bound() -> None:
    draws = integers(STREAM, 7, np.arange(70_000))
    assert draws.dtype == np.int64
    assert stats.chisquare(np.bincount(draws, minlength=7)).pvalue > 1e-4
    bounds = np.array([1, 2, 3, 1000])
    assert (integers(STREAM, bounds, np.arange(4)) < bounds).all()
    assert (integers(STREAM, 1, np.arange(100)) == 0).all()


@given(st.integers(1, 2**40))
def test_the_largest_draw_stays_below_its_bound(below: int) -> None:
    # what integers() computes for the largest number that uniform() can give
    assert np.floor((1 - 2.0**-53) * np.float64(below)) == below - 1


@given(st.integers(0, MASK), st.integers(0, 200))
def test_permutation_holds_everything_once(stream: int, length: int) -> None:
    assert sorted(permutation(stream, length).tolist()) == list(range(length))


def test_all_permutations_are_equally_likely() -> None:
    counts: dict[tuple[int, ...], int] = {}
    for seed in range(6000):
        order = tuple(permutation(key(seed), 3).tolist())
        counts[order] = counts.get(order, 0) + 1
    assert len(counts) == 6
    assert stats.chisquare(list(counts.values())).pvalue > 1e-4


def test_runs_give_what_their_values_repeated_give() -> None:
    values, lengths = np.array([5, 0, 2**40]), np.array([3, 0, 4])
    places = np.arange(7)
    assert np.array_equal(bits(STREAM, Runs(values, lengths), places), bits(STREAM, np.repeat(values, lengths), places))


@pytest.mark.parametrize("share", [0.0, 2.0**-53, 0.15, 0.5, 1 - 2.0**-53, 1.0])
def test_chosen_is_where_uniform_is_below_the_share(share: float) -> None:
    places = np.arange(100_000)
    assert np.array_equal(chosen(STREAM, share, places), uniform(STREAM, places) < share)
