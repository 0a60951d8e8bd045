"""Files that Hypothesis puts together from the words of whole ones and from marks that do not belong there.

Other than mutations they need not look like any whole file, and what is found is shrunk to the shortest that fails.
"""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from nuclex_fuzz.formats import TEXT, format_named
from nuclex_fuzz.judging import fuzz
from nuclex_fuzz.mutation import MARKS, NUMBERS, TOKENS

BLANKS = (b"\n", b"\n", b"\r\n", b" ", b"\t")


def files(name: str) -> st.SearchStrategy[bytes]:
    """Files of up to 40 words, or a seed with bytes put in."""
    seeds = format_named(name).seeds
    words = sorted({word for seed in seeds for word in re.findall(rb"\w+|[^\w\s]|\s", seed)})
    lines = sorted({line for seed in seeds for line in seed.splitlines(keepends=True)})
    atoms = (
        st.sampled_from([*words, *BLANKS]) | st.sampled_from(lines or [b""]) | st.sampled_from(MARKS + TOKENS + NUMBERS)
    )
    woven = st.lists(atoms, max_size=40).map(b"".join)
    spliced = st.builds(
        lambda seed, place, more: seed[: place % (len(seed) + 1)] + more + seed[place % (len(seed) + 1) :],
        st.sampled_from(seeds),
        st.integers(0, 1 << 16),
        st.binary(max_size=8) | woven,
    )
    return woven | spliced | st.binary(max_size=60)


@pytest.mark.parametrize("name", TEXT)
def test_files_made_of_words(name: str, tmp_path: Path) -> None:
    format = format_named(name)

    @settings(max_examples=60)
    @given(files(name))
    def is_accepted_or_refused(data: bytes) -> None:
        totals = fuzz(format, [data])
        assert not totals.findings, str(totals.findings[0])

    is_accepted_or_refused()
