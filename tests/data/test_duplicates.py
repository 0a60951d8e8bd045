import numpy as np
import pytest
from Bio.Seq import Seq
from hypothesis import given
from hypothesis import strategies as st

from nuclex.data import partition
from nuclex.data.curate import sequence_key
from nuclex.data.duplicates import divided_duplicates, first_occurrences
from nuclex.data.stage import Kept, Stage, Staged, kept_batches, rows_of

words = st.lists(st.text("AC", min_size=1, max_size=4), min_size=1, max_size=80)


def _staged(folder, keys):
    stage = Stage(folder)
    for number, key in enumerate(keys):
        letters = b"ACGT"[: number % 4 + 1]
        stage.add(Staged([f"s{number}"], letters, ["x"], [None], rows_of([key], [len(letters)])))
    stage.close()
    return stage


@given(words, st.integers(1, 30), st.booleans())
def test_the_first_of_equals_is_kept_as_by_a_set(tmp_path_factory, texts, at_once, both):
    folder = tmp_path_factory.mktemp("stage")
    stage = _staged(folder, [sequence_key(text.encode(), both_strands=both) for text in texts])
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(partition, "_ROWS_AT_ONCE", at_once)
        found = first_occurrences(stage, folder / "keys")
    seen, expected = set(), []
    for text in texts:
        same = {text, str(Seq(text).reverse_complement())} if both else {text}
        expected.append(not same & seen)
        seen.add(text)
    assert found.tolist() == expected


def test_keys_that_are_half_equal_are_different(tmp_path):
    """Both halves of the 16 bytes count, also where many begin alike."""
    keys = [b"A" * 8 + bytes([n % 5] * 8) for n in range(20)] + [bytes([n % 5] * 8) + b"A" * 8 for n in range(20)]
    found = first_occurrences(_staged(tmp_path, keys), tmp_path / "keys")
    assert found.tolist() == [n < 5 for n in range(20)] + [n < 5 for n in range(20)]


@given(words, st.integers(1, 30), st.integers(0, 9))
def test_sets_of_equals_in_two_splits_are_counted(tmp_path_factory, texts, at_once, seed):
    folder = tmp_path_factory.mktemp("stage")
    stage = _staged(folder, [sequence_key(text.encode()) for text in texts])
    random = np.random.default_rng(seed)
    keep, codes = random.random(len(texts)) < 0.7, random.integers(0, 3, len(texts)).astype(np.int8)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(partition, "_ROWS_AT_ONCE", at_once)
        found = divided_duplicates(stage, keep, codes, folder / "keys")
    sets = {}
    for text, kept, code in zip(texts, keep, codes, strict=True):
        if kept:
            sets.setdefault(text, set()).add(int(code))
    assert found == sum(len(held) > 1 for held in sets.values())


def test_what_is_kept_comes_with_its_numbers(tmp_path):
    stage = _staged(tmp_path, [bytes([n] * 16) for n in range(10)])
    keep = np.arange(10) % 3 == 1
    for kept in (keep, Kept(np.where(keep, np.arange(10) % 3 - 1, -1).astype(np.int8))):
        ((batch, numbers, places),) = kept_batches(stage, kept)
        assert batch.column("id").to_pylist() == ["s1", "s4", "s7"]
        assert numbers["length"].tolist() == [2, 1, 4]
        assert numbers["key"].tolist() == [n * 0x0101010101010101 for n in (1, 4, 7)]
        assert places.tolist() == [1, 4, 7]
    assert (stage.rows, stage.bytes) == (10, 1 + 2 + 3 + 4 + 1 + 2 + 3 + 4 + 1 + 2)
