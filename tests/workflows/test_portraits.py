"""Portraits of models: read once, kept, and computed where the model was asked to compute."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from nuclex.bundle import Bundle, Record, load, write_bundle
from nuclex.core.config import load_config
from nuclex.evaluation.held_out import held_out
from nuclex.evaluation.suite import SuiteConfig
from nuclex.inference.embed import Embedding
from nuclex.tasks import Example, Shape, Task
from nuclex.workflows import portraits, zero_shot
from nuclex.workflows.benchmark import benchmark
from nuclex.workflows.portraits import family_map, family_of, held_out_of, map_of, pair_calibration
from nuclex.workflows.zero_shot import Asked

pytestmark = pytest.mark.usefixtures("silent")


class ReachedError(Exception):
    """The model was loaded: on which device, is known."""


def opening(monkeypatch: pytest.MonkeyPatch, module: Any) -> list[tuple[Path, str]]:
    """What ``module`` loads, and where to; nothing is computed there."""
    asked: list[tuple[Path, str]] = []

    def opened(path: Path, *, device: str = "cpu") -> Bundle:
        asked.append((path, device))
        raise ReachedError

    monkeypatch.setattr(module, "load", opened)
    return asked


def folded(shape: Shape = Shape.PAIR_MAP) -> Task:
    """Twelve structures of two families to test."""
    pairs, other = np.array([[0, 8], [1, 7]], dtype=np.int32), np.array([[0, 5]], dtype=np.int32)
    test = [Example("GGGAAACCC", pairs, f"e{n}", f"family{n % 2}") for n in range(12)]
    one = (Example("GAAAAC", other, "t", "family0"),)
    return Task("toy", shape, {"train": one, "validation": one, "test": tuple(test)})


@pytest.mark.parametrize("device", ["cpu", "cuda:1"])
def test_pair_probabilities_are_computed_where_the_model_was_asked_to(
    device: str, tiny_bundle: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked, run = opening(monkeypatch, portraits), tmp_path / "run"
    shutil.copytree(tiny_bundle, run / "bundle")
    with pytest.raises(ReachedError):
        pair_calibration(("q", folded()), Asked("m", tiny_bundle, "d", device), run, tmp_path / "out")
    assert asked == [(run / "bundle", device)], "the fine-tuned model, not the one it was made from"


@pytest.mark.parametrize("device", ["cpu", "cuda:1"])
def test_maps_are_computed_where_the_model_was_asked_to(
    device: str, tiny_bundle: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("sklearn")
    asked = opening(monkeypatch, zero_shot)
    with pytest.raises(ReachedError):
        map_of(("q", folded()), Asked("m", tiny_bundle, "d", device), tmp_path / "out")
    assert asked == [(tiny_bundle, device)]


def families(*names: str) -> Task:
    """Twelve structures to test, of these families in turn."""
    test = tuple(replace(one, group=names[n % len(names)]) for n, one in enumerate(folded().examples("test")))
    return replace(folded(), splits={**folded().splits, "test": test})


def embedding(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Vectors at random, quickly; what was taken for a sequence is written down."""
    pools: list[str] = []

    def embed(bundle: Bundle, asked: list[tuple[str, bytes]], *, pool: str) -> Iterator[Embedding]:
        pools.append(pool)
        random = np.random.default_rng(0)
        return (Embedding(name, len(text), random.normal(size=8).astype(np.float32)) for name, text in asked)

    monkeypatch.setattr(portraits, "embed_sequences", embed)
    return pools


def test_maps_are_of_the_first_token_or_of_the_mean_where_that_has_seen_nothing(
    tiny_bundle: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("sklearn")
    pools, model = embedding(monkeypatch), Asked("m", tiny_bundle, "d", "cpu")
    path = tmp_path / "out" / "maps" / "q" / "m.json"
    path.parent.mkdir(parents=True)
    about = {"task": folded().digest, "model": "d"}
    path.write_text(json.dumps({"about": about, "points": [[0.0, 0.0]] * 12, "labels": ["x"] * 12}))
    found = map_of(("q", folded()), model, tmp_path / "out")
    assert found is not None
    assert (pools, found.pool, found.question) == (["cls"], "cls", "q"), "what was kept of other vectors is not taken"
    again = map_of(("q", folded()), model, tmp_path / "out")
    assert (len(pools), again is not None and again.points_N2.tolist()) == (1, found.points_N2.tolist())
    causal = Asked("c", tiny_bundle, "e", "cpu")
    causal.__dict__["bundle"] = SimpleNamespace(model=SimpleNamespace(config=SimpleNamespace(causal=True)))
    found = map_of(("q", folded()), causal, tmp_path / "out")
    assert found is not None
    assert (pools, found.pool) == (["cls", "mean"], "mean")


def test_families_held_out_one_by_one_lie_on_one_map(
    tiny_bundle: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("sklearn")
    pools, model, out = embedding(monkeypatch), Asked("m", tiny_bundle, "d", "cpu"), tmp_path / "out"
    one, other, both = families("tRNA"), families("5s"), families("tRNA", "5s")
    assert [family_of(task) for task in (one, other, both)] == ["tRNA", "5s", None]
    assert map_of(("q", one), model, out) is None, "a single family is no map of its own"
    found = family_map("toy", [one, other], model, out)
    assert found is not None
    assert (found.question, found.pool, found.labels) == ("toy", "cls", ("tRNA",) * 12 + ("5s",) * 12)
    assert found.points_N2.shape == (24, 2)
    assert family_map("toy", [one, one], model, out) is None
    monkeypatch.setattr(portraits, "MAPPED", 14)
    few = family_map("toys", [one, other], model, out)
    assert few is not None
    assert few.labels == ("tRNA",) * 7 + ("5s",) * 7, "an equal share for each"
    assert pools == ["cls"] * 2


def test_a_model_without_a_run_has_no_calibration(tiny_bundle: Path, tmp_path: Path) -> None:
    model = Asked("m", tiny_bundle, "d", "cpu")
    assert pair_calibration(("q", folded()), model, tmp_path / "nowhere", tmp_path / "out") is None


def test_what_a_bundle_says_is_read_once(tiny_bundle: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    given = load(tiny_bundle)
    metrics = {"validation_loss": 1.25, "validation_perplexity": 3.490343, "validation_tokens": 812}
    record = Record({"validation_sequences": 4, "seed": 0, "objective": {"kind": "masked"}}, {}, metrics, None, "x")
    write_bundle(tmp_path / "said", given.model, given.tokenizer, record)
    said, silent = Asked("said", tmp_path / "said", "d", "cpu"), Asked("silent", tiny_bundle, "e", "cpu")
    found = held_out_of(said, tmp_path / "out")
    assert found == held_out("said", load(tmp_path / "said"))
    assert found is not None
    assert found.perplexity == 3.490343
    assert held_out_of(silent, tmp_path / "out") is None
    opened = opening(monkeypatch, zero_shot)
    again = [Asked(one.name, one.path, one.digest, "cpu") for one in (said, silent)]
    assert [held_out_of(one, tmp_path / "out") for one in again] == [found, None]
    assert opened == [], "kept beside the runs"
    with pytest.raises(ReachedError):
        held_out_of(Asked("said", tmp_path / "said", "another digest", "cpu"), tmp_path / "out")


@pytest.mark.slow
def test_a_benchmark_of_two_sizes_draws_perplexity_against_size(tiny_bundle: Path, tmp_path: Path) -> None:
    pytest.importorskip("matplotlib", reason="the report needs matplotlib (extra plots)")
    given = load(tiny_bundle)
    recipe = {"validation_sequences": 4, "seed": 0, "objective": {"kind": "masked"}, "sampling": {"max_tokens": 64}}
    corpus = {"fingerprint": "ab", "split": {"validation": {"sequences": 4}}, "sources": []}
    perplexities = {"one": 3.25, "two": 3.5}
    for name, perplexity in perplexities.items():
        metrics = {"validation_loss": 1.25, "validation_perplexity": perplexity, "validation_tokens": 812}
        (tmp_path / name).mkdir()
        record = Record(recipe, {"steps": 3, "tokens": 99}, metrics, corpus, name)
        write_bundle(tmp_path / name / "bundle", given.model, given.tokenizer, record)
    settings: dict[str, Any] = {"training.steps": 1, "training.evaluate_every": 1, "training.checkpoint_every": 1}
    settings |= {"training.schedule.warmup": 0}
    settings |= {"task.simulation": {"families": 3, "members": 12, "shortest": 30, "longest": 40}}
    entry = {"name": "family", "recipe": "finetune/simulated-family", "set": settings}
    suite = load_config(SuiteConfig, None, {"title": "Toy", "entries": [entry], "seeds": 1})
    benchmark(suite, [tmp_path / name / "bundle" for name in perplexities], tmp_path / "out")
    rows = json.loads((tmp_path / "out" / "tables" / "perplexity.json").read_text())
    assert [(row["model"], row["perplexity"], row["group"], row["training tokens"]) for row in rows] == [
        ("one", 3.25, 1, 99),
        ("two", 3.5, 1, 99),
    ]
    page = (tmp_path / "out" / "report.html").read_text()
    assert "Perplexity and size" in page
    assert "A line joins models measured on the same held-out tokens" in page
