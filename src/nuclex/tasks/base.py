"""What a question is: sequences with answers, split once, and the shape that decides head, loss and metric.

A task speaks strings: it knows no tokenizer and no model. Data for a shape that is here is a few lines of TOML.
"""

from __future__ import annotations

import hashlib
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from functools import cached_property
from typing import Annotated, Any, ClassVar, Literal, cast, get_args

import numpy as np
from numpy.typing import NDArray
from pydantic import BeforeValidator, Field, SerializeAsAny

from nuclex.bio.alphabet import to_rna
from nuclex.bio.base_pairs import Pairs
from nuclex.core.config import Config
from nuclex.core.errors import InputError, shown
from nuclex.core.randomness import key
from nuclex.core.registry import Registry

Split = Literal["train", "validation", "test"]
SPLITS: tuple[Split, ...] = get_args(Split)


class Shape(StrEnum):
    """What an answer looks like: a class's name, a number, a label at each nucleotide, which bases pair, an effect.

    A variant score is a number for a change of a sequence, and a partner score one for a sequence together with
    something else that is given as a vector, such as a drug; the other shapes ask about the sequence itself.
    """

    CLASS = "class"
    SCALAR = "scalar"
    PER_POSITION = "label per position"
    PAIR_MAP = "pair map"
    VARIANT = "variant score"
    PARTNER = "partner score"


Track = NDArray[np.float64] | NDArray[np.str_]
"""A label for each nucleotide of a sequence (L,): numbers, nan where nothing was measured, or names, "" where none.

Of a task with several targets (L, K) numbers.
"""


@dataclass(frozen=True, eq=False)
class Partner:
    """What a sequence is asked about together with: its name, and the vector (P,) that something else made of it."""

    name: str
    vector_P: NDArray[np.float32]


@dataclass(frozen=True, eq=False)
class Example:
    """One sequence, as it was written, and its true answer.

    ``label`` is the class's name (``Shape.CLASS``), a finite number (``SCALAR``, ``VARIANT``, ``PARTNER``), a ``Track``
    (L,) (``PER_POSITION``) or the base pairs (P, 2) (``PAIR_MAP``); ``group`` names relatives, such as the family, that
    a split should not tear apart. ``alternative`` is the changed sequence of a ``VARIANT``, ``sequence`` the reference.
    ``stratum`` is a kind of sequence that results are also given by, such as the locus of an antibody; ``partner`` what
    a ``PARTNER`` asks about beside the sequence.
    """

    sequence: str
    label: str | float | Track | Pairs
    id: str
    group: str | None = None
    alternative: str | None = None
    stratum: str | None = None
    partner: Partner | None = None

    @property
    def letters(self) -> str:
        """The sequence in upper case with U for T: what makes two the same (of a variant, both: ``ACG>ACU``)."""
        both = self.sequence if self.alternative is None else f"{self.sequence}>{self.alternative}"
        return to_rna(both.upper())

    @property
    def number(self) -> float:
        """The label of a scalar, a variant or a pair with a partner."""
        assert isinstance(self.label, float | int)
        return float(self.label)

    @property
    def track(self) -> Track:
        """The labels of the positions."""
        assert isinstance(self.label, np.ndarray)
        return cast(Track, self.label)

    @property
    def pairs(self) -> Pairs:
        """The label of a pair map."""
        assert isinstance(self.label, np.ndarray)
        return cast(Pairs, self.label)


@dataclass(frozen=True, eq=False)
class Task:
    """A question with its examples in three splits; ``notes`` say where they came from and what was left out.

    ``regions`` are those classes of positions that follow each other along a sequence, each once at most, in order;
    ``targets`` the names of the K numbers that each position has, none where it has one.
    """

    name: str
    shape: Shape
    splits: Mapping[Split, tuple[Example, ...]]
    classes: tuple[str, ...] = ()
    notes: Mapping[str, Any] = field(default_factory=dict)
    regions: tuple[str, ...] = ()
    targets: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        for split in SPLITS:
            if not self.splits[split]:
                raise InputError(f"{self.name}: the {split} split is empty; every split needs at least one sequence")
        for example in self.splits["validation"] + self.splits["test"]:
            for name in self._names(example):
                if name not in self.classes:
                    raise InputError(
                        f"{self.name}: {example.id!r} is of class {name!r}, which the train split does not have; "
                        f"allowed: {', '.join(self.classes)}"
                    )

    def _names(self, example: Example) -> list[str]:
        """The classes that an example's answer names."""
        if self.shape is Shape.CLASS:
            return [str(example.label)]
        if self.shape is Shape.PER_POSITION and self.classes:
            return [str(name) for name in np.unique(example.track) if name != ""]
        return []

    def examples(self, split: Split) -> tuple[Example, ...]:
        """The examples of a split, in a fixed order."""
        return self.splits[split]

    @cached_property
    def seen(self) -> NDArray[np.bool_]:
        """Which test sequences also stand, letter for letter (T is U), in train or validation: (N,) bool."""
        known = {example.letters for split in SPLITS[:2] for example in self.splits[split]}
        return np.array([example.letters in known for example in self.splits["test"]], dtype=np.bool_)

    @cached_property
    def digest(self) -> str:
        """sha256 of everything that is asked and answered: id, sequence and label of each example of each split."""
        total = hashlib.sha256()
        for split in SPLITS:
            for example in self.splits[split]:
                label = example.label if isinstance(example.label, str | float) else example.label.tolist()
                asked = [example.sequence] if example.alternative is None else [example.sequence, example.alternative]
                total.update("\x1f".join([split, example.id, *asked, str(label), ""]).encode())
                if example.partner is not None:
                    total.update(example.partner.name.encode() + example.partner.vector_P.tobytes())
        return total.hexdigest()

    def counts(self) -> dict[str, int]:
        """How many sequences each split has, and how many of those also stand in an earlier one."""
        train = {example.letters for example in self.splits["train"]}
        sizes: dict[str, int] = {split: len(self.splits[split]) for split in SPLITS}
        twice = sum(example.letters in train for example in self.splits["validation"])
        return {**sizes, "validation_seen_in_train": twice, "test_seen_in_train_or_validation": int(self.seen.sum())}


class TaskConfig(Config, ABC):
    """Where the examples of a task come from; ``kind`` names the way of reading them."""

    kind: str
    shape: ClassVar[Shape]
    """What an answer looks like; known before anything is read."""
    max_length: int | None = Field(
        default=None, ge=1, description="leave out longer sequences (letters); the notes count them"
    )
    test_max_length: int | None = Field(
        default=None, ge=1, description="of the test split, where it is not max_length: train short, test long"
    )
    train_limit: int | None = Field(default=None, ge=1, description="at most this many, drawn at random")
    validation_limit: int | None = Field(default=None, ge=1)
    test_limit: int | None = Field(default=None, ge=1)
    seed: int = Field(default=0, description="decides what is carved off and which sequences stay within the limits")

    @abstractmethod
    def read(self) -> Task:
        """Read the files; InputError with file and line where they are wrong."""


TASKS: Registry[TaskConfig] = Registry("tasks", TaskConfig)  # type: ignore[type-abstract]

AnyTaskConfig = Annotated[SerializeAsAny[TaskConfig], BeforeValidator(TASKS.validator())]
"""The type of a config field that takes any registered task."""


def assemble(config: TaskConfig, splits: Mapping[Split, Iterable[Example]], notes: Mapping[str, Any]) -> Task:
    """A task out of its splits, within the limits of its config; classes are those of the train split, sorted.

    InputError where there is only one class.
    """
    limits = {"train": config.train_limit, "validation": config.validation_limit, "test": config.test_limit}
    longest: dict[str, int | None] = dict.fromkeys(SPLITS, config.max_length)
    longest["test"] = config.test_max_length or config.max_length
    kept: dict[Split, tuple[Example, ...]] = {}
    longer: dict[str, int] = {}
    for split in SPLITS:
        examples, most = list(splits[split]), longest[split]
        short = [item for item in examples if most is None or len(item.sequence) <= most]
        longer[split] = len(examples) - len(short)
        kept[split] = tuple(draw(short, limits[split], key(config.seed, "limit", split)))
    left_out = {"longer_than": longest, **longer} if any(longest.values()) else {}
    classes = _classes(config.shape, kept["train"])
    if len(classes) == 1:
        raise InputError(f"{config.kind}: all labels of the train split are {classes[0]!r}; there is nothing to learn")
    return Task(config.kind, config.shape, kept, classes, {**notes, "left_out": left_out})


def _classes(shape: Shape, train: Iterable[Example]) -> tuple[str, ...]:
    """The names that occur in the train split, sorted; none where answers are numbers or pairs."""
    if shape is Shape.CLASS:
        return tuple(sorted({str(item.label) for item in train}))
    if shape is Shape.PER_POSITION:
        names = {str(name) for item in train if item.track.dtype.kind == "U" for name in np.unique(item.track)}
        return tuple(sorted(names - {""}))
    return ()


def draw(examples: Sequence[Example], count: int | None, stream: int) -> list[Example]:
    """At most ``count`` of the examples, chosen by their ids alone, in the order given."""
    if count is None or count >= len(examples):
        return list(examples)
    order = sorted(range(len(examples)), key=lambda place: key(stream, examples[place].id))
    return [examples[place] for place in sorted(order[:count])]


def carve(
    examples: Sequence[Example], share: float, stream: int, *, by: Literal["sequence", "group"] = "sequence"
) -> tuple[list[Example], list[Example]]:
    """Split off about ``share`` of the examples: (what stays, what was taken), each in the order given.

    ``sequence``: equal sequences stay together, and every class (or group) gives its share. ``group``: whole groups
    are taken, at least one. Who is taken depends on the sequences (or group names), not on their order in a file. A
    class keeps at least one of its sequences.
    """
    unit_of: Callable[[Example], str] = _group if by == "group" else lambda example: example.letters
    strata: dict[str, dict[str, None]] = {}
    stratum_of: dict[str, str] = {}
    for example in examples:
        unit = unit_of(example)
        kind = example.label if isinstance(example.label, str) else example.group
        stratum = stratum_of.setdefault(unit, "" if by == "group" else kind or "")
        strata.setdefault(stratum, {})[unit] = None
    taken: set[str] = set()
    for units in strata.values():
        ranked = sorted(units, key=lambda unit: key(stream, unit))
        least, most = (1, len(ranked)) if by == "group" else (min(1, len(ranked) - 1), len(ranked) - 1)
        taken.update(ranked[: min(max(round(share * len(ranked)), least), most)])
    stay = [example for example in examples if unit_of(example) not in taken]
    return stay, [example for example in examples if unit_of(example) in taken]


def carve_missing(
    splits: Mapping[Split, Sequence[Example]], shares: Mapping[Split, float], seed: int, *, by_group: bool
) -> tuple[dict[Split, list[Example]], dict[str, str]]:
    """Carve test and validation off train where they have no examples: the splits, and what was carved, for notes.

    ``shares`` are of all that train held at first. InputError where relatives are asked to stay together (``by_group``)
    and the splits that are given tear them apart.
    """
    by: Literal["sequence", "group"] = "group" if by_group else "sequence"
    whole, carved, share_left = {split: list(splits.get(split, ())) for split in SPLITS}, {}, 1.0
    for split in ("test", "validation"):
        if not whole[split]:
            whole["train"], whole[split] = carve(whole["train"], shares[split] / share_left, key(seed, split), by=by)
            share_left -= shares[split]
            carved[str(split)] = f"carved from train by {by}"
    if by_group:
        _refuse_torn(whole)
    return whole, carved


def _refuse_torn(splits: Mapping[Split, Sequence[Example]]) -> None:
    home: dict[str, Split] = {}
    for split in SPLITS:
        for example in splits[split]:
            if (first := home.setdefault(_group(example), split)) != split:
                raise InputError(
                    f"{example.id!r} of the {split} split is of the group {shown(_group(example))}, which the {first} "
                    "split has, too; a group lies in one split, or give no groups"
                )


def _group(example: Example) -> str:
    if example.group is None:
        raise InputError(f"{example.id!r} names no group to split by; give one (family=NAME) or split by sequence")
    return example.group


def header_field(header: str, name: str) -> str | None:
    """The value of ``name=value`` in a header line, None where it is not there.

    >>> header_field("sim01_0003 family=sim01 simulated", "family")
    'sim01'
    """
    for word in header.split():
        before, equals, value = word.partition("=")
        if before == name and equals and value:
            return value
    return None
