"""Changes are predicted however they are written: as they were measured, or a sentence with file and line."""

from __future__ import annotations

import csv
import io
import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from nuclex.core.config import load_config
from nuclex.core.errors import InputError
from nuclex.inference.changes import in_words
from nuclex.inference.predict import predict
from nuclex.tasks.changes import changed, read_changes
from nuclex.training.finetune import FinetuneConfig, finetune

MODEL: dict[str, Any] = {
    "model": {"kind": "rinalmo", "depth": 1, "width": 16, "heads": 2},
    "tokenizer": {"kind": "nucleotide"},
    "training": {"steps": 4, "evaluate_every": 4, "schedule": {"rate": 3e-3}},
    "batching": {"examples": 8},
}
REFERENCES = ["ACGTACGT", "CCGGCCGG", "TTTTACGG", "GATTACAG", "AACCGGTT"]
ROWS = [(f"r{row}p{place}", letters, place) for row, letters in enumerate(REFERENCES) for place in range(4)]


def put(letter: str) -> str:
    return "C" if letter == "A" else "A"


def substituted(letters: str, place: int) -> str:
    return letters[:place] + put(letters[place]) + letters[place + 1 :]


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run on changes of a column that is called otherwise, counted from 0."""
    folder = tmp_path_factory.mktemp("changes")
    lines = [f"{name},{letters},{letters[at]}{at}{put(letters[at])},{at}" for name, letters, at in ROWS]
    (folder / "own.csv").write_text("\n".join(["id,wild,mutation,effect", *lines]) + "\n")
    names = {"sequence_column": "wild", "change_column": "mutation", "label_column": "effect", "first": 0}
    task = {"kind": "table-variant", "train": str(folder / "own.csv"), **names}
    finetune(load_config(FinetuneConfig, None, {**MODEL, "task": task}), folder / "run")
    return folder / "run"


def asked(folder: Path, header: str, *rows: str) -> Path:
    (folder / "in.csv").write_text("\n".join([header, *rows]) + "\n")
    return folder / "in.csv"


def answers(run: Path, inputs: Path | str, out: Path, **settings: Any) -> list[tuple[str, str, float]]:
    done = predict(run / "bundle", inputs, out, **settings)
    with out.open() as handle:
        table = list(csv.DictReader(handle))
    assert list(table[0]) == ["id", "change", "value"]
    assert done == {"out": str(out), "sequences": len(table), "shape": "variant score"}
    return [(row["id"], row["change"], float(row["value"])) for row in table]


def test_the_table_that_was_learned_from_is_answered_as_it_was_measured(run: Path, tmp_path: Path) -> None:
    found = answers(run, run.parent / "own.csv", tmp_path / "out.csv")
    assert [row[:2] for row in found] == [(name, f"{seq[at]}{at}{put(seq[at])}") for name, seq, at in ROWS]
    given = {name: value for name, _, value in found}
    measured = [json.loads(line) for line in (run / "test.jsonl").read_text().splitlines()]
    assert len(measured) == 4
    for row in measured:
        assert given[row["id"]] == pytest.approx(row["predicted"], rel=1e-5, abs=1e-6)
    assert len({round(value, 6) for value in given.values()}) > 4


@pytest.mark.parametrize("first", [0, 1])
def test_every_way_of_saying_a_change_has_the_same_answer(
    run: Path, tmp_path: Path, first: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    ways = {
        "alternative": lambda seq, at: substituted(seq, at).replace("T", "u"),
        "change": lambda seq, at: f"{at + first}{seq[at]}>{put(seq[at])}",
        "position,ref,alt": lambda seq, at: f"{at + first},{seq[at]},{put(seq[at])}",
    }
    found = []
    for header, said in ways.items():
        rows = [f"{name},{seq},{said(seq, at)}" for name, seq, at in ROWS]
        path = asked(tmp_path, f"id,sequence,{header}", *rows)
        found.append(answers(run, path, tmp_path / "out.csv", **({"first": 1} if first else {})))
    assert found[0] == found[2]
    assert [(row[0], row[2]) for row in found[1]] == [(row[0], row[2]) for row in found[0]]
    assert [row[1] for row in found[1]] == [ways["change"](seq, at) for _, seq, at in ROWS]
    known = answers(run, run.parent / "own.csv", tmp_path / "out.csv")
    assert [row[2] for row in found[0]] == pytest.approx([row[2] for row in known], abs=1e-6)
    assert found[0][1][1] == f"C{1 + first}A"

    class Stream:
        buffer = io.BytesIO(path.read_bytes())

    monkeypatch.setattr(sys, "stdin", Stream)
    assert answers(run, "-", tmp_path / "out.csv", **({"first": 1} if first else {})) == found[0]


def test_columns_of_other_names_are_named(run: Path, tmp_path: Path) -> None:
    rows = [f"{name},{seq},{at + 1},{seq[at]},{put(seq[at])},A9C" for name, seq, at in ROWS]
    path = asked(tmp_path, "id,before,where,was,becomes,mutation", *rows)
    keys = {"sequence_column": "before", "position_column": "where", "ref_column": "was", "alt_column": "becomes"}
    found = answers(run, path, tmp_path / "out.csv", first=1, **keys)
    assert [row[1] for row in found] == [f"{seq[at]}{at + 1}{put(seq[at])}" for _, seq, at in ROWS]
    known = answers(run, run.parent / "own.csv", tmp_path / "known.csv")
    assert [row[2] for row in found] == pytest.approx([row[2] for row in known], abs=1e-6)
    path = asked(tmp_path, "id,sequence,position,was,alt,mutation", *rows)
    assert answers(run, path, tmp_path / "out.csv", first=1, ref_column="was") == found


def test_other_formats_have_the_whole_changed_sequence(run: Path, tmp_path: Path) -> None:
    columns = {"id": [row[0] for row in ROWS], "sequence": [row[1] for row in ROWS]}
    columns["alternative"] = [substituted(*row[1:]) for row in ROWS]
    pq.write_table(pa.table(columns), tmp_path / "in.parquet")
    known = answers(run, run.parent / "own.csv", tmp_path / "known.csv")
    assert answers(run, tmp_path / "in.parquet", tmp_path / "out.csv") == known
    with pytest.raises(InputError, match=r"in\.parquet: first: for changes in CSV or TSV, which this file is not"):
        predict(run / "bundle", tmp_path / "in.parquet", tmp_path / "x.csv", first=1)
    (tmp_path / "in.fa").write_text(">a\nACGT\n")
    with pytest.raises(InputError, match=r"in\.fa:1: 'a' says no alternative; this bundle answers for variants"):
        predict(run / "bundle", tmp_path / "in.fa", tmp_path / "x.csv")


@pytest.mark.parametrize(
    ("header", "row", "settings", "sentence"),
    [
        ("sequence,change", "ACGT,C0G", {}, r"in\.csv:3: the sequence has 'A' at position 0, the change says 'C'"),
        ("sequence,change", "ACGT,A0A", {}, r"in\.csv:3: 'row-2' is what it was after the change; give it another"),
        ("sequence,change", "ACGT,0_3del", {}, r"in\.csv:3: 'row-2' is nothing after the change"),
        ("sequence,change", "ACGT,E6V", {}, r"in\.csv:3: the change is 'E6V'; allowed: A12G, 12A>G, 12del"),
        ("sequence,change", "ACGT,A0G", {"first": 1}, r"in\.csv:2: position 0 is not in the sequence, whose 4"),
        ("sequence,change", "ACGT", {}, r"in\.csv:3: found 1 fields, the first line has 2"),
        ("sequence,change", "ACGT,A0G", {"change_column": "x"}, r"in\.csv:1: has no column 'x'; found 'sequence', 'ch"),
        ("sequence,what", "ACGT,A0G", {}, r"in\.csv:1: no columns say what changes; found 'sequence', 'what'; needed"),
        ("sequence,what", "ACGT,A0G", {"change_column": "a", "position_column": "b"}, "position_column: changes are s"),
        ("sequence,what", "ACGT,A0G", {"chang_column": "a"}, r"chang_column: unknown key \(did you mean 'change_col"),
        ("sequence,change", None, {}, r"in\.csv: is empty; a line with the columns' names and at least one row"),
        ("sequence,change", "AC1T,A0G", {}, r"in\.csv:3: found '1' in a sequence"),
        ("sequence,change", "EEEE,E0A", {}, r"in\.csv:3: the change is 'E0A'; allowed"),
    ],
)
def test_what_is_no_change_is_refused_with_its_line(
    run: Path, tmp_path: Path, header: str, row: str | None, settings: dict[str, Any], sentence: str
) -> None:
    path = asked(tmp_path, header, *([] if row is None else ["ACGT,A0G", row]))
    with pytest.raises(InputError, match=sentence):
        predict(run / "bundle", path, tmp_path / "out" / "x.csv", **settings)
    assert not list((tmp_path / "out").glob("*"))


def test_columns_of_changes_are_refused_where_none_are_asked_about(tmp_path: Path) -> None:
    (tmp_path / "all.fa").write_text(
        "".join(f">s{n} {'xy'[n % 2]}\nACGUACG{'ACGU'[n % 4] * n}\n" for n in range(1, 30))
    )
    keys = {**MODEL, "task": {"kind": "fasta-class", "train": str(tmp_path / "all.fa")}}
    done = finetune(load_config(FinetuneConfig, None, keys), tmp_path / "run")
    with pytest.raises(InputError, match=r"change_column: for changes of sequences; .*bundle answers a class"):
        predict(done["bundle"], tmp_path / "all.fa", tmp_path / "x.csv", change_column="a")


def test_a_change_in_words_makes_of_the_sequence_what_it_became() -> None:
    random = np.random.default_rng(0)
    for _ in range(500):
        before = "".join(random.choice(list("ACGU"), int(random.integers(1, 9))))
        after = "".join(random.choice(list("acgt"), int(random.integers(1, 9))))
        first = int(random.integers(2))
        words = in_words(before, after, first)
        if before == after.upper().replace("T", "U"):
            assert not words
            continue
        again = changed(before, read_changes(words, "x", first), "x", first)
        assert again.upper().replace("T", "U") == after.upper().replace("T", "U")


@pytest.mark.parametrize(
    ("before", "after", "words"),
    [
        ("ACGT", "ACGA", "T4A"),
        ("ACGT", "TCGA", "A1T,T4A"),
        ("ACGU", "acgt", ""),
        ("AAAC", "AAC", "A3-"),
        ("ACGT", "AT", "CG2-"),
        ("ACGT", "ACGTT", "T4TT"),
        ("ACGT", "GGACGT", "A1GGA"),
        ("ACGT", "ATTTT", "CG2TTT"),
    ],
)
def test_changes_in_words_by_hand(before: str, after: str, words: str) -> None:
    assert in_words(before, after) == words
