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


@given(hashes, st.integers(1, 50), st.integers(1, 9))
def test_partitions_hold_everything_in_order_of_the_hash(tmp_path_factory, values, at_once, size):
    with pytest.MonkeyPatch.context() as patch:
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


@given(hashes, st.integers(1, 50))
def test_distinct_numbers_are_counted(tmp_path_factory, values, at_once):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(partition, "_ROWS_AT_ONCE", at_once)
        blocks = [np.array(values[start : start + 7], dtype="<u8") for start in range(0, len(values), 7)]
        assert distinct(blocks, len(values), tmp_path_factory.mktemp("p") / "dealt") == len(set(values))


@given(hashes, st.integers(1, 3000), st.integers(1, 9), st.integers(1, 9))
def test_batches_are_sorted_and_equals_keep_their_order(tmp_path_factory, values, at_once, size, block):
    table = pa.table({"key": pa.array(values, pa.uint64()), "text": [str(place) for place in range(len(values))]})
    folder = tmp_path_factory.mktemp("p") / "dealt"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(partition, "_BYTES_AT_ONCE", at_once)
        patch.setattr(partition, "BLOCK_ROWS", block)
        found = list(sorted_batches(iter(table.to_batches(max_chunksize=size)), "key", 20 * len(values), folder))
    expected = sorted(range(len(values)), key=lambda place: values[place])
    assert [int(text) for batch in found for text in batch.column("text").to_pylist()] == expected
    assert all(batch.num_rows <= block for batch in found)
    assert not folder.exists() or list(folder.iterdir()) == []


def test_there_are_never_too_many_files(tmp_path):
    assert [partition._bits_for(size, 10) for size in (0, 1, 10, 11, 20, 21, 40, 41, 10**9)] == [
        0,
        0,
        0,
        1,
        1,
        2,
        2,
        3,
        8,
    ]
