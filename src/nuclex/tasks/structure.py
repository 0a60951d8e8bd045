"""Which bases of an RNA pair: ArchiveII with a whole family held out, structures of one's own, or simulated ones."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, Literal, Self

from pydantic import Field, model_validator

from nuclex.bio.alphabet import RNA_IUPAC, to_rna
from nuclex.bio.secondary_structure import parse_dot_bracket
from nuclex.core.errors import InputError, at, shown
from nuclex.core.randomness import key
from nuclex.data.compression import lines, opened, pieces
from nuclex.data.record import LONGEST_HEADER
from nuclex.data.simulate import SimulationConfig, simulate
from nuclex.data.table import rows
from nuclex.tasks.base import (
    TASKS,
    Example,
    Shape,
    Split,
    Task,
    TaskConfig,
    assemble,
    carve,
    header_field,
)

_BLANKS = " \t\r\n"
_CONTROL = re.compile(r"[\x00-\x08\x0a-\x1f\x7f-\x9f]")

Family = Literal["5s", "16s", "23s", "grp1", "srp", "telomerase", "RNaseP", "tmRNA", "tRNA"]


@TASKS.register
class ArchiveiiConfig(TaskConfig):
    """ArchiveII (doi:10.1261/rna.053694.115), 3864 RNAs of up to 510 nt in 9 families, one family held out.

    The folds are those of doi:10.1093/bioinformatics/btac415: the family is the test split and the other eight are
    trained on, so that a structure can be right only by having learned what folding is. Validation is carved from the
    eight, by distinct sequence in each family, or is made of the families named in ``validation_families``.
    """

    kind: Literal["archiveii"] = "archiveii"
    family: Family = Field(default="5s", description="the family that is held out for the test")
    validation_families: tuple[Family, ...] = ()
    validation_share: float = Field(default=0.1, gt=0, lt=1)

    @property
    def shape(self) -> Shape:
        """Base pairs."""
        return Shape.PAIR_MAP

    def read(self) -> Task:
        """Fetch and read the structures and the folds of the catalogue."""
        from nuclex.data.catalog import fetch

        (structures,), (splits_file,) = fetch("archiveii-sincfold-3864"), fetch("archiveii-famfold-splits")
        examples, folds = _archiveii(structures), _fold(splits_file, self.family)
        train, test = ([examples[name] for name in names if name in examples] for names in folds)
        if len(train) + len(test) != len(examples):
            raise InputError(f"archiveii: fold {self.family} names {len(train) + len(test)} of {len(examples)} RNAs")
        stream = key(self.seed, "validation")
        stay, taken = _off(train, self.validation_families, self.validation_share, stream, "sequence")
        splits: dict[Split, list[Example]] = {"train": stay, "validation": taken, "test": test}
        held = ", ".join(self.validation_families) or "a share of each family's distinct sequences"
        notes = {
            "dataset": "archiveii",
            "test": f"the family {self.family}",
            "validation": f"carved from train: {held}",
        }
        return assemble(self, splits, notes)


@TASKS.register
class DotBracketConfig(TaskConfig):
    """Structures of one's own in Vienna format: header, sequence and dot-bracket, three lines a molecule.

    Validation and test are files of their own, or are carved from train: the families named here (``family=NAME`` in
    the header), else a share of all families, or with ``by = "sequence"`` of the distinct sequences.
    """

    kind: Literal["dot-bracket"] = "dot-bracket"
    train: Path
    validation: Path | None = None
    test: Path | None = None
    by: Literal["family", "sequence"] = "family"
    validation_families: tuple[str, ...] = ()
    test_families: tuple[str, ...] = ()
    validation_share: float = Field(default=0.1, gt=0, lt=1)
    test_share: float = Field(default=0.2, gt=0, lt=1)

    @model_validator(mode="after")
    def _either(self) -> Self:
        _refuse_overlap(self.validation_families, self.test_families)
        for split, path, families in (
            ("validation", self.validation, self.validation_families),
            ("test", self.test, self.test_families),
        ):
            if path is not None and families:
                raise ValueError(f"{split} and {split}_families: give a file or families, not both")
        return self

    @property
    def shape(self) -> Shape:
        """Base pairs."""
        return Shape.PAIR_MAP

    def read(self) -> Task:
        """Read the files and carve off what has no file."""
        splits: dict[Split, list[Example]] = {"train": list(read_vienna(self.train))}
        notes: dict[str, Any] = {"files": [str(self.train)]}
        for split, path, families, share in (
            ("test", self.test, self.test_families, self.test_share),
            ("validation", self.validation, self.validation_families, self.validation_share),
        ):
            name: Split = "test" if split == "test" else "validation"
            if path is not None:
                splits[name] = list(read_vienna(path))
                continue
            stream, by = key(self.seed, split), self.by
            splits["train"], splits[name] = _off(splits["train"], families, share, stream, by)
            notes[split] = f"carved from train by {by}" + (f": {', '.join(families)}" if families else "")
        return assemble(self, splits, notes)


@TASKS.register
class SimulatedStructureConfig(TaskConfig):
    """RNA families that nuclex makes up, with known structures; whole families are held out. Needs no file."""

    kind: Literal["simulated-structure"] = "simulated-structure"
    simulation: SimulationConfig = SimulationConfig()
    validation_families: tuple[str, ...] = ()
    test_families: tuple[str, ...] = ()
    validation_share: float = Field(default=0.1, gt=0, lt=1)
    test_share: float = Field(default=0.2, gt=0, lt=1)

    @model_validator(mode="after")
    def _apart(self) -> Self:
        _refuse_overlap(self.validation_families, self.test_families)
        return self

    @property
    def shape(self) -> Shape:
        """Base pairs."""
        return Shape.PAIR_MAP

    def read(self) -> Task:
        """Simulate, and hold out families."""
        examples = [
            Example(rna.sequence, parse_dot_bracket(rna.structure), rna.id, rna.family)
            for rna in simulate(self.simulation)
        ]
        rest, test = _off(examples, self.test_families, self.test_share, key(self.seed, "test"), "family")
        stream = key(self.seed, "validation")
        train, validation = _off(rest, self.validation_families, self.validation_share, stream, "family")
        splits: dict[Split, list[Example]] = {"train": train, "validation": validation, "test": test}
        return assemble(self, splits, {"simulated": True})


def read_vienna(path: Path) -> Iterator[Example]:
    """The molecules of a Vienna file (plain or packed): ``>id …``, sequence, dot-bracket; an energy may follow.

    InputError with file and line for anything else, for a structure as long as another sequence, and for brackets
    that do not match.
    """
    found, numbered = False, ((number, line.strip(_BLANKS)) for number, line in _lines(path))
    for number, line in numbered:
        if not line:
            continue
        if not line.startswith(">") or not line[1:].split():
            raise InputError(f"{at(path, number)}: found {shown(line)}; a header '>id' is needed here")
        sequence, structure = (next(numbered, (number, ""))[1] for _ in range(2))
        found = True
        yield _example(at(path, number), line[1:].strip(), sequence, structure.split()[0] if structure else "")
    if not found:
        raise InputError(f"{path}: is empty; at least one molecule (header, sequence, dot-bracket) is needed")


def _example(where: str, header: str, sequence: str, structure: str, family: str | None = None) -> Example:
    name = header.split()[0]
    if not sequence.isalpha():
        raise InputError(
            f"{where}: {shown(name)} needs a sequence of letters in its second line, found {shown(sequence)}"
        )
    strange = RNA_IUPAC.first_invalid(to_rna(sequence), ignore_case=True)
    if strange is not None:
        allowed = f"allowed: T, {', '.join(letter for letter in RNA_IUPAC.symbols if letter != '-')}"
        raise InputError(f"{where}: {shown(name)} has {sequence[strange]!r} at position {strange}; {allowed}")
    if len(structure) != len(sequence):
        raise InputError(
            f"{where}: {shown(name)} has {len(sequence)} nucleotides but {len(structure)} marks of structure"
        )
    try:
        pairs = parse_dot_bracket(structure)
    except InputError as error:
        raise InputError(f"{where}: {shown(name)}: {error}") from None
    return Example(sequence, pairs, name, family or header_field(header, "family"))


def _archiveii(path: Path) -> dict[str, Example]:
    """All RNAs by id; the family is what stands before the first underscore of the id."""
    made = {}
    for number, row in _rows(path, ("id", "sequence", "structure")):
        family = row["id"].partition("_")[0]
        made[row["id"]] = _example(at(path, number), row["id"], row["sequence"], row["structure"], family)
    return made


def _fold(path: Path, family: str) -> tuple[list[str], list[str]]:
    """The ids to train on and the ids to test when ``family`` is held out."""
    names: dict[str, list[str]] = {"train": [], "test": []}
    for number, row in _rows(path, ("fold", "partition", "id")):
        if row["fold"] == family:
            if row["partition"] not in names:
                raise InputError(f"{at(path, number)}: found partition {shown(row['partition'])}; allowed: train, test")
            names[row["partition"]].append(row["id"])
    return names["train"], names["test"]


def _rows(path: Path, columns: Sequence[str]) -> Iterator[tuple[int, dict[str, str]]]:
    with opened(path, str(path)) as text:
        table = rows(text, ",")
        names = next(table, (1, list[str]()))[1]
        if missing := [column for column in columns if column not in names]:
            raise InputError(f"{at(path, 1)}: has no column {missing[0]!r}; found {shown(', '.join(names), 200)}")
        for number, fields in table:
            yield number, dict(zip(names, fields, strict=True))


def _lines(path: Path) -> Iterator[tuple[int, str]]:
    """Numbered lines of a text file, packed or not; InputError where it is missing, damaged or no text."""
    with opened(path, str(path)) as text:
        for raw in (raw for piece in pieces(text) for raw in lines(piece)):
            if len(raw) > LONGEST_HEADER:
                raise InputError(f"{at(path, text.line)}: the line is longer than {LONGEST_HEADER} bytes")
            try:
                line = raw.decode("utf-8").removesuffix("\n").removesuffix("\r")
            except UnicodeDecodeError:
                raise InputError(f"{at(path, text.line)}: holds bytes that are not text (UTF-8)") from None
            if strange := _CONTROL.search(line):
                raise InputError(f"{at(path, text.line)}: holds the control character {strange.group()!r}")
            yield text.line, line
            text.line += 1


def _off(
    examples: Sequence[Example], families: Iterable[str], share: float, stream: int, by: Literal["family", "sequence"]
) -> tuple[list[Example], list[Example]]:
    """What stays and what is taken: the families named, else a share."""
    wanted = set(families)
    if not wanted:
        return carve(examples, share, stream, by="group" if by == "family" else "sequence")
    known = {example.group for example in examples}
    if unknown := sorted(wanted - {name for name in known if name is not None}):
        allowed = ", ".join(sorted(name for name in known if name is not None)) or "none (no header has family=NAME)"
        raise InputError(f"family {unknown[0]!r}: not among the families there are: {allowed}")
    stay = [example for example in examples if example.group not in wanted]
    return stay, [example for example in examples if example.group in wanted]


def _refuse_overlap(validation: Sequence[str], test: Sequence[str]) -> None:
    if both := sorted(set(validation) & set(test)):
        raise ValueError(f"family {both[0]!r} is both in validation_families and in test_families")
