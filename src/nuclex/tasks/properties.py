"""A number or a class for each sequence of one's own: a table with both, or FASTA with a table of answers by id."""

from __future__ import annotations

from typing import Literal

from nuclex.tasks.base import TASKS, Shape
from nuclex.tasks.table import Read, TableConfig, class_name, number


@TASKS.register
class TableScalarConfig(TableConfig):
    """A measured number for each sequence of one's own table."""

    kind: Literal["table-scalar"] = "table-scalar"

    @property
    def shape(self) -> Shape:
        """A number."""
        return Shape.SCALAR

    @property
    def reading(self) -> Read:
        """A finite number."""
        return number


@TASKS.register
class TableClassConfig(TableConfig):
    """A class for each sequence of one's own table."""

    kind: Literal["table-class"] = "table-class"

    @property
    def shape(self) -> Shape:
        """A class."""
        return Shape.CLASS

    @property
    def reading(self) -> Read:
        """A name."""
        return class_name
