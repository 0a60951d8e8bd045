"""Long work in parts: what is finished outlives a kill, and is not computed again when the work goes on.

Beside ``vectors.parquet`` lies ``vectors.parquet.parts`` while it is made: ``begun.json`` says with which model and
settings, and each part, a folder with sha256 sums, from which sequences. Where the work was broken off, the folder
stays if it holds a finished part, and the same command with ``--resume`` goes on; it is refused where model, settings
or the sequences of a finished part are not what they were. A damaged part is computed again. The result is put together
when all parts are there, and is bit for bit that of work never broken off.
"""

from __future__ import annotations

import contextlib
import hashlib
import shutil
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import torch
from numpy.typing import NDArray

from nuclex.bundle import Bundle
from nuclex.bundle.fingerprint import parameter_hash
from nuclex.core.artifact import (
    TEMPORARY,
    atomic_file,
    atomic_folder,
    clear_leftovers,
    disk_errors,
    folder_around,
    verify_folder,
    write_json,
)
from nuclex.core.errors import CorruptError, InputError
from nuclex.core.lock import LOCK, owned
from nuclex.core.plain import difference, from_json
from nuclex.core.progress import bar, say
from nuclex.tokenizers import tokenizer_hash
from nuclex.training.environment import drift, environment

BEGUN, PART, SUFFIX = "begun.json", "part.json", ".parts"
TITLES = {"embed": "embedding", "score": "scoring"}
"""What a verb's bar is called."""
Item = TypeVar("Item")


@dataclass(frozen=True)
class Part:
    """What came of some sequences: texts and numbers by name, one entry a sequence or whatever else a name means."""

    texts: dict[str, list[str]]
    arrays: dict[str, NDArray[Any]]


class Parts:
    """The finished parts of one piece of work, in order; ``len`` is how many this process knows of."""

    def __init__(self, folder: Path, title: str = "items") -> None:
        self.title = title
        self.folder, self._count = folder, 0

    def __len__(self) -> int:
        return self._count

    def __iter__(self) -> Iterator[Part]:
        """Each part; its numbers are read from the disk as they are used."""
        for number in range(self._count):
            path = self._path(number)
            yield Part(_read(path)[1], {file.stem: np.load(file, mmap_mode="r") for file in path.glob("*.npy")})

    def fill(
        self,
        chunks: Iterable[list[Item]],
        made_of: Callable[[list[Item]], str],
        make: Callable[[list[Item]], Part],
        total: int = 0,
    ) -> None:
        """Make every part that is not there yet, and see to it that there are no others.

        ``made_of`` is the digest of what a part is made of; ``total``, how many items there are, is for the bar.
        """
        with bar(self.title, total) as progress:
            for chunk in chunks:
                found = made_of(chunk)
                if not self.finished(found):
                    self.add(found, make(chunk))
                progress.advance(len(chunk))
        if self._path(self._count).exists():
            raise InputError(
                f"{self.folder}: holds more parts than the input that is there now gives; remove it to begin again"
            )

    def finished(self, made_of: str) -> bool:
        """Whether the next part is there, and whole; then it is counted, and the one behind it is next.

        ``made_of`` is the digest of what it is made of. InputError where it was made of something else.
        """
        path = self._path(self._count)
        if not path.is_dir():
            return False
        try:
            verify_folder(path)
            found, _ = _read(path)
        except CorruptError as error:
            say(f"a damaged part is made again: {error}")
            return False
        if found != made_of:
            raise InputError(f"{path}: was made of other input than is there now; remove {self.folder} to begin again")
        self._count += 1
        return True

    def add(self, made_of: str, part: Part) -> None:
        """Write the next part, whole or not at all."""
        with atomic_folder(self._path(self._count), replace=True) as folder:
            for name, values in part.arrays.items():
                np.save(folder / f"{name}.npy", values, allow_pickle=False)
            write_json(folder / PART, {"made of": made_of, "texts": part.texts})
        self._count += 1

    def _path(self, number: int) -> Path:
        return self.folder / f"part-{number:08d}"


@contextlib.contextmanager
def opened_parts(out: Path, bundle: Bundle, settings: dict[str, Any], *, resume: bool) -> Iterator[Parts]:
    """The parts of ``out``, which are one process's own and gone when the block ends well.

    InputError where another folder is in the way, or finished parts that are not to be resumed or were made otherwise.
    """
    work = out.with_name(out.name + SUFFIX)
    if out.is_dir():
        raise InputError(f"{out}: is a folder; the result is a file")
    with disk_errors(out), folder_around(out):
        _refuse_foreign(work)
        try:
            with owned(work):
                with _gone_if_empty(work):
                    _begin(work, bundle, settings, resume=resume)
                with _gone_if_empty(work, say_what_stays=True):
                    yield Parts(work, TITLES.get(settings.get("verb", ""), "items"))
                _empty(work)
        finally:
            with contextlib.suppress(OSError):  # not empty: there is something to go on from
                work.rmdir()


def chunked(items: Iterable[Item], most: int, cost: Callable[[Item], int], budget: int) -> Iterator[list[Item]]:
    """Runs of at most ``most`` items whose costs sum to at most ``budget``, as they come; a dearer one stands alone."""
    chunk: list[Item] = []
    total = 0
    for item in items:
        price = cost(item)
        if chunk and total + price > budget:
            yield chunk
            chunk, total = [], 0
        chunk.append(item)
        total += price
        if len(chunk) >= most:
            yield chunk
            chunk, total = [], 0
    if chunk:
        yield chunk


def digest(fields: Iterable[bytes]) -> str:
    """Hex sha256 of texts in a row, each with its length, so that no two rows share it."""
    summed = hashlib.sha256()
    for field in fields:
        summed.update(len(field).to_bytes(8, "little"))
        summed.update(field)
    return summed.hexdigest()


def _begin(work: Path, bundle: Bundle, settings: dict[str, Any], *, resume: bool) -> None:
    """Write ``begun.json``; where parts are finished, refuse to throw them away or to mix them with others."""
    path, finished = work / BEGUN, _finished(work)
    device = next(bundle.model.parameters()).device
    given = {"settings": settings, "model": _identity(bundle), "environment": environment(device)}
    clear_leftovers(work)
    if finished and not resume:
        raise InputError(
            f"{work}: holds finished parts ({finished}) of an unfinished result; go on with --resume, or remove it"
        )
    if finished:
        found = _begun(path)
        for key in ("settings", "model"):
            if found[key] != given[key]:
                raise InputError(
                    f"{path}: is not what is asked for now ({difference(found[key], given[key])}); go on with the same "
                    f"model and settings, or remove {work}"
                )
        say(f"{work}: going on from finished parts: {finished}")
        if changed := drift(found["environment"], given["environment"]):
            say(f"resuming with {changed}: not bit for bit the same")
        return
    with atomic_file(path) as temporary:
        write_json(temporary, given)


def _read(path: Path) -> tuple[str, dict[str, list[str]]]:
    """What a part was made of, and its texts."""
    try:
        found = from_json((path / PART).read_bytes())
        return str(found["made of"]), dict(found["texts"])
    except (OSError, ValueError, KeyError, TypeError):
        raise CorruptError(f"{path / PART}: is not a readable record of a part") from None


def _begun(path: Path) -> dict[str, Any]:
    try:
        found = from_json(path.read_bytes())
        return {key: dict(found[key]) for key in ("settings", "model", "environment")}
    except (OSError, ValueError, KeyError, TypeError):
        raise CorruptError(f"{path}: is missing or not readable; remove {path.parent} to begin again") from None


def _identity(bundle: Bundle) -> dict[str, Any]:
    """What two models must share to give the same numbers."""
    with torch.no_grad():
        parameters = parameter_hash(bundle.model.state_dict())
    tokenizer = bundle.tokenizer
    return {
        "parameters": parameters,
        "config": bundle.model.config.to_data(),
        "tokenizer": tokenizer_hash(tokenizer),
        "reading": tokenizer.config.to_data(),
    }


@contextlib.contextmanager
def _gone_if_empty(work: Path, *, say_what_stays: bool = False) -> Iterator[None]:
    """Empty the folder again where the block ends badly and no part is finished."""
    try:
        yield
    except BaseException:
        finished = _finished(work)
        if not finished:
            _empty(work)
        elif say_what_stays:
            say(f"{work}: finished parts that stay: {finished}; --resume goes on from them")
        raise


def _empty(work: Path) -> None:
    """Remove what is in the folder, the parts first: without ``begun.json`` nobody could tell whose they are."""
    for path in sorted(work.iterdir(), key=lambda path: path.name == BEGUN):
        if path.name != LOCK:
            shutil.rmtree(path) if path.is_dir() else path.unlink()


def _finished(work: Path) -> int:
    return len(list(work.glob("part-*")))


def _refuse_foreign(work: Path) -> None:
    """InputError for a file in the folder's place, and for a folder that holds something else than parts."""
    known = (BEGUN, LOCK)
    if work.is_dir():
        names = [path.name for path in work.iterdir()]
        strange = any(name not in known and not name.startswith(("part-", TEMPORARY)) for name in names)
    else:
        strange = work.exists()
    if strange:
        raise InputError(f"{work}: exists and is not what nuclex keeps unfinished work in; give another --out")
