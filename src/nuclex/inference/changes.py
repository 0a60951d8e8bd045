"""Changes of sequences that a model is asked about: read as fine-tuning reads them, and named in words."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from itertools import chain, islice, takewhile
from pathlib import Path
from typing import Any, Literal

from pydantic import Field

from nuclex.bio.alphabet import to_rna
from nuclex.core.config import Config, load_config
from nuclex.core.errors import InputError, at, shown
from nuclex.data.columns import LONGEST_VALUE, SAMPLE_ROWS, ReadConfig, choose_columns
from nuclex.data.compression import opened
from nuclex.data.read import STDIN, read_sequences
from nuclex.data.table import delimiter_of, rows
from nuclex.inference.reading import label_of
from nuclex.tasks import Example, TableVariantConfig
from nuclex.tasks.base import header_field
from nuclex.tasks.table import Table

_WAYS = ("alternative_column", "change_column", "position_column")
_CHOOSE = {*_WAYS, "ref_column", "alt_column"}
"""Keys that say in which way changes are told, whatever the bundle says."""
_NO_TEXT_TABLE = (b">", b"@", b"LOCUS ", b"ID   ", b"PAR1", b"ARROW1", b"\xff\xff\xff\xff")
"""How files of sequences begin that are neither CSV nor TSV."""


class ChangeColumns(Config):
    """How a table of changes is read, by the keys of the task `table-variant`.

    What is not given is as the bundle was fine-tuned, where the table has a column of that name, else as it usually is.
    """

    sequence_column: str | None = Field(default=None, description="the sequences before the change")
    id_column: str | None = Field(default=None, description="the names of the rows; without one they are counted")
    alternative_column: str | None = Field(default=None, description="the whole changed sequences")
    change_column: str | None = Field(default=None, description="changes in words: A12G, 12A>G, 12del, 12_13insAC")
    position_column: str | None = Field(default=None, description="where the letters of ref_column begin")
    ref_column: str | None = Field(default=None, description="the letters that are changed")
    alt_column: str | None = Field(default=None, description="the letters that come for them")
    first: Literal[0, 1] | None = Field(default=None, description="the number of a sequence's first nucleotide")

    @property
    def given(self) -> dict[str, Any]:
        """The keys that say something."""
        return {key: value for key, value in self.to_data().items() if value is not None}

    def over(self, recipe: Mapping[str, Any], names: tuple[str, ...], label: str) -> TableVariantConfig:
        """These over what the ``recipe`` of a bundle says of the columns ``names``; InputError for two ways at once."""
        given, task = self.given, recipe.get("task")
        stored = task if isinstance(task, Mapping) and task.get("kind") == "table-variant" else {}
        usable = [key for key in type(self).model_fields if key in stored and (key == "first" or stored[key] in names)]
        kept = {key: stored[key] for key in usable}
        if _CHOOSE & set(given):
            kept = {key: name for key, name in kept.items() if key not in _WAYS}
        found: TableVariantConfig = load_config(TableVariantConfig, None, {"train": label, **kept, **given})
        return found


def changes_in(inputs: str | Path, columns: ChangeColumns, recipe: Mapping[str, Any]) -> Iterator[Example]:
    """The changes of a table one by one, each an example whose label is the change in words.

    The words are the table's own where it has such, else those of ``in_words``. CSV and TSV say changes in any way
    that fine-tuning reads; other formats have the whole changed sequence, of at most ``LONGEST_VALUE`` letters, in a
    column ``alternative``. InputError with file and line (Parquet, Arrow: row), in fine-tuning's sentences, for a
    change that is none or does not fit its sequence.
    """
    found = _text_rows if str(inputs) == STDIN or _is_text_table(inputs) else _records
    for example, first, where in found(inputs, columns, recipe):
        alternative = example.alternative or ""
        words = in_words(example.sequence, alternative, first) if alternative else ""
        if not words:
            what = "is what it was" if alternative else "is nothing"
            raise InputError(f"{where}: {shown(example.id)} {what} after the change; give it another or leave it out")
        yield replace(example, label=example.label or words)


def in_words(sequence: str, alternative: str, first: int = 1) -> str:
    """What makes the one of the other, as ``tasks.changes.read_changes`` reads it; nothing where they are the same.

    Substitutions one by one where both are of one length, else the one stretch that differs, as far to the right as
    it can be said to lie; an insertion has a neighbour with it. T and U are the same, and so are both cases.

    >>> in_words("ACGT", "AGGA"), in_words("ACCG", "ACG"), in_words("ACCG", "ACCUUG"), in_words("ACGT", "GACGU")
    ('C2G,T4A', 'C3-', 'C3CUU', 'A1GA')
    """
    before, after = to_rna(sequence.upper()), to_rna(alternative.upper())
    if len(before) == len(after):
        differ = [place for place in range(len(before)) if before[place] != after[place]]
        return ",".join(f"{sequence[place]}{place + first}{alternative[place]}" for place in differ)
    start = _shared(before, after)
    end = _shared(before[start:][::-1], after[start:][::-1])
    if start + end == len(before):
        start, end = (start - 1, end) if start else (0, end - 1)
    out, put = sequence[start : len(sequence) - end], alternative[start : len(alternative) - end]
    return f"{out}{start + first}{put or '-'}"


def _shared(one: str, other: str) -> int:
    """With how many same letters both begin."""
    return sum(1 for _ in takewhile(lambda pair: pair[0] == pair[1], zip(one, other, strict=False)))


_Found = tuple[Example, int, str]
"""A sequence with its alternative and the words, if any; its first nucleotide's number; the place for a refusal."""


def _is_text_table(inputs: str | Path) -> bool:
    with opened(inputs, label_of(inputs)) as text:
        head = text.peek().removeprefix(b"\xef\xbb\xbf").lstrip(b"\r\n")
    return bool(head) and not head.startswith(_NO_TEXT_TABLE)


def _text_rows(inputs: str | Path, columns: ChangeColumns, recipe: Mapping[str, Any]) -> Iterator[_Found]:
    label = label_of(inputs)
    with opened(inputs, label) as text:
        suffix = "tsv" if {".tsv", ".tab"} & set(Path(inputs).suffixes) else "csv"
        found = rows(text, delimiter_of(text.peek(), suffix))
        names = tuple(next(found, (0, []))[1])
        sample = tuple(islice(found, SAMPLE_ROWS))
        if not sample:
            raise InputError(f"{label}: is empty; a line with the columns' names and at least one row are needed")
        task = columns.over(recipe, names, label)
        alter = task.altering(Table(Path(label), names, sample))
        words = _words_place(task, names)
        read = ReadConfig(sequence_column=task.sequence_column, id_column=task.id_column)
        places = choose_columns(names, [fields for _, fields in sample], read, label)
        for number, (line, fields) in enumerate(chain(sample, found), start=1):
            where = at(label, line)
            record = places.record(fields, "", line, number, where)
            sequence = record.sequence.decode("ascii")
            alternative, said = alter(fields, sequence, where), "" if words is None else fields[words].strip()
            yield Example(sequence, said, record.id, alternative=alternative), task.first, where


def _words_place(task: TableVariantConfig, names: tuple[str, ...]) -> int | None:
    """Where the words of changes stand in a row, None where changes are told in another way."""
    other = task.alternative_column or task.position_column
    name = None if other else task.change_column or "change"
    return names.index(name) if name in names else None


def _records(inputs: str | Path, columns: ChangeColumns, recipe: Mapping[str, Any]) -> Iterator[_Found]:
    if columns.given:
        raise InputError(f"{inputs}: {', '.join(columns.given)}: for changes in CSV or TSV, which this file is not")
    first = columns.over(recipe, (), str(inputs)).first
    for record in read_sequences(inputs, config=ReadConfig(sequence_column="sequence")):
        where, alternative = at(inputs, record.line), header_field(record.description, "alternative")
        if alternative is None:
            raise InputError(
                f"{where}: {record.id!r} says no alternative; this bundle answers for variants: a table with the "
                f"columns sequence and alternative (at most {LONGEST_VALUE} letters) is needed, or CSV or TSV with "
                "change, or position, ref and alt"
            )
        yield Example(record.sequence.decode("ascii"), "", record.id, alternative=alternative), first, where
