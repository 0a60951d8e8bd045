"""The table of HELM's options in docs/helm.md: none is missing, and whatever it says to set changes a number."""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

import pytest

import nuclex.cli.making as commands
from nuclex.core.artifact import sha256_file
from nuclex.core.config import parse_settings
from nuclex.core.progress import quiet
from nuclex.data.corpus import CorpusConfig, build_corpus
from nuclex.data.store import Corpus
from nuclex.training.best import BEST_WEIGHTS, best_weights
from nuclex.training.loop import train
from nuclex.training.pretrain import PretrainConfig, build_model, build_work
from nuclex.training.tracking import read_metrics

TABLE = Path(__file__).resolve().parents[1] / "docs" / "helm.md"
FLAGS = """
config data_dir train_file file_extension column_name val_file test_file max_seq_len masking_strategy masking_ratio
data-type tokenizer overlap position_ids mode batch_size num_samples model_name bidirectional ssm_layer vocab_size
num_layers num_heads pad_vocab_size_multiple pos_embedding pos_embedding_apply pos_embedding_dim tie_embeddings
hidden_size intermediate_size dropout attn_dropout activation non_markovian_relation non_markovian_relation_num_heads
non_markovian_relation_kernel_size non_markovian_relation_dropout non_markovian_relation_mlp
non_markovian_relation_activation non_markovian_relation_num_layers non_markovian_relation_intermediate_size loss
hxe-alpha soft-labels-beta hierarchy opt opt-eps opt-betas momentum weight-decay clip-grad clip-mode layer-decay
grad-accum-steps opt-kwargs distill distill-mode teacher-path distill-teacher distill-temperature distill-alpha
distill-type distill-tie-weights early-stop sched sched-on-updates lr lr-base lr-base-size lr-base-scale lr-noise
lr-noise-pct lr-noise-std lr-cycle-mul lr-cycle-decay lr-cycle-limit lr-k-decay warmup-lr min-lr epochs epoch-repeats
start-epoch decay-milestones decay-epochs warmup-epochs warmup-prefix cooldown-epochs patience-epochs decay-rate
model-ema model-ema-force-cpu model-ema-decay seed resume accelerator num_workers distributed-backend sync-bn num_nodes
num_devices worker-seeding checkpoint-hist val-metric-mode workers amp log-interval pin-mem no-prefetcher output
eval-metric
"""
"""Every option of HELM's train.py (github.com/johnsonandjohnson/HELM, commit dac4fcb), by its long name."""

BASE: dict[str, Any] = {
    "tokenizer": {"kind": "codon", "frame": 0, "remainder": "trim"},
    "model": {"kind": "gpt2", "depth": 2, "width": 8, "heads": 2, "inner": 16, "max_positions": 64},
    "objective": {"kind": "causal"},
    "sampling": {"members": "all", "max_tokens": 20, "batch_tokens": 80, "micro_tokens": 80},
    "training": {
        "steps": 5,
        "evaluate_every": 2,
        "checkpoint_every": 5,
        "log_every": 1,
        "schedule": {"rate": 1e-2},
    },
    "validation_sequences": 4,
}


class Row(NamedTuple):
    """One option: what to set (code spans), what must stand beside it, and the remark."""

    option: str
    kind: str
    settings: list[str]
    beside: list[str]
    remark: str


def rows() -> list[Row]:
    found = []
    for line in TABLE.read_text("utf-8").splitlines():
        cells = [cell.strip() for cell in line.strip("|").split("|")]
        if not line.startswith("| `") or len(cells) != 4:
            continue
        spans, beside = (re.findall(r"`([^`]+)`", cell) for cell in cells[1:3])
        kind = "refused" if cells[1] == "refused" else "corpus" if cells[1].startswith("corpus") else "recipe"
        kind = "command" if spans and spans[0].startswith("nuclex ") else kind
        found.append(Row(cells[0].strip("`"), kind, spans, beside, cells[3]))
    return found


ROWS = rows()


def of_kind(kind: str) -> list[Any]:
    return [pytest.param(row, id=row.option) for row in ROWS if row.kind == kind]


def test_no_option_is_missing_and_none_is_made_up() -> None:
    options = [row.option for row in ROWS]
    assert sorted(options) == sorted(FLAGS.split())
    assert len(options) == len(set(options)) == 110


@pytest.mark.parametrize("row", of_kind("refused"))
def test_what_is_refused_says_why(row: Row) -> None:
    assert not row.settings
    assert len(row.remark) > 12


@pytest.mark.parametrize("row", of_kind("command"))
def test_a_word_of_a_command_is_one(row: Row) -> None:
    words = row.settings[0].split()[1:]
    name = "_".join(word for word in words if word.islower() and not word.startswith("--"))
    parameters = inspect.signature(getattr(commands, name)).parameters
    asked = [word.removeprefix("--") for word in words if word.startswith("--")]
    asked += [word.lower() for word in words if word.isupper()]
    assert asked
    assert set(asked) <= parameters.keys()


def configured(settings: list[list[str]]) -> PretrainConfig:
    """The tiny recipe with these settings laid over it, one after the other."""
    data = BASE
    for each in settings:
        for key, value in parse_settings(each).items():
            data = laid(data, key.split("."), value)
    return PretrainConfig.from_data(data)


def run(folder: Path, path: Path, settings: list[list[str]]) -> dict[str, Any]:
    """What a tiny run leaves, without its times: metrics, weights, names of files."""
    config, corpus = configured(settings), Corpus.open(path)
    folder.mkdir()
    with quiet():
        tokenizer = config.tokenizer.train(corpus.sequence(int(row)) for row in corpus.indices("train"))
        model = build_model(config, tokenizer)
        train(model, build_work(config, corpus, tokenizer), config.training, folder, {"seed": config.seed})
    times = {"seconds", "tokens_per_s"}
    metrics = [{key: value for key, value in record.items() if key not in times} for record in read_metrics(folder)]
    weights = [value.sum().item() for value in model.parameters()]
    best = sha256_file(best_weights(folder) / BEST_WEIGHTS)
    files = sorted(path.name for path in folder.rglob("*"))
    return {"metrics": metrics, "weights": weights, "best": best, "files": files}


def laid(data: dict[str, Any], keys: list[str], value: Any) -> dict[str, Any]:
    """A copy with ``value`` at the end of ``keys``."""
    inner = value if len(keys) == 1 else laid(dict(data.get(keys[0], {})), keys[1:], value)
    return {**data, keys[0]: inner}


@pytest.mark.parametrize("row", of_kind("recipe"))
def test_what_is_set_is_a_key_of_a_recipe(row: Row) -> None:
    assert row.settings
    assert configured([row.beside, row.settings]) != configured([row.beside])


@pytest.fixture(scope="module")
def made(tiny_corpus: Path, tmp_path_factory: pytest.TempPathFactory) -> Callable[[tuple[str, ...]], dict[str, Any]]:
    """Runs by what stands beside: many options share one."""
    folder = tmp_path_factory.mktemp("beside")

    @cache
    def run_of(beside: tuple[str, ...]) -> dict[str, Any]:
        return run(folder / str(len(list(folder.iterdir()))), tiny_corpus, [[*beside]])

    return run_of


@pytest.mark.long
@pytest.mark.parametrize("row", of_kind("recipe"))
def test_what_is_set_changes_a_number(row: Row, made: Any, tiny_corpus: Path, tmp_path: Path) -> None:
    if row.option == "opt":
        pytest.importorskip("pytorch_optimizer")
    assert run(tmp_path / "run", tiny_corpus, [row.beside, row.settings]) != made(tuple(row.beside))


@pytest.mark.slow
def test_the_same_recipe_twice_changes_no_number(made: Any, tiny_corpus: Path, tmp_path: Path) -> None:
    assert run(tmp_path / "run", tiny_corpus, []) == made(())


@pytest.mark.parametrize("row", of_kind("corpus"))
def test_what_is_set_changes_the_corpus(row: Row, tmp_path: Path) -> None:
    lines = [f"{'ACGT' * 9}{'ACGT'[number % 4] * number},{'GGCA' * (9 + number)}" for number in range(1, 21)]
    (tmp_path / "table.csv").write_text("\n".join(["sequence,other", *lines]) + "\n")
    usual = {"cluster": {"method": "none"}, "split": {"by": "random", "validation": 0.1, "test": 0.1}}
    found = []
    for number, settings in enumerate(([], row.settings)):
        data: dict[str, Any] = usual
        for key, value in parse_settings(settings).items():
            data = laid(data, key.split("."), value)
        with quiet():
            manifest = build_corpus([tmp_path / "table.csv"], tmp_path / str(number), CorpusConfig.from_data(data))
        found.append({name: manifest[name] for name in manifest if name not in ("config", "provenance", "files")})
    assert found[0] != found[1]
