"""Which bases of an RNA pair: structures of one's own, or simulated ones; published sets are in ``structure_sets``."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, ClassVar, Literal, Self

from pydantic import Field, model_validator

from nuclex.bio.alphabet import RNA_IUPAC, to_rna
from nuclex.bio.base_pairs import Pairs
from nuclex.bio.secondary_structure import parse_dot_bracket
from nuclex.core.errors import InputError, at, shown
from nuclex.core.randomness import key
from nuclex.data.compression import lines, opened, pieces
from nuclex.data.record import LONGEST_HEADER
from nuclex.data.simulate import SimulationConfig, simulate
from nuclex.data.structures import holds_structures, holds_tables, read_tables
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


@TASKS.register
class DotBracketConfig(TaskConfig):
    """Structures of one's own: Vienna files (header, sequence, dot-bracket), .ct, .bpseq, .st, or a folder of them.

    Validation and test are files of their own, or are carved from train: the families named here (``family=NAME`` in
    the header), else a share of all families, or with ``by = "sequence"`` of the distinct sequences, which is also what
    is done where no header names a family.
    """

    kind: Literal["dot-bracket"] = "dot-bracket"
    shape: ClassVar[Shape] = Shape.PAIR_MAP
    train: Path
    validation: Path | None = None
    test: Path | None = None
    by: Literal["family", "sequence"] | None = Field(
        default=None, description="what is carved off whole; by default families, where headers name them"
    )
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

    def read(self) -> Task:
        """Read the files and carve off what has no file."""
        splits: dict[Split, list[Example]] = {"train": list(read_structures(self.train))}
        by = self.by or ("family" if any(item.group is not None for item in splits["train"]) else "sequence")
        notes: dict[str, Any] = {"files": [str(self.train)]}
        for split, path, families, share in (
            ("test", self.test, self.test_families, self.test_share),
            ("validation", self.validation, self.validation_families, self.validation_share),
        ):
            name: Split = "test" if split == "test" else "validation"
            if path is not None:
                splits[name] = list(read_structures(path))
                continue
            stream, how = key(self.seed, split), "family" if families else by
            splits["train"], splits[name] = hold_out(splits["train"], families, share, stream, by)
            notes[split] = f"carved from train by {how}" + (f": {', '.join(families)}" if families else "")
        return assemble(self, splits, notes)


@TASKS.register
class SimulatedStructureConfig(TaskConfig):
    """RNA families that nuclex makes up, with known structures; whole families are held out. Needs no file."""

    kind: Literal["simulated-structure"] = "simulated-structure"
    shape: ClassVar[Shape] = Shape.PAIR_MAP
    simulation: SimulationConfig = SimulationConfig()
    validation_families: tuple[str, ...] = ()
    test_families: tuple[str, ...] = ()
    validation_share: float = Field(default=0.1, gt=0, lt=1)
    test_share: float = Field(default=0.2, gt=0, lt=1)

    @model_validator(mode="after")
    def _apart(self) -> Self:
        _refuse_overlap(self.validation_families, self.test_families)
        return self

    def read(self) -> Task:
        """Simulate, and hold out families."""
        examples = [
            Example(rna.sequence, parse_dot_bracket(rna.structure), rna.id, rna.family)
            for rna in simulate(self.simulation)
        ]
        rest, test = hold_out(examples, self.test_families, self.test_share, key(self.seed, "test"), "family")
        stream = key(self.seed, "validation")
        train, validation = hold_out(rest, self.validation_families, self.validation_share, stream, "family")
        splits: dict[Split, list[Example]] = {"train": train, "validation": validation, "test": test}
        return assemble(self, splits, {"simulated": True})


def read_structures(path: Path) -> Iterator[Example]:
    """The molecules of a .ct, .bpseq, .st or Vienna file (plain or packed), or of all such files in a folder, by name.

    InputError with the file, and the line where there is one, for anything else and for a folder without any.
    """
    if path.is_dir():
        files = sorted(file for file in path.iterdir() if file.is_file() and holds_structures(file))
        if not files:
            raise InputError(f"{path}: holds no file of structures; .dbn, .vienna, .ct, .bpseq or .st is needed")
        for file in files:
            yield from read_structures(file)
    elif not holds_tables(path):
        yield from read_vienna(path)
    else:
        for structure in read_tables(path):
            header = structure.name if structure.name.split() else path.name.partition(".")[0]
            _refuse_strange(str(path), header.split()[0], structure.sequence)
            yield _example(header, structure.sequence, structure.pairs)


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
        yield molecule(at(path, number), line[1:].strip(), sequence, structure.split()[0] if structure else "")
    if not found:
        raise InputError(f"{path}: is empty; at least one molecule (header, sequence, dot-bracket) is needed")


def molecule(where: str, header: str, sequence: str, structure: str, family: str | None = None) -> Example:
    """One RNA with its structure in dot-bracket; ``where`` is what an InputError begins with.

    The id is the header's first word, and the family what it says (``family=NAME``) unless given.
    """
    name = header.split()[0]
    if not sequence.isalpha():
        raise InputError(
            f"{where}: {shown(name)} needs a sequence of letters in its second line, found {shown(sequence)}"
        )
    _refuse_strange(where, name, sequence)
    if len(structure) != len(sequence):
        raise InputError(
            f"{where}: {shown(name)} has {len(sequence)} nucleotides but {len(structure)} marks of structure"
        )
    try:
        pairs = parse_dot_bracket(structure)
    except InputError as error:
        raise InputError(f"{where}: {shown(name)}: {error}") from None
    return _example(header, sequence, pairs, family)


def _example(header: str, sequence: str, pairs: Pairs, family: str | None = None) -> Example:
    return Example(sequence, pairs, header.split()[0], family or header_field(header, "family"))


def _refuse_strange(where: str, name: str, sequence: str) -> None:
    strange = RNA_IUPAC.first_invalid(to_rna(sequence), ignore_case=True)
    if strange is not None:
        allowed = f"allowed: T, {', '.join(letter for letter in RNA_IUPAC.symbols if letter != '-')}"
        raise InputError(f"{where}: {shown(name)} has {sequence[strange]!r} at position {strange}; {allowed}")


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


def hold_out(
    examples: Sequence[Example], families: Iterable[str], share: float, stream: int, by: Literal["family", "sequence"]
) -> tuple[list[Example], list[Example]]:
    """What stays and what is taken: the families named, else a share of all families or of distinct sequences."""
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
