"""Tokenizers of published models, as their recipes make them (facts: TinyDNABERT, RNA-BERTa), without their faults."""

import gzip
import os
import random
import tomllib
from pathlib import Path

import pytest

from nuclex.core.recipe import shipped_recipes
from nuclex.tokenizers import TOKENIZERS, BpeConfig


def recipe(name: str) -> BpeConfig:
    config = TOKENIZERS.parse(tomllib.loads(shipped_recipes()[f"tokenizer/{name}"].read_text()))
    assert isinstance(config, BpeConfig)
    return config


def segments(count: int, alphabet: str = "ACGT", seed: int = 6) -> list[str]:
    generator = random.Random(seed)
    return [
        "".join(generator.choices(alphabet, weights=[4, 2, 2, 3], k=generator.randrange(256, 1024)))
        for _ in range(count)
    ]


def test_tinydnabert():
    config = recipe("tinydnabert")
    assert (config.vocab_size, config.min_frequency, config.sample) == (1024, 4, 10)
    genome = segments(3000)
    tokenizer = config.train(genome)
    assert tokenizer.vocabulary[:5] == ("<s>", "</s>", "<unk>", "<pad>", "<mask>")
    assert (tokenizer.pad_id, tokenizer.eos_id, tokenizer.unk_id) == (3, 1, 2)
    assert len(tokenizer) == 1024
    one_in_ten = config.model_copy(update={"sample": 1}).train(genome[::10])
    assert one_in_ten.to_json() == tokenizer.to_json()
    assert not [token for token in tokenizer.vocabulary if token.endswith("</w>")]
    for index in tokenizer.random_ids:  # none is dead: each is what its own letters become
        assert tokenizer.encode(tokenizer.vocabulary[index], start=False, end=False).tolist() == [index]
    assert tokenizer.encode("ACGT").tolist()[:: len(tokenizer.encode("ACGT")) - 1] == [0, 1]
    assert config.restore(tokenizer.to_json()).to_json() == tokenizer.to_json()


def test_rnaberta():
    config = recipe("rnaberta")
    assert (config.vocab_size, config.min_frequency, config.alphabet) == (9700, 2, "rna")
    tokenizer = config.train(segments(100, "ACGU"))
    assert tokenizer.vocabulary[:5] == ("<s>", "<pad>", "</s>", "<unk>", "<mask>")
    assert tokenizer.pad_id == 1
    assert "T" not in tokenizer.vocabulary
    # the released one makes <unk> of every T
    assert tokenizer.encode("GGAUUUCACGU").tolist() == tokenizer.encode("ggatttcacgt").tolist()
    assert tokenizer.unk_id not in tokenizer.encode("GGATTTCACGT")
    assert not [token for token in tokenizer.vocabulary if token.endswith("</w>")]


@pytest.mark.real
def test_tinydnabert_learns_all_its_tokens_from_a_small_genome():
    mirror = os.environ.get("NUCLEX_MIRROR", "")
    path = Path(mirror) / "genomes" / "ecoli_k12_mg1655.fa.gz"
    if not mirror or not path.is_file():
        pytest.skip("E. coli genome, real data not available: set NUCLEX_MIRROR")
    with gzip.open(path) as lines:
        genome = b"".join(line.strip() for line in lines if not line.startswith(b">"))
    tokenizer = recipe("tinydnabert").train([genome])
    assert len(tokenizer) == 1024
    text = genome[100_000:110_000]
    assert tokenizer.decode(tokenizer.encode(text)) == text.decode().upper()
    assert 3.5 < 10_000 / len(tokenizer.encode(text)) < 5.5
