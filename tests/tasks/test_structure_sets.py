"""Published sets of structures: the splits are those of the papers, and what is peculiar about them is counted."""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from nuclex.core.config import load_config
from nuclex.core.errors import InputError
from nuclex.data import catalog
from nuclex.tasks import ArchiveiiConfig, BprnaConfig, PdbRnaConfig, Task
from nuclex.tasks.base import SPLITS


def families(task: Task, split: str) -> set[str | None]:
    return {example.group for example in task.splits[split]}  # type: ignore[index]


def written(path: Path, columns: str, lines: list[list[Any]]) -> Path:
    with path.open("w", newline="") as handle:
        csv.writer(handle).writerows([columns.split(), *lines])
    return path


@pytest.fixture
def served(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, Path]:
    """Small files in the place of those of the catalogue."""
    files: dict[str, Path] = {}
    monkeypatch.setattr(catalog, "fetch", lambda name: [files[name]])
    letters, marks = "GGGAAACCC", "(((...)))"
    ids = [f"{family}_{number}" for family in ("5s", "tRNA", "srp") for number in range(4)]
    sequences = {name: letters + "ACGU"[place % 4] * (place // 4 + 1) for place, name in enumerate(ids)}
    lines = [[name, text, marks + "." * (len(text) - 9)] for name, text in sequences.items()]
    files["archiveii-sincfold-3864"] = written(tmp_path / "a.csv", "id sequence structure", lines)
    files["archiveii-3975"] = files["archiveii-sincfold-3864"]
    fam = [["5s", "test" if name.startswith("5s") else "train", name] for name in ids]
    files["archiveii-famfold-splits"] = written(tmp_path / "f.csv", "fold partition id", fam)
    parts = ["train", "train", "valid", "test"] * 3
    folds = [["3", part, name] for part, name in zip(parts, ids, strict=True)]
    files["archiveii-kfold-splits"] = written(tmp_path / "k.csv", "fold partition id", folds)
    bprna = [["b1", "GGGAAACCCA", marks + "."], ["b2", "GGAAAACC", "((....))"], ["b3", "GAAAAC", "(....)"]]
    files["bprna-subset"] = written(tmp_path / "b.csv", "id sequence structure", bprna)
    listed = [["b1", 0, "TR0"], ["b2", 0, "VL0"], ["b3", 0, "TS0"], ["b4", 0, "TS0"], ["b5", 0, "new"]]
    files["bprna-splits"] = written(tmp_path / "bs.csv", "id fold partition", listed)
    chains = [[f"c{n}", letters + "A" * n, json.dumps([[1, 9], [2, 8], [2, 5]])] for n in range(12)]
    files["pdb-rna"] = written(tmp_path / "p.csv", "id sequence base_pairs", chains)
    sides = [[f"c{n}", "train" if n < 10 else "test"] for n in range(12)]
    files["pdb-rna-splits"] = written(tmp_path / "ps.csv", "id partition", sides)
    return files


def test_a_family_or_a_fold_is_held_out(served: dict[str, Path]) -> None:
    task = ArchiveiiConfig().read()
    assert (families(task, "test"), families(task, "train")) == ({"5s"}, {"tRNA", "srp"})
    assert task.notes["test"] == "the family 5s"
    task = ArchiveiiConfig(protocol="fold", fold=3).read()
    found = {split: [example.id for example in task.splits[split]] for split in SPLITS}
    assert found["test"] == ["5s_3", "tRNA_3", "srp_3"]
    assert found["validation"] == ["5s_2", "tRNA_2", "srp_2"]
    assert len(found["train"]) == 6
    with pytest.raises(InputError, match="'5s_0' is not both among the 12 RNAs and in the list of 0"):
        ArchiveiiConfig(protocol="fold", fold=1).read()
    with pytest.raises(InputError, match="the five folds bring their validation"):
        load_config(ArchiveiiConfig, None, {"protocol": "fold", "validation_families": ["srp"]})


def test_bprna_says_what_it_lacks(served: dict[str, Path]) -> None:
    task = BprnaConfig().read()
    assert [[example.id for example in task.splits[split]] for split in SPLITS] == [["b1"], ["b2"], ["b3"]]
    assert task.notes["partial"] == {"train": "1 of 1", "validation": "1 of 1", "test": "1 of 2"}
    assert task.notes["also_in_archiveii"] == {"train": 1, "validation": 0, "test": 0}
    assert task.notes["sequences_in_several_splits"] == 0


def test_chains_keep_their_triples(served: dict[str, Path]) -> None:
    task = PdbRnaConfig().read()
    assert [len(task.splits[split]) for split in SPLITS] == [9, 1, 2]
    assert all(example.pairs.tolist() == [[0, 8], [1, 4], [1, 7]] for example in task.examples("test"))
    assert task.notes["with_base_triples"] == {"train": 10, "test": 2}


@pytest.mark.parametrize(
    ("name", "columns", "lines", "sentence"),
    [
        ("pdb-rna-splits", "id partition", [["c0", "dev"]], r"ps\.csv:2: found partition 'dev'; allowed: train, valid"),
        ("pdb-rna-splits", "id partition", [["c0", "test"]] * 2, r"ps\.csv:3: 'c0' is listed twice"),
        ("pdb-rna-splits", "id side", [["c0", "test"]], r"ps\.csv:1: has no column 'partition'; found 'id, side'"),
        (
            "pdb-rna",
            "id sequence base_pairs",
            [["c0", "GAAC", "[[1, 9]]"]],
            r"p\.csv:2: 'c0' needs a list of .*\(0, 8\)",
        ),
        ("pdb-rna", "id sequence base_pairs", [["c0", "GAAC", "[[1, 2"]], r"p\.csv:2: 'c0' needs a list of base pairs"),
        ("pdb-rna", "id sequence base_pairs", [["c0", "GA-X", "[]"]], r"p\.csv:2: 'c0' has 'X' at position 3"),
    ],
)
def test_a_wrong_file_gets_a_sentence(
    served: dict[str, Path], name: str, columns: str, lines: list[list[Any]], sentence: str
) -> None:
    written(served[name], columns, lines)
    with pytest.raises(InputError, match=sentence):
        PdbRnaConfig().read()


@pytest.mark.real
@pytest.mark.parametrize(("family", "size"), [("5s", 1283), ("telomerase", 35), ("23s", 15)])
def test_archiveii_holds_a_family_out(mirror: Path, family: str, size: int) -> None:
    task = load_config(ArchiveiiConfig, None, {"family": family}).read()
    assert families(task, "test") == {family}
    assert family not in families(task, "train") | families(task, "validation")
    assert families(task, "train") == families(task, "validation")
    assert sum(len(task.splits[split]) for split in SPLITS) == 3864
    counts = task.counts()
    assert counts["test"] == size
    assert counts["validation_seen_in_train"] == counts["test_seen_in_train_or_validation"] == 0


@pytest.mark.real
def test_archiveii_within_limits(mirror: Path) -> None:
    task = ArchiveiiConfig(family="tRNA", max_length=120, train_limit=50, validation_families=("srp",)).read()
    assert len(task.examples("train")) == 50
    assert families(task, "validation") == {"srp"}
    longest = max(len(example.sequence) for split in SPLITS for example in task.examples(split))
    assert longest <= 120
    assert task.notes["left_out"]["train"] > 1000


@pytest.mark.real
def test_archiveii_in_five_folds(mirror: Path) -> None:
    tested: list[str] = []
    for fold, seen in enumerate((145, 142, 130, 147, 128)):
        task = ArchiveiiConfig(protocol="fold", fold=fold).read()
        counts = task.counts()
        assert (counts["validation"], counts["test_seen_in_train_or_validation"]) == (309, seen)
        assert sum(counts[split] for split in SPLITS) == 3864
        assert len(families(task, "train")) == 9
        tested += [example.id for example in task.examples("test")]
    assert len(tested) == len(set(tested)) == 3864


@pytest.mark.real
def test_bprna_as_far_as_it_is_there(mirror: Path) -> None:
    task = BprnaConfig().read()
    assert task.notes["partial"] == {"train": "4082 of 10814", "validation": "588 of 1300", "test": "573 of 1305"}
    assert task.notes["also_in_archiveii"] == {"train": 148, "validation": 20, "test": 29}
    assert task.notes["sequences_in_several_splits"] == 0
    assert task.counts()["test_seen_in_train_or_validation"] == 0


@pytest.mark.real
def test_chains_of_the_pdb(mirror: Path) -> None:
    task = PdbRnaConfig().read()
    counts = task.counts()
    assert (counts["train"] + counts["validation"], counts["validation"], counts["test"]) == (141, 14, 62)
    assert sum(task.notes["with_base_triples"].values()) == 171
    every = [example for split in SPLITS for example in task.examples(split)]
    canonical = {"AU", "UA", "GC", "CG", "GU", "UG"}
    pairs = [(example.letters[i] + example.letters[j]) for example in every for i, j in example.pairs.tolist()]
    assert len(pairs) == 6948
    assert np.mean([pair in canonical for pair in pairs]) == pytest.approx(0.78, abs=0.005)
    assert counts["test_seen_in_train_or_validation"] == 0
