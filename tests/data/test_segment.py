import re

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from nuclex.core.randomness import key
from nuclex.data.read import Record
from nuclex.data.segment import SegmentConfig, Segmenter, contig_of, cuts


def _record(sequence, name="chrI"):
    return Record(name, f"{name} of something", sequence, "genome", 1)


def _config(shortest, longest, gap=1):
    return SegmentConfig(method="random", shortest=shortest, longest=longest, gap=gap)


contigs = st.lists(st.sampled_from([b"N", b"n", b"NN", b"ACG", b"acgt", b"ACGTACGTAC"]), max_size=60).map(b"".join)


@given(contigs, st.integers(1, 9), st.integers(0, 9), st.integers(1, 4), st.integers(0, 5))
def test_pieces_cover_what_is_between_the_gaps_but_for_short_ends(sequence, shortest, more, gap, seed):
    config = _config(shortest, shortest + more, gap)
    segmenter = Segmenter(config, seed)
    pieces = list(segmenter.cut([_record(sequence)]))
    taken = []
    for piece in pieces:
        start, end = map(int, piece.id.removeprefix("chrI:").split("-"))
        assert piece.sequence == sequence[start:end]
        assert shortest <= end - start <= shortest + more
        assert piece.description == f"{piece.id} chrI of something"
        assert contig_of(piece.id) == "chrI"
        taken.append((start, end))
    stretches, start = [], 0
    for run in re.finditer(rb"[Nn]{%d,}" % gap, sequence):
        stretches.append((start, run.start()))
        start = run.end()
    stretches.append((start, len(sequence)))
    expected_end = 0
    for first, last in stretches:
        inside = [(s, e) for s, e in taken if first <= s and e <= last]
        ends = [first, *(e for _, e in inside)]
        assert [s for s, _ in inside] == ends[:-1]  # end to end, from the start of the stretch
        assert last - ends[-1] < shortest
        expected_end += last - ends[-1]
    record = segmenter.record()
    assert (record["in"], record["out"], record["removed"]) == (1, len(pieces), int(not pieces))
    assert record["nucleotides_out"] == sum(len(piece.sequence) for piece in pieces)
    assert record["gap_letters"] == len(sequence) - sum(last - first for first, last in stretches)
    assert record["end_letters"] == expected_end


@given(st.integers(0, 5000), st.integers(1, 40), st.integers(0, 90), st.integers(0, 2**63))
def test_many_cuts_at_once_are_as_one_by_one(length, shortest, more, stream):
    """The rule as a loop: a length is drawn from what is possible until what is left is too short."""
    from nuclex.core.randomness import uniform

    config, ends, end = _config(shortest, shortest + more), [], 0
    while length - end >= shortest:
        span = min(shortest + more, length - end) - shortest + 1
        end += shortest + int(uniform(stream, 7, len(ends)) * span)
        ends.append(end)
    assert cuts(length, config, stream, 7) == ends


def test_lengths_are_those_of_tinydnabert():
    lengths = np.diff([0, *cuts(30_000_000, _config(256, 1024), key(0, "x"))])[:-2]
    counts = np.bincount(lengths, minlength=1025)[256:]
    assert len(counts) == 769
    expected = len(lengths) / 769
    chi2 = ((counts - expected) ** 2 / expected).sum()
    assert abs(chi2 - 768) < 5 * np.sqrt(2 * 768)


def test_cuts_follow_from_seed_contig_and_place_alone():
    sequence = bytes(np.random.default_rng(0).choice(list(b"ACGT"), 5000).tolist())

    def pieces(seed, records):
        return [(piece.id, piece.sequence) for piece in Segmenter(_config(100, 300), seed).cut(records)]

    alone = pieces(0, [_record(sequence)])
    assert pieces(0, [_record(b"ACGT" * 200, "other"), _record(sequence)])[-len(alone) :] == alone
    assert pieces(1, [_record(sequence)]) != alone
    assert [p.split(":")[1] for p, _ in pieces(0, [_record(sequence, "chrII")])] != [p.split(":")[1] for p, _ in alone]


def test_limits_in_the_wrong_order_are_refused():
    with pytest.raises(ValidationError, match="longest 100 is below shortest 256"):
        SegmentConfig(longest=100)
