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
from nuclex.models.motifs import ConvolutionHead
from nuclex.tasks import Example, Shape
from nuclex.training.controls import LETTERS, Arm, ControlRates, controls_of, from_random, letter_model, training_of
from nuclex.training.duration import TrainingConfig
from nuclex.training.finetune import FinetuneConfig, finetune
from nuclex.training.supervised import Reading


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


@pytest.mark.parametrize(
    ("lengths", "wanted"), [((50, 50), 50), ((25, 100), 100), ((30, 1000), 1000), ((30, 1001), None)]
)
def test_the_cnn_lays_out_as_many_positions_as_the_longest_has(lengths: tuple[int, int], wanted: int | None) -> None:
    readings = {
        split: Reading.of([Example("A" * length, 0.0, "x")], LETTERS, None)
        for split, length in zip(("train", "test"), lengths, strict=True)
    }
    head = letter_model("cnn", readings, 1, 0).head
    assert isinstance(head, ConvolutionHead)
    assert head.length == wanted


def test_without_a_word_the_frozen_and_the_random_model_stand_beside() -> None:
    found = load_config(FinetuneConfig, None, {"task": {"kind": "table-scalar", "train": "x.csv"}, "bundle": "b"})
    assert found.controls == ("frozen", "scratch")
    assert found.control_rates == ControlRates()


RUN = TrainingConfig.from_data(
    {
        "steps": 400,
        "schedule": {"kind": "linear", "rate": 1e-5, "initial_rate": 1e-7, "final_rate": 1e-6, "warmup": 3},
        "optimizer": {"clip": 0.0},
    }
)


@pytest.mark.parametrize(
    ("arm", "rate"), [("scratch", 2e-4), ("frozen", 1e-3), ("one-hot", 1e-3), ("pretrained", 1e-5)]
)
def test_random_weights_learn_at_rates_of_their_own(arm: Arm, rate: float) -> None:
    found = training_of(arm, RUN, ControlRates(network=2e-4, head=1e-3))
    schedule = found.schedule
    assert (found.steps, schedule.kind, schedule.rate) == (400, "linear", rate)
    assert (schedule.initial_rate, schedule.final_rate) == (pytest.approx(rate / 100), pytest.approx(rate / 10))
    assert (schedule.warmup, found.optimizer.clip) == ((3, 0.0) if arm == "pretrained" else (20, 1.0))
    assert training_of(arm, RUN, ControlRates()) == RUN, "nothing is said: as the run itself"


def test_a_longer_warmup_and_a_tighter_clip_stay() -> None:
    given = {"steps": 400, "schedule": {"warmup": 50}, "optimizer": {"clip": 0.1}}
    found = from_random(TrainingConfig.from_data(given), 1e-2)
    assert (found.schedule.warmup, found.optimizer.clip) == (50, 0.1)


def test_at_a_rate_for_finetuning_controls_stay_random_and_at_their_own_they_learn(
    bundle: Path, tmp_path: Path
) -> None:
    """The share of G and C is what any head finds that is trained at all."""
    task = {"kind": "table-class", "train": str(toy_table(tmp_path / "all.csv")), "label_column": "class"}
    keys = {
        "bundle": str(bundle),
        "task": task,
        "head": {"kind": "class", "pooling": "mean"},
        "batching": {"examples": 16},
        "training": {"steps": 60, "evaluate_every": 60, "schedule": {"kind": "constant", "rate": 1e-5}},
        "controls": ["scratch", "one-hot", "frozen"],
    }
    found = {}
    for name, rates in (("same", {}), ("own", {"network": 1e-2, "head": 3e-2})):
        finetune(load_config(FinetuneConfig, None, {**keys, "control_rates": rates}), tmp_path / name)
        found[name] = json.loads((tmp_path / name / "results.json").read_text())
    for arm in ("scratch", "one-hot", "frozen"):
        losses = [found[name]["runs"][arm]["validation"]["validation_loss"] for name in ("same", "own")]
        assert losses[0] > 0.6, "as good as untrained: chance is 0.69"
        assert losses[1] < 0.75 * losses[0], arm
        told = [found[name]["runs"][arm]["training"] for name in ("same", "own")]
        rate = 1e-2 if arm == "scratch" else 3e-2
        assert [each["rate"] for each in told] == [1e-5, rate]
        assert [each["warmup"] for each in told] == [0, 3]
    own, same = (found[name]["test"]["all"]["pretrained"] for name in ("own", "same"))
    assert own == same, "the run itself is what it was"


def test_a_run_from_random_weights_learns_at_its_own_rate(tmp_path: Path) -> None:
    task = {"kind": "table-scalar", "train": str(toy_table(tmp_path / "all.csv")), "label_column": "gc"}
    keys = {
        "model": {"kind": "rinalmo", "depth": 1, "width": 8, "heads": 2},
        "tokenizer": {"kind": "nucleotide"},
        "task": task,
        "training": {"steps": 2, "evaluate_every": 2, "schedule": {"rate": 2e-3}},
        "controls": ["one-hot", "k-mers"],
        "control_rates": {"network": 1e-2, "head": 3e-2},
    }
    finetune(load_config(FinetuneConfig, None, keys), tmp_path / "run")
    runs = json.loads((tmp_path / "run" / "results.json").read_text())["runs"]
    assert {arm: (run["training"] or {}).get("rate") for arm, run in runs.items()} == {
        "scratch": 2e-3,
        "one-hot": 3e-2,
        "k-mers": None,
    }


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
