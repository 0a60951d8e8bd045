"""What the verbs print that tell of this machine, bring data sets, and make corpora and tokenizers."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import ConfigDict, Field

from nuclex.cli.results.answer import Answer, Lengths, Number, sometimes


class Dataset(Answer):
    """One data set of the catalogue."""

    name: str
    """The name that `nuclex data fetch` takes."""
    what: str
    """What is in it."""
    mirror: str
    """Its path in a mirror."""
    file: str | None
    """What a copy is called, where the mirror's name for it says too little."""
    sha256: str | None
    """Sum of the file in a mirror; null where nobody published one."""
    bytes: int | None
    """Size of the file in a mirror, in bytes; null where it is not known."""
    licence: str
    """Its licence, in full."""
    citation: str
    """Whom to cite."""
    rna: str | None
    """The type of RNA that every sequence is of (INSDC's word), where it is one."""
    records: int | None
    """How many records it has; null where they were not counted."""
    url: str | None
    """The public address."""
    url_sha256: str | None
    """Sum of the public file, where it is not the mirror's."""
    url_bytes: int | None
    """Size of the public file in bytes, where it is not the mirror's."""
    derived: bool
    """Whether it was made of another data set."""
    derived_from: str | None
    """What it was made of."""
    page: str | None
    """Where a person finds a file that no program can fetch."""
    how: str
    """The way from that page to the file; empty where there is an address."""
    collections: list[str]
    """The collections that it is in."""
    available: bool
    """Whether a copy is at hand, in the mirror or in the cache."""


class DataList(Answer):
    """The catalogue."""

    datasets: list[Dataset]
    """Every data set, in the order of the catalogue."""


class DataFetch(Answer):
    """Files that were brought here."""

    files: list[str]
    """Their paths; with `--unpack` those of folders."""


class Filter(Answer):
    """One filter of a corpus; keys beside these are its settings."""

    model_config = ConfigDict(extra="allow")

    name: str
    """Its name."""
    entered: int = Field(alias="in")
    """Sequences that went in."""
    left: int = Field(alias="out")
    """Sequences that came out."""
    removed: int
    """Sequences that it took."""
    nucleotides_in: int
    """Nucleotides that went in."""
    nucleotides_out: int
    """Nucleotides that came out."""


class Source(Answer):
    """One file that a corpus was made of."""

    name: str
    """Its name in the corpus."""
    path: str
    """Where it lay; - is standard input."""
    sha256: str
    """Sum of the file."""
    bytes: int
    """Its size in bytes."""
    sequences_in: int
    """Sequences read."""
    sequences_out: int
    """Sequences kept."""
    nucleotides_out: int
    """Nucleotides kept."""
    repeated_ids: int
    """Sequences whose id an earlier one of the file has."""
    simulated: int
    """Sequences that nuclex made up."""
    lower_case_in: int
    """Nucleotides in lower case."""
    lengths: Lengths | None
    """Of the sequences kept."""
    composition: dict[str, int]
    """How often each letter occurs."""
    unit: dict[str, Any] = sometimes()
    """What the head of a file of antibodies (OAS) says of where they come from."""
    dataset: str = sometimes()
    """The data set of the catalogue that it is."""
    licence: str = sometimes()
    """The licence of that data set."""
    terms: str = sometimes()
    """What the licence allows, in a word."""
    citation: str = sometimes()
    """Whom to cite for it."""


class Kind(Answer):
    """The sequences of one source, family or type of RNA."""

    name: str
    """What they have in common."""
    sequences: int
    """How many."""
    nucleotides: int
    """Their nucleotides."""
    gc: Number
    """Share of G and C among the letters that are one base."""
    ambiguous: Number
    """Share of letters that are no single base."""
    shortest: int
    """The shortest, in nucleotides."""
    median: float
    """The median length, in nucleotides."""
    longest: int
    """The longest, in nucleotides."""
    mean: float
    """The mean length, in nucleotides."""


class Amount(Answer):
    """How much is in a split."""

    sequences: int
    """Sequences."""
    nucleotides: int
    """Nucleotides."""


class Split(Answer):
    """How a corpus is divided."""

    by: str
    """What stays together: cluster, family or contig; or nothing (random, random-per-source)."""
    seed: int
    """The seed that it was drawn with."""
    train: Amount
    """What models learn from."""
    validation: Amount
    """What decisions are made on."""
    test: Amount
    """What is measured on."""
    divided_clusters: int
    """Clusters on both sides of a border."""
    divided_split_groups: int
    """Groups of linked clusters on both sides of a border."""
    divided_families: int
    """Families on both sides of a border."""
    divided_duplicates: int
    """Equal sequences on both sides of a border."""


class Corpus(Answer):
    """A corpus: the manifest that lies in it as `corpus.json`, and where it is."""

    corpus: str
    """Its folder."""
    format: Literal["nuclex corpus"]
    """What the folder is."""
    format_version: int
    """The version of the format."""
    alphabet: str
    """The letters that it is written in."""
    genetic_code: int
    """Number of the NCBI's genetic code."""
    seed: int
    """The seed of everything random."""
    sequences_in: int
    """Sequences read."""
    sequences_out: int
    """Sequences kept."""
    nucleotides_out: int
    """Nucleotides kept."""
    filters: list[Filter]
    """What each filter took, in their order."""
    lower_case_in: int
    """Nucleotides in lower case that were read."""
    families: int
    """Families that the sequences name."""
    simulated: bool
    """Whether any sequence was made up by nuclex."""
    lengths: Lengths | None
    """Of the sequences kept."""
    composition: dict[str, int]
    """How often each letter occurs."""
    sources: list[Source]
    """The files read."""
    by_source: list[Kind]
    """What is in it, by file."""
    by_family: list[Kind]
    """What is in it, by family; empty where sequences name none."""
    by_type: list[Kind]
    """What is in it, by type of RNA; empty where sequences name none."""
    exclude: dict[str, Any] = sometimes()
    """With `--exclude`: the files, their sums, the settings, and what was found of them."""
    cluster: dict[str, Any]
    """How related sequences were found, and how many clusters (`clusters`) there are."""
    split: Split
    """How it is divided."""
    files: list[str]
    """The files with the sequences, in the folder."""
    fingerprint: str
    """Sum over all sequences and their splits: corpora with the same one hold the same."""
    config: dict[str, Any]
    """All settings, as `--config` takes them."""
    provenance: dict[str, Any]
    """When, where and with which versions it was made."""


class Measured(Answer):
    """What a tokenizer makes of a sample of the train split."""

    sequences: int
    """Sequences read."""
    refused: int
    """Sequences that it refuses."""
    nucleotides_per_token: float
    """Nucleotides a token."""
    unknown_share: float
    """Share of tokens that are unknown ones."""
    left_out_share: float
    """Share of nucleotides that no token stands for."""


class TokenizerTrain(Answer):
    """A trained tokenizer."""

    out: str
    """Its folder."""
    kind: str
    """Its kind, such as bpe."""
    vocabulary: int
    """Tokens, special ones included."""
    sha256: str
    """Sum over all that decides how it reads."""
    measured: Measured
    """What it makes of a sample of the train split."""
