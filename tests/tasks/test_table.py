"""Tables as examples: where answers come from, and a sentence with file and line for whatever is none."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from nuclex.core.config import load_config
from nuclex.core.errors import InputError
from nuclex.inference.predict import predict
from nuclex.tasks.base import Example
from nuclex.tasks.table import Naming, class_name, number, read_examples, read_labelled
from nuclex.training.finetune import FinetuneConfig, finetune


def written(path: Path, text: str) -> Path:
    path.write_text(text)
    return path


def told(found: list[tuple[str | None, Example]]) -> list[tuple[object, ...]]:
    return [(split, item.id, item.sequence, item.label, item.group) for split, item in found]


def test_columns_by_name_and_by_habit(tmp_path: Path) -> None:
    path = written(tmp_path / "a.csv", "name,sequence,label,fold,clan\na b,ACGT,-1.5e-1,valid,x\nc,acgu,.5,Train,y y\n")
    naming = Naming("label", group="clan", split="fold")
    assert told(list(read_examples(path, naming, number))) == [
        ("validation", "a_b", "ACGT", -0.15, "x"),
        ("train", "c", "acgu", 0.5, "y y"),
    ]
    other = written(tmp_path / "b.tsv", 'utr\tload\n"ACGTACGT"\t"5 S"\n')
    assert told(list(read_examples(other, Naming("load", sequence="utr"), class_name))) == [
        (None, "row-1", "ACGTACGT", "5 S", None)
    ]


def test_labels_by_id(tmp_path: Path) -> None:
    fasta = written(tmp_path / "a.fa", ">b some words\nACGT\n>a\nGG\n")
    labels = written(tmp_path / "l.csv", "id,label\na,1\nb,2\nc,3\n")
    found = told(list(read_labelled(fasta, labels, Naming("label"), number)))
    assert found == [(None, "b", "ACGT", 2.0, None), (None, "a", "GG", 1.0, None)]


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("sequence,label\nACGT,1\nACGT,\n", r"a\.csv:3: the label is nothing; a finite number is needed"),
        ("sequence,label\nACGT,nan\n", r"a\.csv:2: the label is 'nan'; a finite number is needed"),
        ("sequence,label\nACGT,1_000\n", r"a\.csv:2: the label is '1_000'"),
        ("sequence,label\nACGT,1e999\n", r"a\.csv:2: the label is '1e999'"),
        ("sequence,label\nACGT,0x1p3\n", r"a\.csv:2: the label is '0x1p3'"),
        ("sequence,label\nACGT,high\n", r"a\.csv:2: the label is 'high'"),
        ("sequence,label\n,1\n", r"a\.csv:2: no sequence in column 'sequence'"),
        ("sequence,label\nAC1T,1\n", r"a\.csv:2: found '1' in a sequence"),
        ("sequence,label\nACGT\n", r"a\.csv:2: found 1 fields, the first line has 2"),
        ("sequence,value\nACGT,1\n", r"a\.csv:1: has no column 'label'; found 'sequence', 'value'; name it \(label_c"),
        ("sequence,label\n", r"a\.csv: is empty; a line with the columns' names and at least one row are needed"),
        ("", r"a\.csv: is empty"),
    ],
)
def test_what_is_no_answer_is_named(tmp_path: Path, text: str, sentence: str) -> None:
    with pytest.raises(InputError, match=sentence):
        list(read_examples(written(tmp_path / "a.csv", text), Naming("label"), number))


@pytest.mark.parametrize(
    ("naming", "sentence"),
    [
        (Naming("label", split="fold"), r"a\.csv:3: the split is 'later'; allowed: train, training, validation"),
        (Naming("label", group="clan"), r"a\.csv:3: names no group"),
        (Naming("label", group="kin"), r"a\.csv:1: has no column 'kin'; .*\(group_column\)"),
        (Naming("label", id="key"), r"a\.csv:1: id_column is 'key', which is no column"),
    ],
)
def test_other_columns_are_checked_too(tmp_path: Path, naming: Naming, sentence: str) -> None:
    path = written(tmp_path / "a.csv", "sequence,label,fold,clan\nACGT,1,test,x\nACGT,1,later,\n")
    with pytest.raises(InputError, match=sentence):
        list(read_examples(path, naming, number))


@pytest.mark.parametrize(
    ("fasta", "labels", "sentence"),
    [
        (">a\nACGT\n>x\nAC\n", "id,label\na,1\n", r"a\.fa:3: 'x' has no row in .*l\.csv; every sequence needs"),
        (">a\nACGT\n>a\nAC\n", "id,label\na,1\n", r"a\.fa:3: the id 'a' stands twice"),
        (">a\nACGT\n", "id,label\na,1\nb,1\na,2\n", r"l\.csv:4: the id 'a' stands twice"),
        (">a\nACGT\n", "id,label\na,x\n", r"l\.csv:2: the label is 'x'"),
        (">a\nACGT\n", "id,label,label\na,1,2\n", r"l\.csv:1: the column 'label' stands twice; each .*\(label_column"),
        (">a\nACGT\n", "who,label\na,1\n", r"l\.csv:1: has no column 'id'; found 'who', 'label'; name it \(id_column"),
    ],
)
def test_answers_that_do_not_fit_the_sequences(tmp_path: Path, fasta: str, labels: str, sentence: str) -> None:
    paths = written(tmp_path / "a.fa", fasta), written(tmp_path / "l.csv", labels)
    with pytest.raises(InputError, match=sentence):
        list(read_labelled(*paths, Naming("label"), number))


def test_a_class_has_a_name() -> None:
    assert class_name(" tRNA ", "x") == "tRNA"
    with pytest.raises(InputError, match="x: the label is nothing; the name of a class is needed"):
        class_name(" ", "x")


SHORT = {"training.steps": 2, "training.evaluate_every": 2, "training.checkpoint_every": 2, "controls": []}
SHORT |= {"training.schedule.warmup": 0, "batching.examples": 8}


def fasta(path: Path, random: np.random.Generator, count: int) -> dict[str, str]:
    """So many random sequences of 12 to 20 nt, by id."""
    letters = {f"s{n}": "".join(random.choice(list("ACGU"), int(random.integers(12, 21)))) for n in range(count)}
    path.write_text("".join(f">{name} some words\n{text}\n" for name, text in letters.items()))
    return letters


def answers(shape: str, letters: dict[str, str], random: np.random.Generator) -> str:
    """A table of answers by id, as a user would write it."""
    names = {"variant": "id,change,label", "pairs": "id,structure"}
    rows = [names.get(shape, "id,label")]
    for name, text in letters.items():
        if shape == "class":
            rows.append(f"{name},{'purine' if text[0] in 'AG' else 'pyrimidine'}")
        elif shape == "scalar":
            rows.append(f"{name},{text.count('G') / len(text):.3f}")
        elif shape == "positions":
            rows.append(f"{name},{''.join('S' if letter in 'GC' else 'W' for letter in text)}")
        elif shape == "pairs":
            rows.append(f"{name},(({'.' * (len(text) - 4)}))")
        else:
            for place in random.choice(len(text), 3, replace=False).tolist():
                other = "A" if text[place] != "A" else "C"
                rows.append(f"{name},{text[place]}{place + 1}{other},{random.normal():.3f}")
    return "\n".join(rows) + "\n"


@pytest.mark.usefixtures("silent")
@pytest.mark.parametrize(
    ("shape", "ending"),
    [("class", "csv"), ("scalar", "csv"), ("positions", "csv"), ("pairs", "dbn"), ("variant", "csv")],
)
def test_a_fasta_and_a_csv_are_learned_from(tiny_bundle: Path, tmp_path: Path, shape: str, ending: str) -> None:
    random = np.random.default_rng(0)
    letters = fasta(tmp_path / "my.fa", random, 30)
    (tmp_path / "my.csv").write_text(answers(shape, letters, random))
    keys: dict[str, Any] = {"task.train": str(tmp_path / "my.fa"), "task.labels": str(tmp_path / "my.csv")}
    config = load_config(FinetuneConfig, f"finetune/own-{shape}", {**SHORT, **keys, "bundle": str(tiny_bundle)})
    done = finetune(config, tmp_path / "run")
    task = json.loads((tmp_path / "run" / "results.json").read_text())["task"]
    counts = task["counts"]
    examples = 3 * len(letters) if shape == "variant" else len(letters)
    assert counts["train"] + counts["validation"] + counts["test"] == examples
    assert counts["test_seen_in_train_or_validation"] == 0
    assert task["notes"]["test"].startswith("carved from train by ")
    asked = tmp_path / "my.fa"
    if shape == "variant":
        asked = tmp_path / "asked.csv"
        rows = "".join(f"{name},{text},A{text[1:]}G\n" for name, text in letters.items())
        asked.write_text("id,sequence,alternative\n" + rows)
    answered = predict(done["bundle"], asked, tmp_path / f"out.{ending}")
    assert answered["sequences"] == len(letters)
