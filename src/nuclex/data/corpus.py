"""From sequence files to a corpus: cleaned, deduplicated, clustered, split without leakage, stored for random access.

Memory does not grow with the letters, and with the number of sequences by one byte each, unless they are clustered:
what has passed the filters lies on disk (``stage``), equal sequences are found there by their hashes (``duplicates``),
and so are the groups that a split keeps together (``divide``). Clusters take some 100 bytes a sequence here, and what
MMseqs2 itself takes.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray
from pydantic import Field, field_validator, model_validator

from nuclex.core.artifact import atomic_folder, write_json
from nuclex.core.config import Config
from nuclex.core.errors import InputError
from nuclex.core.progress import say
from nuclex.core.provenance import provenance
from nuclex.core.randomness import key
from nuclex.data.coding import CodingConfig
from nuclex.data.curate import AlphabetName, FilterConfig
from nuclex.data.decontaminate import DecontaminateConfig, Excluded, exclude_similar, read_excluded
from nuclex.data.divide import divide, undivided
from nuclex.data.duplicates import divided_duplicates, first_occurrences
from nuclex.data.gather import Gathered, gather, name_inputs
from nuclex.data.homology import ClusterConfig, Clustering, cluster, find_mmseqs, numbered
from nuclex.data.partition import sorted_batches
from nuclex.data.read import ReadConfig
from nuclex.data.repertoire import RepertoireConfig
from nuclex.data.segment import SegmentConfig
from nuclex.data.split import SPLITS, SplitConfig, assign_splits, divided_groups, one_group, split_order
from nuclex.data.stage import Kept, Stage, kept_batches
from nuclex.data.store import CORPUS, FORMAT, SCHEMA, Corpus, StoreWriter, sequences_of, store_files
from nuclex.data.summary import Summary
from nuclex.data.tally import Tally
from nuclex.data.workers import find_engine, gather_on_ray

RNA_TYPE = (
    r"(?:\b(?:rna_)?type[=:]|\bgene_biotype:|^URS\w+ (?=\S+ from \d+ species)|^ENS\S+\|\d+\|(?=\w+\|$))([A-Za-z]\w*)"
)
"""Types as in Ensembl's headers (gene_biotype:miRNA), RNAcentral's (URS… tRNA from 15 species), GENCODE's
(ENST…|…|1657|lncRNA|) and type=…"""


class CorpusConfig(Config):
    """Everything that decides what a corpus holds, besides the files it is made of."""

    alphabet: AlphabetName = Field(default="dna", description="write T (dna) or U (rna) in every sequence")
    genetic_code: int = Field(default=1, ge=1, description="NCBI number of the genetic code of coding sequences")
    seed: int = Field(
        default=0, ge=0, description="decides which clusters are for validation and test, and where genomes are cut"
    )
    type_pattern: str = Field(
        default=RNA_TYPE, description="regular expression whose one group is the RNA type in a header, for the table"
    )
    shuffle: bool = Field(
        default=False, description="store the sequences in a random order instead of the order of the inputs"
    )
    read: ReadConfig = ReadConfig()
    repertoire: RepertoireConfig = RepertoireConfig()
    segment: SegmentConfig = SegmentConfig()
    filter: FilterConfig = FilterConfig()
    coding: CodingConfig = CodingConfig()
    decontaminate: DecontaminateConfig = DecontaminateConfig()
    cluster: ClusterConfig = ClusterConfig()
    split: SplitConfig = SplitConfig()

    @field_validator("type_pattern")
    @classmethod
    def _one_group(cls, pattern: str) -> str:
        return one_group(pattern)

    @field_validator("genetic_code")
    @classmethod
    def _known_code(cls, table: int) -> int:
        from nuclex.bio.genetic_code import GeneticCode

        try:
            GeneticCode.ncbi(table)
        except InputError as error:
            raise ValueError(str(error)) from None
        return table

    @model_validator(mode="after")
    def _pieces_have_no_frame(self) -> CorpusConfig:
        if self.coding.frame != "none" and self.segment.method != "none":
            raise ValueError(
                f"coding.frame = {self.coding.frame!r} needs whole sequences, found segment.method = "
                f"{self.segment.method!r}; pieces of any length have no frame"
            )
        return self

    @model_validator(mode="after")
    def _one_way_to_read(self) -> CorpusConfig:
        if self.repertoire.take != "none" and self.read != ReadConfig():
            raise ValueError(
                f"repertoire.take = {self.repertoire.take!r} reads AIRR tables and files of OAS by their own columns; "
                "nothing can be said in read"
            )
        return self


def build_corpus(
    inputs: Sequence[str | Path],
    out: str | Path,
    config: CorpusConfig | None = None,
    *,
    exclude: Sequence[str | Path] = (),
    engine: str = "here",
) -> dict[str, Any]:
    """Make a corpus folder from sequence files (``-`` is stdin) and return its manifest, ``corpus.json``.

    What equals, holds or is like a sequence of the files ``exclude`` is left out, as ``config.decontaminate`` says.
    With the ``engine`` "ray" the files are read by the workers of a Ray cluster; the corpus is the same to the byte.
    The folder appears whole or not at all. Raises InputError where a file holds no nucleotides, nothing passes the
    filters or ``out`` exists; OutsideError where MMseqs2 fails; DiskError where the disk is full.
    """
    config = CorpusConfig() if config is None else config
    name_inputs(inputs)
    find_engine(engine, inputs)
    _find_tools(config, bool(exclude))  # before anything is read
    with atomic_folder(out) as folder, _workplace(folder) as work:
        excluded = read_excluded(exclude, config.decontaminate, work) if exclude else None
        if excluded is not None:
            excluded.pieces = config.segment.method != "none"
        gathered = (gather_on_ray if engine == "ray" else gather)(inputs, config, work)
        keep_M, filters = _kept(gathered, excluded, config, work)
        kept = int(keep_M.sum())
        if not kept:
            raise InputError(_nothing_left(filters))
        clustering = _clustered(gathered, keep_M, config, work)
        rows = _Rows(gathered, undivided(keep_M), clustering)
        _split(rows, config, work)
        summary, fingerprint = _write(rows, config, folder, work)
        described = summary.record()
        manifest = {
            **FORMAT,
            **{"alphabet": config.alphabet, "genetic_code": config.genetic_code, "seed": config.seed},
            **{name: described.pop(name) for name in ("sequences_in", "sequences_out", "nucleotides_out")},
            "filters": filters,
            **described,
            **({"exclude": excluded.record()} if excluded is not None else {}),
            "cluster": {"method": "none", "clusters": kept} if clustering is None else clustering.record,
            "split": _split_record(rows, summary, config, work),
            "files": store_files(folder),
            "fingerprint": fingerprint,
            "config": config.to_data(),
            "provenance": provenance(seed=config.seed),
        }
        write_json(folder / CORPUS, manifest)
    return manifest


def corpus_info(corpus: str | Path) -> dict[str, Any]:
    """The manifest of a corpus, after every file of it was checked against its sha256."""
    return {"corpus": str(corpus), **Corpus.open(corpus).manifest}


class _Rows(NamedTuple):
    """M staged rows with their splits (-1: not kept), and the clusters of those kept (None: each is its own)."""

    gathered: Gathered
    codes_M: NDArray[np.int8]
    clustering: Clustering | None


def _find_tools(config: CorpusConfig, excluding: bool) -> None:
    identity = config.decontaminate.min_identity
    if config.cluster.method == "mmseqs":
        find_mmseqs()
    if excluding and identity < 1:
        find_mmseqs(
            f"decontaminate.min_identity: {identity:g}",
            "leave it at 1, which finds without it what is equal, contained or of the other strand",
        )


@contextmanager
def _workplace(folder: Path) -> Iterator[Path]:
    """A folder for temporary files inside the unfinished corpus; a killed build leaves both, for the next to remove."""
    work = folder / ".work"
    work.mkdir()
    try:
        yield work
    finally:
        shutil.rmtree(work)


def _kept(
    gathered: Gathered, excluded: Excluded | None, config: CorpusConfig, work: Path
) -> tuple[NDArray[np.bool_], list[dict[str, Any]]]:
    """Which staged rows stay after duplicates and excluded sequences went (M,), and all filters' entries."""
    keep_M = np.ones(gathered.stage.rows, dtype=bool)
    if config.filter.duplicates != "keep":
        keep_M = first_occurrences(gathered.stage, work / "keys")
    first = Tally("duplicates", policy=config.filter.duplicates)
    _count(gathered.stage, first, keep_M)
    filters = [*gathered.filters, first.record()]
    if excluded is not None:
        excluded.drop_exact(gathered.stage, keep_M)
        if config.decontaminate.min_identity < 1:
            exclude_similar(excluded, gathered.stage, keep_M, config.cluster.threads)
        tally = Tally("exclude", **excluded.counts())
        _count(gathered.stage, tally, keep_M)
        tally.sequences_in, tally.nucleotides_in = first.sequences_out, first.nucleotides_out
        filters.append(tally.record())
    return keep_M, filters


def _count(stage: Stage, tally: Tally, keep_M: NDArray[np.bool_]) -> None:
    for rows, numbers in stage.numbered():
        tally.add(numbers["length"], numbers["length"][keep_M[rows]])


def _clustered(gathered: Gathered, keep_M: NDArray[np.bool_], config: CorpusConfig, work: Path) -> Clustering | None:
    """Cluster in the order of the keys, so that clusters do not depend on the order of files and records."""
    if config.cluster.method == "none":
        return None
    say(f"clustering {int(keep_M.sum())} sequences ({config.cluster.method})")
    places: list[NDArray[np.int64]] = []

    def keyed() -> Iterator[pa.RecordBatch]:
        for batch, numbers, places_N in kept_batches(gathered.stage, keep_M):
            columns = {"key": np.ascontiguousarray(numbers["key"]), "place": places_N}
            yield pa.record_batch({**columns, "sequence": batch.column("sequence")})

    def sequences() -> Iterator[bytes]:
        for batch in sorted_batches(keyed(), "key", gathered.stage.bytes, work / "by_key"):
            places.append(batch.column("place").to_numpy())
            yield from sequences_of(batch.column("sequence"))

    labels_N, groups_N, record = cluster(sequences(), config.cluster, work)
    back_N = np.argsort(np.concatenate(places))
    return Clustering(numbered(labels_N[back_N]), numbered(groups_N[back_N]), record)


def _split(rows: _Rows, config: CorpusConfig, work: Path) -> None:
    """Write the split of each staged row that is kept."""
    if rows.clustering is None or config.split.by != "cluster":
        divide(rows.gathered, rows.codes_M, config.split, config.seed, work)
        return
    keep_M = rows.codes_M >= 0
    keys_N = np.concatenate([numbers["key"][keep_M[part]] for part, numbers in rows.gathered.stage.numbered()])
    rows.codes_M[keep_M] = assign_splits(rows.clustering.groups_N, keys_N, config.split, config.seed)


def _write(rows: _Rows, config: CorpusConfig, folder: Path, work: Path) -> tuple[Summary, str]:
    """Write the store; returns what is in it, and its fingerprint."""
    summary, writer = Summary(rows.gathered), StoreWriter(folder)
    batches = _finished_batches(rows, summary, key(config.seed, "shuffle"))
    if config.shuffle:
        batches = sorted_batches(batches, "order", rows.gathered.stage.bytes, work / "shuffled")
    for batch in batches:
        writer.add(batch.select(SCHEMA.names))
    return summary, writer.close()


def _finished_batches(rows: _Rows, summary: Summary, stream: int) -> Iterator[pa.RecordBatch]:
    """The kept rows with all columns of the store, and ``order``, which looks random."""
    names, first = pa.array(SPLITS), 0
    for batch, numbers, places_N in kept_batches(rows.gathered.stage, Kept(rows.codes_M)):
        clusters_N = np.arange(first, first + len(places_N), dtype=np.int64)
        if rows.clustering is not None:
            clusters_N = rows.clustering.labels_N[clusters_N]
        codes_N = rows.codes_M[places_N]
        summary.add(batch.column("sequence"), numbers, codes_N)
        first += len(places_N)
        columns = {name: batch.column(name) for name in batch.schema.names}
        columns |= {
            "length": pa.array(np.ascontiguousarray(numbers["length"])),
            "cluster": pa.array(clusters_N),
            "split": names.take(pa.array(codes_N)),
            "order": pa.array(split_order(numbers["key"], stream)),
        }
        yield pa.record_batch([columns[name] for name in (*SCHEMA.names, "order")], names=[*SCHEMA.names, "order"])


def _split_record(rows: _Rows, summary: Summary, config: CorpusConfig, work: Path) -> dict[str, Any]:
    """What each split holds, and what is found on both sides of a border."""
    divided = linked = 0  # sequences that are their own clusters are not divided
    if rows.clustering is not None:
        codes_N = rows.codes_M[rows.codes_M >= 0]
        divided = divided_groups(rows.clustering.labels_N, codes_N)
        linked = divided_groups(rows.clustering.groups_N, codes_N)
    return {
        "by": config.split.by,
        "seed": config.seed,
        **summary.splits(),
        "divided_clusters": divided,
        "divided_split_groups": linked,
        "divided_families": summary.divided_families(),
        "divided_duplicates": _divided_duplicates(rows, summary, config, work),
    }


def _divided_duplicates(rows: _Rows, summary: Summary, config: CorpusConfig, work: Path) -> int:
    """Sets of equal sequences on both sides of a border; those of DNA are equal on either strand. Says so."""
    policy, both = config.filter.duplicates, config.alphabet == "dna"
    if policy == "drop_both_strands" or (policy == "drop" and not both):
        return 0  # no two of them were kept
    if sum(split["sequences"] > 0 for split in summary.splits().values()) < 2:
        return 0
    stage, keep = rows.gathered.stage, Kept(rows.codes_M)
    divided = divided_duplicates(stage, keep, rows.codes_M, work / "pairs", both_strands=both)
    if divided:
        what = "equal sequences or reverse complements" if both else "equal sequences"
        say(
            f"split: {divided} sets of {what} lie on both sides of a border; filter.duplicates = "
            f"{'drop_both_strands' if both else 'drop'!r} or clusters (cluster.method, split.by = 'cluster') avoid that"
        )
    return divided


def _nothing_left(filters: list[dict[str, Any]]) -> str:
    taken = ", ".join(f"{entry['name']} took {entry['removed']}" for entry in filters if entry["removed"])
    return (
        f"none of {filters[0]['in']} sequences passed the filters ({taken}); see filter.min_length and its neighbours"
    )
