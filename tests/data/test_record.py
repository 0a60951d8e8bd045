"""Batches and records are two forms of the same."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nuclex.core.errors import InputError
from nuclex.data import record
from nuclex.data.record import Batch, Record, batches_of, cut, plain_headers

words = st.text("abc-_|", min_size=1, max_size=5)
made = st.lists(st.tuples(words, st.text("xyz =\u00e9", max_size=6), st.binary(min_size=1, max_size=40)), max_size=30)


def _records(rows):
    return [
        Record(name, f"{name} {rest}".strip(), letters, "here", line) for line, (name, rest, letters) in enumerate(rows)
    ]


@given(made, st.integers(1, 100))
def test_records_in_batches_come_back(rows, at_once):
    records = _records(rows)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(record, "_LETTERS_AT_ONCE", at_once)
        batches = list(batches_of(records))
    assert [one for batch in batches for one in batch.records("here")] == records
    assert all(len(batch.letters) - batch.lengths[-1] < at_once <= len(batch.letters) for batch in batches[:-1])
    for batch in batches:
        assert batch.sequences == cut(batch.letters, batch.lengths)
        assert batch.names() == ([one.id for one in batch.records("")], [one.description for one in batch.records("")])


@given(made, st.data())
def test_only_those_that_are_chosen(rows, data):
    records = _records(rows)
    (batch,) = batches_of(records)
    chosen = data.draw(st.lists(st.booleans(), min_size=len(records), max_size=len(records)))
    kept = batch.only(chosen)
    assert list(kept.records("here")) == [one for one, keep in zip(records, chosen, strict=True) if keep]
    assert (kept is batch) == all(chosen)


def test_what_precedes_an_error_is_given():
    def reading():
        yield from _records([("a", "", b"AC"), ("b", "", b"G")])
        raise InputError("x:3: bad")

    found = []
    with pytest.raises(InputError, match="x:3: bad"):
        found.extend(batches_of(reading()))
    assert found == [Batch([b"a", b"b"], b"ACG", [2, 1], [0, 1])]


@pytest.mark.parametrize(
    ("lines", "headers"),
    [
        ([b">a", b">b c>d "], [b"a", b"b c>d"]),
        ([b"> a\tb\t"], [b"a\tb"]),
        ([], []),
        ([b">a", b"b"], None),
        ([b">a", b">"], None),
        ([b">a", b"> \t"], None),
        ([b">caf\xc3\xa9"], None),
        ([b">a\x00"], None),
    ],
)
def test_headers_of_many_lines(lines, headers):
    assert plain_headers(lines, b">") == headers
