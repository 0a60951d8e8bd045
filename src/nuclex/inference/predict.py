"""The answers of a fine-tuned model for any sequences: a table of classes or numbers, or structures as dot-bracket."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from nuclex.bio.regions import OUTSIDE, spans_of
from nuclex.bundle import Bundle, load
from nuclex.core.artifact import atomic_file
from nuclex.core.config import load_config
from nuclex.core.errors import CorruptError, InputError
from nuclex.core.progress import counted, say
from nuclex.data.read import read_sequences
from nuclex.inference.airr import AIRR, airr_columns, airr_row
from nuclex.inference.changes import ChangeColumns, changes_in
from nuclex.inference.fold import Folded
from nuclex.inference.partners import PartnerColumns, pairs_in
from nuclex.inference.reading import how_many
from nuclex.inference.tables import TABLES, check_table, write_rows
from nuclex.models.answering import AnsweringModel
from nuclex.models.borders import BorderHead
from nuclex.tasks import Example, Shape
from nuclex.training.borders import border_scores, columns_of
from nuclex.training.classes import class_probabilities
from nuclex.training.device import within_memory
from nuclex.training.letters import Letters
from nuclex.training.pairs import check_one_token_a_nucleotide, pair_probabilities, stored_decoding
from nuclex.training.positions import Scores, all_positions, called, check_positions
from nuclex.training.profiles import Scales
from nuclex.training.scalars import all_scalars, changed_sequences
from nuclex.training.supervised import Reading, answering_model

AT_ONCE = 1024
"""Sequences read and answered together; bounds memory."""
MICRO_TOKENS = 16_384
Floats = NDArray[np.float64]
Write = Callable[[Path, AnsweringModel, Iterator[Reading], Bundle], int]


def predict(
    bundle: Bundle | str | Path, inputs: str | Path, out: str | Path, *, device: str = "cpu", **settings: Any
) -> dict[str, Any]:
    """Answer a fine-tuned model's question for every sequence of a file (any format that is read), in its order.

    Classes go to .tsv, .csv or .parquet (id, class, and the probability of each class in a column of its own), numbers
    too (id, value in the units of the data), labels of positions with a row a nucleotide (id, position counted from 0,
    nucleotide, and class or value, or of several targets the value_NAME of each), structures to .dbn (header, sequence,
    dot-bracket). Of regions the class is that of the most probable way through them, and a name that ends in .airr.tsv
    gives a row a sequence with their starts and ends (``inference.airr``). The file is whole or not there.
    Variants are asked about in a table that has, beside sequence, the column alternative or change, or position, ref
    and alt, all read as by the task ``table-variant``; a row each is the answer: id, change (the table's
    words, else those of ``inference.changes.in_words``), value. ``settings`` are the keys of ``ChangeColumns``: how
    that table is read. Pairs are asked about in a table with sequence and partner (id, partner, value); ``settings``
    are the keys of ``PartnerColumns``, of which ``partners`` has the vectors of partners that fine-tuning did not know.
    InputError for an ending that is not for the answer, a bundle without a head, settings for a bundle that answers
    something else, or a sequence or a change that cannot be read.
    """
    opened = bundle if isinstance(bundle, Bundle) else load(bundle, device=device)
    model, target = answering_model(opened), Path(out)
    assert opened.task is not None
    shape = Shape(opened.task.config["shape"])
    endings, write = WRITERS[shape]
    if target.name.endswith(AIRR):
        if not _regions(opened):
            raise InputError(f"{target}: {AIRR} is for regions along a sequence; {opened.path} answers a {shape}")
        write = _write_airr
    check_table(target, endings, f"a {shape}")
    readings = _readings(opened, inputs, _asked(opened, inputs, settings))
    with atomic_file(target) as temporary, within_memory():
        plain = shape not in (Shape.PARTNER, Shape.VARIANT)
        parts = math.ceil(how_many(inputs) / AT_ONCE) if plain else 0
        count = write(temporary, model, counted("predicting", readings, parts), opened)
    say(f"{target}: {count} sequences")
    return {"out": str(target), "sequences": count, "shape": str(shape)}


def _asked(bundle: Bundle, inputs: str | Path, settings: dict[str, Any]) -> Iterator[Example]:
    """The sequences of a file, each with its change or its partner where these are asked about."""
    assert bundle.task is not None
    shape = Shape(bundle.task.config["shape"])
    if shape is Shape.PARTNER:
        return pairs_in(inputs, load_config(PartnerColumns, None, settings), bundle)
    columns: ChangeColumns = load_config(ChangeColumns, None, settings)
    if shape is Shape.VARIANT:
        return changes_in(inputs, columns, bundle.record.recipe)
    if columns.given:
        raise InputError(f"{', '.join(columns.given)}: for changes of sequences; {bundle.path} answers a {shape}")
    return _unanswered(inputs)


def _readings(bundle: Bundle, inputs: str | Path, asked: Iterator[Example]) -> Iterator[Reading]:
    """What is asked about, a bounded number at a time."""
    assert bundle.task is not None
    variants = Shape(bundle.task.config["shape"]) is Shape.VARIANT
    while examples := list(islice(asked, AT_ONCE)):
        try:
            reading = Reading.of(examples, bundle.tokenizer, bundle.model.config.longest)
            if variants:
                changed_sequences(reading)  # what it refuses is in this file, too
        except InputError as error:
            raise InputError(f"{inputs}: {error}") from None
        yield reading


def _unanswered(inputs: str | Path) -> Iterator[Example]:
    for record in read_sequences(inputs):
        yield Example(record.sequence.decode("ascii"), "", record.id)


def _write_classes(path: Path, model: AnsweringModel, readings: Iterator[Reading], bundle: Bundle) -> int:
    assert bundle.task is not None
    classes = bundle.task.config["classes"]
    columns: dict[str, type] = {"id": str, "class": str, **{f"p_{name}": float for name in classes}}
    return write_rows(path, columns, _class_rows(model, readings, classes), digits=6)


def _class_rows(model: AnsweringModel, readings: Iterator[Reading], classes: Sequence[str]) -> Iterator[list[Any]]:
    for reading in readings:
        probability_NC = class_probabilities(model, reading, MICRO_TOKENS)
        for example, probability_C in zip(reading.examples, probability_NC, strict=True):
            yield [example.id, classes[int(probability_C.argmax())], *probability_C.tolist()]


def _write_scalars(path: Path, model: AnsweringModel, readings: Iterator[Reading], bundle: Bundle) -> int:
    rows = ([one.id, value] for one, value in _values(model, readings, bundle))
    return write_rows(path, {"id": str, "value": float}, rows)


def _write_pairs(path: Path, model: AnsweringModel, readings: Iterator[Reading], bundle: Bundle) -> int:
    rows = ([one.id, one.partner.name if one.partner else "", value] for one, value in _values(model, readings, bundle))
    return write_rows(path, {"id": str, "partner": str, "value": float}, rows)


def _write_changes(path: Path, model: AnsweringModel, readings: Iterator[Reading], bundle: Bundle) -> int:
    rows = ([one.id, one.label, value] for one, value in _values(model, readings, bundle, of=changed_sequences))
    return write_rows(path, {"id": str, "change": str, "value": float}, rows)


def _values(
    model: AnsweringModel,
    readings: Iterator[Reading],
    bundle: Bundle,
    of: Callable[[Reading], Reading | None] = lambda reading: None,
) -> Iterator[tuple[Example, float]]:
    """What each sequence gets, or how much more what it is changed to (``of``), in units of the data."""
    (scale,) = _scales(bundle).of_each
    for reading in readings:
        value_N = scale.undone(all_scalars(model, reading, MICRO_TOKENS, of(reading)))
        yield from zip(reading.examples, value_N.tolist(), strict=True)


def _write_positions(path: Path, model: AnsweringModel, readings: Iterator[Reading], bundle: Bundle) -> int:
    assert bundle.task is not None
    classes = bundle.task.config["classes"]
    columns: dict[str, type] = {"id": str, "position": int, "nucleotide": str}
    scales, count = None if classes else _scales(bundle), 0
    if scales is None:
        columns |= {"class": str, **{f"p_{name}": float for name in classes}}
    else:
        columns |= dict.fromkeys([f"value_{name}" for name in scales.targets] or ["value"], float)

    def rows() -> Iterator[list[Any]]:
        nonlocal count
        for example, logits_LC, guess_L in _positions(model, readings, bundle):
            count += 1
            if scales is None:
                answer_LK = _class_columns(logits_LC, [classes[guess] for guess in guess_L.tolist()])
            else:
                answer_LK = iter(scales.undone(logits_LC))
            for position, (letter, answers) in enumerate(zip(example.sequence, answer_LK, strict=True)):
                yield [example.id, position, letter, *answers]

    write_rows(path, columns, rows(), digits=6)
    return count


def _write_airr(path: Path, model: AnsweringModel, readings: Iterator[Reading], bundle: Bundle) -> int:
    assert bundle.task is not None
    regions, names = _regions(bundle), np.array(bundle.task.config["classes"])
    found = (
        list(airr_row(example.id, example.sequence, spans_of(names[guess_L], regions), regions))
        for example, _, guess_L in _positions(model, readings, bundle)
    )
    return write_rows(path, dict.fromkeys(airr_columns(regions), str), found)


def _positions(
    model: AnsweringModel, readings: Iterator[Reading], bundle: Bundle
) -> Iterator[tuple[Example, Floats, NDArray[np.int64]]]:
    """The scores of each letter of a sequence (L, C), and its class (L,); of numbers only the first counts."""
    assert bundle.task is not None
    classes, regions = bundle.task.config["classes"], _regions(bundle)
    scores: Scores = all_positions
    if isinstance(model.head, BorderHead):
        scores = partial(border_scores, columns=columns_of(classes, regions))
    for reading in readings:
        if not classes:
            check_positions(reading, "input")
        letters, found = Letters(reading, "input"), dict(scores(model, reading, MICRO_TOKENS))
        for index, example in enumerate(reading.examples):
            token_L = letters.token[index]
            yield example, found[index][token_L], called(found[index], classes, regions)[token_L]


def _regions(bundle: Bundle) -> list[str]:
    """The classes that follow each other along a sequence, in their order; none for most questions."""
    assert bundle.task is not None
    settings = bundle.task.config.get("settings")
    regions = settings.get("regions", []) if isinstance(settings, dict) else []
    named = isinstance(regions, list) and set(bundle.task.config["classes"]) - {OUTSIDE} <= set(map(str, regions))
    if regions and not named:
        raise CorruptError(f"{bundle.path}: the regions of its answer are not readable")
    return list(regions)


def _class_columns(logits_LC: Floats, names: Sequence[str]) -> Iterator[list[Any]]:
    """The class and the probabilities of each position."""
    for name, probability_C in zip(names, torch.from_numpy(logits_LC).softmax(-1).numpy(), strict=True):
        yield [name, *probability_C.tolist()]


def _scales(bundle: Bundle) -> Scales:
    assert bundle.task is not None
    try:
        return Scales.from_settings(bundle.task.config["settings"])
    except (KeyError, TypeError, ValueError):
        raise CorruptError(f"{bundle.path}: the settings of its scale are not readable") from None


def _write_structures(path: Path, model: AnsweringModel, readings: Iterator[Reading], bundle: Bundle) -> int:
    threshold, decoding = stored_decoding(bundle)
    count = 0
    with path.open("w", encoding="utf-8") as handle:
        for reading in readings:
            check_one_token_a_nucleotide(reading, "input")
            for example, probability_LL in pair_probabilities(model, reading):
                pairs = decoding.pairs(probability_LL, example.sequence, threshold)
                rna = Folded(example.id, example.sequence, pairs, probability_LL, threshold, decoding.method)
                handle.write(rna.text(".dbn", 0.0))
                count += 1
    return count


WRITERS: dict[Shape, tuple[tuple[str, ...], Write]] = {
    Shape.CLASS: (TABLES, _write_classes),
    Shape.SCALAR: (TABLES, _write_scalars),
    Shape.VARIANT: (TABLES, _write_changes),
    Shape.PARTNER: (TABLES, _write_pairs),
    Shape.PER_POSITION: (TABLES, _write_positions),
    Shape.PAIR_MAP: ((".dbn",), _write_structures),
}
"""How the answers of each shape are written: the endings that are allowed, and the function that does it."""
