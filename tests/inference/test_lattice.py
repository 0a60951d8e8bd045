"""Which synonymous sequences keep rules, against a list of all of them."""

from __future__ import annotations

from itertools import product

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nuclex.bio.avoided import Avoided
from nuclex.bio.genetic_code import GeneticCode
from nuclex.core.errors import InputError
from nuclex.inference.lattice import GcRange, Lattice, Rules

CODE = GeneticCode.ncbi(1)
FREE = Rules(Avoided())


def walked(lattice: Lattice) -> set[str]:
    """All sequences that the lattice lets through to the end."""
    found, waiting = set(), [(lattice.start, "")]
    while waiting:
        prefix, text = waiting.pop()
        if prefix.place == len(lattice.options):
            found.add(text)
            continue
        for codon, further in zip(lattice.options[prefix.place], lattice.choices(prefix), strict=True):
            if further is not None:
                waiting.append((further, text + codon))
    return found


def plainly(text: str, rules: Rules) -> bool:
    """Letter by letter, without the code under test."""
    if any(word_at(text, start, word) for word in rules.avoided.words for start in range(len(text))):
        return False
    if rules.gc is None:
        return True
    window = min(rules.gc.window, len(text))
    shares = [sum(c in "GC" for c in text[s : s + window]) / window for s in range(len(text) - window + 1)]
    return all(rules.gc.lowest - 1e-9 <= share <= rules.gc.highest + 1e-9 for share in shares)


def word_at(text: str, start: int, word: str) -> bool:
    letters = {"N": "ACGT", "R": "AG", "Y": "CT", "S": "CG", "W": "AT"}
    part = text[start : start + len(word)]
    return len(part) == len(word) and all(a in letters.get(b, b) for a, b in zip(part, word, strict=True))


def every(protein: str) -> list[str]:
    codons = [CODE.stop_codons if letter == "*" else CODE.codons_of(letter) for letter in protein]
    return ["".join(one) for one in product(*codons)]


@settings(max_examples=40)
@given(
    st.text("ACDEFGHIKLMNPQRSTVWY", min_size=1, max_size=4),
    st.lists(st.text("ACGTNRSW", min_size=2, max_size=4), max_size=2),
    st.none() | st.integers(2, 4),
    st.none() | st.tuples(st.integers(3, 20), st.sampled_from([0, 0.25, 0.5]), st.sampled_from([0.5, 0.75, 1])),
)
def test_those_let_through_are_those_that_keep_the_rules(
    protein: str, words: list[str], run: int | None, gc: tuple[int, float, float] | None
) -> None:
    rules = Rules(Avoided(words, longest_run=run), GcRange(*gc) if gc else None)
    wanted = {text for text in every(protein + "*") if plainly(text, rules)}
    try:
        found = walked(Lattice("p", protein + "*", CODE, rules))
    except InputError:
        found = set()
    assert found == wanted
    for text in every(protein + "*")[::7]:
        assert (not rules.broken_in(text)) == plainly(text, rules)


@pytest.mark.parametrize("window", range(3, 14))
def test_windows_that_end_inside_a_codon(window: int) -> None:
    rules = Rules(Avoided(), GcRange(window, 0.4, 0.6))
    wanted = {text for text in every("RLR*") if plainly(text, rules)}
    try:
        found = walked(Lattice("p", "RLR*", CODE, rules))
    except InputError:
        found = set()
    assert found == wanted
    assert wanted or window != 9


def test_words_never_lead_to_a_dead_end() -> None:
    # LL must not hold CTN or TTAC: after the first codon only TTA, TTG, and after those not every L
    lattice = Lattice("p", "LLLA", CODE, Rules(Avoided(["CTNN", "TTAG"])))
    waiting = [lattice.start]
    while waiting:
        prefix = waiting.pop()
        if prefix.place < 4:
            onward = [further for further in lattice.choices(prefix) if further is not None]
            assert onward
            waiting += onward


@given(st.data())
def test_a_single_change(data: st.DataObject) -> None:
    rules = Rules(Avoided(["GGNCC", "AAA"]), GcRange(9, 0.2, 0.8))
    texts = [text for text in every("GAKLP") if plainly(text, rules)]
    text = data.draw(st.sampled_from(texts))
    codons = [text[i : i + 3] for i in range(0, len(text), 3)]
    place = data.draw(st.integers(0, 4))
    lattice = Lattice("p", "GAKLP", CODE, rules)
    for codon in lattice.options[place]:
        changed = "".join([*codons[:place], codon, *codons[place + 1 :]])
        assert lattice.allows(codons, place, codon) == plainly(changed, rules)


def test_counts_and_codes() -> None:
    assert Lattice("p", "MLS*", CODE, FREE).count == 1 * 6 * 6 * 3
    # code 31 has no codon that is stop and nothing else; those of both meanings end a protein
    assert Lattice("p", "M*", GeneticCode.ncbi(31), FREE).options[1] == ("TAA", "TAG")
    assert Lattice("p", "W", GeneticCode.ncbi(2), FREE).options[0] == ("TGA", "TGG")


@pytest.mark.parametrize(
    ("protein", "rules", "sentence"),
    [
        ("MAXW", FREE, r"p: at 2: genetic code 1: 'X' has no codon"),
        ("M*W", FREE, r"p: has a stop \(\*\) at 1, before its end"),
        ("AMA", Rules(Avoided(["ATG"])), r"p: no synonymous sequence is without ATG; none gets past codon 1"),
        (
            "KKKK",
            Rules(Avoided(), GcRange(6, 0.5, 1.0)),
            r"p: the GC of letters 0 to 6 can only be 0.00 to 0.33; gc_min",
        ),
        ("GGKG", Rules(Avoided(), GcRange(5, 0.0, 0.5)), r"p: the GC of letters 0 to 5 can only be 0.80 to 1.00"),
    ],
)
def test_what_cannot_be_is_said(protein: str, rules: Rules, sentence: str) -> None:
    with pytest.raises(InputError, match=sentence):
        Lattice("p", protein, CODE, rules)
