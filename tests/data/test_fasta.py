"""The fast look against the strict parser, and both against needletail and Biopython, on made and on spoilt files."""

import io
import random

import needletail
import pytest
from Bio.SeqIO.FastaIO import SimpleFastaParser
from hypothesis import given
from hypothesis import strategies as st

from made import accepted_share, spoilt
from nuclex.core.errors import InputError
from nuclex.data.compression import CHUNK, Text
from nuclex.data.fasta import read_fasta
from nuclex.data.record import LONGEST_HEADER


def outcome(content, *, fast, read=read_fasta):
    """All records, and the sentence if there is one: what a user of the parser ever sees."""
    records, sentence = [], ""
    try:
        for batch in read(Text(io.BytesIO(content), "x.fa"), fast=fast):
            assert sum(batch.lengths) == len(batch.letters)
            records += batch.records("x")
    except InputError as error:
        sentence = str(error)
    return records, sentence


def assert_same(content):
    fast, strict = outcome(content, fast=True), outcome(content, fast=False)
    assert fast == strict, content[:200]
    return strict


# ---- spoilt files ----

CASES = [
    b">",
    b">>",
    b"\n",
    b"\n\n",
    b"\r\n",
    b"\r",
    b" ",
    b"\t",
    b"-",
    b"*",
    b"@",
    b"\x00",
    b"\x80",
    b"\xc3\xa9",
    b"#",
]
CASES += [
    b"\n>",
    b">\n",
    b"> \n",
    b"\n>b\n",
    b">c>d\n",
    b"N",
    b"acgt",
    b"1",
    b"\x0b",
    b"\x1c",
    b"\xef\xbb\xbf",
    b"+",
    b";",
]


def spoilt_file(rng):
    """A FASTA file with up to six random changes."""
    newline = rng.choice([b"\n", b"\n", b"\r\n"])
    lines = []
    for number in range(rng.randrange(1, 8)):
        lines.append(b">s%d" % number + rng.choice([b"", b" x", b"  gene->y", b"\tz ", b" caf\xc3\xa9"]))
        letters = bytes(rng.choices(b"ACGTUNacgu", k=rng.randrange(1, 90)))
        width = rng.choice([7, 60, 1000])
        lines += [letters[start : start + width] for start in range(0, len(letters), width)]
    content = newline.join(lines) + newline * rng.randrange(3)
    return spoilt(content, rng, CASES, [0, 1, 1, 2, 3, 6])


@pytest.mark.parametrize(("count", "seed"), [(2_500, 0), pytest.param(10_000, 1, marks=pytest.mark.long)])
def test_fast_and_strict_agree_on_spoilt_files(count, seed):
    rng = random.Random(seed)
    share = accepted_share((assert_same(spoilt_file(rng))[1] for _ in range(count)), "x.fa")
    assert 0.2 < share < 0.8  # a corpus that is all right or all wrong would show nothing


@given(st.lists(st.sampled_from([*CASES, b">a\n", b"ACGT\n", b"ACGT", b">b c\n"]), max_size=30).map(b"".join))
def test_fast_and_strict_agree_on_any_pieces(content):
    assert_same(content)


@given(
    st.lists(st.tuples(st.integers(1, 5), st.integers(1, 3 * CHUNK // 2)), min_size=1, max_size=4), st.integers(0, 1)
)
def test_fast_and_strict_agree_at_the_borders_of_chunks(shapes, crlf):
    end = b"\r\n" if crlf else b"\n"
    parts = [
        b">n%d" % number + end + (b"ACGTN" * (length // 5 + 1) + end) * lines
        for number, (lines, length) in enumerate(shapes)
    ]
    content = b"".join(parts)
    records, sentence = assert_same(content)
    assert (sentence, len(records)) == ("", len(shapes))
    assert_same(content[:-3] + b"!" + end)


@given(
    st.lists(
        st.sampled_from([b">a\nAC\n", b">b c\n\nGT\n", b">d\nA\nC\n", b">e->f\nT\n", b"AC\n", b">g\n", b"\n"]),
        max_size=40,
    )
)
def test_fast_and_strict_agree_on_one_line_and_wrapped_mixed(parts):
    assert_same(b"".join(parts))
    assert_same(b">z\nAC\n" + b"".join(parts))


def test_agreement_can_fail():
    with pytest.raises(AssertionError):
        assert outcome(b">a\nAC\n", fast=True) == outcome(b">a\nAG\n", fast=False)


# ---- against parsers of others ----


@given(
    st.lists(
        st.tuples(st.text("abc_1", min_size=1), st.text("ACGTU", min_size=1, max_size=300), st.integers(1, 100)),
        min_size=1,
    ),
    st.sampled_from(["\n", "\r\n"]),
)
def test_equals_needletail_and_biopython(records, newline):
    lines = []
    for name, letters, width in records:
        lines += [f">{name} x=1", *[letters[start : start + width] for start in range(0, len(letters), width)]]
    text = newline.join([*lines, ""])
    found, sentence = outcome(text.encode(), fast=True)
    ours = [(record.description, record.sequence.decode()) for record in found]
    theirs = [(record.id, record.seq) for record in needletail.parse_fastx_string(text)]
    assert (ours, sentence) == (theirs, "")
    assert ours == list(SimpleFastaParser(io.StringIO(text, newline=None)))


def test_what_needletail_accepts_and_we_do_not():
    content = ">a\nAC3T\x01\n"
    assert next(needletail.parse_fastx_string(content)).seq == "AC3T\x01"
    assert outcome(content.encode(), fast=True) == (
        [],
        "x.fa:2: found '3' in a sequence; letters and the symbols * - . ~ ? are allowed",
    )


# ---- lines and limits ----


@given(st.lists(st.integers(1, 5), min_size=1, max_size=50), st.booleans())
def test_lines_are_those_of_the_headers(counts, fast):
    content = b"".join(b">a\n" + b"AC\n" * count for count in counts)
    expected = [1 + sum(counts[:place]) + place for place in range(len(counts))]
    records, _ = outcome(content, fast=fast)
    assert [record.line for record in records] == expected


@pytest.mark.parametrize("fast", [True, False])
def test_one_chromosome_on_one_line(fast):
    letters = b"ACGTN" * 1_000_000
    records, sentence = outcome(b">chr1 whole\n" + letters + b"\n>chr2\nAC\n", fast=fast)
    assert sentence == ""
    assert [(record.id, record.line) for record in records] == [("chr1", 1), ("chr2", 3)]
    assert records[0].sequence == letters


@pytest.mark.parametrize("fast", [True, False])
def test_the_longest_header(fast):
    head = b">" + b"h" * LONGEST_HEADER
    assert len(outcome(head + b"\nACGT\n", fast=fast)[0]) == 1
    for more in (b"h\nACGT\n", b"h" * 10 * LONGEST_HEADER):
        assert outcome(head + more, fast=fast) == (
            [],
            f"x.fa:1: the header is longer than {LONGEST_HEADER} bytes; not FASTA or FASTQ",
        )


@pytest.mark.parametrize("fast", [True, False])
def test_an_endless_header_is_not_read_to_its_end(fast):
    class Endless(io.RawIOBase):
        taken = 0

        def readable(self):
            return True

        def readinto(self, buffer):
            self.taken += len(buffer)
            buffer[:] = b">" + b"x" * (len(buffer) - 1)
            return len(buffer)

    endless = Endless()
    with pytest.raises(InputError, match=r"x\.fa:1: the header is longer"):
        list(read_fasta(Text(io.BufferedReader(endless), "x.fa"), fast=fast))
    assert endless.taken < 4 * LONGEST_HEADER


def test_records_before_an_error_are_given():
    content = b">a\nAC\n>b\nGT\n>c\nA!\n"
    assert [record.id for record in outcome(content, fast=True)[0]] == ["a", "b"]
    assert assert_same(content)[1].startswith("x.fa:6: found '!'")
