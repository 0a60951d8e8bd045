"""One's own tables as tasks: splits from a column, from files, or carved; what contradicts itself is refused."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from nuclex.core.config import load_config
from nuclex.core.errors import InputError
from nuclex.data.homology import ClusterConfig
from nuclex.tasks import SPLITS, PropertyConfig, Shape, TableClassConfig, TableScalarConfig, Task
from nuclex.tasks.table import Naming, number, read_labelled


def table(path: Path, rows: list[tuple[str, ...]], head: str = "sequence,label") -> Path:
    path.write_text("\n".join([head, *(",".join(row) for row in rows)]) + "\n")
    return path


def sequences(count: int, seed: int = 0) -> list[str]:
    random = np.random.default_rng(seed)
    return ["".join(random.choice(list("ACGT"), 12)) for _ in range(count)]


def sizes(task: Task) -> list[int]:
    return [len(task.examples(split)) for split in SPLITS]


def test_what_has_no_split_is_carved_by_distinct_sequence(tmp_path: Path) -> None:
    rows = [(text, f"{place}.5") for place, text in enumerate(sequences(50) * 2)]
    task = TableScalarConfig(train=table(tmp_path / "a.csv", rows), test_share=0.2, validation_share=0.1).read()
    assert task.shape is Shape.SCALAR
    assert sizes(task) == [70, 10, 20]
    assert task.classes == ()
    assert task.counts()["test_seen_in_train_or_validation"] == 0
    assert task.notes["test"] == "carved from train by sequence"
    assert {example.number for split in SPLITS for example in task.examples(split)} == {n + 0.5 for n in range(100)}


def test_what_has_no_split_is_divided_by_clusters_where_that_is_asked_for(tmp_path: Path) -> None:
    random, rows = np.random.default_rng(3), []
    for family in range(20):
        letters = random.choice(list("ACGT"), 120)
        for member in range(5):
            letters[member] = "A"
            rows.append(("".join(letters), f"{family}.5"))
    path, kin = table(tmp_path / "a.csv", rows), ClusterConfig(method="kmer", min_identity=0.9, strands="plus")
    task = TableScalarConfig(train=path, cluster=kin, validation_share=0.15, test_share=0.15).read()
    families = [{example.number for example in task.examples(split)} for split in SPLITS]
    assert [len(found) for found in families] == [14, 3, 3]
    assert len(set.union(*families)) == 20
    assert task.notes["divided"] == "by clusters of similar sequences"
    torn = TableScalarConfig(train=path).read()
    assert {e.number for e in torn.examples("train")} & {e.number for e in torn.examples("test")}
    rows = [(*row, "test" if place < 9 else "train") for place, row in enumerate(rows)]
    given = TableScalarConfig(train=table(tmp_path / "b.csv", rows, "sequence,label,split"), cluster=kin).read()
    assert len(given.examples("test")) == 9


def test_groups_are_never_torn_apart(tmp_path: Path) -> None:
    rows = [(text, "1" if place else "2", f"g{place % 10}") for place, text in enumerate(sequences(60))]
    path = table(tmp_path / "a.csv", rows, "sequence,label,clan")
    task = TableScalarConfig(train=path, group_column="clan").read()
    groups = [{example.group for example in task.examples(split)} for split in SPLITS]
    assert sorted(name or "" for found in groups for name in found) == [f"g{n}" for n in range(10)]


def test_a_column_named_split_is_taken_and_the_rest_carved(tmp_path: Path) -> None:
    rows = [(text, "xy"[place % 2], "test" if place < 6 else "train") for place, text in enumerate(sequences(46))]
    path = table(tmp_path / "a.csv", rows, "sequence,label,split")
    task = TableClassConfig(train=path, validation_share=0.1).read()
    assert [example.id for example in task.examples("test")] == [f"row-{n}" for n in range(1, 7)]
    assert sizes(task) == [36, 4, 6]
    assert task.classes == ("x", "y")
    assert "test" not in task.notes


def test_fasta_with_a_table_of_labels(tmp_path: Path) -> None:
    texts = sequences(30)
    (tmp_path / "a.fa").write_text("".join(f">s{n} x\n{text}\n" for n, text in enumerate(texts)))
    rows = [(f"s{n}", str(n), "valid" if n > 25 else "test" if n > 20 else "train") for n in range(30)]
    labels = table(tmp_path / "l.csv", rows, "id,load,split")
    task = TableScalarConfig(train=tmp_path / "a.fa", labels=labels, label_column="load").read()
    assert sizes(task) == [21, 4, 5]
    assert all(example.sequence == texts[int(example.number)] for example in task.examples("train"))
    assert task.notes["files"] == [str(tmp_path / "a.fa"), str(labels)]


def test_files_of_their_own(tmp_path: Path) -> None:
    texts = sequences(9)
    paths = [table(tmp_path / f"{n}.csv", [(text, str(n)) for text in texts[3 * n : 3 * n + 3]]) for n in range(3)]
    task = TableScalarConfig(train=paths[0], validation=paths[1], test=paths[2]).read()
    assert [{example.number for example in task.examples(split)} for split in SPLITS] == [{0.0}, {1.0}, {2.0}]


def test_the_label_belongs_to_the_digest(tmp_path: Path) -> None:
    texts = sequences(30)
    digests = set()
    for extra in ("1", "1.0", "2"):
        rows = [(text, extra if n == 0 else str(n)) for n, text in enumerate(texts)]
        digests.add(TableScalarConfig(train=table(tmp_path / "a.csv", rows)).read().digest)
    assert len(digests) == 2


def test_a_split_is_given_once(tmp_path: Path) -> None:
    path = table(tmp_path / "a.csv", [(text, "1", "test") for text in sequences(3)], "sequence,label,split")
    with pytest.raises(InputError, match=r"a\.csv: has 3 rows of the split test, and .*a\.csv is given for it"):
        TableScalarConfig(train=path, test=path).read()


def test_what_contradicts_itself_is_refused() -> None:
    with pytest.raises(InputError, match="leave nothing to train on"):
        load_config(TableScalarConfig, None, {"train": "x.csv", "validation_share": 0.5, "test_share": 0.5})
    with pytest.raises(InputError, match="sequence_column: with labels, the sequences are in files of their own"):
        load_config(TableClassConfig, None, {"train": "x.fa", "labels": "l.csv", "sequence_column": "s"})


PROPERTIES = {  # train, validation, test
    "mrfp-expression": [1021, 219, 219],
    "riboswitch": [248, 53, 54],
    "vaccine-degradation": [1600, 400, 400],
    "mlos-expression": [117, 25, 25],
    "ecoli-protein": [2923, 379, 325],
    "ecoli-transcript": [2818, 380, 330],
    "mrna-stability": [6052, 739, 785],
    "splice-psi": [18469, 5936, 6078],
}


@pytest.mark.real
@pytest.mark.parametrize("name", PROPERTIES)
def test_properties_are_what_the_tables_say(mirror: Path, name: str) -> None:
    task = PropertyConfig.from_data({"name": name}).read()
    assert sizes(task) == PROPERTIES[name]
    if name == "ecoli-protein":
        assert max(example.number for example in task.examples("train")) < 20
    if name == "mrna-stability":
        groups = [{example.group for example in task.examples(split)} for split in SPLITS]
        assert len(set.union(*groups)) == sum(map(len, groups))


@pytest.mark.real
def test_half_lives_of_yeast_and_cells_of_icodon(mirror: Path) -> None:
    yeast = PropertyConfig(name="yeast-half-life").read()
    assert sum(sizes(yeast)) == 3888
    cells = PropertyConfig(name="mrna-stability", rows={"cell_type": "k562", "datatype": "slam-seq"}).read()
    assert sum(sizes(cells)) == 878
    with pytest.raises(InputError, match=r"has no row with \{'cell_type': 'moon'\} and a label"):
        PropertyConfig(name="mrna-stability", rows={"cell_type": "moon"}).read()


def test_what_was_not_measured_is_left_out_and_what_is_unknown_refused(tmp_path: Path) -> None:
    (tmp_path / "a.fa").write_text(">a\nACGT\n>b\nACG\n>c\nAC\n")
    labels = table(tmp_path / "l.csv", [("a", "1"), ("b", ""), ("c", "3")], "id,label")
    found = read_labelled(tmp_path / "a.fa", labels, Naming("label", measured=True), number)
    assert [(example.id, example.number) for _, example in found] == [("a", 1.0), ("c", 3.0)]
    (tmp_path / "a.fa").write_text(">a\nACGT\n>d\nACG\n")
    with pytest.raises(InputError, match=r"a\.fa:3: 'd' has no row in"):
        list(read_labelled(tmp_path / "a.fa", labels, Naming("label", measured=True), number))
