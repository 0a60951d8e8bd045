import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from nuclex.core.errors import InputError
from nuclex.data import split
from nuclex.data.read import Record
from nuclex.data.split import Filling, SplitConfig, assign_splits, divided_groups, family_of, fill_splits, name_keys


@st.composite
def grouped(draw):
    sizes = draw(st.lists(st.integers(1, 9), min_size=3, max_size=40))
    groups_N = np.repeat(np.arange(len(sizes)), sizes)
    keys_N = np.random.default_rng(draw(st.integers(0, 99))).integers(0, 2**64, len(groups_N), dtype=np.uint64)
    return groups_N, keys_N


shares = st.floats(0, 0.45)


@given(grouped(), shares, shares, st.integers(0, 1000))
def test_groups_stay_whole_and_no_split_is_empty(data, validation, test, seed):
    groups_N, keys_N = data
    config = SplitConfig(validation=validation, test=test)
    codes_N = assign_splits(groups_N, keys_N, config, seed)
    assert divided_groups(groups_N, codes_N) == 0
    present = set(codes_N.tolist())
    assert present == {0} | ({1} if validation else set()) | ({2} if test else set())


@given(grouped(), st.randoms(use_true_random=False), st.integers(0, 5))
def test_the_split_does_not_depend_on_order_or_on_numbers_of_groups(data, random, seed):
    groups_N, keys_N = data
    order = list(range(len(groups_N)))
    random.shuffle(order)
    renamed = np.random.default_rng(0).permutation(int(groups_N.max()) + 1)[groups_N]
    config = SplitConfig(validation=0.2, test=0.2)
    codes_N = assign_splits(groups_N, keys_N, config, seed)
    np.testing.assert_array_equal(assign_splits(renamed[order], keys_N[order], config, seed), codes_N[order])


def test_shares_are_of_sequences_and_seeds_differ():
    random = np.random.default_rng(1)
    sizes = random.geometric(0.1, 3000)
    groups_N = np.repeat(np.arange(3000), sizes)
    keys_N = random.integers(0, 2**64, len(groups_N), dtype=np.uint64)
    config = SplitConfig(validation=0.05, test=0.1)
    codes_N = assign_splits(groups_N, keys_N, config, 0)
    found = np.bincount(codes_N) / len(codes_N)
    np.testing.assert_allclose(found, [0.85, 0.05, 0.1], atol=1e-3)
    other_N = assign_splits(groups_N, keys_N, config, 1)
    both = ((codes_N == 1) & (other_N == 1)).mean()
    assert both == pytest.approx(0.05**2, abs=0.003)  # as of independent draws


def test_validation_is_not_made_of_small_groups():
    """Within what fits, a group's chance follows from its hash alone: mean sizes agree."""
    random = np.random.default_rng(2)
    sizes = random.integers(1, 20, 5000)
    groups_N = np.repeat(np.arange(5000), sizes)
    keys_N = random.integers(0, 2**64, len(groups_N), dtype=np.uint64)
    codes_N = assign_splits(groups_N, keys_N, SplitConfig(validation=0.1, test=0), 3)
    members = sizes[np.unique(groups_N[codes_N == 1])]
    assert members.mean() == pytest.approx(sizes.mean(), abs=4 * sizes.std() / np.sqrt(len(members)))


def test_a_group_larger_than_its_share_is_for_training():
    groups_N = np.array([0] * 90 + list(range(1, 11)))
    keys_N = np.arange(100, dtype=np.uint64)
    for seed in range(20):
        codes_N = assign_splits(groups_N, keys_N, SplitConfig(validation=0.05, test=0.05), seed)
        assert (codes_N[:90] == 0).all()
        assert np.bincount(codes_N).tolist() == [90, 5, 5]


def test_where_no_group_fits_the_smallest_is_taken():
    groups_N = np.repeat([0, 1, 2], [50, 30, 20])
    codes_N = assign_splits(groups_N, np.arange(100, dtype=np.uint64), SplitConfig(), 0)
    assert codes_N[[0, 50, 80]].tolist() == [0, 2, 1]


def test_too_few_groups_are_refused():
    groups_N, keys_N = np.array([0, 0, 1]), np.arange(3, dtype=np.uint64)
    with pytest.raises(InputError, match=r"3 sequences in 2 groups \(by cluster\) cannot be divided into 3 parts"):
        assign_splits(groups_N, keys_N, SplitConfig(), 0)
    assert assign_splits(groups_N, keys_N, SplitConfig(validation=0, test=0), 0).tolist() == [0, 0, 0]


def test_families_are_read_from_headers():
    record = Record("a", "a family=tRNA simulated", b"ACGT", "here", 7)
    assert family_of(record, SplitConfig(), "x.fa") == "tRNA"
    assert family_of(record, SplitConfig(family_pattern=r"(\S+)$"), "x.fa") == "simulated"
    other = record._replace(description="a no_family=x")
    assert family_of(other, SplitConfig(), "x.fa") is None
    with pytest.raises(InputError, match=r"^x.fa:7: 'a' names no family"):
        family_of(other, SplitConfig(by="family"), "x.fa")


def test_keys_follow_from_names_alone():
    keys_N = name_keys(["a", "b", "a", "ü"])
    assert keys_N[0] == keys_N[2] == name_keys(["b", "a"])[1]
    assert len(set(keys_N.tolist())) == 3
    assert len(name_keys([])) == 0


def _filled_one_by_one(sizes, config):
    """The rule of ``fill_splits`` as a loop over groups."""
    codes, wanted = [0] * len(sizes), config.shares()
    for place, (code, share) in enumerate(wanted):
        free = [group for group, taken in enumerate(codes) if not taken]
        left, spared, taken = max(1, round(share * sum(sizes))), len(wanted) - place, []
        for group in free:
            if left == 0 or len(free) - len(taken) == spared:
                break
            if sizes[group] <= left:
                taken.append(group)
                left -= sizes[group]
        for group in taken or [min(free, key=lambda group: sizes[group])]:
            codes[group] = code
    return codes


@given(st.lists(st.integers(1, 30), min_size=3, max_size=60), shares, shares, st.integers(1, 9))
def test_splits_are_filled_as_by_a_loop(sizes, validation, test, at_once):
    config = SplitConfig(validation=validation, test=test)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(split, "_GROUPS_AT_ONCE", at_once)
        assert fill_splits(np.array(sizes), config).tolist() == _filled_one_by_one(sizes, config)


many = st.lists(st.one_of(st.integers(1, 30), st.sampled_from([1, 1000])), min_size=3, max_size=60)


@given(many, shares, shares, st.lists(st.integers(0, 60), max_size=6))
def test_splits_are_filled_part_by_part_as_at_once(sizes, validation, test, cuts):
    config = SplitConfig(validation=validation, test=test)
    parts = np.split(np.array(sizes), sorted(min(cut, len(sizes)) for cut in cuts))
    filling, codes = Filling(lambda: iter(parts), config), []
    for part in parts:
        done, codes_B = filling.done, filling.codes(part)
        assert not (done and codes_B.any())
        codes.extend(codes_B.tolist())
    assert codes == _filled_one_by_one(sizes, config)


def test_divided_groups_by_hand():
    codes_N = np.array([0, 0, 1, 2], dtype=np.int8)
    assert divided_groups(np.array([5, 6, 5, 6]), codes_N) == 2
    assert divided_groups(np.array([5, 5, 6, 7]), codes_N) == 0


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"validation": 0.5, "test": 0.5}, "leave nothing to train on"),
        ({"family_pattern": "family"}, "exactly one group"),
        ({"family_pattern": "("}, "not a regular expression"),
        ({"test_contigs": ["chrI"]}, "need by = 'contig', found 'cluster'"),
        ({"by": "contig", "test_contigs": ["x", "I"], "validation_contigs": ["I"]}, "contig 'I' is in validation_cont"),
    ],
)
def test_impossible_settings_are_refused(settings, message):
    with pytest.raises(ValidationError, match=message):
        SplitConfig(**settings)
