"""JSON that is JSON: what Python's own reader lets pass, or does not survive, is refused."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nuclex.core.plain import from_json, plain

VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**70), 2**70)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=5), inner, max_size=4),
    max_leaves=20,
)


@given(VALUES)
def test_what_is_json_is_read_as_it_is(value: object) -> None:
    assert from_json(json.dumps(value)) == value
    assert from_json(json.dumps(value, ensure_ascii=False, indent=2).encode("utf-8", "surrogatepass")) == value


@pytest.mark.parametrize(
    "text",
    [
        *(
            "",
            "{",
            '{"a": NaN}',
            "[Infinity]",
            "-Infinity",
            "1e400",
            '{"a": -1e999}',
            '{"a": 1, "a": 2}',
            "[" * 100_000,
        ),
        *('{"a":' * 50_000, "9" * 5000, b"\xff", "{} x"),
    ],
)
def test_what_is_no_json_is_a_value_error(text: str | bytes) -> None:
    with pytest.raises(ValueError):
        from_json(text)


def test_plain_values_are_json() -> None:
    value = {1: float("inf"), "path": Path("a"), "rows": ({"x": float("nan")}, 2)}
    assert plain(value) == {"1": None, "path": "a", "rows": [{"x": None}, 2]}
    assert from_json(json.dumps(plain(value))) == plain(value)
