"""FASTQ: the fast look against the strict parser, both against Biopython and needletail, and what is refused."""

import gzip
import io
import random
import string

import needletail
import pytest
from Bio.SeqIO.QualityIO import FastqGeneralIterator
from hypothesis import given
from hypothesis import strategies as st

from made import accepted_share, spoilt
from nuclex.core.errors import InputError
from nuclex.data.compression import CHUNK, Text
from nuclex.data.fastq import read_fastq
from nuclex.data.read import ReadConfig, read_sequences
from nuclex.data.record import LONGEST_HEADER


def outcome(content, *, fast):
    records, sentence = [], ""
    try:
        for batch in read_fastq(Text(io.BytesIO(content), "x.fq"), fast=fast):
            records += batch.records("x")
    except InputError as error:
        sentence = str(error)
    return records, sentence


def assert_same(content):
    fast, strict = outcome(content, fast=True), outcome(content, fast=False)
    assert fast == strict, content[:200]
    return strict


def test_reads_by_hand():
    content = b"@r1 first\nACGT\n+\n@+!~\n\n@r2\nAC\nGu\n+r2\n@@\n>>\n"
    records, sentence = assert_same(content)
    assert (sentence, records) == ("", [("r1", "r1 first", b"ACGT", "x", 1), ("r2", "r2", b"ACGu", "x", 6)])


QUALITY = "".join(chr(code) for code in range(33, 127))
reads = st.lists(
    st.tuples(
        st.text(string.ascii_letters, min_size=1, max_size=8),
        st.text("ACGTNU", min_size=1, max_size=200),
        st.booleans(),
    ),
    min_size=1,
    max_size=20,
)


@given(reads, st.randoms(use_true_random=False), st.sampled_from(["\n", "\r\n"]))
def test_equals_biopython_and_needletail(reads, rng, newline):
    lines = []
    for name, letters, again in reads:
        quality = "".join(rng.choices(QUALITY, k=len(letters)))
        lines += [f"@{name} lane=1", letters, f"+{name} lane=1" if again else "+", quality]
    text = newline.join([*lines, ""])
    records, sentence = assert_same(text.encode())
    ours = [(record.description, record.sequence.decode()) for record in records]
    assert sentence == ""
    assert ours == [(title, letters) for title, letters, _ in FastqGeneralIterator(io.StringIO(text, newline=None))]
    assert ours == [(record.id, record.seq) for record in needletail.parse_fastx_string(text)]
    assert [record.line for record in records] == list(range(1, 4 * len(reads), 4))


@given(reads, st.randoms(use_true_random=False), st.integers(1, 60))
def test_wrapped_reads_equal_biopython(reads, rng, width):
    lines = []
    for name, letters, _ in reads:
        quality = "".join(rng.choices(QUALITY, k=len(letters)))
        wrapped = [[text[start : start + width] for start in range(0, len(text), width)] for text in (letters, quality)]
        lines += [f"@{name}", *wrapped[0], "+", *wrapped[1]]
    text = "\n".join([*lines, ""])
    records, sentence = assert_same(text.encode())
    reference = [(title, letters) for title, letters, _ in FastqGeneralIterator(io.StringIO(text))]
    assert (sentence, [(record.id, record.sequence.decode()) for record in records]) == ("", reference)


CASES = [
    b"@",
    b"+",
    b"\n",
    b"\r",
    b"\r\n",
    b" ",
    b"\x7f",
    b"\x1f",
    b"\n+\n",
    b"\n@r\n",
    b"I",
    b"A",
    b"\xff",
    b"3",
    b"+r1\n",
]


def spoilt_file(rng):
    newline, parts = rng.choice([b"\n", b"\n", b"\r\n"]), []
    for number in range(rng.randrange(1, 8)):
        length = rng.randrange(1, 60)
        letters, quality = (bytes(rng.choices(pool, k=length)) for pool in (b"ACGTNacgtu", QUALITY.encode()))
        middle = b"+r%d" % number if rng.random() < 0.3 else b"+"
        if rng.random() < 0.2:
            letters, quality = letters[:9] + newline + letters[9:], quality[:9] + newline + quality[9:]
        parts += [b"@r%d" % number, letters, middle, quality]
    content = newline.join(parts) + newline * rng.randrange(3)
    return spoilt(content, rng, CASES, [0, 1, 1, 2, 4])


@pytest.mark.parametrize(("count", "seed"), [(2_500, 0), pytest.param(10_000, 1, marks=pytest.mark.long)])
def test_fast_and_strict_agree_on_spoilt_files(count, seed):
    rng = random.Random(seed)
    share = accepted_share((assert_same(spoilt_file(rng))[1] for _ in range(count)), "x.fq")
    assert 0.1 < share < 0.8  # a corpus that is all right or all wrong would show nothing


@given(
    st.lists(st.sampled_from([*CASES, b"@r\nAC\n+\nII\n", b"@r\n", b"AC\n", b"+\n", b"II\n"]), max_size=20).map(
        b"".join
    )
)
def test_fast_and_strict_agree_on_any_pieces(content):
    assert_same(content)


@given(st.lists(st.integers(1, CHUNK), min_size=1, max_size=6), st.sampled_from([b"\n", b"\r\n"]))
def test_fast_and_strict_agree_at_the_borders_of_chunks(lengths, end):
    parts = [
        end.join([b"@r%d" % number, b"A" * length, b"+", b"I" * length, b""]) for number, length in enumerate(lengths)
    ]
    records, sentence = assert_same(b"".join(parts))
    assert (sentence, [len(record.sequence) for record in records]) == ("", lengths)
    assert_same(b"".join(parts)[:-4])


def test_a_read_longer_than_any_buffer():
    content = b"@r\n" + b"ACGT" * 1_000_000 + b"\n+\n" + b"IIII" * 1_000_000 + b"\n@s\nAC\n+\nII\n"
    records, sentence = assert_same(content)
    assert (sentence, [len(record.sequence) for record in records]) == ("", [4_000_000, 2])
    assert [record.line for record in records] == [1, 5]


SYMBOLS = "letters and the symbols * - . ~ ? are allowed"


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"@r\nACGT\n+\nIII\n", "x.fq:1: the file ends before 'r' has 1 of its 4 qualities"),
        (b"@r\nACGT\n+\n", "x.fq:1: the file ends before 'r' has its qualities"),
        (b"@r\nACGT\n", "x.fq:1: the file ends before 'r' has its + line and qualities"),
        (b"@r\nAC\n+\nIII\n", "x.fq:4: found more qualities than letters: 2 letters are above the +"),
        (b"@r\nACG\n+\nII\n@s\nACG\n+\nIII\n", "x.fq:5: found more qualities than letters: 3 letters are above the +"),
        (b"@r\nAC\n+\nI \n", "x.fq:4: found byte 0x20 in the qualities; symbols ! to ~ are allowed"),
        (b"@r\nAC\n+\nI\x7f\n", "x.fq:4: found byte 0x7f in the qualities; symbols ! to ~ are allowed"),
        (b"@r\nA3\n+\nII\n", f"x.fq:2: found '3' in a sequence; {SYMBOLS}"),
        (b"@r\nA C\n+\nIII\n", f"x.fq:2: found ' ' in a sequence; {SYMBOLS}"),
        (b"@r\nAC\n@s\nAC\n", f"x.fq:3: found '@' in a sequence; {SYMBOLS}"),
        (b"@r\nAC\n+s\nII\n", "x.fq:3: the + line names another read than 'r'; it repeats it or is +"),
        (b"@r\n+\n", "x.fq:1: 'r' has no sequence; every read needs one below it"),
        (b"@r\n\n+\n\n", "x.fq:1: 'r' has no sequence; every read needs one below it"),
        (b"@\nAC\n+\nII\n", "x.fq:1: the header has no id; '@' is followed by at least one word"),
        (b"@r\nAC\n+\nII\n>s\nAC\n", "x.fq:5: found '>s' where a read should start; FASTQ reads start '@'"),
        (b"@r\xff\nAC\n+\nII\n", "x.fq:1: the header holds bytes that are not text (UTF-8)"),
        (
            b"@" + b"h" * LONGEST_HEADER + b"h",
            f"x.fq:1: the header is longer than {LONGEST_HEADER} bytes; not FASTA or FASTQ",
        ),
    ],
)
def test_refusals(content, message):
    assert assert_same(content)[1] == message


def test_told_by_content_and_packed(tmp_path):
    path = tmp_path / "reads.dat"
    path.write_bytes(gzip.compress(b"@r\nACGT\n+\nIIII\n"))
    expected = [("r", "r", b"ACGT", "reads.dat", 1)]
    assert list(read_sequences(path)) == expected
    assert list(read_sequences(path, config=ReadConfig(format="fastq"))) == expected
