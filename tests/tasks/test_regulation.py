"""GUE as published, what cannot be run and why, and the 18 tasks of the Nucleotide Transformer by name."""

from __future__ import annotations

from pathlib import Path
from typing import get_args

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from nuclex.core.config import load_config
from nuclex.core.errors import InputError, OutsideError
from nuclex.tasks import SPLITS, GueConfig, NucleotideTransformerConfig
from nuclex.tasks.regulation import PUBLISHED, WITHOUT_TRAIN, GueName, SuiteName
from nuclex.training.finetune import FinetuneConfig

# train, dev, test, and how many of test stand in train or dev
GUE = {
    "tf-0": (32378, 1000, 1000, 0),
    "tf-1": (30672, 1000, 1000, 1),
    "tf-2": (19000, 1000, 1000, 0),
    "tf-3": (27294, 1000, 1000, 1),
    "tf-4": (19000, 1000, 1000, 0),
    "prom-core-all": (47356, 5920, 5920, 51),
    "prom-core-notata": (42452, 5307, 5307, 33),
    "prom-core-tata": (4904, 613, 613, 18),
    "prom-300-tata": (4904, 613, 613, 6),
}
LENGTHS = {"tf": 101, "prom-core": 70, "prom-300": 300}


@pytest.mark.real
@pytest.mark.parametrize("name", GUE)
def test_gue_is_what_was_published(mirror: Path, name: str) -> None:
    task = GueConfig.from_data({"name": name}).read()
    assert (*(len(task.examples(split)) for split in SPLITS), int(task.seen.sum())) == GUE[name]
    assert task.classes == ("0", "1")
    lengths = {len(example.sequence) for split in SPLITS for example in task.examples(split)}
    assert lengths == {LENGTHS[name.rpartition("-")[0]]}


@pytest.mark.parametrize("name", WITHOUT_TRAIN)
def test_without_a_train_file_it_is_said(name: str) -> None:
    with pytest.raises(InputError, match=f"gue {name}: not run: the catalogue has its dev and test files but no train"):
        GueConfig.from_data({"name": name}).read()


@pytest.mark.real
def test_a_train_file_of_ones_own(mirror: Path, tmp_path: Path) -> None:
    path = tmp_path / "train.csv"
    path.write_text("sequence,label\n" + "".join(f"{'ACGT' * 124}ACG{base},{n % 2}\n" for n, base in enumerate("ACGT")))
    task = GueConfig(name="emp-h3", train=path).read()
    assert [len(task.examples(split)) for split in SPLITS] == [4, 1497, 1497]
    with pytest.raises(InputError, match="gue tf-0: the catalogue has its train file; leave out train"):
        GueConfig(name="tf-0", train=path).read()


def test_all_names_are_known() -> None:
    assert set(GUE) | set(WITHOUT_TRAIN) == set(get_args(GueName))
    assert set(get_args(SuiteName)) == set(PUBLISHED)
    assert len(PUBLISHED) == 18
    assert sum(published.test for published in PUBLISHED.values()) == 27_000 + 11_822
    assert PUBLISHED["promoter_tata"] == (5062, 212, 2, 300)


def test_the_suite_is_not_at_hand_and_says_where_it_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NUCLEX_CACHE", str(tmp_path))
    with pytest.raises(OutsideError, match=r"nt-revised-train: .*huggingface\.co/datasets/InstaDeepAI/nucl"):
        NucleotideTransformerConfig(name="enhancers").read()


def test_one_task_of_the_suites_tables(tmp_path: Path) -> None:
    texts = ["ACGT"[place % 4] * (place // 4 + 3) for place in range(40)]
    names = ["enhancers" if place % 2 else "promoter_tata" for place in range(40)]
    labels = [place // 2 % 2 for place in range(40)]
    columns = {"sequence": texts, "name": [f"chr1:{n} | x" for n in range(40)], "label": labels, "task": names}
    pq.write_table(pa.table(columns), tmp_path / "train.parquet")
    lines = (f"{text},{label},{name}\n" for text, label, name in zip(texts[:8], labels, names, strict=False))
    (tmp_path / "test.csv").write_text("sequence,label,task\n" + "".join(lines))
    paths = {"train": tmp_path / "train.parquet", "test": tmp_path / "test.csv"}
    task = NucleotideTransformerConfig(name="enhancers", **paths).read()
    assert [len(task.examples(split)) for split in SPLITS] == [18, 2, 4]
    assert task.classes == ("0", "1")
    assert [example.sequence for example in task.examples("test")] == texts[1:8:2]
    assert task.notes["as_published"] is False
    with pytest.raises(InputError, match=r"train\.parquet: has no row of the task H3K9ac; found 'enhancers, promoter"):
        NucleotideTransformerConfig(name="H3K9ac", **paths).read()


def test_the_recipe_has_tinydnaberts_settings() -> None:
    config: FinetuneConfig = load_config(FinetuneConfig, "finetune/nucleotide-transformer")
    head, training = config.answering_head.to_data(), config.training
    assert (head["pooling"], head["hidden"], head["dropout"]) == ("cls", 512, 0.1)
    assert (config.batching.examples, training.steps, training.optimizer.weight_decay) == (128, 5000, 1e-5)
    assert (training.schedule.kind, training.schedule.rate, training.schedule.warmup) == ("linear", 1e-4, 500)
