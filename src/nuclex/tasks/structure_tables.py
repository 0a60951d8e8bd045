"""Which bases of an RNA pair, in one's own tables: a dot-bracket structure a sequence, or files of structures."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import ClassVar, Literal

from nuclex.bio.secondary_structure import parse_dot_bracket
from nuclex.core.errors import InputError
from nuclex.data.structures import holds_structures
from nuclex.tasks.base import TASKS, Example, Shape, Split
from nuclex.tasks.structure import read_structures
from nuclex.tasks.table import Answer, Found, Marks, Read, TableConfig


@TASKS.register
class TablePairsConfig(TableConfig):
    """Structures of one's own: a table with the columns sequence and structure (dot-bracket, pseudoknots too).

    As for other tables the sequences may be in files of their own, with ``labels``. Instead of a table, ``train``,
    ``validation`` and ``test`` may each be a .ct, .bpseq, .st, .dbn or .vienna file, or a folder of such files. What is
    not given is carved from train: by whole groups where ``group_column`` or the headers of a file (``family=NAME``)
    name them, else by distinct sequence.
    """

    kind: Literal["table-pairs"] = "table-pairs"
    shape: ClassVar[Shape] = Shape.PAIR_MAP
    label_column: str = "structure"

    @property
    def reading(self) -> Read:
        """Dot-bracket."""
        return _marks

    def _keeps_groups(self, splits: Mapping[Split, list[Example]]) -> bool:
        """Also where families are named by the headers of files."""
        return any(example.group is not None for example in splits["train"])

    def _split_column(self) -> str | None:
        return None if _is_structures(self.train) else super()._split_column()

    def _found(self, path: Path, split: str | None) -> Iterator[Found]:
        if not _is_structures(path):
            yield from super()._found(path, split)
            return
        for key in ("labels", "group_column", "split_column"):
            if getattr(self, key) is not None:
                raise InputError(f"{path}: holds structures and no columns; leave out {key}")
        yield from ((None, example) for example in read_structures(path))


def _is_structures(path: Path) -> bool:
    return path.is_dir() or holds_structures(path)


def _marks(text: str, where: str) -> Answer:
    written = text.strip()
    if not written:
        raise InputError(f"{where}: the structure is nothing; dot-bracket is needed")
    try:
        return Marks(parse_dot_bracket(written), len(written))
    except InputError as error:
        raise InputError(f"{where}: {error}") from None
