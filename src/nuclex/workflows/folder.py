"""The folder of a workflow: marked with what it was begun with, and taken up again only with the same."""

from __future__ import annotations

import contextlib
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from nuclex.core.artifact import atomic_file, disk_errors, folder_around, write_json
from nuclex.core.errors import CorruptError, InputError, NuclexError
from nuclex.core.plain import difference, from_json, plain
from nuclex.core.progress import say


@contextlib.contextmanager
def opened(
    out: Path, verb: str, options: dict[str, Any], *, resume: bool, growing: str | None = None
) -> Iterator[None]:
    """Mark ``out`` as the folder of ``verb`` begun with ``options``; what was new goes again if the block fails.

    ``growing`` names a table of the options that may have more keys when the folder is taken up again. InputError
    where something else is there, or the same without ``resume``, or begun with other options.
    """
    with disk_errors(out), folder_around(out):
        before, mark = out.exists(), out / f"{verb}.json"
        begun = _begun(out, mark, verb, resume)
        if begun is not None:
            _refuse_other(out, begun, options, growing)
        if begun != options:
            with atomic_file(mark) as temporary:
                write_json(temporary, options)
        try:
            yield
        except NuclexError:
            if not before:
                shutil.rmtree(out)
            elif begun is None:
                mark.unlink()
            elif begun != options:
                with atomic_file(mark) as temporary:
                    write_json(temporary, begun)
            raise


def kept(path: Path, about: dict[str, Any], make: Callable[[], dict[str, Any]]) -> dict[str, Any]:
    """What ``make`` gives, kept in ``path`` and read from there as long as it is about the same.

    ``about`` names all that the value depends on (digests, settings). CorruptError where the file is not readable.
    """
    if path.is_file():
        try:
            found: dict[str, Any] = from_json(path.read_bytes())
            if found["about"] == plain(about):
                return found
        except (ValueError, TypeError, KeyError):
            raise CorruptError(f"{path}: is not readable JSON of nuclex; remove it, and it is made again") from None
        say(f"{path}: is about something else by now; it is made again")
    made = plain({"about": about, **make()})
    path.parent.mkdir(parents=True, exist_ok=True)
    with atomic_file(path) as temporary:
        write_json(temporary, made)
    return dict(made)


def _begun(out: Path, mark: Path, verb: str, resume: bool) -> dict[str, Any] | None:
    """The options that the folder was begun with; None where it is new."""
    if not out.exists() or (out.is_dir() and not any(out.iterdir())):
        return None
    if not mark.is_file():
        raise InputError(f"{out}: exists and is not a {verb}'s folder; give another --out")
    if not resume:
        raise InputError(f"{out}: holds a {verb} already; give another --out, or --resume to go on with it")
    try:
        begun: dict[str, Any] = from_json(mark.read_bytes())
    except ValueError:
        raise CorruptError(f"{mark}: is not readable JSON; it was edited or damaged") from None
    return begun


def _refuse_other(out: Path, begun: dict[str, Any], options: dict[str, Any], growing: str | None) -> None:
    known = options
    if growing is not None and isinstance(begun.get(growing), dict):
        same = {name: value for name, value in options[growing].items() if name in begun[growing]}
        known = {**options, growing: same}
    if begun != known:
        raise InputError(f"{out}: was begun with other options ({difference(begun, known)}); resume it with the same")
