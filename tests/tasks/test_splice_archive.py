"""SpliceBERT's archive, made up in its layout: scikit-learn's folds, sites and species apart, the rest refused."""

from __future__ import annotations

import tarfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from sklearn.model_selection import StratifiedKFold

from nuclex.core.errors import InputError, OutsideError
from nuclex.data.catalog import fetch
from nuclex.tasks import SPLITS, SpliceGs1Config, Task
from nuclex.tasks.splice_archive import stratified_folds

COUNTS = {"positive": 31, "negative": 44}
SPECIES = ("Danio", "Fly", "Worm", "Thaliana")


def windows(count: int, length: int, *seed: int) -> list[str]:
    random = np.random.default_rng(seed)
    return ["".join(random.choice(list("ACGT"), length)) for _ in range(count)]


def write(path: Path, lines: Sequence[str]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(f"{line}\n" for line in lines))


def training(home: Path, site: str) -> tuple[Path, Path]:
    start = home / "Training_data"
    return start / f"Positive/GS/POS_{site}_600.csv", start / f"Negative/GS/GS_1/NEG_600_{site}.csv"


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """An archive with both sites: true sites without positions and names, false ones with both."""
    home = tmp_path / "data" / "spliceator"
    for number, site in enumerate(("donor", "acceptor")):
        positive, negative = training(home, site)
        true, false = windows(COUNTS["positive"], 600, number, 1), windows(COUNTS["negative"], 600, number, 0)
        write(positive, [f"P{n}_human;{text};{site}" for n, text in enumerate(true)])
        rows = [f"N{n}_mouse;{n};{text};Intron" for n, text in enumerate(false)]
        write(negative, ["ID_uniprot;Position;Sequence;Type", *rows])
        for place, species in enumerate(SPECIES):
            for label in ("positive", "negative"):
                held = windows(6, 400, number, 2 + place, label == "positive")
                path = home / f"Benchmarks/{species}/SA_sequences_{site}_400_Final_3.{label}.txt"
                write(path, [f"f{n};{n};{text}" for n, text in enumerate(held)])
    return home


def all_rows(home: Path, site: str) -> list[tuple[str, str]]:
    """The middle 400 letters and the label of each row, true sites first, read by other means."""
    positive, negative = training(home, site)
    true = [line.split(";")[1] for line in positive.read_text().splitlines()]
    false = [line.split(";")[2] for line in negative.read_text().splitlines()[1:]]
    return [(text[100:500], "positive") for text in true] + [(text[100:500], "negative") for text in false]


def asked(task: Task, *splits: str) -> list[tuple[str, str]]:
    return [(item.sequence, str(item.label)) for split in SPLITS if split in splits for item in task.examples(split)]


@pytest.mark.parametrize("site", ["donor", "acceptor"])
def test_the_folds_are_those_of_scikit_learn(home: Path, site: str) -> None:
    found = all_rows(home, site)
    answers = np.array([label == "positive" for _, label in found], dtype=int)
    dealt = StratifiedKFold(n_splits=10, shuffle=True, random_state=2020).split(np.arange(len(found)), y=answers)
    tested: list[tuple[str, str]] = []
    for fold, (rest_N, held_out_N) in enumerate(dealt):
        task = SpliceGs1Config.from_data({"folder": str(home), "site": site, "fold": fold}).read()
        assert asked(task, "test") == [found[place] for place in held_out_N]
        assert sorted(asked(task, "train", "validation")) == sorted(found[place] for place in rest_N)
        assert task.classes == ("negative", "positive")
        assert len(task.examples("validation")) == 7  # a tenth of 28 and of 40, or of 27 and 39
        tested += asked(task, "test")
    assert sorted(tested) == sorted(found)


def test_the_folds_stay_what_they_are() -> None:
    """Written down once, with scikit-learn 1.9.1: a version that deals otherwise would make another benchmark."""
    fold_N = stratified_folds(["positive"] * 12 + ["negative"] * 18, Path("here"))
    assert fold_N[:12] == [1, 0, 9, 2, 8, 3, 5, 7, 4, 1, 6, 0]
    assert fold_N[12:] == [1, 7, 8, 8, 3, 9, 3, 4, 7, 2, 4, 6, 2, 5, 6, 5, 0, 9]


def test_a_species_is_tested_and_the_fold_is_the_validation(home: Path) -> None:
    digests = set()
    for species in SPECIES:
        for site in ("donor", "acceptor"):
            data = {"folder": str(home), "site": site, "test": species, "fold": 3}
            task = SpliceGs1Config.from_data(data).read()
            start = home / "Benchmarks" / species / f"SA_sequences_{site}_400_Final_3"
            expected = [
                (line.split(";")[2], label)
                for label in ("positive", "negative")
                for line in Path(f"{start}.{label}.txt").read_text().splitlines()
            ]
            assert asked(task, "test") == expected
            held_out = SpliceGs1Config.from_data({**data, "test": "gs1"}).read()
            assert asked(task, "validation") == asked(held_out, "test")
            assert sorted(asked(task, "train", "validation")) == sorted(all_rows(home, site))
            assert task.notes["validation"] == "fold 3 of 10"
            digests.add(task.digest)
    assert len(digests) == 8


def test_ids_are_of_one_row_and_name_its_line(home: Path) -> None:
    task = SpliceGs1Config(folder=home, test="Fly").read()
    names = [example.id for split in SPLITS for example in task.examples(split)]
    assert len(set(names)) == len(names) == sum(COUNTS.values()) + 12
    assert {"gs1-positive-1-P0_human", "gs1-negative-2-N0_mouse", "Fly-negative-6-f5"} <= set(names)


def test_a_window_that_stands_twice_is_marked_and_never_divided_by_carving(home: Path) -> None:
    positive, _ = training(home, "donor")
    rows = positive.read_text().splitlines()
    write(positive, [f"{n};{rows[0].split(';')[1]}" for n in range(15)] + rows[15:])
    task = SpliceGs1Config(folder=home).read()
    copies = [int((window, "positive") == all_rows(home, "donor")[0]) for window, _ in asked(task, "test")]
    assert sum(copies) > 0
    assert task.seen.tolist() == [bool(copy) for copy in copies]
    assert task.counts()["validation_seen_in_train"] == 0


def test_windows_are_cut_to_their_middle(home: Path) -> None:
    task = SpliceGs1Config(folder=home, test="Worm", window=40).read()
    wide = SpliceGs1Config(folder=home, test="Worm").read()
    for split in SPLITS:
        pairs = zip(task.examples(split), wide.examples(split), strict=True)
        assert all(narrow.sequence == example.sequence[180:220] for narrow, example in pairs)
    with pytest.raises(InputError, match=r"positive\.txt:1: has 400 letters; 402 are needed \(window\)"):
        SpliceGs1Config(folder=home, test="Worm", window=402).read()


@pytest.mark.parametrize("parts", [(), ("data",), ("data", "spliceator")])
def test_the_archive_is_found_in_the_folders_around_it(home: Path, tmp_path: Path, parts: tuple[str, ...]) -> None:
    found = SpliceGs1Config(folder=tmp_path.joinpath(*parts)).read()
    assert found.notes["files"] == str(home)


def test_without_a_folder_it_is_the_catalogues(home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NUCLEX_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("NUCLEX_MIRROR", str(tmp_path / "mirror"))
    with pytest.raises(OutsideError, match=r"splice-gs1: .*`nuclex data fetch splice-gs1 --trust-first`"):
        SpliceGs1Config().read()
    packed = tmp_path / "mirror" / "splice" / "splicebert-data.tar.gz"
    packed.parent.mkdir(parents=True)
    with tarfile.open(packed, "w:gz") as archive:
        archive.add(tmp_path / "data", "data")
    fetch("splice-gs1", trust_first=True)
    found = SpliceGs1Config().read()
    assert found.notes["files"] == str(tmp_path / "cache/data/splice-gs1/splicebert-data/data/spliceator")
    assert found.digest == SpliceGs1Config(folder=home).read().digest


A = "A" * 600


@pytest.mark.parametrize(
    ("row", "sentence"),
    [
        ("P1", r"found 1 columns and no sequence of 100 letters in the second; id;position;sequence or id;sequence"),
        ("P1;ACGT", "found 2 columns and no sequence of 100 letters"),
        (f"P1,{A}", "found 1 columns and no sequence"),
        ("   ", "found 1 columns and no sequence"),
        ("P1;17;ACGT", r"has 4 letters; 400 are needed \(window\)"),
        ("P1;17;", r"the sequence is empty; 400 letters are needed \(window\)"),
        (f"P1;{A[:300]} {A[:299]}", "found ' ' at position 300; a sequence of letters is needed"),
        (f"P1;{A[:399]}", r"has 399 letters; 400 are needed"),
        ("ID;Sequence;Species", r"has 7 letters; 400 are needed"),
    ],
)
@pytest.mark.parametrize("number", [0, 1])
def test_rows_that_are_none_are_named(home: Path, row: str, sentence: str, number: int) -> None:
    path = training(home, "acceptor")[number]
    rows = path.read_text().splitlines()
    write(path, [*rows[:3], row, *rows[3:]])
    with pytest.raises(InputError, match=rf"{path.name}:4: {sentence}"):
        SpliceGs1Config(folder=home, site="acceptor").read()
    assert len(SpliceGs1Config(folder=home, site="donor").read().examples("train")) > 0


def test_files_that_are_not_there_are_named(home: Path, tmp_path: Path) -> None:
    sentence = (
        r"x: has no folder Training_data, spliceator/Training_data or data/spliceator/Training_data; give the folder"
    )
    with pytest.raises(InputError, match=sentence):
        SpliceGs1Config(folder=tmp_path / "x").read()
    (home / "Benchmarks/Fly/SA_sequences_donor_400_Final_3.negative.txt").unlink()
    with pytest.raises(InputError, match=r"donor_400_Final_3\.negative\.txt: no such file; it belongs to SpliceBERT's"):
        SpliceGs1Config(folder=home, test="Fly").read()
    training(home, "donor")[1].unlink()
    with pytest.raises(InputError, match=r"NEG_600_donor\.csv: no such file; it belongs to SpliceBERT's archive"):
        SpliceGs1Config(folder=home).read()


@pytest.mark.parametrize(("number", "label"), [(0, "positive"), (1, "negative")])
def test_a_class_with_fewer_rows_than_folds_is_refused(home: Path, number: int, label: str) -> None:
    path = training(home, "donor")[number]
    write(path, path.read_text().splitlines()[: 9 + number])
    with pytest.raises(InputError, match=rf"spliceator: has 9 {label} sites; at least one a fold is needed, so 10"):
        SpliceGs1Config(folder=home).read()


@pytest.mark.parametrize(
    ("key", "value", "sentence"),
    [
        ("fold", 10, "fold.*less than 10"),
        ("site", "both", "site.*'donor' or 'acceptor'"),
        ("test", "Thale", "test.*'gs1', 'Danio', 'Fly', 'Worm' or 'Thaliana'"),
        ("window", 601, "window.*less than or equal to 600"),
    ],
)
def test_what_is_no_part_of_it_is_refused(key: str, value: object, sentence: str) -> None:
    with pytest.raises(ValueError, match=rf"(?s){sentence}"):
        SpliceGs1Config.from_data({key: value})
