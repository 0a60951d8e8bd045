"""A package outside nuclex adds a tokenizer, an architecture, a loss, an objective and a task, and all else works."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from nuclex.data.simulate import SimulationConfig, simulate, write_fasta
from outsiders import ROOT, python

pytestmark = pytest.mark.slow
Nuclex = Callable[..., dict[str, Any]]
RECIPE = """
[tokenizer]
kind = "runs"
longest = 4

[model]
kind = "llama"
depth = 1
width = 32
heads = 2

[objective]
kind = "masked"

[objective.criterion]
kind = "focal"

[sampling]
members = "all"
max_tokens = 128
batch_tokens = 1024
micro_tokens = 1024

[training]
steps = 30

[training.schedule]
rate = 1e-2
warmup = 5
"""
TASK = """
[task]
kind = "gc-share"
sequences = 200

[training]
steps = 60

[training.schedule]
rate = 1e-2
warmup = 5
"""


@pytest.fixture(scope="module")
def corpus(desk: Path, nuclex: Nuclex) -> Path:
    simulated = SimulationConfig(families=6, members=20, shortest=40, longest=80)
    write_fasta(list(simulate(simulated)), desk / "families.fa")
    nuclex("corpus", "build", "families.fa", "--out", "corpus", "--cluster.method", "none")
    (desk / "outside.toml").write_text(RECIPE)
    (desk / "gc.toml").write_text(TASK)
    return desk / "corpus"


@pytest.fixture(scope="module")
def run(corpus: Path, desk: Path, nuclex: Nuclex) -> dict[str, Any]:
    return nuclex("pretrain", "outside.toml", "--corpus", "corpus", "--out", "run")


def test_the_plan_knows_it(corpus: Path, nuclex: Nuclex) -> None:
    planned = nuclex("plan", "outside.toml", "--corpus", "corpus")
    rows, width, inner = 5 + 4 * 4, 32, int(2 / 3 * 4 * 32)
    block = 4 * width * width + 3 * width * inner + 2 * width
    assert planned["parameters"] == rows * width * 2 + block + width, "token table and head, a block, the last norm"


def test_it_is_learned_and_what_was_made_says_by_which_package(run: dict[str, Any], desk: Path) -> None:
    assert run["steps"] == 30
    rows = [json.loads(line) for line in (desk / "run" / "metrics.jsonl").read_text().splitlines()]
    losses = [row["loss"] for row in rows if "loss" in row]
    assert losses[-1] < losses[0]
    stored = json.loads((desk / "run" / "bundle" / "tokenizer_config.json").read_text())
    assert (stored["nuclex"]["kind"], stored["nuclex_package"]) == ("runs", "nuclex-outside 1.0.0")
    record = json.loads((desk / "run" / "bundle" / "nuclex.json").read_text())
    assert record["provenance"]["packages"]["nuclex-outside"] == "1.0.0"
    assert record["recipe"]["objective"]["criterion"] == {"kind": "focal", "gamma": 2.0}


def test_it_is_used_like_any_other(run: dict[str, Any], nuclex: Nuclex, desk: Path) -> None:
    vectors = nuclex("embed", "run/bundle", "families.fa", "--out", "vectors.npz")
    assert (vectors["sequences"], vectors["width"]) == (120, 32)
    assert np.isfinite(np.load(desk / "vectors.npz")["embeddings"]).all()
    assert nuclex("evaluate", "run/bundle", "corpus")["tokens"] > 0


@pytest.mark.long
def test_the_task_is_learned_from_that_bundle_and_predicted(run: dict[str, Any], nuclex: Nuclex, desk: Path) -> None:
    tuned = nuclex("finetune", "gc.toml", "--bundle", "run/bundle", "--out", "gc", "--controls", "[]")
    assert tuned["metrics"]["pretrained_r_squared"] > 0.7, "a share of letters is no hard question"
    (desk / "two.fa").write_text(f">poor\n{'ATTATAAC' * 8}\n>rich\n{'GCCGCGGA' * 8}\n")
    nuclex("predict", "gc/bundle", "two.fa", "--out", "two.csv")
    poor, rich = [float(line.split(",")[1]) for line in (desk / "two.csv").read_text().splitlines()[1:]]
    assert poor + 0.2 < rich


def test_the_objective_is_learned_with_a_causal_model(run: dict[str, Any], nuclex: Nuclex) -> None:
    changes = ["--objective", '{kind = "continuation", given = 4}', "--model.causal", "true", "--training.steps", "3"]
    assert nuclex("pretrain", "outside.toml", "--corpus", "corpus", "--out", "ahead", *changes)["steps"] == 3


def test_a_bundle_whose_package_is_missing_says_which(run: dict[str, Any], desk: Path) -> None:
    done = python(["-m", "nuclex", "score", "run/bundle", "families.fa", "--out", "scores.csv"], desk)
    assert done.returncode == 2
    assert "tokenizers of kind 'runs' come with the package nuclex-outside 1.0.0, which is not installed" in done.stderr
    assert not (desk / "scores.csv").exists()


def test_an_unknown_kind_is_told_where_known_ones_come_from(desk: Path, site: Path, corpus: Path) -> None:
    done = python(["-m", "nuclex", "plan", "outside.toml", "--tokenizer.kind", "rnus"], desk, site)
    assert done.returncode == 2
    assert "unknown kind 'rnus' (did you mean 'runs'?); known: " in done.stderr
    assert "runs (from nuclex-outside 1.0.0)" in done.stderr
    assert "nucleotide, runs" in done.stderr


def test_a_broken_package_is_named_and_breaks_nothing_else(desk: Path, site: Path, tmp_path: Path, run: Any) -> None:
    broken = tmp_path / "broken"
    shutil.copytree(site, broken)
    (broken / "nuclex_outside" / "llama.py").write_text("import a_library_that_nobody_has\n")
    assert python(["-m", "nuclex", "--help"], desk, broken).returncode == 0
    assert python(["-m", "nuclex", "plan", "pretrain/quickstart"], desk, broken).returncode == 0
    done = python(["-m", "nuclex", "plan", "outside.toml"], desk, broken)
    assert done.returncode == 2
    assert "models: 'llama' of the package nuclex-outside 1.0.0: nuclex_outside.llama:LlamaConfig" in done.stderr
    assert "ModuleNotFoundError: No module named 'a_library_that_nobody_has'" in done.stderr


def test_it_passes_the_contracts_that_nuclex_own_parts_pass(site: Path) -> None:
    chosen = ["-v", "-m", "", "-k", "runs or llama or focal or continuation", "tests/contracts"]
    done = python(["-m", "pytest", *chosen], ROOT, site)
    assert done.returncode == 0, done.stdout[-4000:]
    for name in ("runs-0-", "llama", "focal", "continuation"):
        assert f"[{name}" in done.stdout


def test_what_it_says_in_its_docstrings_is_so(site: Path) -> None:
    done = python(["-m", "pytest", "-q", "examples/outside/nuclex_outside"], ROOT, ROOT / "examples" / "outside", site)
    assert done.returncode == 0, done.stdout[-4000:]
    assert "3 passed" in done.stdout
