"""Archives as folders: only plain files and folders, only below the target, only up to a stated size, all or nothing.

A tar or zip file can name paths outside the folder it is unpacked to, links, devices, and more bytes than any disk has.
None of these has a place in a data set: an archive that holds one is refused as a whole.
"""

from __future__ import annotations

import contextlib
import io
import lzma
import os
import re
import stat
import struct
import tarfile
import zipfile
import zlib
from collections.abc import Generator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import IO, NamedTuple

from nuclex.core.artifact import MANIFEST, atomic_folder, scratch_folder, verify_folder
from nuclex.core.errors import CONTROL, InputError
from nuclex.data.compression import GzipError, Streams, streams


@dataclass(frozen=True)
class Caps:
    """What an archive may hold: files and folders, bytes, and bytes for each byte of the archive."""

    members: int = 20_000
    bytes: int = 64 << 30
    ratio: int = 200


CAPS = Caps()
_SUFFIXES = re.compile(r"(.+)\.(zip|tar|tgz|tar\.(?:gz|xz|bz2))", re.IGNORECASE)
_PIECE = 1 << 16
_ALWAYS = 1 << 20
"""So many bytes are no bomb, however small the archive."""
_LONGEST_HEADER = 1 << 20
_LONGEST_NAME = 1024
_DAMAGE = (
    *(tarfile.TarError, zipfile.BadZipFile, zlib.error, GzipError, lzma.LZMAError, EOFError),
    *(struct.error, ValueError, LookupError, NotImplementedError, OverflowError, RecursionError),
)


class _TooMuchError(Exception):
    """There is more to unpack than is allowed."""


class _Member(NamedTuple):
    """A file in an archive: where it belongs, how long it says it is, and how to open it."""

    path: PurePosixPath
    size: int
    content: IO[bytes]


def archive_stem(name: str) -> str | None:
    """The name without the suffixes of an archive, or None if it has none.

    >>> archive_stem("archiveII_bpseq.tar.xz"), archive_stem("genes.fa.xz")
    ('archiveII_bpseq', None)
    """
    found = _SUFFIXES.fullmatch(name)
    return found[1] if found else None


def unpack_archive(archive: Path, folder: Path, *, caps: Caps | None = None) -> Path:
    """Unpack a tar file (plain, gzip, xz, bzip2) or a zip file into ``folder``, a new one, and return it.

    A folder that an earlier call made is checked against its sums and returned as it is. Permissions, owners and times
    are not taken over. Raises InputError where the archive is damaged, holds a link, a device, a name outside the
    folder or the same name twice, or is larger than ``caps``; then nothing is left behind.
    """
    caps = caps or CAPS
    if (folder / MANIFEST).is_file():
        verify_folder(folder)
        return folder
    budget = min(caps.bytes, max(_ALWAYS, caps.ratio * archive.stat().st_size))
    with atomic_folder(folder) as made:
        try:
            with contextlib.closing(_members(archive, folder, caps, budget)) as members:
                for member in members:
                    target = made / member.path
                    target.parent.mkdir(parents=True, exist_ok=True)
                    if _copy(member.content, target, member.size) != member.size:
                        raise _refusal(archive, f"{_named(member.path)} is shorter than it says")
        except _TooMuchError:
            message = f"it holds more than it says, or than the {budget} bytes allowed for one of its size"
            raise _refusal(archive, message) from None
        except _DAMAGE as error:
            message = " ".join(str(error).split())[:200] or "it ends too early"
            raise _refusal(archive, f"it is damaged: {message}") from None
        except MemoryError:
            raise _refusal(archive, "unpacking it needs more memory than there is") from None
    return folder


def _members(archive: Path, folder: Path, caps: Caps, budget: int) -> Generator[_Member]:
    """The files, each once and each in its place; what is not a plain file or folder is refused."""
    seen: dict[PurePosixPath, bool] = {}
    with open(archive, "rb") as file:
        zipped = zipfile.is_zipfile(file)
    source = _zip_members(archive) if zipped else _tar_members(archive, folder, budget + 1024 * caps.members)
    declared = 0
    with contextlib.closing(source):
        for number, (name, size, kind, content) in enumerate(source):
            if number >= caps.members:
                raise _refusal(archive, f"it holds more than {caps.members} files and folders")
            path = _inside(archive, name)
            if kind not in {"file", "folder"}:
                raise _refusal(archive, f"{_named(path)} is {kind}; only files and folders are taken")
            declared += size
            if size < 0 or declared > budget:
                raise _TooMuchError
            _refuse_place(archive, path, kind == "file", seen)
            if kind == "file":
                assert content is not None
                yield _Member(path, size, content)


def _refuse_place(archive: Path, path: PurePosixPath, is_file: bool, seen: dict[PurePosixPath, bool]) -> None:
    """Note what is at ``path``; InputError where something else is there, above it or below it."""
    if seen.get(path, False) or (is_file and path in seen):
        raise _refusal(archive, f"{_named(path)} stands in it twice")
    seen[path] = is_file
    for above in path.parents:
        if seen.setdefault(above, False):
            raise _refusal(archive, f"{_named(path)} lies inside a file")


_Found = tuple[str, int, str, IO[bytes] | None]


def _zip_members(archive: Path) -> Generator[_Found]:
    with zipfile.ZipFile(archive) as opened:
        for info in opened.infolist():
            mode = info.external_attr >> 16
            kind = "folder" if info.is_dir() else "file"
            if info.flag_bits & 0x1:
                kind = "encrypted"
            elif info.compress_type not in {zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED}:
                kind = "compressed in a way that is not read"
            elif mode and stat.S_IFMT(mode) not in {0, stat.S_IFREG, stat.S_IFDIR}:
                kind = "a link" if stat.S_ISLNK(mode) else "a device"
            if kind != "file":
                yield info.filename, info.file_size, kind, None
                continue
            with opened.open(info) as content:
                yield info.filename, info.file_size, kind, content


def _tar_members(archive: Path, folder: Path, most: int) -> Generator[_Found]:
    """Members of a tar file, which is decompressed beside ``folder`` first: jumping about in a stream is slow."""
    with contextlib.ExitStack() as stack:
        raw = stack.enter_context(open(archive, "rb"))
        packed, plain = streams(raw, raw.peek(6)), archive
        if packed is not None:
            plain = stack.enter_context(scratch_folder(folder)) / "plain.tar"
            _copy(packed[0], plain, most)
        watched = stack.enter_context(_Watched(plain))
        opened = stack.enter_context(tarfile.open(fileobj=watched, mode="r:"))
        for info in opened:
            kind = _tar_kind(info)
            if kind == "file":
                _inside(archive, info.name)
                tarfile.data_filter(info, str(folder))  # Python's own opinion, after ours
            with (opened.extractfile(info) if kind == "file" else None) or io.BytesIO() as content:
                yield info.name, info.size if kind == "file" else 0, kind, content


def _tar_kind(info: tarfile.TarInfo) -> str:
    if info.issparse():
        return "a file with holes"
    if info.isreg():
        return "file"
    if info.isdir():
        return "folder"
    return "a link" if info.issym() or info.islnk() else "a device"


class _Watched(io.FileIO):
    """A tar file that is not read in pieces larger than any sound header, and not for ever behind its end."""

    def __init__(self, path: Path) -> None:
        super().__init__(path, "rb")
        self._empty = 0

    def read(self, size: int | None = -1) -> bytes:
        """As any file reads; ValueError for what only a hostile header asks for."""
        if size is None or not 0 <= size <= _LONGEST_HEADER:
            raise ValueError("a header in it is too long")
        piece = super().read(size) or b""
        self._empty = 0 if piece or not size else self._empty + 1
        if self._empty > 8:
            raise ValueError("a header in it goes on behind its end")
        return piece


def _copy(content: IO[bytes] | Streams, target: Path, most: int) -> int:
    """Write what ``content`` gives to a new file, and return how many bytes that are; stops where it is too much."""
    written = 0
    with open(target, "xb") as file:
        while piece := _read(content):
            written += len(piece)
            if written > most:
                raise _TooMuchError
            file.write(piece)
    return written


def _read(content: IO[bytes] | Streams) -> bytes:
    """The next piece; bzip2 says of damaged data that it cannot be read, which is no trouble of the disk."""
    try:
        return content.read(_PIECE)
    except OSError as error:
        if error.errno is None:
            raise ValueError(str(error)) from None
        raise


def _inside(archive: Path, name: str) -> PurePosixPath:
    """The member's path below the folder; InputError where it would be anywhere else."""
    shown = repr(name[:100])
    path = PurePosixPath(name)
    if CONTROL.search(name) or "\\" in name or len(os.fsencode(name)) > _LONGEST_NAME:
        raise _refusal(archive, f"the name {shown} is none for a file")
    if path.is_absolute() or ".." in path.parts or re.match(r"[A-Za-z]:", name):
        raise _refusal(archive, f"the name {shown} lies outside the folder")
    if path == PurePosixPath(MANIFEST):
        raise _refusal(archive, f"the name {shown} is taken")
    return path


def _named(path: PurePosixPath) -> str:
    return repr(str(path)[:100])


def _refusal(archive: Path, why: str) -> InputError:
    return InputError(f"{archive}: is not unpacked: {why}")
