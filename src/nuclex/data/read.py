"""Sequences out of files of any usual format, one at a time: plain or compressed, from a file or from stdin.

The parsers are strict on purpose: what is not in the format is refused with its file and line, never guessed at.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

from nuclex.core.errors import InputError, at
from nuclex.data.arrow import read_arrow
from nuclex.data.columns import SEQUENCE_NAMES, Format, ReadConfig
from nuclex.data.compression import STDIN, Text, open_raw, opened
from nuclex.data.fasta import read_fasta
from nuclex.data.fastq import read_fastq
from nuclex.data.flatfile import read_flatfile
from nuclex.data.record import LETTERS, LONGEST_HEADER, Batch, Record, batches_of
from nuclex.data.table import UNIT, delimiter_of, read_table

__all__ = [
    "LETTERS", "LONGEST_HEADER", "STDIN", "Batch", "ReadConfig", "Record", "open_raw", "read_batches",
    "read_sequences", "source_name",
]  # fmt: skip

FORMATS = "FASTA, FASTQ, GenBank, EMBL, CSV, TSV, AIRR, Parquet and Arrow"
_STARTS: dict[bytes, Format] = {
    b">": "fasta", b"@": "fastq", b"LOCUS ": "genbank", b"ID   ": "embl",
    UNIT: "csv", b"PAR1": "parquet", b"ARROW1": "arrow", b"\xff\xff\xff\xff": "arrow",
}  # fmt: skip
_COMPRESSION = {".gz", ".bgz", ".bgzf", ".xz", ".bz2", ".zst", ".zstd"}
_TABLES: dict[str, Format] = {".csv": "csv", ".tsv": "tsv", ".tab": "tsv", ".airr": "tsv"}
_SUFFIXES = {
    *_COMPRESSION, *_TABLES, ".fa", ".fasta", ".fna", ".ffn", ".frn", ".fas", ".mfa", ".fq", ".fastq", ".gb", ".gbk",
    ".gbff", ".genbank", ".embl", ".parquet", ".arrow", ".feather", ".ipc", ".txt",
}  # fmt: skip
_FOREIGN = {
    b"\x1f\x8b": "packed with gzip twice", b"\xfd7zXZ": "packed twice", b"BZh": "packed twice",
    b"\x28\xb5\x2f\xfd": "packed with zstd twice", b"PK\x03\x04": "a zip archive or an Excel file",
    b"\xd0\xcf\x11\xe0": "an old Excel or Word file", b"%PDF": "a PDF", b"\x89PNG": "a PNG picture",
    b"\xff\xd8\xff": "a JPEG picture", b"GIF8": "a GIF picture", b"\x89HDF": "an HDF5 file",
    b"\x93NUMPY": "a NumPy file",
    b"BAM\x01": "a BAM file", b"CRAM": "a CRAM file", b"@HD\t": "a SAM file", b"@SQ\t": "a SAM file",
    b"##fileformat=VCF": "a VCF file", b"BCF\x02": "a BCF file", b"##gff": "a GFF file", b"SQLite": "a database",
    b"\x43\x27\x41\x1a": "a 2bit file", b"\x7fELF": "a program", b"FEA1": "Feather of version 1",
    b"<": "HTML or XML, perhaps a page that a server sent in place of the file", b"{": "JSON", b"[": "JSON",
    b"\xff\xfe": "text in UTF-16, not UTF-8", b"\xfe\xff": "text in UTF-16, not UTF-8",
}  # fmt: skip


def read_sequences(
    path: str | Path, *, source: str | None = None, label: str | None = None, config: ReadConfig | None = None
) -> Iterator[Record]:
    """Read the sequences of a file one by one; the file is never held in memory.

    ``path`` is FASTA, FASTQ, GenBank, EMBL, CSV, TSV, AIRR, Parquet or Arrow, told by content, then by suffix; text
    may be gzip, bgzip, xz, bzip2 or zstd (told by content), end its lines in CRLF, be wrapped, or be ``-`` for stdin.
    ``config`` names the format and a table's columns where they are not plain. The other columns of a table are
    ``name=value`` words of the description, blanks as _; empty values, those of more than ``LONGEST_VALUE`` letters
    (1,000) and columns of lists are left out. GenBank and EMBL write all letters in lower case, and they become upper
    case; elsewhere letters stay as written, those of AIRR with a true ``rev_comp`` too. ``source`` names the file in
    the records and defaults to its name without suffixes; ``label`` names it in messages and defaults to the path.

    Raises InputError with file and line (Parquet, Arrow: row): no such file, a folder, an empty file, another format,
    an empty id or sequence, a byte that is no letter, a compressed stream that ends too early.
    """
    source = source_name(path) if source is None else source
    for batch in _read(path, source, label, config or ReadConfig()):
        yield from batch.records(source) if isinstance(batch, Batch) else batch


def read_batches(path: str | Path, *, label: str | None = None, config: ReadConfig | None = None) -> Iterator[Batch]:
    """The same sequences, many together: for whoever wants their letters and no object for each.

    For short sequences some twice as fast as ``read_sequences`` (``benchmarks/readers.py``).
    """
    for batch in _read(path, "", label, config or ReadConfig()):
        yield from [batch] if isinstance(batch, Batch) else batches_of(batch)


def source_name(path: str | Path) -> str:
    """What a file is called in a corpus: its name without the suffixes of format and compression.

    >>> source_name("data/GtRNAdb.fa.gz"), source_name("rfam-5.8s.fasta"), source_name("reads.fastq.zst")
    ('GtRNAdb', 'rfam-5.8s', 'reads')
    """
    if str(path) == STDIN:
        return "stdin"
    name = os.fsencode(Path(path).name).decode("utf-8", "backslashreplace")
    while Path(name).suffix.lower() in _SUFFIXES and Path(name).stem:
        name = Path(name).stem
    return name


def _read(path: str | Path, source: str, label: str | None, config: ReadConfig) -> Iterator[Batch | Iterator[Record]]:
    """Batches, or an iterator of records where the format comes row by row."""
    label = label or ("stdin" if str(path) == STDIN else str(path))
    with opened(path, label) as text:
        kind = _format(text, config)
        if kind in ("parquet", "arrow"):
            _refuse_packed(text, path, kind)
            yield _some(read_arrow(Path(path), label, source, config), label, kind)
        elif kind in ("fasta", "fastq"):
            empty = True
            for batch in (read_fasta if kind == "fasta" else read_fastq)(text):
                empty = empty and not batch.headers
                yield batch
            if empty:
                raise _empty(label, kind)
        elif kind == "genbank" or kind == "embl":
            yield _some(read_flatfile(text, source, kind), label, kind)
        else:
            yield _some(read_table(text, source, config, kind), label, kind)


def _some(records: Iterator[Record], label: str, kind: str) -> Iterator[Record]:
    empty = True
    for record in records:
        empty = False
        yield record
    if empty:
        raise _empty(label, kind)


def _empty(label: str, kind: str) -> InputError:
    return InputError(f"{label}: is empty; {kind} with at least one sequence is needed")


def _format(text: Text, config: ReadConfig) -> Format:
    """What a file is: what the config says, else what its first bytes say, else its suffix or its first line."""
    head = text.peek().removeprefix(b"\xef\xbb\xbf").lstrip(b"\r\n")
    if config.format is not None:
        return config.format
    if not text.peek():
        text.read()  # which says so if the file is damaged from the start
        raise _empty(text.label, "a file of sequences")
    for start, what in _FOREIGN.items():
        if head.startswith(start):
            raise InputError(f"{at(text.label, 1)}: this is {what}; sequences are read from {FORMATS}")
    for start, kind in _STARTS.items():
        if head.startswith(start):
            return kind
    suffixes = [suffix.lower() for suffix in Path(text.label).suffixes]
    suffix = next((suffix for suffix in reversed(suffixes) if suffix not in _COMPRESSION), "")
    return _TABLES.get(suffix) or ("csv" if suffix not in _SUFFIXES - {".txt"} and _names_sequences(head) else "fasta")


def _names_sequences(head: bytes) -> bool:
    """Whether the first line reads as the names of a table's columns, one of which is ``sequence`` or ``seq``."""
    first = head.split(b"\n", 1)[0].decode("utf-8", "replace")
    names = [name.strip('"\r ').lower() for name in first.split(delimiter_of(head, ""))]
    return any(name in SEQUENCE_NAMES for name in names)


def _refuse_packed(text: Text, path: str | Path, kind: Format) -> None:
    """Parquet and Arrow are read from a place in the file, which neither stdin nor a packed file has."""
    if str(path) == STDIN or text.compression is not None:
        how = "on standard input" if text.compression is None else f"packed with {text.compression}"
        raise InputError(f"{text.label}: is {kind} {how}; give the file itself")
