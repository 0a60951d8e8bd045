"""Ribosome load and translation: the tables at hand, RiNALMo's rule for the others, scikit-learn's own folds."""

from __future__ import annotations

import gzip
from pathlib import Path

import numpy as np
import pytest
from sklearn.model_selection import KFold

from nuclex.core.config import load_config
from nuclex.core.errors import InputError, OutsideError
from nuclex.data.catalog import fetch
from nuclex.evaluation.suite import load_suite
from nuclex.tasks import (
    SPLITS,
    ArchiveiiConfig,
    RibosomeLoadConfig,
    TaskConfig,
    TranslationConfig,
    VaryingLengthConfig,
)
from nuclex.tasks.translation import folds_of, varying_length


@pytest.mark.real
@pytest.mark.parametrize(("library", "sizes"), [("random", [15969, 2041, 1990]), ("human", [20021, 2582, 2397])])
def test_libraries_are_what_the_table_says(mirror: Path, library: str, sizes: list[int]) -> None:
    task = RibosomeLoadConfig.from_data({"library": library}).read()
    assert [len(task.examples(split)) for split in SPLITS] == sizes
    assert {len(example.sequence) for split in SPLITS for example in task.examples(split)} == {50}
    assert task.counts()["test_seen_in_train_or_validation"] == 0
    loads = [example.number for split in SPLITS for example in task.examples(split)]
    assert 1 < min(loads) < max(loads) < 9
    groups = [{example.group for example in task.examples(split)} for split in SPLITS]
    if library == "human":
        assert len(set.union(*groups)) == sum(map(len, groups)) == 16592
    else:
        assert set.union(*groups) == {None}


def geo(path: Path) -> Path:
    """Random and human UTRs of 25 and 26 nt, three of each with more reads than the others; then what is left out."""
    random = np.random.default_rng(0)
    rows = [",utr,set,total_reads,rl,len"]

    def add(library: str, reads: str, load: str, length: int, utr: str | None = None) -> str:
        text = utr or "".join(random.choice(list("ACGT"), length))
        rows.append(f"{len(rows) - 1},{text},{library},{reads},{load},{length}")
        return text

    for library in ("random", "human"):
        for length in (25, 26):
            for number in range(8):
                add(library, str(20 + number % 5), f"{number}.5", length)
    twice = add("random", "900", "5", 25)
    add("human", "900", "5", 25, twice)  # both go
    add("random", "9", "5", 25)  # too few reads
    add("random", "900", "", 25)  # no load
    add("snv", "900", "5", 25)  # another library
    add("random", "900", "5", 24)  # of no length that is tested: trained on
    path.write_text("\n".join(rows) + "\n")
    return path


def test_rinalmos_rule_by_hand(tmp_path: Path) -> None:
    rest, random, human = varying_length(geo(tmp_path / "geo.csv"), 3)
    # reads are 20 21 22 23 24 20 21 22 for each library and length: rows 3 and 4, then the first of those with 22
    kept = [2, 3, 4]
    assert [example.id for example in random] == [f"row-{2 + 8 * block + n}" for block in (0, 1) for n in kept]
    assert [example.id for example in human] == [f"row-{2 + 8 * block + n}" for block in (2, 3) for n in kept]
    others = [f"row-{2 + 8 * block + n}" for block in (0, 1) for n in (0, 1, 5, 6, 7)]
    assert [example.id for example in rest] == [*others, "row-39"]
    assert [example.number for example in random] == [2.5, 3.5, 4.5] * 2


def test_random_is_the_validation_of_human_and_never_of_itself(tmp_path: Path) -> None:
    path = geo(tmp_path / "geo.csv")
    human = VaryingLengthConfig(path=path, per_length=3).read()
    assert [len(human.examples(split)) for split in SPLITS] == [11, 6, 6]
    random = VaryingLengthConfig(path=path, per_length=3, test="random", validation_share=0.3).read()
    assert [len(random.examples(split)) for split in SPLITS] == [8, 3, 6]
    assert [e.id for e in random.examples("test")] == [e.id for e in human.examples("validation")]
    assert VaryingLengthConfig(path=path).read().notes["test"] == "Human7600"
    (tmp_path / "no.csv").write_text("utr,rl\nACGT,1\n")
    with pytest.raises(InputError, match=r"no\.csv:1: has no column 'set'"):
        VaryingLengthConfig(path=tmp_path / "no.csv").read()


@pytest.mark.parametrize(("count", "folds"), [(10, 10), (23, 10), (57, 5)])
def test_folds_are_scikit_learns(count: int, folds: int) -> None:
    found = np.array(folds_of(count, folds, 42))
    for number, (_, test) in enumerate(KFold(folds, shuffle=True, random_state=42).split(np.arange(count))):
        assert np.flatnonzero(found == number).tolist() == test.tolist()


def test_translation_tests_a_fold_and_validates_on_the_one_before(tmp_path: Path) -> None:
    random = np.random.default_rng(0)
    rows = [("".join(random.choice(list("ACGT"), 30)), place, -place) for place in range(23)]
    path = tmp_path / "HEK_sequence.csv"
    path.write_text("utr,te_log,rnaseq_log\n" + "".join(f"{a},{b},{c}\n" for a, b, c in rows))
    dealt = folds_of(23, 10, 42)
    for fold, before in ((0, 9), (4, 3)):
        task = TranslationConfig(path=path, fold=fold).read()
        wanted = [
            {n for n in range(23) if dealt[n] not in (fold, before)},
            {n for n in range(23) if dealt[n] == before},
        ]
        wanted.append({n for n in range(23) if dealt[n] == fold})
        assert [{int(example.number) for example in task.examples(split)} for split in SPLITS] == wanted
    level = TranslationConfig(path=path, target="rnaseq_log").read()
    assert {example.number for split in SPLITS for example in level.examples(split)} == {float(-n) for n in range(23)}
    with pytest.raises(InputError, match="fold is 10; folds are counted from 0 to 9"):
        load_config(TranslationConfig, None, {"path": str(path), "fold": 10})


@pytest.mark.parametrize(
    ("name", "file", "config"),
    [
        ("ribosome-load-25-to-100", "GSM4084997_varying_length_25to100.csv.gz", VaryingLengthConfig(per_length=3)),
        ("translation-pc3", "pc3_sequence.csv", TranslationConfig(cells="pc3", folds=3)),
    ],
)
def test_a_table_of_unknown_sum_is_read_once_it_was_accepted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, silent: None, name: str, file: str, config: TaskConfig
) -> None:
    monkeypatch.setenv("NUCLEX_CACHE", str(tmp_path))
    monkeypatch.delenv("NUCLEX_MIRROR", raising=False)
    with pytest.raises(OutsideError, match=f"{name}: the sha256 of {file} was published nowhere.*--trust-first"):
        config.read()
    place = tmp_path / "data" / name / file
    place.parent.mkdir(parents=True)
    plain = geo(tmp_path / "geo.csv")
    if file.endswith(".gz"):
        place.write_bytes(gzip.compress(plain.read_bytes()))
    else:
        place.write_text("utr,te_log,rnaseq_log\n" + "".join(f"{'ACGT' * n},{n}.5,1\n" for n in range(3, 12)))
    fetch(name, trust_first=True)
    assert config.read().notes["files"] == [str(place)]


def test_rinalmos_suite_asks_all_that_the_tasks_know() -> None:
    asked = {entry.name: (entry, entry.finetuning(Path("-"), 0).task) for entry in load_suite("rinalmo").entries
             if entry.recipe is not None}  # fmt: skip
    tasks = [task for _, task in asked.values()]
    translated = [(task.cells, task.target) for task in tasks if isinstance(task, TranslationConfig)]
    assert sorted(translated) == [
        (cells, target) for cells in ("hek", "muscle", "pc3") for target in ("rnaseq_log", "te_log")
    ]
    assert sorted(task.test for task in tasks if isinstance(task, VaryingLengthConfig)) == ["human", "random"]
    folds = [task.fold for task in tasks if isinstance(task, ArchiveiiConfig) and task.protocol == "fold"]
    assert folds == [0, 1, 2, 3, 4]
    for entry, task in asked.values():
        clustered = isinstance(task, RibosomeLoadConfig) and task.library == "human"
        assert (entry.units == "group") == clustered
