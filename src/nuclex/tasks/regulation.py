"""Which stretches of DNA regulate genes: GUE's promoters, bound sites and histone marks, and 18 tasks of InstaDeep."""

from __future__ import annotations

from pathlib import Path
from typing import Any, ClassVar, Literal, NamedTuple, get_args

from pydantic import Field

from nuclex.core.errors import InputError, at, shown
from nuclex.core.randomness import key
from nuclex.data.read import ReadConfig, read_sequences
from nuclex.tasks.base import TASKS, Example, Shape, Split, Task, TaskConfig, assemble, carve, header_field
from nuclex.tasks.table import Naming, class_name, read_examples

GueName = Literal[
    "tf-0", "tf-1", "tf-2", "tf-3", "tf-4", "prom-core-all", "prom-core-notata", "prom-core-tata", "prom-300-tata",
    "emp-h3", "emp-h4", "emp-h3k4me3", "emp-h3k36me3", "splice",
]  # fmt: skip
WITHOUT_TRAIN = ("emp-h3", "emp-h4", "emp-h3k4me3", "emp-h3k36me3", "splice")


@TASKS.register
class GueConfig(TaskConfig):
    """GUE of DNABERT-2 (arXiv:2306.15006), with its own splits; ``dev`` is the validation.

    ``tf-N``: does a human transcription factor bind these 101 nt; ``prom-*``: are these 70 or 300 nt a human promoter;
    ``emp-*``: does this mark sit on these 500 nt of yeast's chromatin; ``splice``: donor, acceptor or neither. Between
    the published splits stand some sequences twice: ``Task.seen`` marks those of the test. The train files of
    ``emp-*`` and ``splice`` are not in the catalogue; ``train`` names one's own copy, sequence and label in columns.
    """

    kind: Literal["gue"] = "gue"
    shape: ClassVar[Shape] = Shape.CLASS
    name: GueName = "prom-core-all"
    train: Path | None = Field(default=None, description="the train file, where the catalogue has none")

    def read(self) -> Task:
        """Fetch and read the files of the catalogue; InputError where there is nothing to train on."""
        from nuclex.data.catalog import fetch

        if self.name in WITHOUT_TRAIN and self.train is None:
            raise InputError(
                f"gue {self.name}: not run: the catalogue has its dev and test files but no train file, and learning "
                "from dev would be another task; give the train file of GUE (train = FILE)"
            )
        if self.name not in WITHOUT_TRAIN and self.train is not None:
            raise InputError(f"gue {self.name}: the catalogue has its train file; leave out train = {self.train}")
        paths = {
            split: fetch(f"gue-{self.name}-{part}")[0] for split, part in (("validation", "dev"), ("test", "test"))
        }
        train = self.train or fetch(f"gue-{self.name}-train")[0]
        splits: dict[Split, list[Example]] = {
            "train": _rows(train),
            "validation": _rows(paths["validation"]),
            "test": _rows(paths["test"]),
        }
        return assemble(self, splits, {"dataset": f"gue-{self.name}", "splits": "as published"})


def _rows(path: Path) -> list[Example]:
    return [example for _, example in read_examples(path, Naming("label", sequence="sequence"), class_name)]


class Published(NamedTuple):
    """How many sequences a task has to train on and to test, in how many classes, of how many letters."""

    train: int
    test: int
    classes: int
    length: int


MARKS = {
    "H2AFZ": 3000, "H3K27ac": 1616, "H3K27me3": 3000, "H3K36me3": 3000, "H3K4me1": 3000, "H3K4me2": 2138,
    "H3K4me3": 776, "H4K20me1": 2270,
}  # fmt: skip
PUBLISHED: dict[str, Published] = {
    **{name: Published(30000, test, 2, 1000) for name, test in MARKS.items()},
    "H3K9ac": Published(23274, 1004, 2, 1000),
    "H3K9me3": Published(27438, 850, 2, 1000),
    "enhancers": Published(30000, 3000, 2, 400),
    "enhancers_types": Published(30000, 3000, 3, 400),
    "promoter_all": Published(30000, 1584, 2, 300),
    "promoter_no_tata": Published(30000, 1372, 2, 300),
    "promoter_tata": Published(5062, 212, 2, 300),
    "splice_sites_all": Published(30000, 3000, 3, 600),
    "splice_sites_acceptors": Published(30000, 3000, 2, 600),
    "splice_sites_donors": Published(30000, 3000, 2, 600),
}
"""The 18 tasks by name."""
SuiteName = Literal[
    "H2AFZ", "H3K27ac", "H3K27me3", "H3K36me3", "H3K4me1", "H3K4me2", "H3K4me3", "H3K9ac", "H3K9me3", "H4K20me1",
    "enhancers", "enhancers_types", "promoter_all", "promoter_no_tata", "promoter_tata", "splice_sites_all",
    "splice_sites_acceptors", "splice_sites_donors",
]  # fmt: skip
SUITE = "https://huggingface.co/datasets/InstaDeepAI/nucleotide_transformer_downstream_tasks_revised"


@TASKS.register
class NucleotideTransformerConfig(TaskConfig):
    """One of the 18 tasks of the Nucleotide Transformer, as revised (doi:10.1038/s41592-024-02523-z).

    ``train`` and ``test`` are the tables of the data set (Parquet or CSV: sequence, label, task), which hold all tasks;
    what is not given is the catalogue's nt-revised-train and nt-revised-test, whose sums nobody published. Validation
    is a share of train, by class and distinct sequence.
    """

    kind: Literal["nucleotide-transformer"] = "nucleotide-transformer"
    shape: ClassVar[Shape] = Shape.CLASS
    name: SuiteName = "promoter_all"
    train: Path | None = None
    test: Path | None = None
    validation_share: float = Field(default=0.1, gt=0, lt=1)

    def read(self) -> Task:
        """Read the tables; OutsideError with how to get them where they are neither given nor in the cache."""
        from nuclex.data.catalog import fetch

        found = self._examples(self.train or fetch("nt-revised-train")[0])
        test = self._examples(self.test or fetch("nt-revised-test")[0])
        train, validation = carve(found, self.validation_share, key(self.seed, "validation"))
        splits: dict[Split, list[Example]] = {"train": train, "validation": validation, "test": test}
        published = PUBLISHED[self.name]
        notes: dict[str, Any] = {
            "dataset": SUITE,
            "task": self.name,
            "as_published": (len(found), len(test)) == (published.train, published.test),
            "published": {"train": published.train, "test": published.test},
        }
        return assemble(self, splits, notes)

    def _examples(self, path: Path) -> list[Example]:
        examples, tasks = [], set[str]()
        for row, record in enumerate(read_sequences(path, config=ReadConfig(sequence_column="sequence")), start=1):
            label, task = (header_field(record.description, name) for name in ("label", "task"))
            if label is None or task is None:
                raise InputError(f"{at(path, record.line)}: the row has no label or no task; both columns are needed")
            tasks.add(task)
            if task == self.name:
                examples.append(Example(record.sequence.decode("ascii"), label, f"{task}-{row}"))
        if not examples:
            raise InputError(
                f"{path}: has no row of the task {self.name}; found {shown(', '.join(sorted(tasks)), 200)}"
            )
        return examples


assert set(get_args(SuiteName)) == set(PUBLISHED)
