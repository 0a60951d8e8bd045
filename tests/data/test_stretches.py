import numpy as np
import pyarrow as pa
import pytest
from Bio.Seq import Seq
from hypothesis import given
from hypothesis import strategies as st

from nuclex.data import store
from nuclex.data.stretches import Stretches, stretch_hashes

TEXT = st.text(st.sampled_from("ACGTN"), min_size=1, max_size=60)
REPEATS = st.text(st.sampled_from("AC"), min_size=1, max_size=60)


@given(st.lists(TEXT | REPEATS, max_size=5), st.lists(TEXT | REPEATS, min_size=1, max_size=12), st.integers(1, 40))
def test_the_same_as_looking_for_every_stretch_in_every_sequence(asked, sequences, length):
    both = [*asked, *(str(Seq(text).reverse_complement()) for text in asked)]
    stretches = {text[start : start + length] for text in both for start in range(len(text) - length + 1)}
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(store, "LETTERS_AT_ONCE", 70)
        column = pa.array([text.replace("T", "U") for text in sequences], pa.large_string())
        found = Stretches([text.encode() for text in asked], length).shared(column)
    assert found.tolist() == [any(part in text for part in stretches) for text in sequences]


@pytest.mark.parametrize("length", [1, 2, 31, 32, 33, 63])
def test_equal_letters_have_equal_hashes_and_others_do_not(length):
    text = "".join(np.random.default_rng(0).choice(list("ACGTN"), 500)).encode()
    hashes = stretch_hashes(text, length)
    assert len(hashes) == len(text) - length + 1
    parts = [text[start : start + length] for start in range(len(hashes))]
    assert len(set(zip(parts, hashes.tolist(), strict=True))) == len(set(parts)) == len(set(hashes.tolist()))
