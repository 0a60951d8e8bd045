import hashlib

import pytest
from Bio.Seq import Seq
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from nuclex.core.errors import InputError
from nuclex.data.curate import (
    Curator,
    FilterConfig,
    ambiguous_share,
    count_lower,
    foreign_symbol,
    mask_lower,
    normalise,
    remove_gaps,
    sequence_key,
    sequence_keys,
)
from nuclex.data.record import Record, batches_of

LOOSE = FilterConfig(min_length=1, max_ambiguous=1)
nucleotides = st.text("ACGTURYKMSWBDHVNI", min_size=1, max_size=60).map(str.encode)


def _records(*sequences):
    return [Record(f"s{n}", f"s{n}", sequence, "here", 2 * n + 1) for n, sequence in enumerate(sequences)]


def _kept(config, *sequences, alphabet="dna"):
    curator = Curator(config, alphabet)
    return [kept.sequence for kept in curator.curate(_records(*sequences), "x.fa")], {
        entry["name"]: entry for entry in curator.filters()
    }


@given(nucleotides)
def test_normal_form_is_reached_once_and_for_all(sequence):
    for alphabet, absent in (("dna", b"U"), ("rna", b"T")):
        once = normalise(sequence.lower(), alphabet)
        assert once == normalise(once, alphabet) == normalise(sequence, alphabet)
        assert absent not in once
        assert len(once) == len(sequence)


@given(nucleotides, nucleotides)
def test_key_tells_sequences_apart_and_strands_if_asked(one, other):
    assert (sequence_key(one) == sequence_key(other)) == (normalise(one) == normalise(other))
    assert sequence_key(normalise(one, "rna")) == sequence_key(normalise(one))
    plain = normalise(one).replace(b"I", b"G")  # inosine has no partner that is written back
    reverse = bytes(Seq(plain).reverse_complement())
    assert sequence_key(plain, both_strands=True) == sequence_key(reverse, both_strands=True)


def test_gaps_foreign_symbols_and_ambiguity_by_hand():
    assert remove_gaps(b"A-C.G~T") == b"ACGT"
    assert [foreign_symbol(s) for s in (b"ACGTU", b"RYKMSWBDHVNI", b"ACE", b"*", b"AC?")] == [None, None, 2, 0, 2]
    assert [ambiguous_share(s) for s in (b"ACGU", b"NNNN", b"ACGI", b"")] == [0, 1, 0.25, 0]


def test_each_filter_counts_what_it_takes():
    config = FilterConfig(min_length=4, max_length=8, max_ambiguous=0.25)
    kept, tallies = _kept(config, b"ac-gu", b"ACG", b"ACGTACGTA", b"ACNN", b"ACGN", b"ACGT", b"ACGU", b"TTTTTTTT")
    assert kept == [b"ACGT", b"ACGN", b"ACGT", b"ACGT", b"TTTTTTTT"]
    table = {
        name: (t["in"], t["out"], t["removed"], t["nucleotides_in"], t["nucleotides_out"])
        for name, t in tallies.items()
    }
    assert table == {
        "gaps": (8, 8, 0, 41, 40),
        "letters": (8, 8, 0, 40, 40),
        "length": (8, 6, 2, 40, 28),
        "ambiguity": (6, 5, 1, 28, 24),
    }


@given(st.lists(nucleotides, max_size=20), st.integers(1, 10), st.floats(0, 1))
def test_filters_form_a_chain(sequences, shortest, share):
    kept, tallies = _kept(FilterConfig(min_length=shortest, max_ambiguous=share), *sequences)
    chain = list(tallies.values())
    assert chain[0]["in"] == len(sequences)
    assert [entry["in"] for entry in chain[1:]] == [entry["out"] for entry in chain[:-1]]
    assert chain[-1]["out"] == len(kept)
    assert chain[-1]["nucleotides_out"] == sum(map(len, kept))
    assert all(entry["removed"] == entry["in"] - entry["out"] for entry in chain)


def test_lower_case_by_policy():
    sequences = (b"ACGTacgtAC", b"acgtacgtaa", b"ACGTACGT", b"ACGTACgu")
    assert _kept(LOOSE, *sequences)[0] == [b"ACGTACGTAC", b"ACGTACGTAA", b"ACGTACGT", b"ACGTACGT"]
    config = LOOSE.model_copy(update={"soft_mask": "drop", "max_lower": 0.3})
    kept, tallies = _kept(config, *sequences)
    assert kept == [b"ACGTACGT", b"ACGTACGT"]
    entry = tallies["soft_mask"]
    assert (entry["in"], entry["out"], entry["nucleotides_in"], entry["nucleotides_out"]) == (4, 2, 36, 16)
    assert next(iter(tallies)) == "soft_mask"


@given(st.text("ACGTNacgtn-", max_size=40).map(str.encode))
def test_masking_and_counting_lower_case_letter_by_letter(sequence):
    assert count_lower(sequence) == sum(chr(byte).islower() for byte in sequence)
    assert mask_lower(sequence).decode() == "".join("N" if x.islower() else x for x in sequence.decode())


def test_a_protein_file_is_refused_with_its_line():
    with pytest.raises(
        InputError, match=r"^x.fa:3: 's1' looks like a protein, and holds 'L' at position 3 .*DNA or RNA"
    ):
        _kept(LOOSE, b"ACGT", b"MKVLAAGIVGLFE", b"ACGT")
    with pytest.raises(InputError, match=r"^x.fa:1: 's0' holds 'X' at position 2") as caught:
        _kept(LOOSE, b"ACX")
    assert "protein" not in str(caught.value)


def test_dropping_foreign_sequences_has_a_limit():
    config = LOOSE.model_copy(update={"foreign": "drop", "max_foreign": 0.5})
    kept, tallies = _kept(config, b"ACGT", b"MKVLE", b"AC")
    assert kept == [b"ACGT", b"AC"]
    assert tallies["letters"]["removed"] == 1
    with pytest.raises(InputError, match=r"x.fa:3: .*2 of 3 sequences .* share of 0.5"):
        _kept(config, b"ACGT", b"MKVLE", b"EEE")


def test_impossible_lengths_are_refused():
    with pytest.raises(ValidationError, match="max_length 4 is below min_length 16"):
        FilterConfig(max_length=4)


configs = st.builds(
    FilterConfig,
    min_length=st.integers(1, 4),
    max_length=st.integers(5, 12),
    max_ambiguous=st.sampled_from([0, 0.25, 1]),
    foreign=st.sampled_from(["refuse", "drop"]),
    max_foreign=st.sampled_from([0, 0.1, 1]),
    soft_mask=st.sampled_from(["upper", "drop"]),
    max_lower=st.sampled_from([0, 0.25, 0.5]),
    duplicates=st.sampled_from(["keep", "drop", "drop_both_strands"]),
)
written = st.lists(
    st.sampled_from([b"ACGT", b"acg", b"UC", b"u", b"N", b"r", b"-", b".", b"TTTT", b"GA"]), min_size=1, max_size=5
)
foreign = st.lists(st.tuples(st.integers(0, 60), st.sampled_from([b"E", b"AC*", b"?"])), max_size=2)


def _outcome(curator, found):
    """What is kept, what is counted, and what is refused."""
    kept, sentence = [], ""
    try:
        kept.extend(found)
    except InputError as error:
        sentence = str(error)
    return kept, sentence, curator.filters()


def _flat(batches):
    for batch, keys in batches:
        for record, key in zip(batch.records(""), keys, strict=True):
            yield record.id, record.line, record.sequence, key


@given(
    configs,
    st.lists(written.map(b"".join), min_size=6, max_size=40),
    st.one_of(st.just([]), st.just([]), foreign),
    st.sampled_from(["dna", "rna"]),
)
def test_many_together_are_as_one_by_one(config, sequences, spoilt, alphabet):
    for place, letters in spoilt:
        sequences[place:place] = [letters]
    single, together = Curator(config, alphabet), Curator(config, alphabet)
    kept = ((k.record.id, k.record.line, k.sequence, k.key) for k in single.curate(_records(*sequences), "x.fa"))
    expected = _outcome(single, kept)
    found = _outcome(together, _flat(together.curate_batches(batches_of(_records(*sequences)), "x.fa")))
    assert found == expected


def test_keys_of_many_are_those_of_each():
    for both in (False, True):
        keys = [sequence_key(letters, both_strands=both) for letters in (b"ACGU", b"TTTG", b"A")]
        assert sequence_keys(b"ACGUTTTGA", [4, 4, 1], both_strands=both) == keys
    assert sequence_key(b"ACC").hex() == hashlib.blake2b(b"ACC", digest_size=16).hexdigest()
    assert sequence_key(b"TTU", both_strands=True).hex() == hashlib.blake2b(b"AAA", digest_size=16).hexdigest()
