import bz2
import gzip
import io
import lzma
import os

import pytest
from Bio import SeqIO
from hypothesis import given
from hypothesis import strategies as st

from nuclex.core.errors import InputError
from nuclex.data.read import LONGEST_HEADER, read_sequences, source_name


def _read(path, **options):
    return list(read_sequences(path, **options))


def test_record_by_hand(tmp_path):
    path = tmp_path / "two.fa"
    path.write_bytes(b"\n>a  first one \nACgt\nNN\n\n>b\nUU-.\n")
    first, second = _read(path)
    assert first == ("a", "a  first one", b"ACgtNN", "two", 2)
    assert second == ("b", "b", b"UU-.", "two", 6)
    assert (first.line, second.line) == (2, 6)


def test_blank_after_the_mark_is_not_part_of_the_id(tmp_path):
    path = tmp_path / "x.fa"
    path.write_bytes(b"> seq 1\nACGT\n")
    assert _read(path)[0][:2] == ("seq", "seq 1")


words = st.text(st.characters(codec="utf-8", categories=["L", "N", "P"]), min_size=1, max_size=12).filter(
    lambda word: not word.startswith(">")
)
letters = st.text("ACGTUNacgtun-*", min_size=1, max_size=200)


@given(
    st.lists(st.tuples(words, words, letters, st.integers(1, 80)), min_size=1, max_size=6),
    st.sampled_from(["\n", "\r\n"]),
    st.sampled_from([bytes, gzip.compress, lzma.compress, bz2.compress]),
    st.booleans(),
)
def test_equals_biopython_for_any_layout_and_compression(tmp_path_factory, records, newline, compress, final):
    lines = []
    for name, comment, sequence, width in records:
        lines.append(f">{name} {comment}")
        lines += [sequence[start : start + width] for start in range(0, len(sequence), width)]
    text = newline.join(lines) + (newline if final else "")
    path = tmp_path_factory.mktemp("fasta") / "made.fa"
    path.write_bytes(compress(text.encode()))
    reference = [
        (record.id, record.description, str(record.seq).encode())
        for record in SeqIO.parse(io.StringIO(text.replace("\r\n", "\n")), "fasta")
    ]
    assert [(r.id, r.description, r.sequence) for r in read_sequences(path)] == reference


@given(st.binary(max_size=300))
def test_any_bytes_give_records_or_one_sentence(tmp_path_factory, content):
    path = tmp_path_factory.mktemp("bytes") / "noise.fa"
    path.write_bytes(content)
    sentence = ""
    try:
        records = _read(path)
    except InputError as error:
        records, sentence = [], str(error)
    assert records or (sentence.startswith(str(path)) and "\n" not in sentence)
    assert all(record.id and record.sequence for record in records)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "is empty"),
        (b"\n\n", "is empty"),
        (b"ACGT\n>a\nACGT\n", r":1: found 'ACGT' before any header"),
        (b">a\nACGT\n>\nACGT\n", r":3: the header has no id"),
        (b">a\nACGT\n>  \nACGT\n", r":3: the header has no id"),
        (b">a\n>b\nACGT\n", r":1: 'a' has no sequence"),
        (b">a\nACGT\n>b\n", r":3: 'b' has no sequence"),
        (b">a\nACGT\nAC3T\n", r":3: found '3' in a sequence"),
        (b">a\nACGT>b\nACGT\n", r":2: found '>' in a sequence"),
        (b">a\nAC\x00GT\n", r":2: found byte 0x00.*not a text file"),
        ("\n>a\nACÄGT\n".encode(), r":3: found byte 0xc3"),
        (b">a\xff\nACGT\n", r":1: the header holds bytes that are not text"),
        (b">a\x00b\nACGT\n", r":1: the header holds the control character"),
        (b">a one\rACGT\r>b\rACGT\r", r":1: the header holds the control character '\\r'"),
        (b"\x89XYZ\r\n\x1a\n\x00\x00", r":1: found byte 0x89"),
        (b">" + b"a" * (LONGEST_HEADER + 5) + b"\nACGT\n", r":1: the header is longer"),
    ],
)
def test_refusals_name_file_and_line(tmp_path, content, message):
    path = tmp_path / "bad.fa"
    path.write_bytes(content)
    with pytest.raises(InputError, match=message) as caught:
        _read(path)
    assert str(caught.value).startswith(str(path))


@pytest.mark.parametrize(
    ("suffix", "compress"), [(".gz", gzip.compress), (".xz", lzma.compress), (".bz2", bz2.compress)]
)
def test_truncated_compression_is_noticed(tmp_path, suffix, compress):
    content = compress(
        b"".join(
            b">%d\n%b\n" % (n, os.urandom(40).hex().upper().translate({48 + d: 65 for d in range(10)}).encode())
            for n in range(2000)
        )
    )
    path = tmp_path / f"cut.fa{suffix}"
    path.write_bytes(content[: len(content) // 2])
    with pytest.raises(InputError, match=r"cut\.fa\.\w+:\d+: "):
        _read(path)


def test_damaged_gzip_is_noticed(tmp_path):
    content = bytearray(gzip.compress(b">a\n" + b"ACGTTGCA" * 500 + b"\n"))
    content[-6] ^= 0xFF  # the checksum
    path = tmp_path / "flipped.fa.gz"
    path.write_bytes(content)
    with pytest.raises(InputError, match="damaged or ends too early"):
        _read(path)


def test_several_gzip_members_are_one_file(tmp_path):
    path = tmp_path / "members.fa.gz"
    path.write_bytes(gzip.compress(b">a\nAC") + gzip.compress(b"GT\n>b\nTT\n"))
    assert [record.sequence for record in read_sequences(path)] == [b"ACGT", b"TT"]


def test_missing_file_and_folder(tmp_path):
    with pytest.raises(InputError, match="no such file"):
        _read(tmp_path / "none.fa")
    with pytest.raises(InputError, match="is a folder"):
        _read(tmp_path)


def test_stdin_plain_and_compressed(monkeypatch):
    for content in (b">a\nACGT\n", gzip.compress(b">a\nACGT\n")):
        fake = io.TextIOWrapper(io.BufferedReader(io.BytesIO(content)))
        monkeypatch.setattr("sys.stdin", fake)
        assert _read("-") == [("a", "a", b"ACGT", "stdin", 1)]
        assert not fake.buffer.closed
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BufferedReader(io.BytesIO(b"ACGT"))))
    with pytest.raises(InputError, match="stdin:1: found 'ACGT' before any header"):
        _read("-")


def test_byte_order_mark_and_blanks_are_dropped(tmp_path):
    path = tmp_path / "windows.fa"
    path.write_bytes(b"\xef\xbb\xbf>a\r\nACGT ACGT\tAC\r\n")
    assert _read(path)[0].sequence == b"ACGTACGTAC"


def test_a_line_longer_than_the_buffer_is_one_sequence(tmp_path):
    path = tmp_path / "long.fa"
    path.write_bytes(b">a\n" + b"ACGT" * 700_000 + b"\n>b\nAC\n")
    first, second = _read(path)
    assert first.sequence == b"ACGT" * 700_000
    assert second.line == 3


def test_source_names():
    assert source_name(os.fsdecode(b"caf\xe9.fa")) == "caf\\xe9"
    assert [source_name(name) for name in ("a/b.fa.gz", "x.FASTA", "noext", ".fa", "-", "v1.2.fna.xz")] == [
        "b", "x", "noext", ".fa", "stdin", "v1.2",
    ]  # fmt: skip


@pytest.mark.real
def test_equals_biopython_on_all_real_files(mirror):
    files = sorted((mirror / "ncrna_pretrain").glob("*.fa.gz"))
    assert len(files) == 9
    for path in files:
        with gzip.open(path, "rt") as handle:
            reference = [(r.id, r.description, str(r.seq).encode()) for r in SeqIO.parse(handle, "fasta")]
        assert [(r.id, r.description, r.sequence) for r in read_sequences(path)] == reference
