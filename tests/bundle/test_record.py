"""What a bundle says about its model survives JSON."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nuclex.bundle import Record

PLAIN = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=6,
)
TABLE = st.dictionaries(st.text(), PLAIN, max_size=3)


@given(
    st.builds(
        Record,
        recipe=TABLE,
        provenance=TABLE,
        metrics=TABLE,
        corpus=st.none() | TABLE,
        name=st.text(),
        licence=st.none() | st.text(),
        notes=st.lists(st.text(), max_size=3).map(tuple),
        finetuned=st.none() | TABLE,
    )
)
def test_a_record_comes_back_from_json(record):
    assert Record.from_data(json.loads(json.dumps(record.to_data()))) == record


@pytest.mark.parametrize("missing", ["recipe", "provenance", "metrics", "corpus", "name", "licence", "notes"])
def test_a_record_without_a_part_is_refused(making, missing):
    data = making.record.to_data()
    data.pop(missing)
    with pytest.raises(KeyError, match=missing):
        Record.from_data(data)
