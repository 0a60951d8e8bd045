"""The answers of a fine-tuned model for any sequences: a table of class probabilities, or structures as dot-bracket."""

from __future__ import annotations

import csv
from collections.abc import Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nuclex.bio.secondary_structure import to_dot_bracket
from nuclex.bundle import Bundle, load
from nuclex.core.artifact import atomic_file
from nuclex.core.errors import CorruptError, InputError
from nuclex.core.progress import say
from nuclex.data.read import read_sequences
from nuclex.models.heads import AnsweringModel
from nuclex.tasks import Example, Shape
from nuclex.training.classes import class_probabilities
from nuclex.training.device import within_memory
from nuclex.training.pairs import DecodingConfig, check_one_token_a_nucleotide, pair_probabilities
from nuclex.training.supervised import Reading, answering_model

AT_ONCE = 1024
"""Sequences read and answered together; bounds memory."""
MICRO_TOKENS = 16_384
ENDINGS = {Shape.CLASS: (".tsv", ".csv", ".parquet"), Shape.PAIR_MAP: (".dbn",)}


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
    if target.suffix not in ENDINGS[shape]:
        allowed = ", ".join(ENDINGS[shape])
        raise InputError(f"{target}: a {shape} is written to {allowed}, found {target.suffix or 'no ending'!r}")
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
    rows = _class_rows(model, readings, classes)
    columns = ["id", "class", *(f"p_{name}" for name in classes)]
    if path.suffix == ".parquet":
        return _write_parquet(path, columns, rows)
    count = 0
    with path.open("w", encoding="utf-8", newline="") as handle:
        table = csv.writer(handle, delimiter="\t" if path.suffix == ".tsv" else ",", lineterminator="\n")
        table.writerow(columns)
        for name, answer, probability_C in rows:
            table.writerow([name, answer, *(f"{value:.6g}" for value in probability_C)])
            count += 1
    return count


def _class_rows(
    model: AnsweringModel, readings: Iterator[Reading], classes: Sequence[str]
) -> Iterator[tuple[str, str, NDArray[np.float64]]]:
    for reading in readings:
        probability_NC = class_probabilities(model, reading, MICRO_TOKENS)
        for example, probability_C in zip(reading.examples, probability_NC, strict=True):
            yield example.id, classes[int(probability_C.argmax())], probability_C


def _write_parquet(path: Path, columns: Sequence[str], rows: Iterator[tuple[str, str, NDArray[np.float64]]]) -> int:
    import pyarrow as pa
    import pyarrow.parquet as pq

    text, number = pa.string(), pa.float32()
    schema = pa.schema([(name, text if place < 2 else number) for place, name in enumerate(columns)])
    count = 0
    with pq.ParquetWriter(path, schema) as writer:
        while chunk := list(islice(rows, AT_ONCE)):
            probability_NC = np.stack([probability_C for _, _, probability_C in chunk]).astype(np.float32)
            arrays = [pa.array([row[0] for row in chunk], text), pa.array([row[1] for row in chunk], text)]
            arrays += [pa.array(column_N, number) for column_N in probability_NC.T]
            writer.write_table(pa.Table.from_arrays(arrays, schema=schema))
            count += len(chunk)
    return count


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
