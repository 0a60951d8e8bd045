"""Controls beside a fine-tuned model: which a shape knows, and that each is measured, kept and taken up."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest

from learners import write_tiny_bundle
from nuclex.core.config import load_config
from nuclex.core.errors import InputError
from nuclex.tasks import Shape
from nuclex.training.controls import controls_of
from nuclex.training.finetune import FinetuneConfig, finetune


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tiny model, as pre-training would leave it."""
    return write_tiny_bundle(tmp_path_factory.mktemp("pretrained"), depth=1, width=8)


def test_one_answer_a_sequence_has_more_controls() -> None:
    assert controls_of(Shape.SCALAR) == controls_of(Shape.CLASS) == ("frozen", "scratch", "one-hot", "cnn", "k-mers")
    for shape in (Shape.PAIR_MAP, Shape.PER_POSITION, Shape.VARIANT):
        assert controls_of(shape) == ("frozen", "scratch", "one-hot")


def test_nothing_is_frozen_without_a_bundle() -> None:
    keys = {
        "task": {"kind": "table-scalar", "train": "x.csv"},
        "model": {"kind": "rinalmo", "depth": 1, "width": 8, "heads": 2},
        "tokenizer": {"kind": "nucleotide"},
    }
    with pytest.raises(InputError, match="controls: 'frozen' needs a pre-trained bundle"):
        load_config(FinetuneConfig, None, {**keys, "controls": ["frozen"]})
    assert load_config(FinetuneConfig, None, keys).controls == ("scratch",), "it is the run itself"


def toy_table(path: Path) -> Path:
    """Sequences, their share of G and C as a number, and the class of those with more than half."""
    random = np.random.default_rng(1)
    rows = ["sequence,gc,class"]
    for _ in range(240):
        sequence = "".join(random.choice(list("ACGT"), int(random.integers(15, 40))))
        share = sum(letter in "GC" for letter in sequence) / len(sequence)
        rows.append(f"{sequence},{share},{'at' if share <= 0.5 else 'gc'}")
    path.write_text("\n".join(rows) + "\n")
    return path


@pytest.mark.parametrize("shape", ["class", "scalar"])
def test_every_control_of_one_answer_a_sequence(bundle: Path, tmp_path: Path, shape: str) -> None:
    column, train = ("class" if shape == "class" else "gc"), str(toy_table(tmp_path / "all.csv"))
    task = {"kind": f"table-{shape}", "train": train, "label_column": column}
    keys = {
        "bundle": str(bundle),
        "task": task,
        "head": {"kind": shape, "pooling": "mean", "hidden": 8},
        "batching": {"examples": 16, "micro_tokens": 200},
        "training": {"steps": 40, "evaluate_every": 20, "checkpoint_every": 20, "schedule": {"rate": 1e-4}},
        "controls": ["k-mers", "frozen", "cnn", "one-hot", "scratch"],
    }
    config, run = load_config(FinetuneConfig, None, keys), tmp_path / "run"
    finetune(config, run)
    found = json.loads((run / "results.json").read_text())
    arms = ["frozen", "pretrained", "scratch", "one-hot", "cnn", "k-mers"]
    assert list(found["runs"]) == arms
    name, whole = found["compared"][0], found["test"]["all"]
    for arm in arms:
        rows = [
            json.loads(line)
            for line in (run / ("" if arm == "pretrained" else arm) / "test.jsonl").read_text().splitlines()
        ]
        assert whole[arm][name]["value"] == pytest.approx(np.mean([row["scores"][name] for row in rows]))
        if arm != "pretrained":
            label = "difference" if arm == "scratch" else f"difference_from_{arm.replace('-', '_')}"
            gap = whole["pretrained"][name]["value"] - whole[arm][name]["value"]
            assert whole[label][name]["difference"]["value"] == pytest.approx(gap)
    learned = whole["k-mers"]["accuracy" if shape == "class" else "r_squared"]
    assert learned["low"] > (0.6 if shape == "class" else 0.8), "composition is all that these labels are"
    assert whole["cnn"]["accuracy" if shape == "class" else "r_squared"]["value"] > 0.5, "at a rate of its own"
    assert found["runs"]["k-mers"]["validation"]["penalty"] > 0
    written = {arm: (run / arm / "test.jsonl").read_bytes() for arm in arms if arm != "pretrained"}
    shutil.rmtree(run / "k-mers")  # as if the power had failed while the CNN learned
    shutil.rmtree(run / "cnn" / "checkpoints" / "step-00000040")
    (run / "cnn" / "arm.json").unlink()
    finetune(config, run, resume=True)
    assert {arm: (run / arm / "test.jsonl").read_bytes() for arm in written} == written
