from __future__ import annotations

from nuclex.cli.show import show

EXPECTED = """\
loss      1.2346
tokens    1 234 567
learned   True
nothing
name      a b
interval  0.1, 0.25
empty     none
inner
  a       1
  longer
    x  2
rows
  group  n      share
  a      1 000  0.5
  ≥100          0.25"""


def test_a_result_is_spelled_out_for_people() -> None:
    result = {
        "loss": 1.234567,
        "tokens": 1_234_567,
        "learned": True,
        "nothing": "",
        "name": "a b",
        "interval": [0.1, 0.25],
        "empty": [],
        "inner": {"a": 1, "longer": {"x": 2}},
        "rows": [{"group": "a", "n": 1000, "share": 0.5, "all": {"x": 1}}, {"group": "≥100", "share": 0.25}],
    }
    assert show(result) == EXPECTED


def test_what_only_programs_need_is_left_to_json() -> None:
    """A newcomer drowned in 140 lines of a corpus, of which 70 were its config."""
    result = {
        "sequences": 3,
        "cluster": {"method": "mmseqs", "arguments": ["--min-seq-id", "0.7"]},
        "sources": [{"name": "a", "sha256": "0" * 64, "sequences_in": 3}],
        "config": {"filter": {"min_length": 16}},
        "provenance": {"created": "2026"},
    }
    assert show(result).splitlines() == [
        "sequences  3",
        "cluster",
        "  method  mmseqs",
        "sources",
        "  name  sequences_in",
        "  a     3",
        "(--json also has config and provenance)",
    ]


def test_an_empty_result_shows_nothing() -> None:
    assert show({}) == ""
