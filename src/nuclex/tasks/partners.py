"""A number for a sequence and a partner, as how tightly an RNA binds a drug: pairs in a table, partners as vectors.

What reads the partners (a model of small molecules, fingerprints) is not here: its vectors are computed beforehand, and
nothing changes them. That is the task of RNA-BERTa's repository (IlPakoZ/dlrnaberta-dti-prediction), which divides
pairs at random, so that the RNA and the drug of nearly every pair of the test were learned from in other pairs.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, ClassVar, Literal, Self

import numpy as np
from numpy.typing import NDArray
from pydantic import Field, model_validator

from nuclex.core.errors import InputError, at, shown
from nuclex.core.progress import say
from nuclex.data.homology import ClusterConfig, cluster, joined
from nuclex.data.split import SplitConfig, assign_splits, name_keys
from nuclex.data.vectors import Vectors, read_vectors
from nuclex.tasks.base import SPLITS, TASKS, Example, Partner, Shape, Split, Task
from nuclex.tasks.table import Found, Places, Read, Splits, Table, TableConfig, number

Integers = NDArray[np.int64]


@TASKS.register
class TablePartnerConfig(TableConfig):
    """A measured number for each pair of a sequence and a partner, in a table of one's own (CSV or TSV), a row a pair.

    ``partners`` holds a vector for each name in ``partner_column`` (``nuclex.data.vectors``). What the table does not
    divide is divided so that the test asks something new: whole clusters of similar sequences (or of what
    ``group_column`` names), by default; whole partners (those of equal vectors are one), with ``by = "partner"``; or
    both, with ``by = "both"``, where shares are of sequences and of partners, and pairs of the one side of a split with
    the other of another are left out.
    """

    kind: Literal["table-partner"] = "table-partner"
    shape: ClassVar[Shape] = Shape.PARTNER
    partners: Path = Field(description="vectors of the partners by name: .npz, .parquet, .csv or .tsv")
    partner_column: str = "partner"
    by: Literal["sequence", "partner", "both"] = Field(default="sequence", description="what is new in the test")
    cluster: ClusterConfig | None = Field(
        default=ClusterConfig(min_identity=0.9, strands="plus"),
        description="which sequences are relatives, where no group_column says it; None = equal ones alone",
    )

    @model_validator(mode="after")
    def _one_table(self) -> Self:
        if self.labels is not None:
            raise ValueError("labels: pairs stand in one table with their sequences; leave it out")
        if self.by == "partner" and self.group_column is not None:
            raise ValueError("by: whole partners are kept together, not groups of sequences; leave out group_column")
        return self

    @property
    def reading(self) -> Read:
        """A finite number."""
        return number

    def read(self) -> Task:
        """Read the files and divide what is not; InputError with file and line where they are wrong."""
        task = super().read()
        counts = pair_counts(task)
        new = counts["test"]
        say(
            f"{self.kind}: of {new['pairs']} test pairs {new['new_sequence']} have a sequence that neither train nor "
            f"validation has, {new['new_partner']} a partner, {new['new_both']} both; {new['known_pair']} pairs stand "
            "there, too"
        )
        return replace(task, notes={**task.notes, "pairs": counts})

    def _found(self, path: Path, split: str | None) -> Iterator[Found]:
        table, naming, vectors = Table.of(path), self._naming(split), read_vectors(self.partners)
        columns, places = table.sequences(naming), Places.of(table, naming)
        partner_place = table.place(self.partner_column, "partner_column")
        for row, (line, fields) in enumerate(table.kept(naming), start=1):
            where = at(path, line)
            record = columns.record(fields, "", line, row, where)
            named, label, group = places.answer(fields, self.reading, where)
            assert isinstance(label, float)
            partner = partner_of(fields[partner_place], (vectors,), where)
            yield named, Example(record.sequence.decode("ascii"), label, record.id, group, partner=partner)

    def _divided(self, splits: Splits, shares: Mapping[Split, float]) -> tuple[Splits, dict[str, Any]]:
        missing = {split: share for split, share in shares.items() if not splits[split]}
        if not missing:
            return super()._divided(splits, shares)
        pairs, notes = splits["train"], dict[str, Any](divided_by=self.by)
        codes_N = np.zeros(len(pairs), dtype=np.int8)
        names = [_partner(pair).name for pair in pairs]
        group_N, partner_N = np.zeros(len(pairs), dtype=np.int64), _equal([_partner(pair).vector_P for pair in pairs])
        if self.by != "partner":
            group_N, notes["clusters"] = self._relatives(pairs)
            codes_N = self._codes(group_N, [pair.letters for pair in pairs], missing, "sequences")
        if self.by != "sequence":
            partner_codes_N = self._codes(partner_N, names, missing, "partners")
            codes_N = np.where((codes_N == partner_codes_N) | (self.by == "partner"), partner_codes_N, -1)
            notes["left_out_pairs"] = int((codes_N < 0).sum())
        whole: Splits = {split: list(splits[split]) if split not in missing else [] for split in SPLITS}
        whole["train"] = []
        first = dict(zip(partner_N.tolist()[::-1], names[::-1], strict=True))
        for pair, group, partner, code in zip(
            pairs, group_N.tolist(), partner_N.tolist(), codes_N.tolist(), strict=True
        ):
            if code >= 0:
                unit = first[partner] if self.by == "partner" else pair.group or f"cluster-{group}"
                whole[SPLITS[code]].append(replace(pair, group=unit))
        for split in SPLITS:
            if not whole[split]:
                raise InputError(
                    f"{self.train}: by = {self.by!r} leaves no pair for the {split} split; give more pairs or other "
                    "shares, or ask for one side alone"
                )
        return whole, notes

    def _relatives(self, pairs: Sequence[Example]) -> tuple[Integers, dict[str, Any]]:
        """Which group each pair's sequence is in (N,): by name, or by clusters; equal sequences are in one."""
        letters, equal_N = np.unique([pair.letters for pair in pairs], return_inverse=True)
        if self.group_column is not None:
            named_N = np.unique([pair.group or "" for pair in pairs], return_inverse=True)[1]
            return joined(equal_N.astype(np.int64), named_N.astype(np.int64)), {"method": self.group_column}
        if self.cluster is None:
            return equal_N.astype(np.int64), {"method": "equal sequences"}
        with tempfile.TemporaryDirectory() as folder:
            found = cluster((text.encode() for text in letters.tolist()), self.cluster, Path(folder))
        return found.groups_N[equal_N], found.record

    def _codes(
        self, group_N: Integers, names: Sequence[str], shares: Mapping[Split, float], what: str
    ) -> NDArray[np.int8]:
        """The split of each pair, by whole groups; InputError where there are too few."""
        groups = len(np.unique(group_N))
        if groups <= len(shares):
            raise InputError(
                f"{self.train}: has {groups} groups of {what} to divide; {len(shares) + 1} are needed, or another "
                "`by`, or a split for each row"
            )
        wanted = SplitConfig(by="cluster", validation=shares.get("validation", 0.0), test=shares.get("test", 0.0))
        return assign_splits(group_N, name_keys(names), wanted, self.seed)


def partner_of(text: str, known: Sequence[Vectors], where: str) -> Partner:
    """The partner of that name in the first of the vectors that have it; InputError where none has."""
    name = text.strip()
    for vectors in known:
        if (row := vectors.place.get(name)) is not None:
            return Partner(name, vectors.numbers_KP[row])
    if not name:
        raise InputError(f"{where}: names no partner; every pair needs one")
    files = " and ".join(f"the {len(vectors.names)} of {vectors.origin}" for vectors in known)
    raise InputError(f"{where}: the partner {shown(name)} has no vector among {files}; every partner needs one")


def partners_of(task: Task) -> Vectors:
    """The partners that occur in a task, in the order of their names."""
    found = {_partner(pair).name: _partner(pair) for split in SPLITS for pair in task.examples(split)}
    names = sorted(found)
    return Vectors.of(names, np.stack([found[name].vector_P for name in names]), task.name)


def pair_counts(task: Task) -> dict[str, dict[str, int]]:
    """Of each split its pairs, sequences and partners, and what of its pairs the splits before it do not have.

    ``known_pair``: sequence and partner stand together there, too, as another measurement of the same.
    """
    sequences, partners, both = set[str](), set[str](), set[tuple[str, str]]()
    found: dict[str, dict[str, int]] = {}
    for split in SPLITS:
        pairs = [(pair.letters, _partner(pair).name) for pair in task.examples(split)]
        sizes = {
            "pairs": len(pairs),
            "sequences": len({sequence for sequence, _ in pairs}),
            "partners": len({partner for _, partner in pairs}),
        }
        new = [(sequence not in sequences, partner not in partners) for sequence, partner in pairs]
        found[split] = sizes | {
            "new_sequence": sum(one for one, _ in new),
            "new_partner": sum(other for _, other in new),
            "new_both": sum(one and other for one, other in new),
            "known_pair": sum(pair in both for pair in pairs),
        }
        sequences |= {sequence for sequence, _ in pairs}
        partners |= {partner for _, partner in pairs}
        both |= set(pairs)
    return found


def _partner(pair: Example) -> Partner:
    assert pair.partner is not None
    return pair.partner


def _equal(vectors: Sequence[NDArray[np.float32]]) -> Integers:
    """The same number for equal vectors: (N,)."""
    place: dict[bytes, int] = {}
    return np.array([place.setdefault(vector_P.tobytes(), len(place)) for vector_P in vectors], dtype=np.int64)
