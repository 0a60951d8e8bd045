"""Words to avoid, read letter by letter, against regular expressions and Biopython's own search for sites."""

from __future__ import annotations

import numpy as np
import pytest
from Bio.Restriction import Analysis, RestrictionBatch
from Bio.Seq import Seq
from hypothesis import given
from hypothesis import strategies as st

from nuclex.bio.avoided import Avoided, restriction_sites
from nuclex.core.errors import InputError

bases = st.text("ACGT", max_size=60)
motifs = st.lists(st.text("ACGTRYKMSWBDHVN", min_size=1, max_size=6), max_size=4)


@given(bases, motifs, st.none() | st.integers(1, 4))
def test_a_sequence_is_read_to_its_end_exactly_where_the_search_finds_nothing(
    sequence: str, words: list[str], run: int | None
) -> None:
    avoided = Avoided(words, longest_run=run)
    found = avoided.read(frozenset(), sequence)
    places = avoided.found_in(sequence)
    assert isinstance(found, int) == bool(places)
    if isinstance(found, int):
        first = min(start + len(avoided.words[avoided.names.index(name)]) for name, start in places)
        shorter = avoided.read(frozenset(), sequence[: first - 1])
        assert not isinstance(shorter, int), "the first word that ends is the one that stops the reading"


@pytest.mark.parametrize("enzyme", ["EcoRI", "BsaI", "BsmBI", "NotI", "HinfI", "SfiI"])
def test_sites_as_biopython_finds_them(enzyme: str) -> None:
    draw = np.random.default_rng(3)
    site = restriction_sites(enzyme)[0].replace("N", "A")
    text = "".join(draw.choice(list("ACGT"), 3000)) + site + "".join(draw.choice(list("ACGT"), 100))
    cuts = Analysis(RestrictionBatch([enzyme]), Seq(text), linear=True).full()
    found = Avoided(enzymes=[enzyme]).found_in(text)
    assert len(found) == len(next(iter(cuts.values()))) > 0


def test_runs_and_both_strands() -> None:
    avoided = Avoided(["aaug"], longest_run=3)
    assert avoided.found_in("CCCTAAATGCATTCCCC") == [("aaug", 5), ("aaug", 9), ("more than 3 C in a row", 13)]
    assert (avoided.longest, Avoided().longest) == (4, 0)
    assert Avoided().read(frozenset(), "ACGT" * 9) == frozenset()


def test_what_is_no_word_is_refused() -> None:
    with pytest.raises(InputError, match=r"enzymes: 'EcoRi' is not one of the \d+ enzymes .*did you mean 'EcoRI'"):
        Avoided(enzymes=["EcoRi"])
    with pytest.raises(InputError, match=r"avoid: found 'X' in 'ACX'"):
        Avoided(["ACX"])
    with pytest.raises(InputError, match=r"avoid: found '-' in 'A-C'"):
        Avoided(["A-C"])
    with pytest.raises(InputError, match=r"avoid: found an empty one"):
        Avoided([""])
    with pytest.raises(InputError, match=r"homopolymer: found 0"):
        Avoided(longest_run=0)
