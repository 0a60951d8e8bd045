"""A model of pairs learns what neither side says alone, is asked about new partners, and refuses what does not fit."""

from __future__ import annotations

import csv
import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from learners import write_tiny_bundle
from nuclex.bundle import load
from nuclex.cli.main import run as nuclex_run
from nuclex.core.config import load_config
from nuclex.core.errors import CorruptError, InputError
from nuclex.inference.predict import predict
from nuclex.metrics import rmse
from nuclex.models.partners import PartnerHead
from nuclex.tasks import Example, Partner, Shape, Task
from nuclex.training.alone import ALONE, PARTNER, PARTNER_MEAN, SEQUENCE, SEQUENCE_MEAN, SUM, foretold
from nuclex.training.finetune import FinetuneConfig, finetune
from nuclex.training.results import GROUPS, units_of
from nuclex.training.supervised import answering_model

SIZE, DRUGS, RNAS = 4, 12, 90


def vectors(path: Path, names: list[str], numbers: np.ndarray[Any, Any]) -> Path:
    np.savez(path, ids=np.array(names), embeddings=numbers)
    return path


def simulated(folder: Path) -> dict[str, Any]:
    """The number is 6 plus (G and C of the RNA, standardised) times (first number of the drug), and a little noise.

    Drugs come in pairs of opposite first numbers, so that neither an RNA nor a drug says anything by itself.
    """
    random = np.random.default_rng(0)
    numbers = random.normal(size=(DRUGS, SIZE)).astype(np.float32)
    numbers[1::2, 0] = -numbers[::2, 0]
    shares = random.uniform(0.15, 0.85, RNAS)
    weights = np.stack([1 - shares, shares, shares, 1 - shares], axis=1) / 2
    rnas = ["".join(random.choice(list("ACGU"), int(random.integers(30, 45)), p=row)) for row in weights]
    content = np.array([sum(rna.count(base) for base in "GC") / len(rna) for rna in rnas])
    content = (content - content.mean()) / content.std()
    with (folder / "pairs.csv").open("w") as handle:
        handle.write("name,rna,drug,pKd\n")
        for place, rna in enumerate(rnas):
            for half in random.choice(DRUGS // 2, 4, replace=False):
                for drug in (2 * half, 2 * half + 1):
                    value = 6 + content[place] * numbers[drug, 0] + 0.1 * random.normal()
                    handle.write(f"r{place},{rna},d{drug},{value:.4f}\n")
    vectors(folder / "drugs.npz", [f"d{n}" for n in range(DRUGS)], numbers)
    return {
        "data": {"path": str(folder / "pairs.csv"), "sequence": "rna", "partner": "drug", "target": "pKd",
                 "partners": str(folder / "drugs.npz")},
        "task": {"kind": "table-partner", "cluster": {"method": "kmer", "min_identity": 0.9, "strands": "plus"}},
        "head": {"kind": "partner", "hidden": 24},
        "controls": [],
        "thaw": [{"step": 0, "blocks": 0}],
        "training": {"steps": 150, "evaluate_every": 50, "checkpoint_every": 150, "schedule": {"rate": 1e-2}},
    }  # fmt: skip


@pytest.fixture(scope="module")
def done(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run on simulated pairs: the head alone learns, on a tiny model with random weights."""
    folder = tmp_path_factory.mktemp("pairs")
    bundle = write_tiny_bundle(folder / "tiny", depth=1, width=32)
    config = FinetuneConfig.from_data({**simulated(folder), "bundle": str(bundle)})
    finetune(config, folder / "run")
    return folder / "run"


@pytest.fixture(scope="module")
def results(done: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((done / "results.json").read_text())
    return found


def test_pairs_say_what_neither_side_says_alone(results: dict[str, Any]) -> None:
    test = results["test"]["all"]
    assert test["pretrained"]["r_squared"]["low"] > 0.7
    for name in set(ALONE) - {SEQUENCE_MEAN}:
        assert test[name]["r_squared"]["value"] < 0.1, name
    gap = test["difference_from_sequence_plus_partner"]["negative_squared_error"]
    assert gap["difference"]["low"] > 0
    assert gap["p_value"] < 0.01
    assert SEQUENCE_MEAN not in test, "no sequence of the test is known"
    assert results["task"]["notes"]["pairs"]["test"]["new_sequence"] == test["n"]
    assert test["unit"] == GROUPS


def test_what_is_written_is_what_was_measured(done: Path, results: dict[str, Any]) -> None:
    rows = [json.loads(line) for line in (done / "test.jsonl").read_text().splitlines()]
    truth, guess = (np.array([row[name] for row in rows]) for name in ("truth", "predicted"))
    found = results["test"]["all"]["pretrained"]
    assert found["rmse"]["value"] == pytest.approx(rmse(truth, guess))
    assert found["rmse"]["low"] < found["rmse"]["value"] < found["rmse"]["high"]
    assert {row["partner"] for row in rows} == {f"d{n}" for n in range(DRUGS)}


def test_the_bundle_answers_as_was_measured(done: Path, tmp_path: Path) -> None:
    told = predict(done / "bundle", done.parent / "pairs.csv", tmp_path / "out.csv")
    assert (told["sequences"], told["shape"]) == (RNAS * 8, "partner score")
    with (tmp_path / "out.csv").open() as handle:
        given = {(row["id"], row["partner"]): float(row["value"]) for row in csv.DictReader(handle)}
    rows = [json.loads(line) for line in (done / "test.jsonl").read_text().splitlines()]
    assert all(given[row["id"], row["partner"]] == pytest.approx(row["predicted"], rel=1e-5) for row in rows)


def test_the_vectors_in_the_bundle_are_those_of_the_file_and_the_head_scales_as_train(done: Path) -> None:
    bundle = load(done / "bundle")
    assert bundle.task is not None
    assert bundle.task.partners is not None
    with np.load(done.parent / "drugs.npz") as file:
        own = dict(zip(file["ids"].tolist(), file["embeddings"], strict=True))
    assert list(bundle.task.partners.names) == sorted(own)
    for name, vector_P in zip(bundle.task.partners.names, bundle.task.partners.numbers_KP, strict=True):
        assert np.array_equal(vector_P, own[name])
    head = answering_model(bundle).head
    assert isinstance(head, PartnerHead)
    every = np.stack(list(own.values()))
    torch.testing.assert_close(head.mean_P.numpy(), every.mean(0), rtol=1e-5, atol=1e-6)
    torch.testing.assert_close(head.deviation_P.numpy(), every.std(0), rtol=1e-5, atol=1e-6)


def asked(folder: Path, *rows: str, header: str = "rna,drug") -> Path:
    path = folder / "asked.csv"
    path.write_text("\n".join([header, *rows]) + "\n")
    return path


def test_new_partners_come_from_a_file(done: Path, tmp_path: Path) -> None:
    """An opposite first number turns the answer round the mean, and a known drug under a new name is the same drug."""
    with np.load(done.parent / "drugs.npz") as file:
        first, numbers = file["embeddings"][0], file["embeddings"]
    strong, weak = np.sort(numbers[:, 0])[[-1, 0]]
    new = [first, np.array([strong, *numbers[:, 1:].mean(0)]), np.array([weak, *numbers[:, 1:].mean(0)])]
    file_of_new = vectors(tmp_path / "new.npz", ["twin", "up", "down"], np.stack(new))
    rich = "GCGCGGCCGCGCGCGGCGCGCCGCGCGCAGCGC"
    inputs = asked(tmp_path, *(f"{rich},{name}" for name in ("d0", "twin", "up", "down")))
    predict(done / "bundle", inputs, tmp_path / "out.csv", partners=file_of_new)
    with (tmp_path / "out.csv").open() as handle:
        value = {row["partner"]: float(row["value"]) for row in csv.DictReader(handle)}
    assert value["twin"] == pytest.approx(value["d0"], rel=1e-6)
    assert value["up"] > 6.5 > 5.5 > value["down"]


@pytest.mark.parametrize(("rows", "header", "sentence"), [
    (["ACGUACGUAC,d99"], "rna,drug", r"asked\.csv:2: the partner 'd99' has no vector among the 12 of the partners of "),
    (["ACGUACGUAC,"], "rna,drug", r"asked\.csv:2: names no partner; every pair needs one"),
    (["ACGUACGUAC,d0"], "rna,other", r"asked\.csv:1: has no column 'partner'; found 'rna', 'other'; name it"),
    (["ACGUAC!UAC,d0"], "rna,drug", r"asked\.csv:2: found '!' in a sequence"),
])  # fmt: skip
def test_a_pair_that_is_wrong_gets_a_sentence(
    done: Path, tmp_path: Path, rows: list[str], header: str, sentence: str
) -> None:
    with pytest.raises(InputError, match=sentence):
        predict(done / "bundle", asked(tmp_path, *rows, header=header), tmp_path / "out.csv")
    assert not (tmp_path / "out.csv").exists()


def test_vectors_of_another_program_are_refused(done: Path, tmp_path: Path) -> None:
    inputs = asked(tmp_path, "ACGUACGUAC,d0")
    longer = vectors(tmp_path / "longer.npz", ["x"], np.ones((1, SIZE + 1)))
    with pytest.raises(InputError, match=r"longer\.npz: its vectors have 5 numbers, those of .*bundle 4; the"):
        predict(done / "bundle", inputs, tmp_path / "out.csv", partners=longer)
    other = vectors(tmp_path / "other.npz", ["d3"], np.ones((1, SIZE)))
    with pytest.raises(
        InputError, match=r"other\.npz: 'd3' has another vector than the one that .*bundle was fine-tuned"
    ):
        predict(done / "bundle", inputs, tmp_path / "out.csv", partners=other)


def test_the_flag_on_the_command_line(done: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    inputs = asked(tmp_path, "ACGUACGUAC,x", header="sequence,partner")
    new = vectors(tmp_path / "new.npz", ["x"], np.ones((1, SIZE)))
    words = ["predict", str(done / "bundle"), str(inputs), "--out", str(tmp_path / "out.tsv"), "--partners"]
    assert nuclex_run([*words, str(new)]) == 0
    assert (tmp_path / "out.tsv").read_text().startswith("id\tpartner\tvalue\nrow-1\tx\t")
    capsys.readouterr()
    assert nuclex_run([*words, str(tmp_path / "none.npz")]) == 2
    assert capsys.readouterr().err.strip().endswith("none.npz: no such file of vectors")


def test_a_bundle_without_its_vectors_is_refused(done: Path, tmp_path: Path) -> None:
    shutil.copytree(done / "bundle", tmp_path / "bundle")
    assert set(load_file(tmp_path / "bundle" / "partners.safetensors")) == {"names", "numbers"}
    (tmp_path / "bundle" / "partners.safetensors").unlink()
    with pytest.raises(CorruptError, match=r"partners\.safetensors"):
        load(tmp_path / "bundle")


def test_a_head_for_other_vectors_is_refused(done: Path, tmp_path: Path) -> None:
    keys = json.loads((done / "config.json").read_text())
    wrong = {**keys, "head": {"kind": "partner", "vector": 7}}
    with pytest.raises(InputError, match=r"head\.vector is 7; the partners of 'table-partner' have 4 numbers each"):
        finetune(FinetuneConfig.from_data({k: v for k, v in wrong.items() if v is not None}), tmp_path / "run")
    with pytest.raises(InputError, match=r"head\.kind is 'scalar'; the task 'table-partner' needs 'partner'"):
        load_config(FinetuneConfig, None, {**simulated(tmp_path), "bundle": "b", "head": {"kind": "scalar"}})


def pair(number: float, letters: str, name: str, vector: list[float], group: str | None = None) -> Example:
    return Example(
        letters, number, f"{letters}-{name}", group, partner=Partner(name, np.array(vector, dtype=np.float32))
    )


def test_linear_models_and_means_by_hand() -> None:
    """What the partner's vector says is exact for a line; a mean of the pairs with a partner is that."""
    random = np.random.default_rng(2)
    line = {f"d{n}": float(n) for n in range(6)}
    rnas = ["".join(random.choice(list("ACGU"), 20)) for _ in range(12)]
    pairs = [pair(3 + 2 * size, rna, name, [size]) for rna in rnas for name, size in line.items()]
    task = Task(
        "t", Shape.PARTNER, {"train": tuple(pairs[:48]), "validation": tuple(pairs[48:60]), "test": tuple(pairs[60:])}
    )
    truth = np.array([one.number for one in task.examples("test")])
    found = foretold(task, 1000)
    assert set(found) == set(ALONE) - {SEQUENCE_MEAN}
    assert found[PARTNER] == pytest.approx(truth, abs=1e-4)
    assert found[SUM] == pytest.approx(truth, abs=0.5)
    assert found[PARTNER_MEAN] == pytest.approx(truth)
    assert np.abs(found[SEQUENCE] - 8.0).max() < 1.0


def test_units_of_pairs_are_what_the_split_kept_whole() -> None:
    pairs = [pair(0.0, "ACGU" * (n % 3 + 1), f"d{n}", [1.0], f"d{n // 2}") for n in range(24)]
    unit_N, words = units_of(pairs)
    assert words == GROUPS
    assert len(set(unit_N.tolist())) == 12, "three sequences that all partners have would make one unit of them"
