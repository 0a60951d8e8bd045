"""A number or a class for each sequence: tables of one's own, and measured properties of messenger RNA by name."""

from __future__ import annotations

import math
from abc import ABC
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, ClassVar, Literal

from pydantic import Field

from nuclex.core.errors import InputError
from nuclex.data.homology import ClusterConfig
from nuclex.tasks.base import TASKS, Example, Shape, Split, Task, TaskConfig, assemble, carve_missing
from nuclex.tasks.related import divide_by_clusters
from nuclex.tasks.table import Naming, Read, Splits, TableConfig, class_name, number, read_examples, read_labelled


class RelatedTableConfig(TableConfig, ABC):
    """A table of one's own that, where it says nothing of splits, may be divided by clusters of similar sequences."""

    cluster: ClusterConfig | None = Field(
        default=None,
        description="of a table with neither splits nor groups: who are relatives, which stay together; "
        "None = equal sequences alone",
    )

    def _divided(self, splits: Splits, shares: Mapping[Split, float]) -> tuple[Splits, dict[str, Any]]:
        if self.cluster is None or self.group_column is not None or splits["validation"] or splits["test"]:
            return super()._divided(splits, shares)
        return divide_by_clusters(splits["train"], shares, self.cluster, self.seed)


@TASKS.register
class TableScalarConfig(RelatedTableConfig):
    """A measured number for each sequence of one's own table."""

    kind: Literal["table-scalar"] = "table-scalar"
    shape: ClassVar[Shape] = Shape.SCALAR

    @property
    def reading(self) -> Read:
        """A finite number."""
        return number


@TASKS.register
class TableClassConfig(RelatedTableConfig):
    """A class for each sequence of one's own table."""

    kind: Literal["table-class"] = "table-class"
    shape: ClassVar[Shape] = Shape.CLASS

    @property
    def reading(self) -> Read:
        """A name."""
        return class_name


@dataclass(frozen=True)
class Source:
    """Where a property is in the catalogue: the table, its columns, and the sequences where they lie elsewhere."""

    table: str
    naming: Naming
    sequences: str | None = None


def _codonbert(name: str) -> Source:
    return Source(f"codonbert-{name}", Naming("Value", sequence="Sequence", split="Split"))


PropertyName = Literal[
    "mrfp-expression", "riboswitch", "vaccine-degradation", "mlos-expression", "ecoli-protein", "ecoli-transcript",
    "mrna-stability", "yeast-half-life", "splice-psi",
]  # fmt: skip
SOURCES: dict[PropertyName, Source] = {
    "mrfp-expression": _codonbert("mrfp"),
    "riboswitch": _codonbert("riboswitch"),
    "vaccine-degradation": _codonbert("cov-degradation"),
    "mlos-expression": Source("codonbert-mlos", Naming("Value", sequence="CDS")),
    "ecoli-protein": Source("calm-ecoli-protein", Naming("abundance", sequence="cds", split="split")),
    "ecoli-transcript": Source("calm-ecoli-transcript", Naming("logtpm", sequence="cds", split="split")),
    "mrna-stability": Source(
        "icodon-stability", Naming("decay_rate", sequence="coding", group="gene_id", split="split")
    ),
    "yeast-half-life": Source(
        "yeast-half-life", Naming("half_life_min", id="gene_id", split="split", measured=True), "yeast-cds"
    ),
    "splice-psi": Source("splice-mpsa", Naming("y", sequence="x", split="set")),
}
"""The properties by name."""


@TASKS.register
class PropertyConfig(TaskConfig):
    """A measured property of coding sequences, or of switches in RNA, out of the catalogue, with the table's split.

    ``mrfp-expression``, ``riboswitch``, ``vaccine-degradation``, ``mlos-expression``: CodonBERT's, for academic use
    only; ``ecoli-protein``, ``ecoli-transcript``: CaLM's abundances (that of proteins as ln(1 + abundance));
    ``mrna-stability``: iCodon's decay rates in several cells, among which ``rows`` chooses; ``yeast-half-life``: in
    minutes; ``splice-psi``: log10 of the share of BRCA2's exon 17 that is spliced in, for the 9 letters of its 5'
    splice site. A table without a split (``mlos-expression``) is divided by clusters of similar sequences.
    """

    kind: Literal["property"] = "property"
    shape: ClassVar[Shape] = Shape.SCALAR
    name: PropertyName = "mrfp-expression"
    rows: dict[str, str] = Field(default={}, description="only rows with these values, such as {cell_type = 'k562'}")
    validation_share: float = Field(default=0.15, gt=0, lt=1, description="of a table without a split, as HELM has it")
    test_share: float = Field(default=0.15, gt=0, lt=1)
    cluster: ClusterConfig = Field(
        default=ClusterConfig(min_identity=0.9, strands="plus"), description="who are relatives there"
    )

    def read(self) -> Task:
        """Fetch and read the tables of the catalogue."""
        from nuclex.data.catalog import fetch

        source = SOURCES[self.name]
        (table,), naming = fetch(source.table), replace(source.naming, only=tuple(self.rows.items()))
        if source.sequences is None:
            found = read_examples(table, naming, number)
        else:
            found = read_labelled(fetch(source.sequences)[0], table, naming, number)
        splits: dict[Split, list[Example]] = {"train": [], "validation": [], "test": []}
        for split, example in found:
            splits[split or "train"].append(_logarithm(example) if self.name == "ecoli-protein" else example)
        shares: dict[Split, float] = {"validation": self.validation_share, "test": self.test_share}
        if naming.split is None:
            whole, carved = divide_by_clusters(splits["train"], shares, self.cluster, self.seed)
        else:
            whole, carved = carve_missing(splits, shares, self.seed, by_group=naming.group is not None)
        notes: Mapping[str, Any] = {"dataset": source.table, "property": self.name, "rows": self.rows, **carved}
        return assemble(self, whole, notes)


def _logarithm(example: Example) -> Example:
    if example.number < 0:
        raise InputError(f"{example.id!r}: the abundance is {example.number:g}; 0 or more is needed")
    return replace(example, label=math.log1p(example.number))
