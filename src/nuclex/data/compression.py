"""The bytes of a file or of stdin, unpacked as they come: gzip, bgzip, xz, bzip2 and zstd, told by content."""

from __future__ import annotations

import bz2
import contextlib
import io
import lzma
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import BinaryIO, cast

from zlib_ng import zlib_ng

from nuclex.core.errors import InputError, at
from nuclex.data.record import LONGEST_HEADER

STDIN = "-"
CHUNK = 63 << 11
"""Bytes read at a time. What is made of them stays in the cache, and below 128 KiB malloc does not give each page back
to the kernel, which would have to clear it again for the next bytes."""
_HEAD = 18
_PACKED = 1 << 15  # packed bytes taken at a time; small, since what follows a short stream is copied
_PEEK = 1 << 16
_XZ_MEMORY = 1 << 30  # xz -9 needs 65 MiB to unpack; a hostile file may ask for 4 GiB
_TOO_EARLY = "the compressed file is damaged or ends too early here"
_NO_END = "bgzip's end mark is missing"
_BGZF_END = bytes.fromhex("1f8b08040000000000ff0600424302001b0003000000000000000000")
GzipError = cast(type[Exception], zlib_ng.error)  # its type hints take it for an instance
DAMAGED = (EOFError, OSError, GzipError, lzma.LZMAError)
"""What reading a damaged or unreadable file raises."""


class _Raw(io.RawIOBase):
    """The packed bytes, whose first ones have been looked at and whose last ones are remembered."""

    def __init__(self, raw: BinaryIO, head: bytes) -> None:
        super().__init__()
        self._raw, self._waiting = raw, head
        self.tail = b""

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: bytearray | memoryview) -> int:  # type: ignore[override]
        data = self._waiting or self._raw.read(len(buffer))
        data, self._waiting = data[: len(buffer)], data[len(buffer) :] if self._waiting else b""
        buffer[: len(data)] = data
        self.tail = (self.tail + data[-len(_BGZF_END) :])[-len(_BGZF_END) :]
        return len(data)


class Text:
    """The unpacked bytes of a file, read piece by piece.

    ``line`` is the line that has been reached; who reads keeps it, and a damaged file is refused with it.
    """

    def __init__(self, raw: BinaryIO, label: str) -> None:
        self.label, self.line = label, 1
        head = raw.read(_HEAD)
        self._raw = _Raw(raw, head)
        self._handle, self.compression = _unpacked(self._raw, head)
        self._is_bgzf = self.compression == "gzip" and head[3:4] >= b"\4" and head[12:14] == b"BC"
        self._waiting, self._damage = b"", cast(str | None, None)
        if self.compression is None:  # nothing to unpack, so nothing in between
            self._handle, self._waiting = raw, head

    def peek(self) -> bytes:
        """The first bytes (64 KiB, or what there is), which the next ``read`` gives again."""
        while len(self._waiting) < _PEEK and (more := self._next()):
            self._waiting += more
        return self._waiting

    def read(self) -> bytes:
        """The next bytes, none at the end; InputError where the file is damaged or cannot be read on."""
        found, self._waiting = self._waiting or self._next(), b""
        if not found and self._damage is not None:
            what = "cannot be read on from here" if self.compression is None else _TOO_EARLY
            raise InputError(f"{at(self.label, self.line)}: {what}: {self._damage}")
        return found

    def _next(self) -> bytes:
        """What comes next; none at the end, and from where it is damaged on."""
        found, size = list[bytes](), 0
        try:
            while self._damage is None and 2 * size < CHUNK:
                part = self._handle.read(CHUNK - size)
                if not part:
                    self._damage = _NO_END if self._is_bgzf and self._raw.tail != _BGZF_END else None
                    break
                found.append(part)
                size += len(part)
        except DAMAGED as error:
            self._damage = str(error)
        return b"".join(found)


def pieces(text: Text) -> Iterator[bytes]:
    """A text in pieces that end where a line ends, except for parts of lines longer than ``LONGEST_HEADER``.

    A byte order mark is dropped, and no piece parts a CR from its LF.
    """
    waiting = [text.read().removeprefix(b"\xef\xbb\xbf")]
    while waiting[-1]:
        last = waiting.pop()
        cut = last.rfind(b"\n") + 1
        if cut:
            yield b"".join([*waiting, memoryview(last)[:cut]])
            waiting = [last[cut:]]
        elif sum(map(len, waiting)) + len(last) > LONGEST_HEADER + 2:
            keep = len(last) - last.endswith(b"\r")
            yield b"".join([*waiting, last[:keep]])
            waiting = [last[keep:]]
        else:
            waiting.append(last)
        waiting = [piece for piece in waiting if piece] + [text.read()]
    if rest := b"".join(waiting):
        yield rest


def lines(piece: bytes) -> Iterator[bytes]:
    """The lines of a piece with their ends; only LF ends a line (``splitlines`` knows others)."""
    start = 0
    while start < len(piece):
        end = piece.find(b"\n", start) + 1 or len(piece)
        yield piece[start:end]
        start = end


@contextlib.contextmanager
def opened(path: str | Path, label: str) -> Iterator[Text]:
    """The unpacked bytes of a file or of stdin; a file is closed at the end, stdin is not ours to close."""
    if str(path) == STDIN:
        yield Text(sys.stdin.buffer, label)
        return
    with open_raw(path, label) as raw:
        yield Text(raw, label)


def open_raw(path: str | Path, label: str) -> BinaryIO:
    """The bytes of a file as they are; InputError where it is missing, a folder or not readable."""
    if Path(path).is_dir():
        raise InputError(f"{label}: is a folder; give the files in it")
    try:
        return open(path, "rb", buffering=CHUNK)
    except FileNotFoundError:
        raise InputError(f"{label}: no such file; a file of sequences is needed") from None
    except OSError as error:
        raise InputError(f"{label}: cannot be read: {error.strerror}") from None


class _Gzip:
    """zlib-ng's decompressor with the face that those of lzma and bz2 have; it checks length and CRC."""

    def __init__(self) -> None:
        self._zlib = zlib_ng.decompressobj(16 + zlib_ng.MAX_WBITS)

    @property
    def eof(self) -> bool:
        return self._zlib.eof

    @property
    def unused_data(self) -> bytes:
        return self._zlib.unused_data

    @property
    def needs_input(self) -> bool:
        return not self._zlib.unconsumed_tail

    def decompress(self, data: bytes, size: int) -> bytes:
        return self._zlib.decompress(self._zlib.unconsumed_tail + data, size)


_Decompressor = _Gzip | lzma.LZMADecompressor | bz2.BZ2Decompressor


class Streams:
    """gzip, xz or bzip2 to the last byte: stream after stream, and nothing else behind them but zeros.

    Python's own readers leave out, without a word, what follows a stream of xz or bzip2 and is damaged.
    """

    def __init__(self, raw: BinaryIO, start: Callable[[], _Decompressor]) -> None:
        self._raw, self._start = raw, start
        self._stream = start()

    def read(self, size: int) -> bytes:
        """At most ``size`` unpacked bytes, none at the end."""
        while True:
            data, last = b"", False
            if self._stream.eof:
                data = self._stream.unused_data.lstrip(b"\0")
                while not data and (more := self._raw.read(_PACKED)):
                    data = more.lstrip(b"\0")
                if not data:
                    return b""
                self._stream = self._start()
            elif self._stream.needs_input:
                data = self._raw.read(_PACKED)
                last = not data
            if found := self._stream.decompress(data, size):
                return found
            if last and not self._stream.eof:
                raise EOFError("the end of the packed data is missing")


def streams(raw: BinaryIO, head: bytes) -> tuple[Streams, str] | None:
    """What is packed with gzip, xz or bzip2, and with which, told by its first bytes; None where it is not."""
    if head.startswith(b"\x1f\x8b"):
        return Streams(raw, _Gzip), "gzip"
    if head.startswith(b"\xfd7zXZ\x00"):
        return Streams(raw, lambda: lzma.LZMADecompressor(lzma.FORMAT_XZ, memlimit=_XZ_MEMORY)), "xz"
    if head.startswith(b"BZh"):
        return Streams(raw, bz2.BZ2Decompressor), "bzip2"
    return None


def _unpacked(raw: _Raw, head: bytes) -> tuple[BinaryIO | Streams, str | None]:
    buffered = cast(BinaryIO, io.BufferedReader(raw, CHUNK))
    if found := streams(buffered, head):
        return found
    if head.startswith(b"\x28\xb5\x2f\xfd") or (head[1:4] == b"\x2a\x4d\x18" and 0x50 <= head[0] <= 0x5F):
        # the second is a frame to skip, with which parallel and seekable writers begin (RFC 8878, section 3.1.2)
        import pyarrow as pa

        return cast(BinaryIO, pa.CompressedInputStream(pa.PythonFile(buffered, "r"), "zstd")), "zstd"
    return buffered, None
