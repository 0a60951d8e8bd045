import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from nuclex.data import composition, store
from nuclex.data.composition import Kinds, LengthCounts, letter_counts, marks

sequences = st.lists(st.text("ACGTUNRI", min_size=1, max_size=40), min_size=1, max_size=30)


@given(st.lists(st.integers(1, 5000), min_size=1, max_size=60))
def test_quantiles_are_numpys(lengths):
    counts = LengthCounts()
    for start in range(0, len(lengths), 7):
        counts.add(np.array(lengths[start : start + 7]))
    found = counts.summary()
    for at in (5, 25, 50, 75, 95):
        assert found[f"q{at:02d}"] == np.quantile(lengths, at / 100)
    assert (found["min"], found["max"]) == (min(lengths), max(lengths))
    assert found["mean"] == np.mean(lengths)
    assert LengthCounts().summary() is None


@given(sequences, st.integers(1, 50), st.integers(0, 3))
def test_letters_are_counted_as_one_by_one(texts, at_once, skipped):
    column = pa.array(texts, pa.large_string()).slice(skipped)
    texts = texts[skipped:]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(store, "LETTERS_AT_ONCE", at_once)
        patch.setattr(composition, "LETTERS_AT_ONCE", at_once)
        marked, counted = marks(column), letter_counts(column)
    assert marked.tolist() == [
        [len(text), text.count("G") + text.count("C"), sum(x not in "ACGTU" for x in text)] for text in texts
    ]
    assert {chr(code): count for code, count in enumerate(counted.tolist()) if count} == {
        letter: "".join(texts).count(letter) for letter in set("".join(texts))
    }


def test_a_table_by_hand():
    kinds = Kinds()
    kinds.add(np.array([1, -1, 1]), np.array([[10, 4, 2], [5, 5, 0], [20, 0, 4]]))
    kinds.add(np.array([0]), np.array([[8, 0, 8]]))
    assert kinds.table(["tRNA", "rRNA", "none of these"]) == [
        {"name": "rRNA", "sequences": 2, "nucleotides": 30, "gc": 4 / 24, "ambiguous": 0.2,
         "shortest": 10, "median": 15, "longest": 20, "mean": 15},
        {"name": "(none)", "sequences": 1, "nucleotides": 5, "gc": 1, "ambiguous": 0,
         "shortest": 5, "median": 5, "longest": 5, "mean": 5},
        {"name": "tRNA", "sequences": 1, "nucleotides": 8, "gc": None, "ambiguous": 1,
         "shortest": 8, "median": 8, "longest": 8, "mean": 8},
    ]  # fmt: skip
    assert (kinds.present(), kinds.totals(1), kinds.totals(7)) == (2, (2, 30), (0, 0))


def test_a_long_table_ends_with_the_rest():
    kinds = Kinds()
    numbers = np.repeat(np.arange(300), np.arange(300, 0, -1))
    kinds.add(numbers, np.tile([[4, 1, 0]], (len(numbers), 1)))
    rows = kinds.table([f"f{number}" for number in range(300)])
    assert [row["name"] for row in rows[:3]] == ["f0", "f1", "f2"]
    assert (len(rows), rows[-1]["name"], rows[-1]["names"]) == (201, "(others)", 100)
    assert rows[-1]["sequences"] == sum(range(1, 101))
