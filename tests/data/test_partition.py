import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from nuclex.data import partition
from nuclex.data.partition import Partitions, distinct, sorted_batches

KIND = np.dtype([("hash", "<u8"), ("place", "<i8")])
hashes = st.lists(st.one_of(st.integers(0, 2**64 - 1), st.sampled_from([0, 1, 2**63, 2**64 - 1])), max_size=200)


def _blocks(values, size):
    records = np.array([(value, place) for place, value in enumerate(values)], dtype=KIND)
    return [records[start : start + size] for start in range(0, len(records), size)]


@given(hashes, st.integers(1, 50), st.integers(1, 9), st.sampled_from([1, 2, 8]))
def test_partitions_hold_everything_in_order_of_the_hash(tmp_path_factory, values, at_once, size, bits):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(partition, "_MOST_BITS", bits)
        patch.setattr(partition, "_ROWS_AT_ONCE", at_once)
        parts = Partitions(iter(_blocks(values, size)), len(values), tmp_path_factory.mktemp("p") / "dealt")
    for _ in range(2):  # as often as one likes
        found = list(parts)
        assert [row for part in found for row in sorted(part.tolist())] == sorted(
            (value, place) for place, value in enumerate(values)
        )
        for part in found:
            for value in np.unique(part["hash"]):
                assert (np.diff(part["place"][part["hash"] == value]) > 0).all()
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(partition, "_ROWS_AT_ONCE", at_once)
            blocks = [list(part) for part in parts.in_blocks()]
        rows = [[row for block in part for row in block.tolist()] for part in blocks]
        assert rows == [part.tolist() for part in found]
        assert all(len(block) <= at_once for part in blocks for block in part)


@given(hashes, st.integers(1, 50))
def test_distinct_numbers_are_counted(tmp_path_factory, values, at_once):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(partition, "_ROWS_AT_ONCE", at_once)
        blocks = [np.array(values[start : start + 7], dtype="<u8") for start in range(0, len(values), 7)]
        assert distinct(blocks, len(values), tmp_path_factory.mktemp("p") / "dealt") == len(set(values))


@given(hashes, st.integers(1, 3000), st.integers(1, 9), st.integers(1, 9), st.sampled_from([1, 2, 8]))
def test_batches_are_sorted_and_equals_keep_their_order(tmp_path_factory, values, at_once, size, block, bits):
    table = pa.table({"key": pa.array(values, pa.uint64()), "text": [str(place) for place in range(len(values))]})
    folder = tmp_path_factory.mktemp("p") / "dealt"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(partition, "_BYTES_AT_ONCE", at_once)
        patch.setattr(partition, "_MOST_BITS", bits)
        patch.setattr(partition, "BLOCK_ROWS", block)
        found = list(sorted_batches(iter(table.to_batches(max_chunksize=size)), "key", 20 * len(values), folder))
    expected = sorted(range(len(values)), key=lambda place: values[place])
    assert [int(text) for batch in found for text in batch.column("text").to_pylist()] == expected
    assert all(batch.num_rows <= block for batch in found)
    assert not folder.exists() or list(folder.iterdir()) == []


def test_many_rows_of_one_hash_are_not_held_at_once(tmp_path, monkeypatch):
    """Two in three rows are alike: they pass through as they lie, and what shares their file is sorted."""
    random, most = np.random.default_rng(0), 2**63 + 12345
    values = random.integers(2**64, size=6000, dtype=np.uint64)
    values[random.random(6000) < 2 / 3] = most
    table = pa.table({"key": values, "text": [f"{place:09d}" for place in range(6000)]})
    held, sort = [], partition._sorted

    def watched(batches, column):
        held.append(sum(batch.num_rows for batch in batches))
        return sort(batches, column)

    monkeypatch.setattr(partition, "_BYTES_AT_ONCE", 2000)
    monkeypatch.setattr(partition, "_sorted", watched)
    batches = iter(table.to_batches(max_chunksize=100))
    found = pa.Table.from_batches(sorted_batches(batches, "key", 6000 * 21, tmp_path / "dealt"))
    assert found.equals(table.take(np.argsort(values, kind="stable")))
    assert max(held) < 2 * 2000 / 17
    assert sum(held) == (values != most).sum()
    assert list((tmp_path / "dealt").iterdir()) == []


def test_there_are_never_too_many_files_and_what_is_too_large_is_dealt_again(tmp_path, monkeypatch):
    sizes = {0: 0, 1: 0, 10: 0, 11: 1, 20: 1, 21: 2, 40: 2, 41: 3, 2560: 8, 2561: 9, 10**9: 16}
    assert {size: partition._bits_for(size, 10) for size in sizes} == sizes
    monkeypatch.setattr(partition, "_ROWS_AT_ONCE", 100)
    monkeypatch.setattr(partition, "_MOST_BITS", 3)
    values = np.random.default_rng(0).integers(1 << 63, size=5000, dtype=np.uint64) * np.uint64(2)
    parts = [part["hash"] for part in Partitions(_blocks(values.tolist(), 700), 5000, tmp_path / "dealt")]
    assert len(parts) == 64
    assert max(map(len, parts)) < 200
    np.testing.assert_array_equal(np.sort(np.concatenate(parts)), np.sort(values))
    assert len(list((tmp_path / "dealt").iterdir())) <= 8  # files in it; the eight it was dealt into first are gone
