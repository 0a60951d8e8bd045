"""Folders and files that are whole or not there, with sha256 sums that are checked before anything is loaded.

A folder is written under a temporary name beside its target, synced, given a ``manifest.json`` of sums, renamed,
and its parent synced. No common format notices a flipped bit by itself; the manifest does.
"""

from __future__ import annotations

import contextlib
import errno
import hashlib
import json
import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from nuclex.core.errors import CorruptError, DiskError, InputError

MANIFEST = "manifest.json"


def sha256_file(path: str | Path) -> str:
    """Hex sha256 of a file's bytes, read in pieces."""
    with open(path, "rb") as handle:
        return hashlib.file_digest(handle, "sha256").hexdigest()


def write_json(path: Path, value: Any) -> None:
    """Write JSON for people and machines: indented, stable order of keys as given, newline at the end."""
    path.write_text(json.dumps(value, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")


@contextlib.contextmanager
def disk_errors(target: Path) -> Iterator[None]:
    """Turn the operating system's complaints about the disk into a DiskError that names the target."""
    try:
        yield
    except OSError as error:
        if error.errno in {errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EACCES, errno.EPERM}:
            raise DiskError(f"{target}: cannot be written: {os.strerror(error.errno)}") from error
        raise


@contextlib.contextmanager
def atomic_file(target: str | Path) -> Iterator[Path]:
    """Yield a temporary path beside ``target`` that becomes ``target`` only if the block ends well."""
    target = Path(target)
    with disk_errors(target):
        target.parent.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(prefix=".tmp-", suffix=target.suffix, dir=target.parent)
        os.close(handle)
        temporary = Path(name)
        try:
            yield temporary
            os.chmod(temporary, 0o644)
            _sync(temporary)
            os.replace(temporary, target)
            _sync(target.parent)
        finally:
            temporary.unlink(missing_ok=True)


@contextlib.contextmanager
def atomic_folder(target: str | Path, *, replace: bool = False) -> Iterator[Path]:
    """Yield an empty folder that becomes ``target``, with its manifest, only if the block ends well.

    Refuses an existing ``target`` (InputError) unless ``replace``; then the old one goes after the new one stands.
    """
    target = Path(target)
    if target.exists() and not replace:
        raise InputError(f"{target}: exists already; give another --out or remove it first")
    with disk_errors(target):
        target.parent.mkdir(parents=True, exist_ok=True)
        temporary = Path(tempfile.mkdtemp(prefix=f".tmp-{target.name}-", dir=target.parent))
        try:
            yield temporary
            os.chmod(temporary, 0o755)
            write_manifest(temporary)
            for path in [*temporary.rglob("*"), temporary]:
                _sync(path)
            _swap_in(temporary, target)
            _sync(target.parent)
        finally:
            shutil.rmtree(temporary, ignore_errors=True)


def write_manifest(folder: Path) -> None:
    """Record name, size and sha256 of every file in ``folder`` (except the manifest itself)."""
    files = sorted(path for path in folder.rglob("*") if path.is_file() and path != folder / MANIFEST)
    entries = {
        path.relative_to(folder).as_posix(): {"bytes": path.stat().st_size, "sha256": sha256_file(path)}
        for path in files
    }
    write_json(folder / MANIFEST, {"files": entries})


def verify_folder(folder: str | Path) -> None:
    """Check every file of an artefact against its manifest; CorruptError names the first that differs."""
    folder = Path(folder)
    if not (folder / MANIFEST).is_file():
        raise CorruptError(f"{folder}: has no {MANIFEST}; it is not a whole artefact of nuclex")
    try:
        entries = json.loads((folder / MANIFEST).read_bytes())["files"]
        wanted = {name: (entry["bytes"], entry["sha256"]) for name, entry in entries.items()}
    except (ValueError, KeyError, TypeError, AttributeError):
        raise CorruptError(f"{folder / MANIFEST}: is not a readable manifest") from None
    for name, (size, digest) in wanted.items():
        path = folder / name
        if not path.is_file():
            raise CorruptError(f"{path}: is missing, though the manifest lists it")
        if path.stat().st_size != size:
            raise CorruptError(f"{path}: has {path.stat().st_size} bytes, the manifest says {size}")
        if sha256_file(path) != digest:
            raise CorruptError(f"{path}: its sha256 differs from the manifest; the file was changed or damaged")
    extra = {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()} - {*wanted, MANIFEST}
    if extra:
        raise CorruptError(f"{folder / min(extra)}: is not in the manifest; the artefact was edited")


def _swap_in(temporary: Path, target: Path) -> None:
    if not target.exists():
        os.rename(temporary, target)
        return
    old = Path(tempfile.mkdtemp(prefix=f".tmp-old-{target.name}-", dir=target.parent)) / "old"
    os.rename(target, old)
    try:
        os.rename(temporary, target)
    except OSError:
        os.rename(old, target)
        raise
    shutil.rmtree(old.parent, ignore_errors=True)


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
