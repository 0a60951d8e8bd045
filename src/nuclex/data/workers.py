"""The input files of a corpus read by the workers of a Ray cluster, one task a file, for the same corpus to the byte.

A task reads, cuts, cleans and stages its file with the functions that one machine uses, into a folder below the
corpus's, which all machines must see. What a lost worker had done is forgotten and its file is read by another one.
The stages are then joined in the order of the inputs, so that nothing tells how many workers there were. What comes
after (duplicates, splits, the store) runs on the machine that asked, in bounded memory.
Ray: Moritz et al. 2018, doi:10.48550/arXiv.1712.05889.
"""

from __future__ import annotations

import os
import platform
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from nuclex.core.errors import InputError, OutsideError
from nuclex.core.progress import bar, quiet
from nuclex.data.gather import Gathered, Names, Source, gather_files, name_inputs
from nuclex.data.read import STDIN
from nuclex.data.stage import Stage, staged_in

if TYPE_CHECKING:
    from nuclex.data.corpus import CorpusConfig

ENGINES = ("here", "ray")
_COUNTS = frozenset(
    ("in", "out", "removed", "nucleotides_in", "nucleotides_out", "gap_letters", "end_letters", "found", "shifted")
)
"""Fields of filters' entries that are counts; all others are settings, or counts by name."""
_TRIES = 3
"""How often a file is read again whose worker was lost."""


class Part(NamedTuple):
    """One input file as its worker staged it in ``folder``, and what was counted on the way."""

    folder: str
    source: Source
    families: list[str]
    kinds: list[str]
    contigs: dict[str, int]
    other_contigs: list[str]
    filters: list[dict[str, Any]]


def find_engine(engine: str, inputs: Sequence[str | Path]) -> None:
    """Refuse, before anything is read, an engine that is unknown or not installed, or that cannot read the inputs."""
    if engine not in ENGINES:
        raise InputError(f"engine: found {engine!r}, allowed: {', '.join(ENGINES)}")
    if engine == "ray":
        _ray()
        if STDIN in map(str, inputs):
            raise InputError("engine: 'ray' has workers that cannot read - (standard input); give a file")


def gather_on_ray(inputs: Sequence[str | Path], config: CorpusConfig, work: Path) -> Gathered:
    """``gather``, by the workers of the Ray cluster of ``RAY_ADDRESS``, or of one that is started on this machine.

    Raises what ``gather`` raises for the first file that is refused; OutsideError where a file's workers were lost
    again and again, or where a worker does not see the folder ``work``.
    """
    gathered = Gathered(Stage(work))
    try:
        named = name_inputs(inputs)
        files = [(str(Path(path).resolve()), path, name) for path, name in named]
        with bar("reading", len(files)) as progress:
            for part in _parts(files, config, work):
                join(gathered, part)
                progress.advance(1, f"{part.source.name}: {part.source.sequences_in} sequences read")
    finally:
        gathered.stage.close()
    return gathered


def read_part(file: tuple[str, str, str], config: CorpusConfig, work: str) -> Part:
    """Stage one file (where it is, what messages call it, the name of its source) in a new folder below ``work``."""
    if not Path(work).is_dir():
        raise OutsideError(
            f"{work}: the Ray worker on {platform.node()} does not see this folder; the corpus must be made on "
            "storage that all machines share"
        )
    folder = Path(tempfile.mkdtemp(prefix="part-", dir=work))
    with quiet():
        found = gather_files([file], config, folder)
    names = found.families.listed(), found.kinds.listed()
    return Part(str(folder), found.sources[0], *names, found.contigs, found.other_contigs, found.filters)


def join(gathered: Gathered, part: Part) -> None:
    """Add a part behind those before it, numbered as if one reader had read all; its folder is emptied."""
    number = len(gathered.sources)
    gathered.sources.append(part.source)
    families = _numbers(gathered.families, part.families)
    kinds = _numbers(gathered.kinds, part.kinds)
    folder = Path(part.folder)
    for staged in staged_in(folder):
        rows_N = staged.rows_N
        rows_N["source"], rows_N["family"], rows_N["kind"] = number, families[rows_N["family"]], kinds[rows_N["kind"]]
        gathered.stage.add(staged)
    for path in folder.iterdir():
        path.unlink()
    gathered.contigs.update(part.contigs)
    for name in part.other_contigs:
        gathered.show_contig(name)
    filters = gathered.filters or [_nothing(entry) for entry in part.filters]
    gathered.filters = [_added(one, other) for one, other in zip(filters, part.filters, strict=True)]


def _numbers(names: Names, listed: list[str]) -> np.ndarray[Any, np.dtype[np.int32]]:
    """The number that each of a part's names has in the whole; the last item is for -1, nothing."""
    return np.array([*map(names.number, listed), -1], dtype=np.int32)


def _nothing(entry: dict[str, Any]) -> dict[str, Any]:
    """A filter's entry before it has seen anything."""
    return {key: 0 if key in _COUNTS else {} if key == "remarks" else value for key, value in entry.items()}


def _added(one: dict[str, Any], other: dict[str, Any]) -> dict[str, Any]:
    """The entry of a filter over two parts."""
    both: dict[str, Any] = {}
    for key, value in one.items():
        if key in _COUNTS:
            both[key] = value + other[key]
        elif key == "remarks":
            both[key] = {name: value.get(name, 0) + other[key].get(name, 0) for name in {**value, **other[key]}}
        else:
            assert value == other[key], f"{one['name']}.{key} is a setting, yet it differs between files"
            both[key] = value
    return both


def _parts(files: list[tuple[str, str, str]], config: CorpusConfig, work: Path) -> Iterator[Part]:
    """The files' parts in their order, as they become ready."""
    ray = _ray()
    with _cluster(ray):
        task = ray.remote(max_retries=_TRIES)(read_part)
        waiting = [task.remote(file, config, str(work.resolve())) for file in files]
        try:
            for (_, path, _), reference in zip(files, list(waiting), strict=True):
                try:
                    part: Part = ray.get(reference)
                except ray.exceptions.RayTaskError as error:
                    raise error.cause from None
                except ray.exceptions.RayError as error:
                    raise OutsideError(f"{path}: Ray lost the workers that read it ({type(error).__name__})") from None
                waiting.remove(reference)
                yield part
        finally:
            for reference in waiting:
                ray.cancel(reference, force=True)


@contextmanager
def _cluster(ray: Any) -> Iterator[None]:
    """The cluster that this process is connected to, else that of ``RAY_ADDRESS``, else one for these tasks alone."""
    if ray.is_initialized():
        yield
        return
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")  # nothing is reported to anybody unless a person asks
    ray.init(address=os.environ.get("RAY_ADDRESS", "local"), log_to_driver=False, logging_level="error")
    try:
        yield
    finally:
        ray.shutdown()


def _ray() -> Any:
    try:
        import ray
        import ray.exceptions
    except ImportError:
        raise InputError(
            "engine: 'ray' needs the package 'ray', which is not installed; pip install 'nuclex[ray]', or leave "
            "--engine out to build on this machine alone"
        ) from None
    return ray
