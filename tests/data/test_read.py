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
from nuclex.data.read import LONGEST_HEADER, ReadConfig, read_batches, read_sequences, source_name


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


TEXTS = {
    "fasta": b">a x=1\nACGTACGTAC\n",
    "fastq": b"@a x=1\nACGTACGTAC\n+\nIIIIIIIIII\n",
    "csv": b"id,sequence,x\na,ACGTACGTAC,1\n",
    "tsv": b"id\tsequence\tx\na\tACGTACGTAC\t1\n",
    "airr": b"sequence_id\tsequence\tx\na\tACGTACGTAC\t1\n",
    "genbank": b"LOCUS a 10 bp DNA\nORIGIN\n        1 acgtacgtac\n//\n",
    "embl": b"ID   a; SV 1; linear; DNA; STD; UNC; 10 BP.\nSQ   Sequence 10 BP;\n     acgtacgtac 10\n//\n",
}


@pytest.mark.parametrize("kind", TEXTS)
@pytest.mark.parametrize("newline", [b"\n", b"\r\n"])
@pytest.mark.parametrize("compress", [bytes, gzip.compress, lzma.compress])
@pytest.mark.parametrize("mark", [b"", b"\xef\xbb\xbf"])
def test_every_text_format_from_stdin_and_from_a_file_without_suffix(
    tmp_path, monkeypatch, kind, newline, compress, mark
):
    content = compress(mark + TEXTS[kind].replace(b"\n", newline))
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BufferedReader(io.BytesIO(content))))
    (record,) = _read("-")
    assert (record.source, record.sequence.upper()) == ("stdin", b"ACGTACGTAC")
    path = tmp_path / "input"
    path.write_bytes(content)
    for config in (None, ReadConfig(format=kind)):
        assert _read(path, config=config) == [record._replace(source="input")]
    (batch,) = [batch for batch in read_batches(path) if batch.headers]
    assert list(batch.records("input")) == [record._replace(source="input")]


READ = "sequences are read from FASTA, FASTQ, GenBank, EMBL, CSV, TSV, AIRR, Parquet and Arrow"
PAGE = "perhaps a page that a server sent in place of the file"
CALL = "call one 'sequence', or name it (sequence_column)"
MAGIC = "Parquet magic bytes not found in footer. Either the file is corrupted or this is not a parquet file."
ALLOWED = "letters and the symbols * - . ~ ? are allowed"


def packed(content: bytes) -> bytes:
    """The same bytes in every second: names of tests are made of them."""
    return gzip.compress(content, mtime=0)


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("x.fa", b"", ": is empty; a file of sequences with at least one sequence is needed"),
        ("x.fa", b"\n\n", ": is empty; fasta with at least one sequence is needed"),
        ("x.gb", b"LOCUS x 0 bp DNA\nORIGIN\n//\n", ":1: 'x' has no sequence; an entry with its letters is needed"),
        ("x.fa", packed(packed(b">a\nAC\n")), f":1: this is packed with gzip twice; {READ}"),
        ("x.xlsx", b"PK\x03\x04...", f":1: this is a zip archive or an Excel file; {READ}"),
        ("x.pdf", b"%PDF-1.7\n", f":1: this is a PDF; {READ}"),
        ("x.fa", b"\x89PNG\r\n\x1a\n", f":1: this is a PNG picture; {READ}"),
        ("x.fa.gz", b"<!DOCTYPE html>\n", f":1: this is HTML or XML, {PAGE}; {READ}"),
        ("x.json", b'{"sequence": "ACGT"}', f":1: this is JSON; {READ}"),
        ("x.sam", b"@HD\tVN:1.6\n", f":1: this is a SAM file; {READ}"),
        ("x.bam", packed(b"BAM\x01..."), f":1: this is a BAM file; {READ}"),
        ("x.vcf", b"##fileformat=VCFv4.2\n", f":1: this is a VCF file; {READ}"),
        ("x.gff", b"##gff-version 3\n", f":1: this is a GFF file; {READ}"),
        ("x.csv", "id,sequence\na,ACGT\n".encode("utf-16"), f":1: this is text in UTF-16, not UTF-8; {READ}"),
        ("x.npy", b"\x93NUMPY\x01\x00", f":1: this is a NumPy file; {READ}"),
        ("x.2bit", b"\x43\x27\x41\x1a\x00", f":1: this is a 2bit file; {READ}"),
        ("x.txt", b"Once upon a time\n", ":1: found 'Onceuponatim' before any header; FASTA starts with '>'"),
        ("x.bin", b"\x00\x01\x02\x03", f":1: found byte 0x00 in a sequence; {ALLOWED}; this is not a text file"),
        ("x.fa", b";comment\n>a\nAC\n", ":1: found ';comment' before any header; FASTA starts with '>'"),
        ("x.csv", b"a,b\n1,2\n", f":1: no column holds sequences of nucleotides: 'a', 'b'; {CALL}"),
        ("x.tsv", b"sequence\tid\nACGT\n", ":2: found 1 fields, the first line has 2"),
        ("x.parquet", b"PAR1 and nothing else", f": cannot be read as Parquet or Arrow: {MAGIC}"),
        ("x.fq", b"@r\nAC\n+\nI\n", ":1: the file ends before 'r' has 1 of its 2 qualities"),
        ("x.fq", b"@r\nAC\n", ":1: the file ends before 'r' has its + line and qualities"),
        ("x.embl", b"ID   P1; 104 AA.\n", ":1: 'P1' is a protein of 104 amino acids; DNA or RNA is needed"),
        ("x.gb", b"LOCUS P1 104 aa\n", ":1: 'P1' is a protein of 104 amino acids; DNA or RNA is needed"),
        ("x.gb", b"LOCUS x 4 bp\nORIGIN\n        1 acgt\n", ":1: the file ends inside the entry 'x', before its //"),
        ("x.fa", b">a\nAC>GT\n", f":2: found '>' in a sequence; {ALLOWED}"),
        ("x.fa", b">a\n", ":1: 'a' has no sequence; every header needs one below it"),
        ("x.fa", b">\nAC\n", ":1: the header has no id; '>' is followed by at least one word"),
        ("x.fa", b">a\rAC\r", ":1: the header holds the control character '\\r'; lines end in LF or CRLF"),
    ],
)  # fmt: skip
def test_refusals_in_full(tmp_path, name, content, message):
    path = tmp_path / name
    path.write_bytes(content)
    with pytest.raises(InputError) as caught:
        _read(path)
    assert str(caught.value) == f"{path}{message}"


def test_the_format_can_be_named(tmp_path):
    path = tmp_path / "x.fa"
    path.write_bytes(b"dna,name\nACGT,a\n")
    config = ReadConfig(format="csv", sequence_column="dna")
    assert _read(path, config=config) == [("a", "a", b"ACGT", "x", 2)]
    with pytest.raises(InputError, match=r"x\.fa:1: found 'dna,name' where a read should start"):
        _read(path, config=ReadConfig(format="fastq"))


def test_a_bomb_of_letters_takes_no_memory_before_it_is_asked_for(tmp_path):
    import tracemalloc

    path = tmp_path / "bomb.fa.gz"
    path.write_bytes(gzip.compress(b">a\n" + (b"A" * 60 + b"\n") * 1_000_000 + b"\n>b\nAC\n", 9))
    tracemalloc.start()
    total = sum(sum(map(len, batch.sequences)) for batch in read_batches(path))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert total == 60_000_002
    assert peak < 3 * 60_000_000


def test_a_corpus_of_four_formats(tmp_path):
    import pyarrow as pa
    import pyarrow.parquet as pq

    from nuclex.core.progress import quiet
    from nuclex.data.corpus import CorpusConfig, build_corpus

    made = iter(bytes([65 + 2 * (number >> shift & 1) for shift in range(20)]).decode() for number in range(9999))
    letters = [[next(made) for _ in range(12)] for _ in range(4)]
    paths = [tmp_path / name for name in ("a.fastq.gz", "b.gb", "c.csv", "d.parquet")]
    paths[0].write_bytes(gzip.compress("".join(f"@r{text}\n{text}\n+\n{'I' * 20}\n" for text in letters[0]).encode()))
    entry = "LOCUS {0} 20 bp DNA\nORIGIN\n        1 {0}\n//\n"
    paths[1].write_text("".join(entry.format(text) for text in letters[1]))
    paths[2].write_text("cds,utr,family\n" + "".join(f"{text},{text},f{text[0]}\n" for text in letters[2]))
    pq.write_table(pa.table({"cds": letters[3], "utr": letters[3], "family": ["z"] * 12}), paths[3])
    settings = {"cluster": {"method": "none"}, "split": {"by": "random"}, "read": {"sequence_column": "cds"}}
    with quiet():
        manifest = build_corpus(paths, tmp_path / "corpus", CorpusConfig.from_data(settings))
        with pytest.raises(InputError, match=r"c\.csv:1: several columns hold sequences: 'cds', 'utr'"):
            build_corpus(paths[2:], tmp_path / "other", CorpusConfig.from_data({**settings, "read": {}}))
    assert [(entry["name"], entry["sequences_in"]) for entry in manifest["sources"]] == [(name, 12) for name in "abcd"]
    assert manifest["families"] == 3
    assert not (tmp_path / "other").exists()


@pytest.mark.real
def test_equals_biopython_on_all_real_files(mirror):
    files = sorted((mirror / "ncrna_pretrain").glob("*.fa.gz"))
    assert len(files) == 9
    for path in files:
        with gzip.open(path, "rt") as handle:
            reference = [(r.id, r.description, str(r.seq).encode()) for r in SeqIO.parse(handle, "fasta")]
        assert [(r.id, r.description, r.sequence) for r in read_sequences(path)] == reference
