"""Published sets of RNA structures, split as others split them: ArchiveII, bpRNA and chains of the PDB."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, ClassVar, Literal, Self

from pydantic import Field, model_validator

from nuclex.bio.alphabet import RNA_IUPAC, to_rna
from nuclex.bio.secondary_structure import as_pairs
from nuclex.core.errors import InputError, at, shown
from nuclex.core.randomness import key
from nuclex.data.compression import opened
from nuclex.data.table import rows
from nuclex.tasks.base import SPLITS, TASKS, Example, Shape, Split, Task, TaskConfig, assemble
from nuclex.tasks.structure import hold_out, molecule

Family = Literal["5s", "16s", "23s", "grp1", "srp", "telomerase", "RNaseP", "tmRNA", "tRNA"]


@TASKS.register
class ArchiveiiConfig(TaskConfig):
    """ArchiveII (doi:10.1261/rna.053694.115), 3864 RNAs of up to 510 nt in 9 families, a family or a fifth held out.

    ``family``: the family is the test split and the other eight are trained on (folds of
    doi:10.1093/bioinformatics/btac415), so that a structure can be right only by having learned what folding is.
    Validation is carved from the eight, by distinct sequence in each family, or is made of the families named in
    ``validation_families``. ``fold``: five folds at random (doi:10.1093/bib/bbaf137) that bring their validation; all
    families are in all splits, and about a sixth of the test sequences also stand in train, letter for letter: results
    are given without them, too.
    """

    kind: Literal["archiveii"] = "archiveii"
    shape: ClassVar[Shape] = Shape.PAIR_MAP
    protocol: Literal["family", "fold"] = "family"
    family: Family = Field(default="5s", description="the family that is held out for the test")
    fold: int = Field(default=0, ge=0, le=4, description="protocol fold: the fifth that is held out for the test")
    validation_families: tuple[Family, ...] = ()
    validation_share: float = Field(default=0.1, gt=0, lt=1)

    @model_validator(mode="after")
    def _fits(self) -> Self:
        if self.protocol == "fold" and self.validation_families:
            raise ValueError("validation_families: the five folds bring their validation; give protocol = 'family'")
        return self

    def read(self) -> Task:
        """Fetch and read the structures and the folds of the catalogue."""
        from nuclex.data.catalog import fetch

        name, listed = ("famfold", self.family) if self.protocol == "family" else ("kfold", str(self.fold))
        (structures,), (splits_file,) = fetch("archiveii-sincfold-3864"), fetch(f"archiveii-{name}-splits")
        splits = _split(_archiveii(structures), _partitions(splits_file, listed), f"archiveii, fold {listed}")
        notes: dict[str, Any] = {"dataset": "archiveii"}
        if self.protocol == "fold":
            notes |= {"test": f"fold {self.fold} of 5, at random", "validation": "of the same fold"}
            return assemble(self, splits, notes)
        stream, families = key(self.seed, "validation"), self.validation_families
        train, taken = hold_out(splits["train"], families, self.validation_share, stream, "sequence")
        held = ", ".join(families) or "a share of each family's distinct sequences"
        notes |= {"test": f"the family {self.family}", "validation": f"carved from train: {held}"}
        return assemble(self, {**splits, "train": train, "validation": taken}, notes)


@TASKS.register
class BprnaConfig(TaskConfig):
    """bpRNA-1m split into TR0, VL0 and TS0 (doi:10.1038/s41467-019-13395-9), the part of it that the catalogue has.

    That is 4082 of 10814, 588 of 1300 and 573 of 1305 RNAs, mostly of up to 99 nt: scores on it are not those of the
    whole TS0. 197 of the sequences also stand in ArchiveII; the notes count both.
    """

    kind: Literal["bprna"] = "bprna"
    shape: ClassVar[Shape] = Shape.PAIR_MAP

    def read(self) -> Task:
        """Fetch and read the structures, the list of all ids, and the sequences of ArchiveII to compare with."""
        from nuclex.data.catalog import fetch

        (structures,), (splits_file,), (archive,) = map(fetch, ("bprna-subset", "bprna-splits", "archiveii-3975"))
        partitions = _partitions(splits_file, "0")
        examples = {
            row["id"]: molecule(at(structures, number), row["id"], row["sequence"], row["structure"])
            for number, row in _rows(structures, ("id", "sequence", "structure"))
        }
        there = {name: partition for name, partition in partitions.items() if name in examples}
        splits = _split(examples, there, "bprna")
        known = {to_rna(row["sequence"].upper()) for _, row in _rows(archive, ("sequence",))}
        whole = Counter(partitions.values())
        homes: dict[str, set[Split]] = {}
        for split in SPLITS:
            for example in splits[split]:
                homes.setdefault(example.letters, set()).add(split)
        notes = {
            "dataset": "bprna",
            "partial": {split: f"{len(splits[split])} of {whole[split]}" for split in SPLITS},
            "also_in_archiveii": {split: sum(item.letters in known for item in splits[split]) for split in SPLITS},
            "sequences_in_several_splits": sum(len(found) > 1 for found in homes.values()),
        }
        return assemble(self, splits, notes)


@TASKS.register
class PdbRnaConfig(TaskConfig):
    """203 RNA chains of the PDB with all their base pairs (doi:10.1093/bib/bbaf137): 141 to train on, 62 to test.

    In 171 of them a base is in several pairs (triples), which no prediction of one partner a base can reach, and 22 %
    of the pairs are not canonical and 6 % have two nucleotides or fewer between them: decode with ``canonical = false``
    and ``min_loop = 0``, as the recipe does. Validation is carved from train by sequence.
    """

    kind: Literal["pdb-rna"] = "pdb-rna"
    shape: ClassVar[Shape] = Shape.PAIR_MAP
    validation_share: float = Field(default=0.1, gt=0, lt=1)

    def read(self) -> Task:
        """Fetch and read the chains and their split."""
        from nuclex.data.catalog import fetch

        (chains,), (splits_file,) = map(fetch, ("pdb-rna", "pdb-rna-splits"))
        columns = ("id", "sequence", "base_pairs")
        examples = {row["id"]: _chain(at(chains, number), row) for number, row in _rows(chains, columns)}
        splits = _split(examples, _partitions(splits_file, None), "pdb-rna")
        stream = key(self.seed, "validation")
        train, taken = hold_out(splits["train"], (), self.validation_share, stream, "sequence")
        triples = {split: sum(_has_triple(item) for item in splits[split]) for split in ("train", "test")}
        notes = {"dataset": "pdb-rna", "with_base_triples": triples, "validation": "carved from train by sequence"}
        return assemble(self, {**splits, "train": train, "validation": taken}, notes)


_SPLIT_OF: dict[str, Split] = {
    **{"train": "train", "valid": "validation", "test": "test"},
    **{"TR0": "train", "VL0": "validation", "TS0": "test"},
}
_NOT_USED = {"new"}  # bpRNA-new: families that came later, of which there are no sequences


def _archiveii(path: Path) -> dict[str, Example]:
    """All RNAs by id; the family is what stands before the first underscore of the id."""
    made = {}
    for number, row in _rows(path, ("id", "sequence", "structure")):
        family = row["id"].partition("_")[0]
        made[row["id"]] = molecule(at(path, number), row["id"], row["sequence"], row["structure"], family)
    return made


def _chain(where: str, row: dict[str, str]) -> Example:
    """One chain; its pairs are a list of two positions each, from 1."""
    name, sequence = row["id"], row["sequence"]
    strange = RNA_IUPAC.first_invalid(to_rna(sequence), ignore_case=True)
    if strange is not None:
        raise InputError(f"{where}: {shown(name)} has {sequence[strange]!r} at position {strange}")
    try:
        found = json.loads(row["base_pairs"])
        pairs = as_pairs([(int(i) - 1, int(j) - 1) for i, j in found], len(sequence))
    except (ValueError, TypeError, RecursionError, InputError) as error:
        raise InputError(f"{where}: {shown(name)} needs a list of base pairs [[1, 72], …]: {error}") from None
    return Example(sequence, pairs, name)


def _has_triple(example: Example) -> bool:
    positions = example.pairs.ravel().tolist()
    return len(set(positions)) < len(positions)


def _partitions(path: Path, fold: str | None) -> dict[str, Split]:
    """The split of every id in one of the file's folds, or in a file that has only one."""
    columns = ("partition", "id") if fold is None else ("fold", "partition", "id")
    found: dict[str, Split] = {}
    for number, row in _rows(path, columns):
        if (fold is not None and row["fold"] != fold) or row["partition"] in _NOT_USED:
            continue
        if row["partition"] not in _SPLIT_OF:
            allowed = ", ".join(_SPLIT_OF)
            raise InputError(f"{at(path, number)}: found partition {shown(row['partition'])}; allowed: {allowed}")
        if row["id"] in found:
            raise InputError(f"{at(path, number)}: {shown(row['id'])} is listed twice")
        found[row["id"]] = _SPLIT_OF[row["partition"]]
    return found


def _split(examples: dict[str, Example], partitions: dict[str, Split], where: str) -> dict[Split, list[Example]]:
    """The examples of each split, in the order of the list; InputError unless it names all of them and no other."""
    if different := sorted(examples.keys() ^ partitions.keys()):
        raise InputError(
            f"{where}: {shown(different[0])} is not both among the {len(examples)} RNAs and in the list of "
            f"{len(partitions)} that says which split they are of"
        )
    made: dict[Split, list[Example]] = {split: [] for split in SPLITS}
    for name, split in partitions.items():
        made[split].append(examples[name])
    return made


def _rows(path: Path, columns: Sequence[str]) -> Iterator[tuple[int, dict[str, str]]]:
    with opened(path, str(path)) as text:
        table = rows(text, ",")
        names = next(table, (1, list[str]()))[1]
        if missing := [column for column in columns if column not in names]:
            raise InputError(f"{at(path, 1)}: has no column {missing[0]!r}; found {shown(', '.join(names), 200)}")
        for number, fields in table:
            yield number, dict(zip(names, fields, strict=True))
