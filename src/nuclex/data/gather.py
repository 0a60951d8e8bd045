"""Read the input files of a corpus, clean what is in them, and put it on disk for the steps that need to see it all."""

from __future__ import annotations

import os
import re
import shutil
import stat
import sys
from array import array
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from itertools import chain, compress
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from nuclex.core.artifact import sha256_file
from nuclex.core.errors import InputError
from nuclex.core.progress import Bar, bar
from nuclex.data.coding import CodingReader
from nuclex.data.curate import Curator, count_lower, mask_lower
from nuclex.data.partition import BLOCK_ROWS, distinct
from nuclex.data.read import STDIN, open_raw, read_batches, source_name
from nuclex.data.record import Batch, batches_of
from nuclex.data.repertoire import Repertoire
from nuclex.data.segment import Segmenter, contig_of
from nuclex.data.split import family_of, name_keys
from nuclex.data.stage import Stage, Staged, rows_of

if TYPE_CHECKING:
    from nuclex.data.catalog import Dataset
    from nuclex.data.corpus import CorpusConfig

_NOTE_EVERY = 10_000
_SHOWN = 10


@dataclass
class Source:
    """One input file, and what was found in it."""

    name: str
    path: str
    sha256: str
    bytes: int
    sequences_in: int = 0
    nucleotides_in: int = 0
    repeated_ids: int = 0
    lower_case: int = 0
    unit: dict[str, Any] | None = None
    """What a file of the Observed Antibody Space says about itself."""
    dataset: Dataset | None = None
    """The data set of the catalogue that the file is, letter by letter."""


class Names:
    """Numbers names in the order in which they come; nothing has the number -1."""

    def __init__(self) -> None:
        self.numbers: dict[str, int] = {}

    def number(self, name: str | None) -> int:
        """The number of a name."""
        return -1 if name is None else self.numbers.setdefault(name, len(self.numbers))

    def listed(self) -> list[str]:
        """The names, by number."""
        return list(self.numbers)


@dataclass
class Gathered:
    """The staged sequences of all input files, and what was counted on the way."""

    stage: Stage
    sources: list[Source] = field(default_factory=list)
    families: Names = field(default_factory=Names)
    kinds: Names = field(default_factory=Names)
    contigs: dict[str, int] = field(default_factory=dict)
    """The hashes of those contigs that the split names."""
    other_contigs: list[str] = field(default_factory=list)
    """The first few contigs that it does not name, for messages."""
    filters: list[dict[str, Any]] = field(default_factory=list)

    def show_contig(self, name: str) -> None:
        """Take one that the split does not name, for messages."""
        if len(self.other_contigs) < _SHOWN and name not in self.other_contigs:
            self.other_contigs.append(name)


def gather(inputs: Sequence[str | Path], config: CorpusConfig, work: Path) -> Gathered:
    """Read, cut, clean and stage every input; InputError where one is no file of nucleotides."""
    return gather_files([(path, path, name) for path, name in name_inputs(inputs)], config, work)


def gather_files(files: Sequence[tuple[str, str, str]], config: CorpusConfig, work: Path) -> Gathered:
    """The same for files that are given by where they are, what messages call them and the name of their source."""
    from nuclex.data.catalog import recognised

    reader = _Reader(config, work)
    try:
        with bar("reading", len(files)) as progress:
            for place, path, name in files:
                with regular_file(place, work, path) as readable:
                    source = Source(name, path, sha256_file(readable), readable.stat().st_size)
                    source.dataset = recognised(source.sha256)
                    reader.read(source, readable, progress)
                kept = f"{reader.kept} pieces" if reader.segmented else f"{reader.kept}"
                progress.advance(1, f"{name}: {kept} of {source.sequences_in} sequences passed the filters")
    finally:
        reader.gathered.stage.close()
    return reader.finished()


class _Reader:
    """Takes one file after the other through segmentation and the filters."""

    def __init__(self, config: CorpusConfig, work: Path) -> None:
        self.config, self.work = config, work
        self.segmented = config.segment.method != "none"
        self.gathered = Gathered(Stage(work))
        self.kept = 0
        coding = None if config.coding.frame == "none" else CodingReader(config.coding, config.genetic_code)
        self._curator = Curator(config.filter, config.alphabet, coding)
        self._segmenter = Segmenter(config.segment, config.seed)
        self._repertoire = None if config.repertoire.take == "none" else Repertoire(config.repertoire)
        self._kind, self._family = re.compile(config.type_pattern), re.compile(config.split.family_pattern)
        self._named = {*config.split.validation_contigs, *config.split.test_contigs}
        self._last = ("", int(name_keys([""])[0]))

    def read(self, source: Source, readable: Path, progress: Bar) -> None:
        gathered, number = self.gathered, len(self.gathered.sources)
        gathered.sources.append(source)
        label, self.kept, told = ("stdin" if source.path == STDIN else source.path), 0, 0
        batches = self._counted(source, readable, label)
        if self.segmented:
            records = chain.from_iterable(batch.records(source.name) for batch in batches)
            batches = batches_of(self._segmenter.cut(records))
        for batch, keys in self._curator.curate_batches(batches, label):
            gathered.stage.add(self._staged(batch, keys, number, label))
            self.kept += len(keys)
            if self.kept - told >= _NOTE_EVERY:
                told = self.kept
                progress.advance(0, f"{source.name}: {self.kept} sequences kept")

    def finished(self) -> Gathered:
        self.gathered.filters = self._curator.filters()
        if self.segmented:
            self.gathered.filters.insert(0, self._segmenter.record())
        if self._repertoire is not None:
            self.gathered.filters[:0] = self._repertoire.filters()
        return self.gathered

    def _counted(self, source: Source, readable: Path, label: str) -> Iterator[Batch]:
        """The sequences of a source; counts them, and the ids that came before in it."""
        ids = _IdCounter(self.work / "ids")
        masked = self.config.filter.soft_mask == "n"
        for batch in self._batches(source, readable, label):
            lower = count_lower(batch.letters)
            source.sequences_in += len(batch.headers)
            source.nucleotides_in += len(batch.letters)
            source.lower_case += lower
            ids.extend(map(hash, batch.names()[0]))
            yield replace(batch, letters=mask_lower(batch.letters)) if lower and masked else batch
        source.repeated_ids = ids.repeated()
        if self._repertoire is not None:  # what was left out counts as read
            source.sequences_in, source.nucleotides_in = self._repertoire.seen
            source.unit = self._repertoire.unit

    def _batches(self, source: Source, readable: Path, label: str) -> Iterator[Batch]:
        if self._repertoire is None:
            return read_batches(readable, label=label, config=self.config.read)
        return batches_of(self._repertoire.records(readable, source.name, label))

    def _staged(self, batch: Batch, keys: list[bytes], number: int, label: str) -> Staged:
        """What is known of the sequences of a batch that have these keys; ``number`` is that of the source."""
        gathered, split, (ids, texts) = self.gathered, self.config.split, batch.names()
        families = _groups(self._family, texts)
        if split.by == "family" and None in families:
            for record in compress(batch.records(""), [family is None for family in families]):
                family_of(record, split, label)  # which refuses it
        kinds, source = _groups(self._kind, texts), gathered.sources[number]
        if source.dataset is not None and source.dataset.rna is not None:
            kinds = [kind or source.dataset.rna for kind in kinds]
        rows_N = rows_of(keys, batch.lengths)
        rows_N["source"] = number
        rows_N["family"] = list(map(gathered.families.number, families))
        rows_N["kind"] = list(map(gathered.kinds.number, kinds))
        if any("simulated" in text for text in texts):
            rows_N["simulated"] = ["simulated" in text.split() for text in texts]
        if split.by == "contig":
            rows_N["contig"] = list(map(self._contig, ids))
        return Staged(ids, batch.letters, [source.name] * len(ids), families, rows_N)

    def _contig(self, name: str) -> int:
        """The hash of the contig of a piece (or of a whole sequence): of its name alone, whatever the file.

        Two files with a chromosome I may be two builds of one genome, which a split must not divide.
        """
        name = contig_of(name) if self.segmented else name
        if self._last[0] != name:
            found = int(name_keys([name])[0])
            self._last = (name, found)
            if name in self._named:
                self.gathered.contigs[name] = found
            else:
                self.gathered.show_contig(name)
        return self._last[1]


def _groups(pattern: re.Pattern[str], texts: list[str]) -> list[str | None]:
    """What the one group of a pattern finds in each text, or None."""
    found = list(map(pattern.search, texts))
    return [one and one.group(1) for one in found] if any(found) else [None] * len(texts)


class _IdCounter:
    """Counts ids that came before, by their hashes on disk: 64 bits tell ids apart well enough to count them."""

    def __init__(self, path: Path) -> None:
        self.path, self.total = path, 0
        self._held = array("q")
        path.unlink(missing_ok=True)

    def extend(self, numbers: Iterable[int]) -> None:
        self._held.extend(numbers)
        if len(self._held) >= BLOCK_ROWS:
            self._flush()

    def repeated(self) -> int:
        self._flush()
        different = distinct(self._blocks(), self.total, self.path.with_suffix(".dealt"))
        shutil.rmtree(self.path.with_suffix(".dealt"), ignore_errors=True)
        self.path.unlink()
        return self.total - different

    def _flush(self) -> None:
        with open(self.path, "ab") as file:
            file.write(self._held.tobytes())
        self.total += len(self._held)
        self._held = array("q")

    def _blocks(self) -> Iterator[NDArray[np.uint64]]:
        with open(self.path, "rb") as file:
            while content := file.read(8 * BLOCK_ROWS):
                yield np.frombuffer(content, dtype="<u8")


def name_inputs(inputs: Sequence[str | Path]) -> list[tuple[str, str]]:
    """Each input with the name that its sequences carry: as much of the path as tells it from the others."""
    paths = [str(path) for path in inputs]
    if not paths:
        raise InputError("input: none given; give at least one FASTA file, or - for stdin")
    resolved = [path if path == STDIN else str(Path(path).resolve()) for path in paths]
    for place, path in enumerate(resolved):
        if path in resolved[:place]:
            raise InputError(f"{paths[place]}: is given twice; each input is read once")
    return list(zip(paths, _distinct_names(paths, resolved), strict=True))


def _distinct_names(paths: list[str], resolved: list[str]) -> list[str]:
    """A name for each path: without suffixes; where that is not unique, the file name; then with the folders above."""
    longer = [[source_name(path), *_tails(full)] for path, full in zip(paths, resolved, strict=True)]
    names = [candidates[0] for candidates in longer]
    while len(set(names)) < len(names):
        shared = {name for name in names if names.count(name) > 1}
        for place in [place for place, name in enumerate(names) if name in shared]:
            longer[place] = longer[place][1:] or longer[place]
            names[place] = longer[place][0]
    return names


def _tails(path: str) -> list[str]:
    parts = Path(os.fsencode(path).decode("utf-8", "backslashreplace")).parts
    return ["/".join(parts[-count:]) for count in range(1, len(parts) + 1)]


@contextmanager
def regular_file(path: str, work: Path, label: str = "") -> Iterator[Path]:
    """A file that can be read twice (once for its sha256): stdin and pipes are copied into one.

    ``label`` is what messages call it, its path where there is none.
    """
    copy = work / "input"
    if path == STDIN:
        with open(copy, "wb") as out:
            shutil.copyfileobj(sys.stdin.buffer, out)
    else:
        with open_raw(path, label or path) as raw:
            if stat.S_ISREG(os.fstat(raw.fileno()).st_mode):
                yield Path(path)
                return
            with open(copy, "wb") as out:
                shutil.copyfileobj(raw, out)
    yield copy
    copy.unlink()
