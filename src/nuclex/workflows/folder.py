"""The folder of a workflow: marked with what it was begun with, and taken up again only with the same."""

from __future__ import annotations

import contextlib
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from nuclex.core.artifact import atomic_file, disk_errors, folder_around, write_json
from nuclex.core.errors import CorruptError, InputError, NuclexError
from nuclex.core.plain import difference, from_json


@contextlib.contextmanager
def opened(out: Path, verb: str, options: dict[str, Any], *, resume: bool) -> Iterator[None]:
    """Mark ``out`` as the folder of ``verb`` begun with ``options``; a new folder goes again if the block fails.

    InputError where something else is there, or the same without ``resume``, or begun with other options.
    """
    with disk_errors(out), folder_around(out):
        new = not out.exists()
        _open(out, verb, options, resume)
        try:
            yield
        except NuclexError:
            if new:
                shutil.rmtree(out)
            raise


def _open(out: Path, verb: str, options: dict[str, Any], resume: bool) -> None:
    mark = out / f"{verb}.json"
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        if not mark.is_file():
            raise InputError(f"{out}: exists and is not a {verb}'s folder; give another --out")
        if not resume:
            raise InputError(f"{out}: holds a {verb} already; give another --out, or --resume to go on with it")
        try:
            begun = from_json(mark.read_bytes())
        except ValueError:
            raise CorruptError(f"{mark}: is not readable JSON; it was edited or damaged") from None
        if begun != options:
            raise InputError(
                f"{out}: was begun with other options ({difference(begun, options)}); resume it with the same"
            )
        return
    with atomic_file(mark) as temporary:
        write_json(temporary, options)
