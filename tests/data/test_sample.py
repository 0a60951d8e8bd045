from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from pydantic import ValidationError
from scipy import stats

from nuclex.core.errors import InputError
from nuclex.core.randomness import key
from nuclex.data.sample import (
    Epoch,
    Pieces,
    SamplingConfig,
    budget_cuts,
    choose_members,
    crop,
    overlapping_windows,
    plan_epoch,
    windows,
)
from nuclex.data.tokens import TokenTable


def table_of(lengths: list[int], clusters: list[int] | None = None, rows: list[int] | None = None) -> TokenTable:
    offsets = np.concatenate([[0], np.cumsum(lengths, dtype=np.int64)]).astype(np.int64)
    rows_N = np.arange(len(lengths)) if rows is None else np.array(rows)
    ids = np.arange(offsets[-1]) % 4 + 5
    return TokenTable(ids, offsets, rows_N, rows_N if clusters is None else np.array(clusters))


def random_table(sequences: int, longest: int, clusters: int, seed: int = 0) -> TokenTable:
    random = np.random.default_rng(seed)
    return table_of(
        random.integers(1, longest, sequences).tolist(),
        random.integers(0, clusters, sequences).tolist(),
        random.permutation(10 * sequences)[:sequences].tolist(),
    )


def rows_of(pieces: Pieces) -> list[tuple[int, int, int, bool, bool]]:
    parts = (pieces.index_P, pieces.first_P, pieces.last_P, pieces.starts_P, pieces.ends_P)
    return list(zip(*(part.tolist() for part in parts), strict=True))


def batch_rows(epoch: Epoch, batch: int, rank: int = 0, world: int = 1) -> list[list[tuple[int, int, int, bool, bool]]]:
    return [rows_of(pieces) for pieces in epoch.micro_batches(batch, rank, world)]


SMALL = SamplingConfig(max_tokens=60, batch_tokens=400, micro_tokens=130)
TABLE = random_table(300, 150, 80)

# ---- members of clusters ----


def test_one_member_of_every_cluster_an_epoch() -> None:
    for number in range(5):
        epoch = plan_epoch(TABLE, SMALL, seed=1, number=number)
        assert sorted(TABLE.clusters_N[epoch.pieces.index_P].tolist()) == sorted(set(TABLE.clusters_N.tolist()))


def test_another_epoch_brings_other_members() -> None:
    table = table_of([5] * 40, [index // 4 for index in range(40)])
    config = SamplingConfig(max_tokens=10, batch_tokens=50, micro_tokens=50)
    seen = [frozenset(plan_epoch(table, config, 0, number).pieces.index_P.tolist()) for number in range(60)]
    assert len(set(seen)) == 60
    assert len(frozenset.union(*seen)) == 40, "every member has its turn"
    again = [plan_epoch(table, config, seed, 0).pieces.index_P.tolist() for seed in range(3)]
    assert len({frozenset(indices) for indices in again}) == 3, "and so with another seed"


def test_members_are_drawn_evenly_over_the_epochs() -> None:
    clusters = np.array([9, 2, 9, 9, 5, 9, 2])  # of 4, 2 and 1 members, in no order
    chosen = np.array([choose_members(clusters, key(0, number, "member")) for number in range(8000)])
    assert np.array_equal(clusters[chosen], np.tile([2, 5, 9], (8000, 1)))
    assert (chosen[:, 1] == 4).all()
    for column, members in ((0, [1, 6]), (2, [0, 2, 3, 5])):
        counts = [int((chosen[:, column] == member).sum()) for member in members]
        assert sum(counts) == 8000
        assert stats.chisquare(counts).pvalue > 1e-4
    together = stats.contingency.crosstab(chosen[:, 0], chosen[:, 2]).count
    assert stats.chi2_contingency(together).pvalue > 1e-4, "clusters choose independently of each other"


def test_a_choice_depends_on_its_cluster_and_no_other() -> None:
    clusters = np.array([4, 4, 4, 7, 7, 7])
    for number in range(20):
        stream = key(3, number, "member")
        both, alone = choose_members(clusters, stream), choose_members(clusters[3:], stream)
        assert both[1] == alone[0] + 3


# ---- windows ----


def test_short_sequences_are_whole_and_long_ones_cut_to_the_limit() -> None:
    table = table_of([1, 8, 9, 30])
    pieces = crop(table, np.arange(4), 10, key(0, 0, "crop"))
    assert (pieces.last_P - pieces.first_P).tolist() == [1, 8, 8, 8]
    assert pieces.starts_P.tolist()[:2] == pieces.ends_P.tolist()[:2] == [True, True]
    assert pieces.lengths_P.tolist()[:2] == [3, 10]
    assert max(pieces.lengths_P) <= 10


@given(st.lists(st.integers(0, 40), min_size=1, max_size=12), st.integers(3, 30), st.integers(0, 2**32))
def test_start_and_end_stand_only_where_a_window_touches_them(lengths: list[int], most: int, seed: int) -> None:
    table = table_of(lengths)
    pieces = crop(table, np.arange(len(lengths)), most, key(seed))
    for index, first, last, starts, ends in rows_of(pieces):
        assert 0 <= first <= last <= lengths[index]
        assert last - first == min(lengths[index], most - 2)
        assert starts == (first == 0)
        assert ends == (last == lengths[index])


def test_window_starts_are_uniform_and_change_with_the_epoch() -> None:
    table = table_of([25] * 20_000)
    pieces = crop(table, np.arange(20_000), 12, key(0, 0, "crop"))
    assert stats.chisquare(np.bincount(pieces.first_P, minlength=16)).pvalue > 1e-4
    assert len(np.bincount(pieces.first_P)) == 16, "25 - 10 + 1 places"
    one = [int(crop(table, np.array([7]), 12, key(0, number, "crop")).first_P[0]) for number in range(4000)]
    assert stats.chisquare(np.bincount(one, minlength=16)).pvalue > 1e-4
    assert crop(table, np.array([7]), 12, key(0, 0, "crop")).first_P[0] == pieces.first_P[7], "whatever else is cut"


# ---- batches ----


def test_an_epoch_is_a_pure_function_of_seed_and_number() -> None:
    first, again = (plan_epoch(TABLE, SMALL, seed=1, number=4) for _ in range(2))
    assert rows_of(first.pieces) == rows_of(again.pieces)
    assert first.cuts.tolist() == again.cuts.tolist()
    for other in (plan_epoch(TABLE, SMALL, 1, 5), plan_epoch(TABLE, SMALL, 2, 4)):
        assert rows_of(other.pieces) != rows_of(first.pieces)
        shared = set(rows_of(other.pieces)) & set(rows_of(first.pieces))
        assert len(shared) < len(first.pieces)


@pytest.mark.parametrize("pool", [1, 3])
@pytest.mark.parametrize("members", ["all", "one-per-cluster"])
def test_every_chosen_sequence_is_seen_exactly_once(members: str, pool: int) -> None:
    config = SMALL.model_copy(update={"members": members, "pool": pool})
    epoch = plan_epoch(TABLE, config, seed=0, number=2)
    seen = [row for batch in range(epoch.batches) for micro in batch_rows(epoch, batch) for row in micro]
    assert sorted(seen) == sorted(rows_of(epoch.pieces))
    indices = sorted(row[0] for row in seen)
    assert indices == (list(range(300)) if members == "all" else sorted(set(indices)))
    assert len(indices) == (300 if members == "all" else len(set(TABLE.clusters_N.tolist())))


@pytest.mark.parametrize("pool", [1, 3])
def test_no_batch_is_over_its_budget_or_needlessly_small(pool: int) -> None:
    epoch = plan_epoch(TABLE, SMALL.model_copy(update={"pool": pool, "members": "all"}), seed=0, number=0)
    lengths = epoch.pieces.lengths_P
    batches = [int(lengths[first:last].sum()) for first, last in itertools.pairwise(epoch.cuts)]
    assert epoch.cuts[0] == 0
    assert epoch.cuts[-1] == len(lengths)
    assert min(batches) > 0
    assert max(batches) <= 400
    if pool == 1:
        following = [int(lengths[last]) for last in epoch.cuts[1:-1]]
        assert all(size + more > 400 for size, more in zip(batches, following, strict=False)), (
            "a piece more did not fit"
        )
    for batch in range(epoch.batches):
        micros = epoch.micro_batches(batch)
        assert all(micro.lengths_P.sum() <= 130 for micro in micros)
        assert sum(int(micro.lengths_P.sum()) for micro in micros) == batches[batch]


@pytest.mark.parametrize("world", [1, 2, 3, 4])
def test_the_devices_share_what_one_device_would_do(world: int) -> None:
    epoch = plan_epoch(TABLE, SMALL, seed=0, number=0)
    for batch in range(epoch.batches):
        alone = batch_rows(epoch, batch)
        dealt = [batch_rows(epoch, batch, rank, world) for rank in range(world)]
        assert sorted(itertools.chain(*dealt)) == sorted(alone)
        sizes = [len(part) for part in dealt]
        assert max(sizes) - min(sizes) <= 1
        assert dealt == [batch_rows(plan_epoch(TABLE, SMALL, 0, 0), batch, rank, world) for rank in range(world)]


def test_order_within_an_epoch_is_shuffled() -> None:
    table = table_of([4] * 2000)
    config = SamplingConfig(members="all", max_tokens=10, batch_tokens=60, micro_tokens=60)
    order = plan_epoch(table, config, 0, 0).pieces.index_P
    assert abs(stats.spearmanr(order, np.arange(2000)).statistic) < 0.1
    places = [int(np.flatnonzero(plan_epoch(table, config, 0, number).pieces.index_P == 3)[0]) for number in range(300)]
    assert stats.kstest(np.array(places) / 2000, "uniform").pvalue > 1e-4


def test_a_pool_brings_equal_lengths_together() -> None:
    def spread(pool: int) -> float:
        epoch = plan_epoch(TABLE, SMALL.model_copy(update={"members": "all", "pool": pool}), 0, 0)
        lengths = epoch.pieces.lengths_P
        return float(np.mean([lengths[first:last].std() for first, last in itertools.pairwise(epoch.cuts)]))

    assert spread(8) < spread(1) / 3


def test_no_sequence_at_all_is_refused_with_a_way_out() -> None:
    with pytest.raises(InputError, match="the train split holds no sequences; lower the validation and test shares"):
        plan_epoch(table_of([]), SMALL, 0, 0)


def test_pieces_that_no_pass_can_hold_are_refused() -> None:
    for wrong in ({"max_tokens": 200, "micro_tokens": 100}, {"max_tokens": 200, "batch_tokens": 100}):
        with pytest.raises(ValidationError, match="max_tokens 200 is more than micro_tokens or batch_tokens hold"):
            SamplingConfig(**wrong)
    with pytest.raises(ValidationError):
        SamplingConfig(max_tokens=2, micro_tokens=2, batch_tokens=2)


def greedy(lengths: list[int], budget: int) -> list[int]:
    """The plainest way to fill runs: one after another, a new one where the next does not fit."""
    cuts, sums = [0], 0
    for place, length in enumerate(lengths):
        if place > cuts[-1] and sums + length > budget:
            cuts.append(place)
            sums = 0
        sums += length
    return [*cuts, len(lengths)] if lengths else [0]


@given(st.lists(st.integers(0, 20), max_size=40), st.integers(1, 30))
def test_cuts_are_those_of_filling_one_after_another(lengths: list[int], budget: int) -> None:
    assert budget_cuts(np.array(lengths, dtype=np.int64), budget).tolist() == greedy(lengths, budget)


# ---- windows for scoring ----


def tokens_of(pieces: Pieces) -> NDArray[np.int64]:
    parts = [np.stack([np.full(b - a, index), np.arange(a, b)]) for index, a, b, _, _ in rows_of(pieces)]
    return np.concatenate(parts, axis=1) if parts else np.zeros((2, 0), dtype=np.int64)


@given(st.lists(st.integers(0, 50), min_size=1, max_size=10), st.integers(3, 30))
def test_windows_hold_every_token_once(lengths: list[int], most: int) -> None:
    table = table_of(lengths)
    pieces = windows(table, most)
    wanted = np.concatenate([np.stack([np.full(n, i), np.arange(n)]) for i, n in enumerate(lengths)], axis=1)
    assert np.array_equal(tokens_of(pieces), wanted)
    assert pieces.lengths_P.max() <= most
    assert all(starts == (first == 0) for _, first, _, starts, _ in rows_of(pieces))
    assert all(ends == (last == lengths[index]) for index, _, last, _, ends in rows_of(pieces))
    assert pieces.starts_P.sum() == pieces.ends_P.sum() == len(lengths)


def test_windows_of_chosen_sequences() -> None:
    pieces = windows(table_of([3, 25, 7]), 12, np.array([2, 1]))
    assert rows_of(pieces) == [
        (2, 0, 7, True, True),
        (1, 0, 10, True, False),
        (1, 10, 20, False, False),
        (1, 20, 25, False, True),
    ]
    assert pieces.lengths_P.tolist() == [9, 11, 10, 6]


@given(st.lists(st.integers(0, 90), min_size=1, max_size=8), st.integers(4, 30))
def test_overlapping_windows_tell_every_token_once_from_enough_before_it(lengths: list[int], most: int) -> None:
    pieces, known_P = overlapping_windows(table_of(lengths), most)
    assert pieces.lengths_P.max() <= most
    told: list[tuple[int, int]] = []
    for (index, first, last, starts, ends), known in zip(rows_of(pieces), known_P.tolist(), strict=True):
        new = first + known - starts  # what is told begins here; the end counts as a token behind the last
        told += [(index, place) for place in range(new, last + ends)]
        assert known >= 1, "at least the token before is given"
        assert starts == (new == 0)
        assert starts or known >= (most - 2) // 2, "half a window before it, or all there is"
        assert ends == (last == lengths[index])
    assert told == [(index, place) for index, length in enumerate(lengths) for place in range(length + 1)]


def test_overlapping_windows_by_hand() -> None:
    pieces, known_P = overlapping_windows(table_of([8, 25]), 10)
    assert rows_of(pieces) == [
        (0, 0, 8, True, True),
        (1, 0, 8, True, False),
        (1, 4, 12, False, False),
        (1, 8, 16, False, False),
        (1, 12, 20, False, False),
        (1, 16, 24, False, False),
        (1, 17, 25, False, True),
    ]
    assert known_P.tolist() == [1, 1, 4, 4, 4, 4, 7]
    with pytest.raises(ValueError, match="max_tokens: found 3; windows of 4 tokens or more can overlap"):
        overlapping_windows(table_of([8]), 3)
