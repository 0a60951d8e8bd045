"""Classes from headers, splits without leaks, sentences with file and line; the published numbers of nRC."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest

from nuclex.core.config import load_config
from nuclex.core.errors import InputError
from nuclex.tasks import TASKS, FastaClassConfig, NcrnaClassConfig, Task
from nuclex.tasks.base import SPLITS
from nuclex.training.finetune import FinetuneConfig
from nuclex.training.supervised import Thaw


@pytest.mark.real
def test_nrc_is_what_was_published(mirror: Path) -> None:
    task = NcrnaClassConfig().read()
    counts = task.counts()
    assert counts["train"] + counts["validation"] == 6320
    assert counts["test"] == 2600
    assert counts["test_seen_in_train_or_validation"] == 347
    assert counts["validation_seen_in_train"] == 0
    assert len(task.classes) == 13
    per_class = Counter(example.label for example in task.examples("validation"))
    assert set(per_class) == set(task.classes)
    assert min(per_class.values()) >= 25
    assert Counter(example.label for example in task.examples("test")) == dict.fromkeys(task.classes, 200)


@pytest.mark.real
def test_limits_and_lengths_are_counted(mirror: Path) -> None:
    task = NcrnaClassConfig(max_length=200, train_limit=500, test_limit=100, seed=3).read()
    assert [len(task.examples(split)) for split in ("train", "test")] == [500, 100]
    assert max(len(example.sequence) for split in SPLITS for example in task.examples(split)) <= 200
    left_out = task.notes["left_out"]
    assert left_out["longer_than"] == dict.fromkeys(SPLITS, 200)
    assert left_out["train"] > 0
    assert task.digest == NcrnaClassConfig(max_length=200, train_limit=500, test_limit=100, seed=3).read().digest


def write(path: Path, rows: list[tuple[str, str]]) -> Path:
    path.write_text("".join(f">{header}\n{sequence}\n" for header, sequence in rows))
    return path


def letters(task: Task, split: str) -> set[str]:
    return {example.letters for example in task.splits[split]}


def test_own_fasta_is_carved_without_leaks(tmp_path: Path) -> None:
    rows = [(f"s{number} {'AB'[number % 2]}", "ACGT"[number % 4] * (number // 2 % 20 + 1)) for number in range(80)]
    config = FastaClassConfig(train=write(tmp_path / "all.fa", rows), validation_share=0.2, test_share=0.25)
    task = config.read()
    assert task.classes == ("A", "B")
    assert sum(len(task.splits[split]) for split in SPLITS) == 80
    assert not letters(task, "train") & letters(task, "test")
    assert not letters(task, "train") & letters(task, "validation")
    assert not letters(task, "validation") & letters(task, "test")
    assert 15 <= len(task.examples("test")) <= 25


def test_groups_stay_whole_and_labels_come_from_a_field(tmp_path: Path) -> None:
    rows = [(f"s{number} clan={number % 5} type={'XY'[number % 2]} end", "ACG" * (number + 1)) for number in range(50)]
    task = FastaClassConfig(train=write(tmp_path / "all.fa", rows), label="type", group="clan").read()
    groups = [{example.group for example in task.splits[split]} for split in SPLITS]
    assert sorted(group for found in groups for group in found) == ["0", "1", "2", "3", "4"]
    assert task.classes == ("X", "Y")


def test_files_of_ones_own_are_taken_as_they_are(tmp_path: Path) -> None:
    paths = {
        split: write(
            tmp_path / f"{split}.fa",
            [(f"{split}{place} {name}", "ACGT"[: place + 2]) for place, name in enumerate("AB")],
        )
        for split in SPLITS
    }
    task = FastaClassConfig(train=paths["train"], validation=paths["validation"], test=paths["test"]).read()
    assert [len(task.examples(split)) for split in SPLITS] == [2, 2, 2]
    assert task.counts()["test_seen_in_train_or_validation"] == 2


@pytest.mark.parametrize(
    ("label", "header", "sentence"),
    [
        ("last-word", "only", r"all\.fa:3: the header has only the id 'only'; a class is needed as its last word"),
        ("type", "b kind=X", r"all\.fa:3: the header has no field type=…; found 'b kind=X'"),
    ],
)
def test_a_header_without_class_is_named(tmp_path: Path, label: str, header: str, sentence: str) -> None:
    path = write(tmp_path / "all.fa", [("a type=X", "ACGT"), (header, "ACG")])
    with pytest.raises(InputError, match=sentence):
        FastaClassConfig(train=path, label=label).read()


def test_shares_that_leave_nothing_are_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="leave nothing to train on"):
        load_config(FastaClassConfig, None, {"train": "x.fa", "validation_share": 0.5, "test_share": 0.5})
    assert {"ncrna-class", "fasta-class"} <= set(TASKS.names())


@pytest.mark.parametrize("recipe", ["ncrna-class-rinalmo", "ncrna-rfam"])
def test_families_are_learned_by_rinalmos_settings(recipe: str) -> None:
    config: FinetuneConfig = load_config(FinetuneConfig, f"finetune/{recipe}")
    head, training = config.answering_head.to_data(), config.training
    assert (head["kind"], head["pooling"], head["hidden"], head["dropout"]) == ("class", "cls", 256, 0.0)
    assert (config.batching.examples, config.thaw) == (64, (Thaw(epoch=0, blocks="every"),))
    assert (training.schedule.kind, training.schedule.rate, training.schedule.warmup) == ("constant", 8e-6, 0)
    assert (training.optimizer.weight_decay, training.optimizer.clip) == (0.01, 0)


def test_the_tables_of_rinalmos_preparation_are_read(tmp_path: Path) -> None:
    """Its columns: the family, the length, the sequence, the number of the class; train repeats sequences."""
    for name, rows in (("train", "ACGU" * 2), ("val", "AC"), ("test", "GU")):
        lines = [f"RF{ord(letter):05},4,{letter}CGT,{'ACGU'.index(letter)}" for letter in rows]
        (tmp_path / f"{name}.csv").write_text("\n".join(["name,width,sequence,class_id", *lines]) + "\n")
    keys = {"task.train": "train.csv", "task.validation": "val.csv", "task.test": "test.csv"}
    keys = {key: str(tmp_path / name) for key, name in keys.items()}
    task = load_config(FinetuneConfig, "finetune/ncrna-rfam", keys).task.read()
    assert [len(task.examples(split)) for split in SPLITS] == [8, 2, 2]
    assert task.classes == ("RF00065", "RF00067", "RF00071", "RF00085")
    assert [(item.sequence, item.label) for item in task.examples("test")] == [("GCGT", "RF00071"), ("UCGT", "RF00085")]
