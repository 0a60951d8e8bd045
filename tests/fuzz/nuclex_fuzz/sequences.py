"""Files of sequences: what they hold is read a second way here, by code that shares nothing with nuclex."""

from __future__ import annotations

import bz2
import csv
import io
import lzma
import re
import zlib
from collections.abc import Callable
from functools import partial
from pathlib import Path

from nuclex_fuzz.judging import Format

from nuclex.data.read import ReadConfig, Record, read_sequences

FASTA = (
    b">a first\nACGTACGTACGT\n>b\nacgunNRYK\nMSWBDHV\n",
    b">a|1|x family=z\r\nACGU\r\nACGU\r\n>b two words\r\nGGGG\r\n",
    b"\xef\xbb\xbf>a\nAC-GT*\n\n> c name with blanks\nAC GT\tAC\n",
    b">" + b"long" * 50 + b"\n" + b"ACGT" * 500 + b"\n>b\nA",
)
FASTQ = (
    b"@r1 first\nACGTN\n+\nIIII!\n@r2\nacgt\n+r2\n~~~~\n",
    b"@r1\r\nACGTACGT\r\n+\r\n@@++IIII\r\n@r2 x\r\nGG\r\n+\r\n>>\r\n",
    b"@wrapped\nACGTA\nCGT\n+\nIIIII\n@II\n\n@r2\nA\n+r2\n@\n",
)
CSV = (
    b'id,sequence,family\na,ACGU,tRNA\nb,GGCC,"5S, long"\n',
    b'\xef\xbb\xbfname,seq,score\r\n"a b",ACGTACGT,1.5\r\n\r\nb,"GG\nCC",-1\r\n'.replace(b"GG\nCC", b"GGCC"),
    b'transcript,utr,note\nt1,ACGTACGTACGT,none\nt2,GGGGCCCCAAAA,"quoted ""word"""\n',
)
TSV = (
    b"sequence_id\tsequence\tv_call\nr1\tACGTACGTAC\tIGHV1\nr2\tGGCC\t\n",
    b"seq\tpsi\nACGTACGTACGT\t0.5\nGGGGCCCC\t0.25\n",
)
GENBANK = (
    b"""LOCUS       SCU49845                 70 bp    DNA     linear   PLN 21-JUN-1999
DEFINITION  Made up.
ACCESSION   U49845
VERSION     U49845.1  GI:1293613
SOURCE      yeast
  ORGANISM  Saccharomyces cerevisiae
FEATURES             Location/Qualifiers
     source          1..70
                     /mol_type="genomic DNA"
ORIGIN
        1 gatcctccat atacaacggt atctccacct caggtttaga tctcaacaac ggaaccattg
       61 ccgacatgag
//
""",
    b"LOCUS       A 4 bp DNA\nORIGIN\n        1 acgt\n//\nLOCUS       B 2 bp RNA\r\nORIGIN\r\n        1 gg\r\n//\r\n",
)
EMBL = (
    b"""ID   X56734; SV 1; linear; mRNA; STD; PLN; 70 BP.
XX
AC   X56734; S46826;
OS   Trifolium repens (white clover)
FT   source          1..70
FT                   /mol_type="mRNA"
SQ   Sequence 70 BP; 27 A; 12 C; 14 G; 17 T; 0 other;
     aaacaaacca aatatggatt ttattgtagc catatttgct ctgtttgtta ttagctcatt        60
     cacaattact                                                               70
//
""",
    b"ID   A standard; DNA; UNC; 4 BP.\nSQ\n     acgt 4\n//\nID   B; SV 2; x; 2 BP.\nSQ\n     gg 2\n//\n",
)
LETTERS = re.compile(rb"[A-Za-z*\-.~?]+")
CONTROL = re.compile(r"[\x00-\x08\x0a-\x1f\x7f]")


def unpacked(data: bytes) -> bytes:
    """What a compressed file holds, all of it; AssertionError where any of it is damaged or is something else."""
    kinds = {
        b"\x1f\x8b": lambda: zlib.decompressobj(wbits=31),
        b"\xfd7zXZ\x00": lzma.LZMADecompressor,
        b"BZh": bz2.BZ2Decompressor,
    }
    for magic, make in kinds.items():
        if data.startswith(magic):
            parts = []
            while data.strip(b"\x00"):
                stream = make()
                try:
                    parts.append(stream.decompress(data))
                except (zlib.error, lzma.LZMAError, OSError) as error:
                    raise AssertionError(f"accepted a damaged compressed file: {error}") from None
                assert stream.eof, "accepted a compressed file that ends too early"
                data = stream.unused_data
            return b"".join(parts)
    if data.startswith(b"\x28\xb5\x2f\xfd"):
        import pyarrow as pa

        try:
            return bytes(pa.CompressedInputStream(io.BytesIO(data), "zstd").read())
        except OSError as error:
            raise AssertionError(f"accepted a damaged compressed file: {error}") from None
    return data


def reference_fasta(data: bytes) -> list[tuple[str, str, bytes]]:
    """Id, header and sequence of each record of a valid FASTA file; AssertionError where it is none."""
    records: list[tuple[str, list[bytes]]] = []
    for line in data.removeprefix(b"\xef\xbb\xbf").split(b"\n"):
        if line.startswith(b">"):
            records.append((line[1:].decode("utf-8").strip(), []))
            continue
        letters = re.sub(rb"[ \t\r]", b"", line)
        assert records or not letters, f"accepted {letters[:40]!r} before the first header"
        if letters:
            records[-1][1].append(letters)
    assert records, "accepted a file without a record"
    for header, parts in records:
        assert header, "accepted a record without an id"
        assert not CONTROL.search(header), f"accepted a control character in {header[:60]!r}"
        assert LETTERS.fullmatch(b"".join(parts)), f"accepted {b''.join(parts)[:60]!r} as a sequence"
    return [(header.split()[0], header, b"".join(parts)) for header, parts in records]


def reference_fastq(data: bytes) -> list[tuple[str, str, bytes]]:
    """The same of a valid FASTQ file, wrapped or not."""
    lines = [line.removesuffix(b"\r") for line in data.removeprefix(b"\xef\xbb\xbf").split(b"\n")]
    lines.reverse()
    records = []
    while lines:
        head = lines.pop()
        if not head:
            continue
        assert head.startswith(b"@"), f"accepted {head[:40]!r} as the start of a read"
        header, letters, qualities = head[1:].decode("utf-8").strip(), b"", b""
        assert header, "accepted a read without an id"
        assert not CONTROL.search(header), f"accepted a control character in {header[:60]!r}"
        while not lines[-1].startswith(b"+"):
            letters += lines.pop()
        assert LETTERS.fullmatch(letters), f"accepted {letters[:60]!r} as a sequence"
        assert lines.pop()[1:].strip() in (b"", header.encode()), "accepted a + line that names another read"
        while len(qualities) < len(letters):
            assert lines, "accepted a read without all of its qualities"
            qualities += lines.pop()
        assert re.fullmatch(rb"[!-~]+", qualities), f"accepted {qualities[:60]!r} as qualities"
        assert len(qualities) == len(letters), "accepted more qualities than letters"
        records.append((header.split()[0], header, letters))
    return records


def reference_flatfile(data: bytes, start: bytes, origin: bytes) -> list[bytes]:
    """The letters of each entry: what stands between ORIGIN (or SQ) and //, without numbers and blanks."""
    found = []
    for entry in re.split(rb"(?m)^//.*\n?", data.removeprefix(b"\xef\xbb\xbf"))[:-1]:
        lines = entry.strip(b"\r\n").split(b"\n")
        while not lines[0].strip():
            del lines[0]
        assert lines[0].startswith(start), f"accepted {lines[0][:40]!r} as the start of an entry"
        place = next(place for place, line in enumerate(lines) if line.startswith(origin))
        letters = re.sub(rb"[0-9\s]", b"", b"\n".join(lines[place + 1 :]))
        stated = re.findall(r"(?<!\w)(\d+)\s+(?:bp|rc|BP)\b", lines[0].decode("utf-8"))
        assert len(letters) in map(int, stated), f"accepted {len(letters)} letters where {stated} were stated"
        assert LETTERS.fullmatch(letters), f"accepted {letters[:60]!r} as a sequence"
        found.append(letters.upper())  # lower case is how the formats are written, and says nothing
    return found


def reference_table(data: bytes, delimiter: str) -> list[dict[str, str]]:
    """The rows of a table as Python's own csv reads them."""
    csv.field_size_limit(1 << 30)
    text = data.decode("utf-8").removeprefix("\ufeff")
    assert not re.search(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f]", text), "accepted a control character"
    table = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter)
    names, *rows = [row for row in table if row not in ([], [""])]
    assert all(len(row) == len(names) for row in rows), "accepted rows of different widths"
    return [dict(zip(names, row, strict=True)) for row in rows]


def read(path: Path, config: ReadConfig) -> list[Record]:
    """The records of a file, each valid in itself."""
    records = list(read_sequences(path, config=config, source="s"))
    assert records, "accepted a file without a record"
    for record in records:
        assert record.id, "accepted a record without an id"
        assert record.id.split() == [record.id], f"accepted the id {record.id[:60]!r}"
        assert record.description.split()[0] == record.id
        assert not CONTROL.search(record.description), f"accepted a control character in {record.description[:60]!r}"
        assert LETTERS.fullmatch(record.sequence), f"accepted {record.sequence[:60]!r} as a sequence"
        assert record.line >= 1
    return records


def check_lines(path: Path, kind: str) -> None:
    found = [(record.id, record.description, record.sequence) for record in read(path, ReadConfig(format=kind))]
    reference = reference_fasta if kind == "fasta" else reference_fastq
    assert found == reference(unpacked(path.read_bytes())), "what was read is not what is in the file"


def check_flatfile(path: Path, kind: str) -> None:
    found = [record.sequence for record in read(path, ReadConfig(format=kind))]
    marks = (b"LOCUS ", b"ORIGIN") if kind == "genbank" else (b"ID ", b"SQ")
    assert found == reference_flatfile(unpacked(path.read_bytes()), *marks), "what was read is not what is in the file"


def check_table(path: Path, kind: str) -> None:
    records = read(path, ReadConfig(format=kind))
    rows = reference_table(unpacked(path.read_bytes()), "," if kind == "csv" else "\t")
    assert len(rows) == len(records), "rows were passed over"
    for record, row in zip(records, rows, strict=True):
        values = [value.strip().encode() for value in row.values()]
        assert record.sequence in values, "the sequence stands in no column"
        wanted = row.get("sequence", row.get("seq"))
        assert wanted is None or record.sequence == wanted.strip().encode(), "the sequence is of another column"
        assert record.id.startswith("row-") or record.id in {"_".join(value.split()) for value in row.values()}


def check_any(path: Path) -> None:
    """The format is told by content."""
    read(path, ReadConfig())


def parquet_seeds() -> tuple[bytes, ...]:
    import pyarrow as pa
    import pyarrow.parquet as pq

    columns = {"id": ["a", "b", "c"], "sequence": ["ACGTACGT", "GGCC", "NNAC"], "score": [0.5, None, 2.0]}
    found = []
    for codec in ("none", "snappy", "zstd"):
        out = io.BytesIO()
        pq.write_table(pa.table(columns), out, compression=codec)
        found.append(out.getvalue())
    return tuple(found)


def arrow_seeds() -> tuple[bytes, ...]:
    import pyarrow as pa

    table = pa.table({"name": ["a", "b"], "seq": pa.array(["ACGTACGT", "GGCC"], pa.large_string()), "n": [1, 2]})
    coded = table.set_column(1, "seq", table.column(1).cast(pa.string()).dictionary_encode())
    found = []
    for make, written in ((pa.ipc.new_file, table), (pa.ipc.new_stream, table), (pa.ipc.new_file, coded)):
        out = io.BytesIO()
        with make(out, written.schema) as writer:
            writer.write_table(written)
        found.append(out.getvalue())
    return tuple(found)


WHOLE = (
    *("is empty", "is a ", "is an ", "is JSON", "is HTML or XML", "is text in UTF-16", "is Feather of version 1"),
    *("is packed", "cannot be read as Parquet or Arrow", "is parquet packed", "is arrow packed"),
)
ROW = r"PATH: row \d+: |PATH:\d+: |PATH: the column "


def _format(name: str, seeds: tuple[bytes, ...], check: Callable[[Path], None], file: str) -> Format:
    return Format(name, seeds, check, lambda folder: folder / file, whole=WHOLE, compressed=True)


TEXT = (*FASTA, *FASTQ, *CSV[:2], *TSV, *GENBANK, *EMBL)
FORMATS = (
    _format("fasta", FASTA, partial(check_lines, kind="fasta"), "a.fa"),
    _format("fastq", FASTQ, partial(check_lines, kind="fastq"), "a.fq"),
    _format("csv", CSV, partial(check_table, kind="csv"), "a.csv"),
    _format("tsv", TSV, partial(check_table, kind="tsv"), "a.tsv"),
    _format("airr", TSV[:1], partial(check_table, kind="airr"), "a.tsv"),
    _format("genbank", GENBANK, partial(check_flatfile, kind="genbank"), "a.gb"),
    _format("embl", EMBL, partial(check_flatfile, kind="embl"), "a.embl"),
    _format("told by content", TEXT, check_any, "a.txt"),
)


def binary_formats() -> tuple[Format, ...]:
    """Tables that are no text."""
    parquet, arrow = parquet_seeds(), arrow_seeds()
    return (
        Format("parquet", parquet, check_any, lambda folder: folder / "a.parquet", place=ROW, whole=WHOLE),
        Format("arrow", arrow, check_any, lambda folder: folder / "a.arrow", place=ROW, whole=WHOLE),
    )
