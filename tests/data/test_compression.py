"""Unpacking to the last byte: every kind, several streams, cut anywhere, followed by anything."""

import bz2
import gzip
import io
import lzma
import random
import struct
import zlib
from functools import partial
from itertools import pairwise

import pyarrow as pa
import pytest
from Bio import bgzf
from hypothesis import given
from hypothesis import strategies as st

from nuclex.core.errors import InputError
from nuclex.data import compression
from nuclex.data.compression import CHUNK, Text, lines, pieces, streams
from nuclex.data.read import read_sequences


def zstd(content):
    return pa.compress(content, codec="zstd", asbytes=True) if content else b""


def bgzip(content):
    class Kept(io.BytesIO):
        def close(self):
            pass

    out = Kept()
    writer = bgzf.BgzfWriter(fileobj=out)
    writer.write(content)
    writer.close()  # writes the end mark
    return out.getvalue()


PACKERS = {
    "gzip": partial(gzip.compress, compresslevel=1),
    "bgzip": bgzip,
    "xz": partial(lzma.compress, preset=0),
    "bzip2": bz2.compress,
    "zstd": zstd,
}


def unpacked(packed):
    return b"".join(pieces(Text(io.BufferedReader(io.BytesIO(packed)), "x")))


def fasta(records, seed=0):
    rng = random.Random(seed)
    return b"".join(b">%d\n%s\n" % (number, rng.randbytes(200).translate(b"ACGT" * 64)) for number in range(records))


@pytest.mark.parametrize("kind", PACKERS)
@given(st.lists(st.binary(min_size=1, max_size=2_000), min_size=1, max_size=4), st.integers(1, 400))
def test_streams_behind_each_other_are_one_text(kind, parts, times):
    content = b"".join(part * times for part in parts)
    packed = b"".join(PACKERS[kind](part * times) for part in parts)
    assert unpacked(packed) == content.removeprefix(b"\xef\xbb\xbf")


@pytest.mark.parametrize("kind", PACKERS)
def test_a_file_that_is_cut_anywhere_is_noticed(tmp_path, kind):
    packed, path = PACKERS[kind](fasta(400)), tmp_path / "x.fa"
    for place in [
        1,
        2,
        3,
        10,
        17,
        18,
        19,
        *range(100, len(packed) - 40, len(packed) // 40),
        *range(len(packed) - 30, len(packed)),
    ]:
        path.write_bytes(packed[:place])
        with pytest.raises(InputError) as caught:
            list(read_sequences(path))
        assert str(caught.value).startswith(f"{path}:")
        if place > 18:
            assert "damaged or ends too early" in str(caught.value)


@pytest.mark.parametrize("kind", ["gzip", "bgzip", "xz", "bzip2"])
def test_the_line_where_a_file_ends_too_early(tmp_path, kind):
    content, path = fasta(10_000), tmp_path / "x.fa"
    packed = PACKERS[kind](content)
    path.write_bytes(packed[: len(packed) // 2])
    found = []
    with pytest.raises(InputError) as caught:
        found.extend(read_sequences(path))
    line = int(str(caught.value).removeprefix(f"{path}:").split(":")[0])
    assert 5_000 < line < 15_000
    assert 2 * len(found) <= line <= 2 * len(found) + 3  # all that was whole has been given


@pytest.mark.parametrize("kind", PACKERS)
@pytest.mark.parametrize(
    "rest", [b"rest", b"\x1f\x8b", b"BZh9nonsense", b"\xfd7zXZ\x00broken", b"\x28\xb5\x2f\xfd\xff"]
)
def test_what_follows_and_is_no_stream_is_refused(tmp_path, kind, rest):
    path = tmp_path / "x.fa"
    path.write_bytes(PACKERS[kind](b">a\nAC\n") + rest)
    with pytest.raises(InputError, match=r"x\.fa:\d: the compressed file is damaged or ends too early here"):
        list(read_sequences(path))


@pytest.mark.parametrize("kind", ["gzip", "xz", "bzip2"])
def test_zeros_behind_a_stream_are_padding(kind):
    packed = PACKERS[kind](b">a\nAC\n")
    assert unpacked(packed + b"\0" * 100_000 + packed + b"\0" * 4) == b">a\nAC\n" * 2


@pytest.mark.parametrize("kind", range(16))
@pytest.mark.parametrize("size", [0, 4, 300_000])
def test_frames_of_zstd_that_are_to_be_skipped(tmp_path, kind, size):
    """pzstd begins with one and seekable files end with one (RFC 8878, section 3.1.2)."""
    skipped = struct.pack("<II", 0x184D2A50 + kind, size) + b">" * size
    packed = skipped * 2 + zstd(b">a\nAC\n") + skipped + zstd(b">b\nAC\n") + skipped
    assert unpacked(packed) == b">a\nAC\n>b\nAC\n"
    path = tmp_path / "x.fa"
    for cut in (7 + size, 8 + size, len(skipped) + 1, 2 * len(skipped) + 9):  # amid, behind one, amid the next
        path.write_bytes(packed[:cut])
        with pytest.raises(InputError, match=r"damaged or ends too early|is empty"):
            list(read_sequences(path))


@pytest.mark.parametrize("kind", ["gzip", "bgzip", "xz", "bzip2"])
def test_a_flipped_bit_is_noticed(tmp_path, kind):
    content, path, rng = fasta(50), tmp_path / "x.fa", random.Random(0)
    packed, whole = PACKERS[kind](content), list(read_sequences_of(path, content))
    for _ in range(60):
        place = rng.randrange(19, len(packed))
        path.write_bytes(packed[:place] + bytes([packed[place] ^ 1 << rng.randrange(8)]) + packed[place + 1 :])
        try:
            found, sentence = list(read_sequences(path)), ""
        except InputError as error:
            found, sentence = [], str(error)
        # a few bits mean nothing, as the time in a header of gzip
        assert sentence.startswith(f"{path}:") if sentence else found == whole


def gzip_member(rng):
    """A gzip stream of any kind of blocks behind a header with any of RFC 1952's fields, and its content."""
    content = rng.choice([rng.randbytes, bytes, lambda size: fasta(size // 100)])(rng.choice([0, 1, 20, 400, 9_000]))
    packer = zlib.compressobj(rng.choice([0, 1, 9]), wbits=-15, memLevel=rng.choice([1, 9]), strategy=rng.randrange(5))
    half = rng.randrange(len(content) + 1)
    packed = packer.compress(content[:half]) + packer.flush(rng.choice([zlib.Z_NO_FLUSH, zlib.Z_FULL_FLUSH]))
    packed += packer.compress(content[half:]) + packer.flush()
    flags = rng.randrange(32)
    head = b"\x1f\x8b\x08" + bytes([flags]) + rng.randbytes(6)
    if flags & 4:
        extra = rng.randbytes(rng.choice([0, 5, 90]))
        head += struct.pack("<H", len(extra)) + extra
    head += b"name.fa\0" * (flags >> 3 & 1) + b"a comment\0" * (flags >> 4)
    if flags & 2:
        head += struct.pack("<H", zlib.crc32(head) & 0xFFFF)
    return head + packed + struct.pack("<II", zlib.crc32(content), len(content)), content


def damaged(packed, rng):
    """One flipped bit, one byte less or more, an end that is missing; or as it was."""
    place = rng.randrange(1, len(packed))
    flipped = packed[:place] + bytes([packed[place] ^ 1 << rng.randrange(8)]) + packed[place + 1 :]
    without = packed[:place] + packed[place + 1 :]
    return rng.choice([packed, packed, flipped, without, packed[:place] + b"\x8b" + packed[place:], packed[:place]])


def by_zlib(packed):
    """What Python's own zlib makes of streams behind each other; None where it refuses them."""
    found = b""
    while packed := packed.lstrip(b"\0"):
        stream = zlib.decompressobj(31)
        try:
            found += stream.decompress(packed)
        except zlib.error:
            return None
        if not stream.eof:
            return None
        packed = stream.unused_data
    return found


@pytest.mark.parametrize("at_once", [1, 7, 100, 1 << 15])
def test_gzip_is_read_as_zlib_reads_it_wherever_it_is_parted(monkeypatch, at_once):
    """Other libraries (isal 1.9.1) refuse a header that lies in two reads, and take flags that no header has."""
    monkeypatch.setattr(compression, "_PACKED", at_once)
    rng, refused = random.Random(at_once), 0
    for _ in range(250):
        members = [gzip_member(rng) for _ in range(rng.randrange(1, 4))]
        whole = b"".join(packed for packed, _ in members)
        assert by_zlib(whole) == b"".join(content for _, content in members)
        packed, size = damaged(whole, rng), rng.choice([10, 1_000, 1 << 18])
        stream, found, reading = streams(io.BytesIO(packed), b"\x1f\x8b")[0], b"", True
        try:
            while reading:
                part = stream.read(size)
                assert len(part) <= size
                found, reading = found + part, bool(part)
        except compression.DAMAGED:
            refused, found = refused + 1, None
        assert found == by_zlib(packed)
    assert 50 < refused < 200


def read_sequences_of(path, content):
    path.write_bytes(content)
    return list(read_sequences(path))


def test_a_bgzip_file_without_its_end_mark_is_refused(tmp_path):
    path = tmp_path / "x.fa.gz"
    whole = bgzip(fasta(1_000))
    path.write_bytes(whole)
    assert len(list(read_sequences(path))) == 1_000
    path.write_bytes(whole[:-28])  # cut between two blocks: every gzip reader takes it for whole
    assert gzip.decompress(whole[:-28]) == fasta(1_000)
    with pytest.raises(InputError, match=r"ends too early here: bgzip's end mark is missing"):
        list(read_sequences(path))


def test_many_tiny_streams_take_no_square_time(tmp_path):
    path = tmp_path / "x.fa.gz"
    path.write_bytes(gzip.compress(b">a\n") + gzip.compress(b"A") * 20_000)
    assert next(read_sequences(path)).sequence == b"A" * 20_000


@given(st.lists(st.sampled_from([b"\n", b"\r\n", b"\r", b"A", b"AC" * 9, b"T" * CHUNK, b"G" * (1 << 20)]), max_size=12))
def test_pieces_end_with_lines(parts):
    content = b"".join(parts)
    found = list(pieces(Text(io.BytesIO(content), "x")))
    assert b"".join(found) == content
    assert all(piece.endswith(b"\n") or len(piece) > 1 << 20 for piece in found[:-1])
    assert not any(left.endswith(b"\r") and right.startswith(b"\n") for left, right in pairwise(found))
    assert [line for piece in found for line in lines(piece)] != [] or not content


def test_peeking_changes_nothing():
    content = fasta(5_000)
    text = Text(io.BufferedReader(io.BytesIO(gzip.compress(content))), "x")
    assert content.startswith(text.peek())
    assert len(text.peek()) >= 1 << 16
    assert b"".join(pieces(text)) == content
