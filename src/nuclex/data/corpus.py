"""From FASTA files to a corpus: cleaned, deduplicated, clustered, split without leakage, stored for random access."""

from __future__ import annotations

import os
import shutil
import stat
import sys
import tempfile
from array import array
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydantic import Field, field_validator

from nuclex.core.artifact import atomic_folder, sha256_file, write_json
from nuclex.core.config import Config
from nuclex.core.errors import InputError
from nuclex.core.progress import Bar, bar, say
from nuclex.core.provenance import provenance
from nuclex.data.curate import AlphabetName, Curator, FilterConfig, Kept
from nuclex.data.homology import ClusterConfig, Clustering, cluster, find_mmseqs, numbered
from nuclex.data.read import STDIN, open_raw, read_sequences, source_name
from nuclex.data.split import SplitConfig, assign_splits, divided_groups, family_groups, family_of, split_counts
from nuclex.data.store import CORPUS, FORMAT, Corpus, Stage, staged_sequences, store_files, write_store

_QUANTILES = (0.05, 0.25, 0.5, 0.75, 0.95)
_NOTE_EVERY = 10_000


class CorpusConfig(Config):
    """Everything that decides what a corpus holds, besides the files it is made of."""

    alphabet: AlphabetName = Field(default="dna", description="write T (dna) or U (rna) in every sequence")
    genetic_code: int = Field(default=1, ge=1, description="NCBI number of the genetic code of coding sequences")
    seed: int = Field(default=0, ge=0, description="decides which clusters are for validation and test")
    filter: FilterConfig = FilterConfig()
    cluster: ClusterConfig = ClusterConfig()
    split: SplitConfig = SplitConfig()

    @field_validator("genetic_code")
    @classmethod
    def _known_code(cls, table: int) -> int:
        from nuclex.bio.genetic_code import GeneticCode

        try:
            GeneticCode.ncbi(table)
        except InputError as error:
            raise ValueError(str(error)) from None
        return table


@dataclass
class _Source:
    """One input file, and what of it was kept."""

    name: str
    path: str
    sha256: str
    bytes: int
    sequences_in: int = 0
    repeated_ids: int = 0
    simulated: int = 0
    lengths: array[int] = field(default_factory=lambda: array("q"))
    letters: NDArray[np.int64] = field(default_factory=lambda: np.zeros(256, dtype=np.int64))

    def record(self) -> dict[str, Any]:
        return {
            "name": self.name,
            "path": self.path,
            "sha256": self.sha256,
            "bytes": self.bytes,
            "sequences_in": self.sequences_in,
            "sequences_out": len(self.lengths),
            "nucleotides_out": int(sum(self.lengths)),
            "repeated_ids": self.repeated_ids,
            "simulated": self.simulated,
            "lengths": _length_summary(np.array(self.lengths, dtype=np.int64)),
            "composition": _composition(self.letters),
        }


@dataclass
class _Gathered:
    """What is known of the kept sequences, in order, without the sequences themselves."""

    sources: list[_Source] = field(default_factory=list)
    keys: array[int] = field(default_factory=lambda: array("Q"))
    families: list[str | None] = field(default_factory=list)

    def keys_N(self) -> NDArray[np.uint64]:
        return np.array(self.keys, dtype=np.uint64)

    def lengths_N(self) -> NDArray[np.int64]:
        return np.concatenate([np.array(source.lengths, dtype=np.int64) for source in self.sources])


def build_corpus(inputs: Sequence[str | Path], out: str | Path, config: CorpusConfig | None = None) -> dict[str, Any]:
    """Make a corpus folder from FASTA files (``-`` is stdin) and return its manifest, ``corpus.json``.

    The folder appears whole or not at all. Raises InputError where a file is no FASTA of nucleotides, nothing passes
    the filters or ``out`` exists; OutsideError where MMseqs2 fails; DiskError where the disk is full.
    """
    config = CorpusConfig() if config is None else config
    named = _named(inputs)
    if config.cluster.method == "mmseqs":
        find_mmseqs()  # before anything is read
    with (
        atomic_folder(out) as folder,
        tempfile.TemporaryDirectory(prefix=".tmp-corpus-", dir=folder.parent) as scratch,
    ):
        work = Path(scratch)
        curator = Curator(config.filter, config.alphabet)
        gathered = _gather(named, config, curator, work)
        filters = curator.filters()
        if not gathered.keys:
            raise InputError(_nothing_left(filters))
        say(f"clustering {len(gathered.keys)} sequences ({config.cluster.method})")
        clustering = _clustered(gathered, config, work)
        codes_N, split = _split(gathered, clustering, config)
        fingerprint = write_store(work / "stage.arrow", folder, clustering.labels_N, codes_N)
        manifest = {
            **FORMAT,
            **_summary(gathered, filters, config),
            "cluster": clustering.record,
            "split": split,
            "files": store_files(folder),
            "fingerprint": fingerprint,
            "config": config.to_data(),
            "provenance": provenance(seed=config.seed),
        }
        write_json(folder / CORPUS, manifest)
    return manifest


def corpus_info(corpus: str | Path) -> dict[str, Any]:
    """The manifest of a corpus, after every file of it was checked against its sha256."""
    return {"path": str(corpus), **Corpus.open(corpus).manifest}


def _named(inputs: Sequence[str | Path]) -> list[tuple[str, str]]:
    """Each input with the name that its sequences carry: as much of the path as tells it from the others."""
    paths = [str(path) for path in inputs]
    if not paths:
        raise InputError("input: none given; give at least one FASTA file, or - for stdin")
    resolved = [path if path == STDIN else str(Path(path).resolve()) for path in paths]
    for place, path in enumerate(resolved):
        if path in resolved[:place]:
            raise InputError(f"{paths[place]}: is given twice; each input is read once")
    return list(zip(paths, _distinct(paths, resolved), strict=True))


def _distinct(paths: list[str], resolved: list[str]) -> list[str]:
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


def _gather(named: list[tuple[str, str]], config: CorpusConfig, curator: Curator, work: Path) -> _Gathered:
    """Read and curate every input into ``stage.arrow``."""
    gathered = _Gathered()
    stage = Stage(work / "stage.arrow")
    try:
        with bar("reading", len(named)) as progress:
            for path, name in named:
                with _regular(path, work) as readable:
                    source = _Source(name, path, sha256_file(readable), readable.stat().st_size)
                    gathered.sources.append(source)
                    _read_source(source, readable, config, curator, (gathered, stage, progress))
                progress.advance(1, f"{name}: {len(source.lengths)} of {source.sequences_in} sequences kept")
    finally:
        stage.close()
    return gathered


def _read_source(
    source: _Source, readable: Path, config: CorpusConfig, curator: Curator, sinks: tuple[_Gathered, Stage, Bar]
) -> None:
    gathered, stage, progress = sinks
    label = "stdin" if source.path == STDIN else source.path
    for kept in curator.curate(_counted(source, readable, label), label):
        family = family_of(kept.record, config.split, label)
        stage.add(kept.record.id, kept.sequence, source.name, family)
        gathered.families.append(family)
        gathered.keys.append(int.from_bytes(kept.key[:8], "little"))
        source.simulated += "simulated" in kept.record.description.split()
        _count_kept(source, kept)
        if len(source.lengths) % _NOTE_EVERY == 0:
            progress.advance(0, f"{source.name}: {len(source.lengths)} sequences kept")


def _counted(source: _Source, readable: Path, label: str) -> Iterator[Any]:
    """The records of a source; counts them and the ids that came before in it."""
    seen: set[int] = set()  # hashes: 64 bits tell ids apart well enough to count them
    for record in read_sequences(readable, source=source.name, label=label):
        source.sequences_in += 1
        source.repeated_ids += hash(record.id) in seen
        seen.add(hash(record.id))
        yield record


def _count_kept(source: _Source, kept: Kept) -> None:
    source.lengths.append(len(kept.sequence))
    source.letters += np.bincount(np.frombuffer(kept.sequence, dtype=np.uint8), minlength=256)


@contextmanager
def _regular(path: str, work: Path) -> Iterator[Path]:
    """A file that can be read twice (once for its sha256): stdin and pipes are copied into one."""
    copy = work / "input"
    if path == STDIN:
        with open(copy, "wb") as out:
            shutil.copyfileobj(sys.stdin.buffer, out)
    else:
        with open_raw(path, path) as raw:
            if stat.S_ISREG(os.fstat(raw.fileno()).st_mode):
                yield Path(path)
                return
            with open(copy, "wb") as out:
                shutil.copyfileobj(raw, out)
    yield copy
    copy.unlink()


def _clustered(gathered: _Gathered, config: CorpusConfig, work: Path) -> Clustering:
    """Cluster in the order of the keys, so that clusters do not depend on the order of files and records."""
    order_N = np.argsort(gathered.keys_N(), kind="stable")
    labels_N, groups_N, record = cluster(staged_sequences(work / "stage.arrow", order_N), config.cluster, work)
    rank_N = np.argsort(order_N)
    return Clustering(numbered(labels_N[rank_N]), numbered(groups_N[rank_N]), record)


def _split(
    gathered: _Gathered, clustering: Clustering, config: CorpusConfig
) -> tuple[NDArray[np.int8], dict[str, Any]]:
    """The split of each sequence, and its record: counts, and what is found on both sides of a border."""
    keys_N = gathered.keys_N()
    same_N = np.unique(keys_N, return_inverse=True)[1].astype(np.int64)  # exact duplicates are never divided at random
    groups_N, group_keys_N = {"cluster": clustering.groups_N, "random": same_N}.get(config.split.by), keys_N
    family_groups_N, family_keys_N = family_groups(gathered.families)
    if groups_N is None:
        groups_N, group_keys_N = family_groups_N, family_keys_N
    codes_N = assign_splits(groups_N, group_keys_N, config.split, config.seed)
    if divided_groups(groups_N, codes_N):
        raise AssertionError("a group was divided between splits")
    named_N = np.array([family is not None for family in gathered.families])
    record = {
        "by": config.split.by,
        "seed": config.seed,
        **split_counts(codes_N, gathered.lengths_N()),
        "divided_clusters": divided_groups(clustering.labels_N, codes_N),
        "divided_split_groups": divided_groups(clustering.groups_N, codes_N),
        "divided_families": divided_groups(family_groups_N[named_N], codes_N[named_N]),
        "divided_duplicates": divided_groups(same_N, codes_N),
    }
    return codes_N, record


def _summary(gathered: _Gathered, filters: list[dict[str, Any]], config: CorpusConfig) -> dict[str, Any]:
    letters = np.sum([source.letters for source in gathered.sources], axis=0)
    lengths_N = gathered.lengths_N()
    return {
        "alphabet": config.alphabet,
        "genetic_code": config.genetic_code,
        "seed": config.seed,
        "sequences_in": sum(source.sequences_in for source in gathered.sources),
        "sequences_out": len(lengths_N),
        "nucleotides_out": int(lengths_N.sum()),
        "filters": filters,
        "families": len({*gathered.families} - {None}),
        "simulated": any(source.simulated for source in gathered.sources),
        "lengths": _length_summary(lengths_N),
        "composition": _composition(letters),
        "sources": [source.record() for source in gathered.sources],
    }


def _length_summary(lengths_N: NDArray[np.int64]) -> dict[str, float] | None:
    if not len(lengths_N):
        return None
    values = np.quantile(lengths_N, _QUANTILES).tolist()
    quantiles = {f"q{round(100 * at):02d}": value for at, value in zip(_QUANTILES, values, strict=True)}
    return {"min": int(lengths_N.min()), **quantiles, "max": int(lengths_N.max()), "mean": float(lengths_N.mean())}


def _composition(letters: NDArray[np.int64]) -> dict[str, int]:
    return {chr(code): int(letters[code]) for code in np.flatnonzero(letters)}


def _nothing_left(filters: list[dict[str, Any]]) -> str:
    taken = ", ".join(f"{entry['name']} took {entry['removed']}" for entry in filters if entry["removed"])
    return (
        f"none of {filters[0]['in']} sequences passed the filters ({taken}); see filter.min_length and its neighbours"
    )
