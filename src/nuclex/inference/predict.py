"""The answers of a fine-tuned model for any sequences: a table of class probabilities, or structures as dot-bracket."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import Any

from nuclex.bio.secondary_structure import to_dot_bracket
from nuclex.bundle import Bundle, load
from nuclex.core.artifact import atomic_file
from nuclex.core.errors import CorruptError, InputError
from nuclex.core.progress import say
from nuclex.data.read import read_sequences
from nuclex.inference.tables import TABLES, check_table, write_rows
from nuclex.models.heads import AnsweringModel
from nuclex.tasks import Example, Shape
from nuclex.training.classes import class_probabilities
from nuclex.training.device import within_memory
from nuclex.training.pairs import DecodingConfig, check_one_token_a_nucleotide, pair_probabilities
from nuclex.training.supervised import Reading, answering_model

AT_ONCE = 1024
"""Sequences read and answered together; bounds memory."""
MICRO_TOKENS = 16_384
ENDINGS = {Shape.CLASS: TABLES, Shape.PAIR_MAP: (".dbn",)}


def predict(bundle: Bundle | str | Path, inputs: str | Path, out: str | Path, *, device: str = "cpu") -> dict[str, Any]:
    """Answer a fine-tuned model's question for every sequence of a file (any format that is read), in its order.

    Classes go to .tsv, .csv or .parquet (id, class, and the probability of each class in a column of its own),
    structures to .dbn (header, sequence, dot-bracket). The file is whole or not there. InputError for another ending,
    a bundle without a head, or a sequence the model cannot read.
    """
    opened = bundle if isinstance(bundle, Bundle) else load(bundle, device=device)
    model, target = answering_model(opened), Path(out)
    assert opened.task is not None
    shape = Shape(opened.task.config["shape"])
    check_table(target, ENDINGS[shape], f"a {shape}")
    readings = _readings(opened, inputs)
    with atomic_file(target) as temporary, within_memory():
        if shape is Shape.CLASS:
            count = _write_classes(temporary, model, readings, opened.task.config["classes"])
        else:
            count = _write_structures(temporary, model, readings, opened)
    say(f"{target}: {count} sequences")
    return {"out": str(target), "sequences": count, "shape": str(shape)}


def _readings(bundle: Bundle, inputs: str | Path) -> Iterator[Reading]:
    """The sequences of a file, a bounded number at a time."""
    records = read_sequences(inputs)
    while chunk := list(islice(records, AT_ONCE)):
        examples = [Example(record.sequence.decode("ascii"), "", record.id) for record in chunk]
        try:
            yield Reading.of(examples, bundle.tokenizer, bundle.model.config.longest)
        except InputError as error:
            raise InputError(f"{inputs}: {error}") from None


def _write_classes(path: Path, model: AnsweringModel, readings: Iterator[Reading], classes: Sequence[str]) -> int:
    columns: dict[str, type] = {"id": str, "class": str, **{f"p_{name}": float for name in classes}}
    return write_rows(path, columns, _class_rows(model, readings, classes), digits=6)


def _class_rows(model: AnsweringModel, readings: Iterator[Reading], classes: Sequence[str]) -> Iterator[list[Any]]:
    for reading in readings:
        probability_NC = class_probabilities(model, reading, MICRO_TOKENS)
        for example, probability_C in zip(reading.examples, probability_NC, strict=True):
            yield [example.id, classes[int(probability_C.argmax())], *probability_C.tolist()]


def _write_structures(path: Path, model: AnsweringModel, readings: Iterator[Reading], bundle: Bundle) -> int:
    assert bundle.task is not None
    try:
        settings = bundle.task.config["settings"]
        threshold, decoding = float(settings["threshold"]), DecodingConfig.from_data(settings["decoding"])
    except (KeyError, TypeError, ValueError):
        raise CorruptError(f"{bundle.path}: the settings of its decoding are not readable") from None
    count = 0
    with path.open("w", encoding="utf-8") as handle:
        for reading in readings:
            check_one_token_a_nucleotide(reading, "input")
            for example, probability_LL in pair_probabilities(model, reading):
                pairs = decoding.pairs(probability_LL, example.sequence, threshold)
                marks = to_dot_bracket(pairs, len(example.sequence))
                handle.write(f">{example.id}\n{example.sequence}\n{marks}\n")
                count += 1
    return count
