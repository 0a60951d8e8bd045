"""The mutations: the same for the same seed, many kinds of broken, and mostly no longer what they were."""

from __future__ import annotations

from nuclex_fuzz.formats import TEXT, format_named
from nuclex_fuzz.mutation import MUTATIONS, mutants

SEEDS = (b">a x\nACGT\nACGT\n", b">b\nGG 12\n")


def test_a_stream_is_a_function_of_its_name() -> None:
    assert list(mutants(SEEDS, 50, "a")) == list(mutants(SEEDS, 50, "a"))
    assert list(mutants(SEEDS, 50, "a")) != list(mutants(SEEDS, 50, "b"))


def test_all_that_happens_to_files_happens() -> None:
    found = list(mutants(SEEDS, 3000, "all", compressed=True))
    assert len(set(found)) > 2000
    for mark in (b"\x00", b"\xff", b"\r\n", b"\xef\xbb\xbf", b"\x1f\x8b", b"BZh", b"\xfd7zXZ", b"9" * 5000, b"[" * 40):
        assert any(mark in data for data in found), mark
    assert any(len(data) > 70_000 for data in found)
    assert 20 < sum(data in SEEDS for data in found) < 300, "some are whole, most are not"
    assert max(map(len, found)) < 1 << 22


def test_every_mutation_takes_the_empty_file() -> None:
    import random

    for mutation in MUTATIONS:
        for number in range(20):
            assert isinstance(mutation(b"", random.Random(number)), bytes)


def test_every_format_has_seeds() -> None:
    assert all(format_named(name).seeds for name in TEXT)
