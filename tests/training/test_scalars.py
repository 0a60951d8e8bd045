"""Numbers are learned, measured as by hand, and given back in the units of the data."""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch.nn import functional as F

from nuclex.core.config import load_config
from nuclex.core.errors import InputError
from nuclex.inference.predict import predict
from nuclex.metrics import r_squared, spearman
from nuclex.tasks import Example, Shape, Task
from nuclex.tokenizers import NucleotideConfig
from nuclex.training.finetune import FinetuneConfig, finetune
from nuclex.training.results import compare
from nuclex.training.scalars import RegressionConfig, ScalarAnswers, Scale, interval_of
from nuclex.training.supervised import Measured, Reading

KEYS: dict[str, Any] = {
    "model": {"kind": "rinalmo", "depth": 1, "width": 16, "heads": 2},
    "tokenizer": {"kind": "nucleotide"},
    "batching": {"examples": 16, "micro_tokens": 200},
}


def toy(path: Path, count: int) -> Path:
    """The label is 1000 plus 10 times the share of G and C."""
    random = np.random.default_rng(0)
    with path.open("w") as handle:
        handle.write("id,sequence,label\n")
        for row in range(count):
            share = random.uniform(0.1, 0.9)
            weights = [(1 - share) / 2, share / 2, share / 2, (1 - share) / 2]
            text = "".join(random.choice(list("ACGT"), int(random.integers(20, 40)), p=weights))
            handle.write(f"s{row},{text},{1000 + 10 * sum(text.count(base) for base in 'GC') / len(text)}\n")
    return path


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model of the share of G and C, from scratch."""
    folder = tmp_path_factory.mktemp("numbers")
    keys = {
        **KEYS,
        "task": {"kind": "table-scalar", "train": str(toy(folder / "all.csv", 240))},
        "training": {"steps": 60, "evaluate_every": 20, "checkpoint_every": 60, "schedule": {"rate": 3e-3}},
    }
    finetune(load_config(FinetuneConfig, None, keys), folder / "run")
    return folder / "run"


def test_numbers_are_learned_and_measured_as_by_hand(run: Path) -> None:
    found = json.loads((run / "results.json").read_text())["test"]["all"]["scratch"]
    rows = [json.loads(line) for line in (run / "test.jsonl").read_text().splitlines()]
    truth, guess = (np.array([row[name] for row in rows]) for name in ("truth", "predicted"))
    assert found["r_squared"]["low"] > 0.5
    assert found["r_squared"]["value"] == pytest.approx(r_squared(truth, guess))
    assert found["spearman"]["value"] == pytest.approx(spearman(truth, guess))
    assert found["negative_squared_error"]["value"] == pytest.approx(-((truth - guess) ** 2).mean())
    assert found["absolute_error"]["value"] == pytest.approx(abs(truth - guess).mean())
    assert found["spearman"]["low"] < found["spearman"]["value"] < found["spearman"]["high"]


def test_the_scale_is_the_train_splits_and_predictions_are_in_units_of_the_data(run: Path, tmp_path: Path) -> None:
    done = predict(run / "bundle", run.parent / "all.csv", tmp_path / "out.csv")
    assert (done["sequences"], done["shape"]) == (240, "scalar")
    with (tmp_path / "out.csv").open() as handle:
        given = {row["id"]: float(row["value"]) for row in csv.DictReader(handle)}
    rows = [json.loads(line) for line in (run / "test.jsonl").read_text().splitlines()]
    assert all(given[row["id"]] == pytest.approx(row["predicted"], rel=1e-6) for row in rows)
    settings = json.loads((run / "results.json").read_text())["runs"]["scratch"]["settings"]
    with (run.parent / "all.csv").open() as handle:
        labels = {row["id"]: float(row["label"]) for row in csv.DictReader(handle)}
    everything = np.array(list(labels.values()))
    assert settings["mean"] != pytest.approx(everything.mean(), abs=1e-9)
    assert settings["mean"] == pytest.approx(everything.mean(), abs=0.3)
    assert settings["floor"] is None


def answers(labels: dict[str, list[float]], config: RegressionConfig) -> ScalarAnswers:
    splits = {
        split: tuple(Example("ACGT" * (n + 1), value, f"{split}{n}") for n, value in enumerate(values))
        for split, values in labels.items()
    }
    task = Task("toy", Shape.SCALAR, splits)  # type: ignore[arg-type]
    tokenizer = NucleotideConfig().build()
    return ScalarAnswers(task, {s: Reading.of(e, tokenizer, None) for s, e in splits.items()}, 100, config)


LABELS = {"train": [1.0, 3.0, 5.0, 7.0], "validation": [100.0, 200.0], "test": [-5.0, 5.0]}


def test_the_scale_knows_nothing_of_other_splits() -> None:
    made = answers(LABELS, RegressionConfig(floor=0.0))
    assert made.scale == Scale(4.0, 5**0.5, 0.0)
    assert made.scale.standardised(np.array([4.0, 4 + 5**0.5])).tolist() == [0.0, 1.0]
    assert made.scale.undone(np.array([0.0, 1.0, -3.0])).tolist() == [4.0, 4 + 5**0.5, 0.0]
    assert Scale.from_settings(json.loads(json.dumps(made.scale.to_data()))) == made.scale
    assert answers(LABELS, RegressionConfig(standardise=False)).scale == Scale(0.0, 1.0, None)
    with pytest.raises(InputError, match="toy: all labels of the train split are 2; there is nothing to learn"):
        answers({**LABELS, "train": [2.0, 2.0]}, RegressionConfig())


def test_losses_by_hand() -> None:
    guess, target = torch.tensor([0.0, 0.5, 3.0]), torch.tensor([0.0, 0.0, 1.0])
    assert RegressionConfig().of(guess, target).tolist() == [0.0, 0.25, 4.0]
    assert RegressionConfig(loss="huber").of(guess, target).tolist() == [0.0, 0.125, 1.5]
    assert RegressionConfig(loss="huber", delta=2.0).of(guess, target).tolist() == [0.0, 0.125, 2.0]
    torch.testing.assert_close(RegressionConfig().of(guess, target).mean(), F.mse_loss(guess, target))


def test_constant_predictions_have_no_correlation_and_do_not_stop_anything() -> None:
    made = answers({**LABELS, "test": [1.0, 2.0, 4.0, 3.0]}, RegressionConfig())
    rows = [{"id": str(n), "truth": truth, "predicted": 2.0} for n, truth in enumerate((1.0, 2.0, 4.0, 3.0))]
    error_N = np.array([1.0, 0.0, -2.0, -1.0])
    measured = Measured(rows, {"negative_squared_error": -(error_N**2), "absolute_error": abs(error_N)}, {})
    found = compare(made.task, made, {"pretrained": measured})["test"]["all"]["pretrained"]
    assert found["spearman"]["value"] is None
    assert "not defined" in found["spearman"]["method"]
    assert found["r_squared"]["value"] == pytest.approx(1 - 6 / 5)
    assert found["absolute_error"]["value"] == 1.0


def test_few_sequences_give_a_value_without_interval() -> None:
    columns = [np.array([1.0, 2.0]), np.array([1.0, 3.0])]
    found = interval_of(spearman, columns, np.arange(2), "spearman")
    assert (found["value"], found["low"], found["n"]) == (1.0, None, 2)
    assert "undefined in" in found["method"]


def test_a_constant_model_is_validated() -> None:
    made = answers(LABELS, RegressionConfig())
    loss = ((np.array(LABELS["validation"]) - 4.0) ** 2).mean() / 5

    class Constant(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.weight = torch.nn.Parameter(torch.zeros(1))

        def scalars(self, tokens_T: torch.Tensor, layout: Any) -> torch.Tensor:
            return self.weight.expand(len(layout.lengths))

    numbers = made.validate(Constant())  # type: ignore[arg-type]
    assert numbers["validation_loss"] == pytest.approx(loss)
    assert "validation_spearman" not in numbers
    assert numbers["score"] == pytest.approx(1 - (96**2 + 196**2) / (2 * 50**2) - 1e-6 * loss)


def test_the_order_may_choose_the_weights() -> None:
    """One model has the order and is far off, the other is near and has the order of two the wrong way round."""
    labels = {**LABELS, "validation": [1.0, 2.0, 3.0, 4.0]}

    class Given(torch.nn.Module):
        def __init__(self, values: list[float]) -> None:
            super().__init__()
            self.values = torch.nn.Parameter(torch.tensor(values))

        def scalars(self, tokens_T: torch.Tensor, layout: Any) -> torch.Tensor:
            return self.values

    def score(config: RegressionConfig, values: list[float]) -> float:
        made = answers(labels, config)
        return made.validate(Given(values))["score"]  # type: ignore[arg-type]

    far, near = [10.0, 20.0, 30.0, 40.0], [1.0, 2.0, 4.0, 3.0]
    plain, ordered = (RegressionConfig(standardise=False, score=name) for name in ("error", "spearman"))
    assert score(plain, near) == pytest.approx(1 - 2 / 5, abs=1e-5)
    assert score(plain, near) > score(plain, far)
    assert score(ordered, far) == pytest.approx(1, abs=1e-3)
    assert score(ordered, near) == pytest.approx(0.8, abs=1e-5)


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        (
            {"head": {"kind": "class"}},
            "head.kind is 'class'; the task 'table-scalar' needs 'scalar' or 'ribosome-load' or 'linear' or 'text-cnn'",
        ),
        ({"decoding": {}}, "decoding: the task 'table-scalar' has no base pairs to decode"),
        ({"regression": {"loss": "l1"}}, "regression.loss"),
        ({"task": {"kind": "ncrna-class"}, "regression": {}}, "'ncrna-class' has no numbers to learn"),
    ],
)
def test_impossible_recipes_get_a_sentence(changes: dict[str, Any], sentence: str) -> None:
    keys = {**KEYS, "task": {"kind": "table-scalar", "train": "x.csv"}, **changes}
    with pytest.raises(InputError, match=sentence):
        load_config(FinetuneConfig, None, keys)


def test_a_ribosome_load_is_never_below_its_floor(tmp_path: Path) -> None:
    keys = {
        **KEYS,
        "task": {"kind": "table-scalar", "train": str(toy(tmp_path / "all.csv", 60))},
        "head": {"kind": "ribosome-load", "channels": 4, "blocks": 1},
        "regression": {"loss": "huber", "floor": 1004.9},
        "training": {"steps": 4, "evaluate_every": 4, "schedule": {"rate": 3e-3}},
    }
    done = finetune(load_config(FinetuneConfig, None, keys), tmp_path / "run")
    predict(done["bundle"], tmp_path / "all.csv", tmp_path / "out.tsv")
    with (tmp_path / "out.tsv").open() as handle:
        values = [float(row["value"]) for row in csv.DictReader(handle, delimiter="\t")]
    assert min(values) == 1004.9
    assert max(values) > 1004.9


def variants(path: Path, count: int) -> list[Example]:
    """A substitution's effect is 3 where C or G is put in, less 3 where one is taken out; also written as a table."""
    random = np.random.default_rng(1)
    examples = []
    for number in range(count):
        before = random.choice(list("ACGT"), 12)
        after, place = before.copy(), int(random.integers(12))
        after[place] = random.choice([letter for letter in "ACGT" if letter != before[place]])
        effect = 3.0 * ((after[place] in "GC") - int(before[place] in "GC"))
        examples.append(Example("".join(before), effect, f"v{number}", None, "".join(after)))
    lines = (f"{item.id},{item.sequence},{item.alternative}\n" for item in examples)
    path.write_text("id,sequence,alternative\n" + "".join(lines))
    return examples


def test_variants_are_learned_as_a_difference(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    examples = variants(tmp_path / "v.csv", 200)
    parts = {"train": examples[:140], "validation": examples[140:160], "test": examples[160:]}
    task = Task("toy", Shape.VARIANT, {split: tuple(found) for split, found in parts.items()})  # type: ignore[misc]
    monkeypatch.setattr("nuclex.tasks.variants.UtrVariantsConfig.read", lambda self: task)
    keys = {
        **KEYS,
        "task": {"kind": "utr-variants"},
        "training": {"steps": 80, "evaluate_every": 40, "checkpoint_every": 80, "schedule": {"rate": 5e-3}},
    }
    done = finetune(load_config(FinetuneConfig, None, keys), tmp_path / "run")
    results = json.loads((tmp_path / "run" / "results.json").read_text())
    assert results["test"]["all"]["scratch"]["r_squared"]["low"] > 0.5
    settings = results["runs"]["scratch"]["settings"]
    labels = np.array([example.number for example in parts["train"]])
    assert settings == {"mean": 0.0, "deviation": pytest.approx(np.sqrt((labels**2).mean())), "floor": None}
    predict(done["bundle"], tmp_path / "v.csv", tmp_path / "out.csv")
    with (tmp_path / "out.csv").open() as handle:
        given = {row["id"]: float(row["value"]) for row in csv.DictReader(handle)}
    for line in (tmp_path / "run" / "test.jsonl").read_text().splitlines():
        row = json.loads(line)
        assert given[row["id"]] == pytest.approx(row["predicted"], rel=1e-5, abs=1e-5)
    same = "".join(f"{item.id},{item.alternative},{item.sequence}\n" for item in examples)
    (tmp_path / "back.csv").write_text("id,sequence,alternative\n" + same)
    predict(done["bundle"], tmp_path / "back.csv", tmp_path / "back-out.csv")
    with (tmp_path / "back-out.csv").open() as handle:
        for row in csv.DictReader(handle):
            assert float(row["value"]) == pytest.approx(-given[row["id"]], rel=1e-4, abs=1e-4)
    (tmp_path / "bare.csv").write_text("id,sequence\na,ACGT\n")
    with pytest.raises(InputError, match=r"bare\.csv:1: no columns say what changes; found 'id', 'sequence'"):
        predict(done["bundle"], tmp_path / "bare.csv", tmp_path / "x.csv")
    (tmp_path / "odd.csv").write_text("id,sequence,alternative\na,ACGT,ACGA\nb,ACGT,AEEE\n")
    with pytest.raises(InputError, match=r"odd\.csv: 'b': 'E' at position 1 .* is unknown"):
        predict(done["bundle"], tmp_path / "odd.csv", tmp_path / "x.csv")
    assert not (tmp_path / "x.csv").exists()


@pytest.mark.parametrize(
    "head", [{"kind": "scalar", "hidden": 8}, {"kind": "ribosome-load", "channels": 4, "blocks": 1}]
)
def test_numbers_are_learned_in_half_precision(tmp_path: Path, head: dict[str, Any]) -> None:
    keys = {
        **KEYS,
        "task": {"kind": "table-scalar", "train": str(toy(tmp_path / "all.csv", 60))},
        "head": head,
        "training": {"steps": 6, "evaluate_every": 3, "precision": "bf16", "schedule": {"rate": 3e-3}},
    }
    finetune(load_config(FinetuneConfig, None, keys), tmp_path / "run")
    found = json.loads((tmp_path / "run" / "results.json").read_text())["test"]["all"]["scratch"]
    assert np.isfinite(found["r_squared"]["value"])


@pytest.mark.parametrize("unit", [1e180, 1e-180])
def test_labels_whose_squares_are_no_numbers_are_refused(unit: float) -> None:
    with pytest.raises(InputError, match=r"toy: the labels of the train split go from .* of which the squares are no"):
        Scale.of(np.array([1.0, 2.0, 5.0]) * unit, RegressionConfig(), "toy")
    assert Scale.of(np.array([1.0, 3.0]) * 1e-20, RegressionConfig(), "toy").deviation == pytest.approx(1e-20)
