"""Sequences out of FASTA files, one at a time: plain or compressed, wrapped or not, from a file or from stdin.

The parser is strict on purpose: what is not FASTA is refused with its file and line, never guessed at.
"""

from __future__ import annotations

import bz2
import contextlib
import gzip
import io
import lzma
import os
import re
import sys
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO, NamedTuple, cast

from nuclex.core.errors import InputError, at

STDIN = "-"
LETTERS = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz*-.~?"
LONGEST_HEADER = 1 << 20
_BLANKS = b" \t\r"
_SUFFIXES = {".gz", ".xz", ".bz2", ".bgz", ".fa", ".fasta", ".fna", ".ffn", ".frn", ".fas", ".mfa", ".txt"}
_CONTROL = re.compile(r"[\x00-\x08\x0a-\x1f\x7f]")
_TRUNCATED = (EOFError, zlib.error, gzip.BadGzipFile, lzma.LZMAError)


class Record(NamedTuple):
    """One sequence of a file, as written there.

    ``id`` is the first word of the header and ``description`` the whole header without ``>``; ``sequence`` keeps its
    case and symbols; ``line`` is the line of the header, counted from 1.
    """

    id: str
    description: str
    sequence: bytes
    source: str
    line: int


def read_sequences(path: str | Path, *, source: str | None = None, label: str | None = None) -> Iterator[Record]:
    """Read the sequences of a FASTA file one by one; the file is never held in memory.

    ``path`` may be plain text, gzip, xz or bzip2 (told by content, not by name) or ``-`` for stdin. Lines may be
    wrapped and end in CRLF; blanks inside a sequence are dropped. ``source`` names the file in the records and defaults
    to its name without suffixes; ``label`` names it in messages and defaults to the path.

    Raises InputError with file and line: no such file, a folder, an empty file, text before the first header, an
    empty id or sequence, a byte that is no letter, a compressed stream that ends too early.
    """
    label = label or ("stdin" if str(path) == STDIN else str(path))
    source = source_name(path) if source is None else source
    with _opened(path, label) as handle:
        empty = True
        for record in _parse(_pieces(handle, label), label, source):
            empty = False
            yield record
    if empty:
        raise InputError(f"{label}: is empty; a FASTA file with at least one sequence is needed")


def source_name(path: str | Path) -> str:
    """What a file is called in a corpus: its name without the suffixes of FASTA and compression.

    >>> source_name("data/GtRNAdb.fa.gz"), source_name("rfam-5.8s.fasta")
    ('GtRNAdb', 'rfam-5.8s')
    """
    if str(path) == STDIN:
        return "stdin"
    name = os.fsencode(Path(path).name).decode("utf-8", "backslashreplace")
    while Path(name).suffix.lower() in _SUFFIXES and Path(name).stem:
        name = Path(name).stem
    return name


@contextlib.contextmanager
def _opened(path: str | Path, label: str) -> Iterator[BinaryIO]:
    """The decompressed bytes of a file or of stdin; a file is closed at the end, stdin is not ours to close."""
    if str(path) == STDIN:
        yield _decompressed(sys.stdin.buffer, label)
        return
    with open_raw(path, label) as raw:
        yield _decompressed(raw, label)


def open_raw(path: str | Path, label: str) -> BinaryIO:
    """The bytes of a file as they are; InputError where it is missing, a folder or not readable."""
    if Path(path).is_dir():
        raise InputError(f"{label}: is a folder; give the FASTA files in it")
    try:
        return open(path, "rb", buffering=1 << 20)
    except FileNotFoundError:
        raise InputError(f"{label}: no such file; a FASTA file (plain, .gz, .xz, .bz2) is needed") from None
    except OSError as error:
        raise InputError(f"{label}: cannot be read: {error.strerror}") from None


def _decompressed(raw: BinaryIO, label: str) -> BinaryIO:
    magic = cast(io.BufferedReader, raw).peek(6)[:6]
    if magic.startswith(b"\x1f\x8b"):
        return cast(BinaryIO, gzip.GzipFile(fileobj=raw, mode="rb"))
    if magic.startswith(b"\xfd7zXZ\x00"):
        return cast(BinaryIO, lzma.LZMAFile(raw))
    if magic.startswith(b"BZh"):
        return cast(BinaryIO, bz2.BZ2File(raw))
    if magic.startswith(b"\x28\xb5\x2f\xfd"):
        raise InputError(f"{label}: is compressed with zstd, which is not read; plain, gzip, xz and bzip2 are")
    return raw


def _pieces(handle: BinaryIO, label: str) -> Iterator[tuple[int, bytes, bool]]:
    """Lines with their number, in pieces of bounded size; the flag says that a piece continues the line before it."""
    number, continues = 1, False
    while True:
        try:
            piece = handle.readline(LONGEST_HEADER)
        except _TRUNCATED as error:
            raise InputError(
                f"{at(label, number)}: the compressed file is damaged or ends too early here: {error}"
            ) from None
        except OSError as error:  # bzip2 says it so
            raise InputError(f"{at(label, number)}: cannot be read on from here: {error}") from None
        if not piece:
            return
        yield number, piece, continues
        continues = not piece.endswith(b"\n")
        number += not continues


def _parse(pieces: Iterator[tuple[int, bytes, bool]], label: str, source: str) -> Iterator[Record]:
    header: tuple[str, str] | None = None
    start, parts, in_header = 0, list[bytes](), False
    for number, piece, continues in pieces:
        if number == 1 and not continues:
            piece = piece.removeprefix(b"\xef\xbb\xbf")
        if continues and in_header:
            raise InputError(f"{at(label, number)}: the header is longer than {LONGEST_HEADER} bytes; not FASTA")
        if piece.startswith(b">") and not continues:
            if header is not None:
                yield _record(header, parts, label, source, start)
            header, start, parts, in_header = _header(piece, label, number), number, [], True
            continue
        in_header = False
        letters = piece.rstrip(b"\n").translate(None, _BLANKS)
        if letters.translate(None, LETTERS):
            raise _strange(letters, label, number, header is None)
        if header is None and letters:
            raise _no_header(letters, label, number)
        parts.append(letters)
    if header is not None:
        yield _record(header, parts, label, source, start)


def _record(header: tuple[str, str], parts: list[bytes], label: str, source: str, start: int) -> Record:
    sequence = b"".join(parts)
    if not sequence:
        raise InputError(f"{at(label, start)}: {header[0]!r} has no sequence; every header needs one below it")
    return Record(header[0], header[1], sequence, source, start)


def _header(piece: bytes, label: str, number: int) -> tuple[str, str]:
    """The id and the description of a header line; blanks after ``>`` are allowed."""
    try:
        text = piece[1:].decode("utf-8").strip()
    except UnicodeDecodeError:
        raise InputError(f"{at(label, number)}: the header holds bytes that are not text (UTF-8)") from None
    strange = _CONTROL.search(text)
    if strange:
        raise InputError(f"{at(label, number)}: the header holds the control character {strange.group()!r}; not FASTA")
    if not text:
        raise InputError(f"{at(label, number)}: the header has no id; '>' is followed by at least one word")
    return text.split(maxsplit=1)[0], text


def _strange(letters: bytes, label: str, number: int, before_header: bool) -> InputError:
    byte = letters.translate(None, LETTERS)[0]
    if before_header and 32 < byte < 127:
        return _no_header(letters, label, number)
    shown = repr(chr(byte)) if 32 <= byte < 127 else f"byte 0x{byte:02x}"
    kind = "; this is not a text file" if byte < 32 else ""
    return InputError(
        f"{at(label, number)}: found {shown} in a sequence; letters and the symbols * - . ~ ? are allowed{kind}"
    )


def _no_header(letters: bytes, label: str, number: int) -> InputError:
    start = letters[:12].decode("ascii", "replace")
    hint = " (FASTQ is not read)" if start.startswith("@") else ""
    return InputError(f"{at(label, number)}: found {start!r} before any header; FASTA starts with '>'{hint}")
