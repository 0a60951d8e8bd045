"""Folders and files that are whole or not there, with sha256 sums that are checked before anything is loaded.

A folder is written under a temporary name beside its target, synced, given a ``manifest.json`` of sums, renamed,
and its parent synced. No common format notices a flipped bit by itself; the manifest does. What is in the making is
locked by its process, so that what a killed one left can be told from it and goes when the target is written again.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import glob
import hashlib
import json
import os
import re
import shutil
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from nuclex.core.errors import CONTROL, CorruptError, DiskError, InputError, one_line, shown

MANIFEST = "manifest.json"
TEMPORARY = ".tmp-"
"""How the name of everything begins that is not yet, or no longer, a whole artefact."""
_ASIDE = f"{TEMPORARY}old-"
"""How the name of an artefact begins that was set aside while its replacement arrives."""
_MOST_MANIFEST, _LONGEST_NAME = 64 << 20, 1000
_TRIES = 20
"""How often a folder is removed into which something is still written."""
_OPENING = b'{\n  "files": {'
"""How every manifest of nuclex begins; other programs have files of this name too."""
_DISK = {
    *(errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO),
    *(errno.EROFS, errno.EACCES, errno.EPERM),
    *(errno.ENOTDIR, errno.EISDIR, errno.ENAMETOOLONG),
}


def sha256_file(path: str | Path) -> str:
    """Hex sha256 of a file's bytes, read in pieces."""
    with open(path, "rb") as handle:
        return hashlib.file_digest(handle, "sha256").hexdigest()


def write_json(path: Path, value: Any) -> None:
    """Write JSON for people and machines: indented, stable order of keys as given, newline at the end.

    File names that are no UTF-8 are written with JSON's own escapes, and come back as they were.
    """
    path.write_text(_json(value), encoding="utf-8", errors="backslashreplace")


def _json(value: Any) -> str:
    return json.dumps(value, indent=2, ensure_ascii=False) + "\n"


@contextlib.contextmanager
def disk_errors(target: Path) -> Iterator[None]:
    """Turn the operating system's complaints about writing ``target`` into a DiskError that names it.

    A complaint about another file, such as one that is read inside the block, passes through unchanged.
    """
    try:
        yield
    except OSError as error:
        number = error.errno or 0
        number = errno.ENOTDIR if number == errno.EEXIST else number  # what mkdir says of a file in a folder's place
        if number in _DISK and _concerns(error.filename2 or error.filename, target):
            raise DiskError(f"{target}: cannot be written: {os.strerror(number)}") from error
        raise
    except Exception as error:  # safetensors reports the system's errors as text in an exception of its own
        found = re.search(r"\(os error (\d+)\)", str(error)) if type(error).__name__ == "SafetensorError" else None
        if found and int(found[1]) in _DISK:
            raise DiskError(f"{target}: cannot be written: {os.strerror(int(found[1]))}") from error
        raise


def _concerns(name: str | bytes | int | None, target: Path) -> bool:
    """Whether an error that names this file is about ``target``: it, a folder above it, or its temporary double."""
    if name is None or isinstance(name, int):
        return True
    path, target = Path(os.path.abspath(os.fsdecode(name))), Path(os.path.abspath(target))
    if path == target or path in target.parents or target in path.parents:
        return True
    return target.parent in path.parents and path.relative_to(target.parent).parts[0].startswith(TEMPORARY)


@contextlib.contextmanager
def atomic_file(target: str | Path) -> Iterator[Path]:
    """Yield a temporary path beside ``target`` that becomes ``target`` only if the block ends well."""
    target = Path(target)
    with disk_errors(target), folder_around(target) as home, _in_the_making(target, home, folder=False) as temporary:
        yield temporary
        os.chmod(temporary, 0o644)
        _sync(temporary)
        os.replace(temporary, target)
        _sync(target.parent)


@contextlib.contextmanager
def atomic_folder(target: str | Path, *, replace: bool = False) -> Iterator[Path]:
    """Yield an empty folder that becomes ``target``, with its manifest, only if the block ends well.

    Refuses an existing ``target`` (InputError) unless ``replace``; then the old one goes after the new one stands.
    """
    target = Path(target)
    if os.path.lexists(target) and not replace:
        raise _exists(target)
    with disk_errors(target), folder_around(target) as home, _in_the_making(target, home, folder=True) as temporary:
        yield temporary
        os.chmod(temporary, 0o755)
        write_manifest(temporary)
        for path in [*temporary.rglob("*"), temporary]:
            if path.is_file():  # safetensors makes its files for the owner alone; all are to be as the manifest is
                os.chmod(path, (temporary / MANIFEST).stat().st_mode)
            _sync(path)
        if replace and target.exists():
            _swap_in(temporary, target)
        elif target.exists():
            raise _exists(target)
        else:
            os.rename(temporary, target)
        _sync(target.parent)


@contextlib.contextmanager
def scratch_folder(target: str | Path) -> Iterator[Path]:
    """Yield an empty folder beside ``target`` for what is needed only on the way there; it goes in the end.

    What a killed process left of it goes when the same target is written again.
    """
    target = Path(target)
    with disk_errors(target), folder_around(target) as home, _in_the_making(target, home, folder=True) as folder:
        yield folder


@contextlib.contextmanager
def _in_the_making(target: Path, home: Path, *, folder: bool) -> Iterator[Path]:
    """An empty file or folder in ``home`` that is locked while the block runs and gone afterwards."""
    with contextlib.suppress(FileNotFoundError):
        os.lstat(target)  # an impossible name is refused now, not when the work is done
    stem = f"{TEMPORARY}{target.name[:40]}-"
    _clear_abandoned(home, stem)
    path, descriptor = _claimed(stem, home, target.suffix, folder=folder)
    try:
        yield path
    finally:
        shutil.rmtree(path, ignore_errors=True) if folder else path.unlink(missing_ok=True)
        os.close(descriptor)


def _claimed(stem: str, home: Path, suffix: str, *, folder: bool) -> tuple[Path, int]:
    """A new temporary and the descriptor that holds its lock."""
    while True:
        descriptor: int | None = None
        try:
            if folder:
                path = Path(tempfile.mkdtemp(prefix=stem, dir=home))
                with contextlib.suppress(FileNotFoundError):  # taken away already, as told below
                    descriptor = os.open(path, os.O_RDONLY)
            else:
                descriptor, name = tempfile.mkstemp(prefix=stem, suffix=suffix, dir=home)
                path = Path(name)
        except FileNotFoundError:  # /proc is there, and makes nothing
            raise DiskError(f"{home}: nothing can be written there, or it was removed") from None
        if descriptor is not None and _held(path, descriptor):
            return path, descriptor
        # As long as it was not locked, another writer of this target could take it for abandoned: make another.


def _held(path: Path, descriptor: int) -> bool:
    """Lock an open temporary for as long as it is open, unless another writer has it or has removed it already."""
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        held = path.exists()
    except BlockingIOError:
        held = False
    except OSError:  # a file system without locks never takes anything for abandoned
        held = True
    if not held:
        os.close(descriptor)
    return held


def _clear_abandoned(home: Path, stem: str) -> None:
    """Remove temporaries of this name that no living process holds; where that cannot be told they stay."""
    for path in home.glob(f"{glob.escape(stem)}*"):
        if path.name.startswith(_ASIDE):
            continue  # not in the making, but a whole artefact that was to be replaced
        with contextlib.suppress(OSError):
            descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW)
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                _remove(path)
            finally:
                os.close(descriptor)


def _remove(path: Path) -> None:
    """Remove a file or a folder, even one that a program which the killed process started still writes into.

    Such a program cannot make files any more once its folder is gone; until then it may be quicker than one try.
    """
    if not path.is_dir():
        path.unlink()
        return
    for _ in range(_TRIES):
        shutil.rmtree(path, ignore_errors=True)
        if not path.exists():
            return
        time.sleep(0.01)


@contextlib.contextmanager
def folder_around(target: Path) -> Iterator[Path]:
    """The folder for ``target``, made where it is missing; if the block ends badly, what was made and is empty goes.

    InputError where ``target`` would lie inside a whole artefact.
    """
    _refuse_inside_artefact(target)
    missing = [folder for folder in target.parents if not folder.exists()]
    target.parent.mkdir(parents=True, exist_ok=True)
    try:
        yield target.parent
    except BaseException:
        for folder in missing:
            with contextlib.suppress(OSError):  # somebody else may have put something there
                folder.rmdir()
        raise


def _refuse_inside_artefact(target: Path) -> None:
    """InputError where an artefact around ``target`` would no longer be what its manifest says."""
    for folder in Path(os.path.realpath(target)).parents:
        if folder.name.startswith(TEMPORARY):
            return  # a part of an artefact in the making
        with contextlib.suppress(OSError), open(folder / MANIFEST, "rb") as manifest:
            if manifest.read(len(_OPENING)) == _OPENING:
                raise InputError(f"{target}: lies inside {folder}, which nuclex wrote and checks; give another --out")


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
    if (folder / MANIFEST).stat().st_size > _MOST_MANIFEST:
        raise CorruptError(f"{folder / MANIFEST}: is longer than the {_MOST_MANIFEST} bytes that are read")
    try:
        content = (folder / MANIFEST).read_bytes()
        stored = json.loads(content)
        wanted = {name: (entry["bytes"], entry["sha256"]) for name, entry in stored["files"].items()}
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        raise CorruptError(f"{folder / MANIFEST}: is not a readable manifest") from None
    listed = {name: {"bytes": size, "sha256": digest} for name, (size, digest) in wanted.items()}
    if content != _json({"files": listed}).encode(errors="backslashreplace"):
        raise CorruptError(f"{folder / MANIFEST}: is not as nuclex writes it; the manifest was edited or damaged")
    for name, (size, digest) in wanted.items():
        if len(name) > _LONGEST_NAME or CONTROL.search(name) or name.startswith("/"):
            raise CorruptError(f"{folder / MANIFEST}: lists {shown(name)}, which is no name of a file")
        path = folder / name
        if not os.path.isfile(path):  # unlike Path.is_file, it takes a name that is too long for one that is not there
            raise CorruptError(f"{folder / one_line(name)}: is missing, though the manifest lists it")
        if not path.resolve().is_relative_to(folder.resolve()):
            raise CorruptError(f"{path}: leads out of the artefact")
        if path.stat().st_size != size:
            raise CorruptError(f"{path}: has {path.stat().st_size} bytes, the manifest says {size}")
        if sha256_file(path) != digest:
            raise CorruptError(f"{path}: its sha256 differs from the manifest; the file was changed or damaged")
    files = (path for path in folder.rglob("*") if path.is_symlink() or not path.is_dir())
    extra = {path.relative_to(folder).as_posix() for path in files} - {*wanted, MANIFEST}
    if extra:
        raise CorruptError(f"{folder / min(extra)}: is not in the manifest; the artefact was edited")


def _swap_in(temporary: Path, target: Path) -> None:
    """Put the new folder in the place of the old one, which goes afterwards and comes back if this fails."""
    aside = Path(tempfile.mkdtemp(prefix=f"{_ASIDE}{target.name}-", dir=target.parent))
    try:
        os.rename(target, aside / "old")
        try:
            os.rename(temporary, target)
        except BaseException:
            os.rename(aside / "old", target)
            raise
    finally:
        if target.exists():  # else what is aside is all there is
            shutil.rmtree(aside, ignore_errors=True)


def _exists(target: Path) -> InputError:
    return InputError(f"{target}: exists already; give another --out or remove it first")


def clear_leftovers(folder: Path) -> None:
    """Remove the unfinished artefacts that killed processes left in a folder which nobody else writes to now.

    What was set aside to be replaced comes back where its replacement did not arrive.
    """
    for path in folder.glob(f"{_ASIDE}*"):
        target = folder / path.name.removeprefix(_ASIDE).rpartition("-")[0]
        if (path / "old").is_dir() and not target.exists():
            os.rename(path / "old", target)
    for path in folder.glob(f"{TEMPORARY}*"):
        shutil.rmtree(path) if path.is_dir() else path.unlink()


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
