"""Recipes in TOML and YAML: what is accepted says all that the file says, and survives a round trip."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Callable, Mapping
from datetime import date, time
from pathlib import Path
from typing import Any

import yaml
from nuclex_fuzz.judging import Format

from nuclex.core.config import Config, load_config
from nuclex.data.corpus import CorpusConfig
from nuclex.training.finetune import FinetuneConfig
from nuclex.training.pretrain import PretrainConfig

PRETRAIN = b"""# A small model.
corpus = "corpus"
seed = 3

[tokenizer]
kind = "bpe"
vocab_size = 64
alphabet = "rna"

[model]
kind = "roberta"
depth = 2
width = 16
heads = 2
max_positions = 130
dropout = 0.1

[objective]
kind = "masked"

[sampling]
members = "all"
max_tokens = 128

[training]
steps = 1_000
optimizer = {beta2 = 0.98, weight_decay = 1e-2}

[training.schedule]
kind = "cosine"
rate = 4e-3
warmup = 100
"""
FINETUNE = b"""bundle = 'run/bundle'
seed = 0

[task]
kind = "dot-bracket"
train = "train.dbn"
validation_families = ["tRNA", "5S"]
test_share = 0.25

[batching]
examples = 16

[[thaw]]
step = 0
blocks = 0

[[thaw]]
step = 100
blocks = "all"
"""
CORPUS = b"""alphabet = "rna"
seed = 7
[filter]
min_length = 30
max_length = 4_000
[cluster]
method = "kmer"
min_identity = 0.8
[split]
by = "cluster"
validation = 0.1
test = 0.1
"""
PRETRAIN_YAML = b"""# A small model.
corpus: corpus
seed: 3
tokenizer: {kind: nucleotide, alphabet: rna}
model:
  kind: rinalmo
  depth: 2
  width: 16
  heads: 2
training:
  steps: 100
  schedule: &s
    kind: cosine
    rate: 4e-3
    warmup: 10
"""
CORPUS_YAML = b"alphabet: 'dna'\nfilter:\n  min_length: 10\nsplit:\n  by: \"random\"\n  validation: 0.25\n"


def assert_says(config: Any, said: Any, place: str = "") -> None:
    """All that a file says is in the config, with the same value."""
    if isinstance(said, Mapping):
        assert isinstance(config, Mapping), f"{place} was a table"
        assert set(said) <= set(config), f"{place}: lost {set(said) - set(config)}"
        for name, value in said.items():
            assert_says(config[name], value, f"{place}.{name}")
    elif isinstance(said, list):
        assert isinstance(config, list), f"{place} was a list"
        assert len(config) == len(said)
        for number, (one, other) in enumerate(zip(config, said, strict=True)):
            assert_says(one, other, f"{place}.{number}")
    elif isinstance(said, str) and isinstance(config, float):  # YAML 1.2's number, YAML 1.1's text
        assert re.fullmatch(r"[-+]?[0-9][0-9_]*(\.[0-9_]*)?[eE][-+]?[0-9]+", said), f"{place}: {config!r} was {said!r}"
        assert config == float(said)
    elif isinstance(said, str | date | time):
        assert config in (str(said), str(Path(str(said)))), f"{place}: {config!r} was {said!r}"
    else:
        assert isinstance(config, bool) == isinstance(said, bool), f"{place}: {config!r} was {said!r}"
        assert config == said, f"{place}: {config!r} was {said!r}"


def checked(cls: type[Config]) -> Callable[[Path], None]:
    """Load a recipe for a class of configs."""

    def check(path: Path) -> None:
        config = load_config(cls, path)
        again = cls.from_data(config.to_data())
        assert again == config, "the config is not equal after a round trip"
        assert again.digest() == config.digest()
        text = path.read_bytes().decode("utf-8-sig").replace("\r\n", "\n")
        said = yaml.safe_load(text) if path.suffix == ".yaml" else tomllib.loads(text)
        assert_says(config.to_data(), said)

    return check


PLACE = r"PATH:\d+: |PATH: [\w.]+: missing"
WHOLE = ("which no recipe is", "a few levels deep", "keys, those that aliases repeat", "is a table of keys")


def _format(name: str, seeds: tuple[bytes, ...], cls: type[Config], file: str) -> Format:
    return Format(name, seeds, checked(cls), lambda folder: folder / file, place=PLACE, whole=WHOLE)


FORMATS = (
    _format("recipe.toml (pretrain)", (PRETRAIN,), PretrainConfig, "a.toml"),
    _format("recipe.toml (finetune)", (FINETUNE,), FinetuneConfig, "a.toml"),
    _format("recipe.toml (corpus)", (CORPUS,), CorpusConfig, "a.toml"),
    _format("recipe.yaml (pretrain)", (PRETRAIN_YAML,), PretrainConfig, "a.yaml"),
    _format("recipe.yaml (corpus)", (CORPUS_YAML,), CorpusConfig, "a.yaml"),
)
