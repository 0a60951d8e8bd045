"""Tiny models with their tokenizers, and bundles of them, for the tests of this folder."""

import json
import math
from pathlib import Path

import pytest
import torch

from nuclex.bundle import Record, TaskPart, write_bundle
from nuclex.core.artifact import write_manifest
from nuclex.models import (
    BertConfig,
    Gpt2Config,
    HyenaModelConfig,
    LanguageModel,
    MambaConfig,
    RinalmoConfig,
    RobertaConfig,
)
from nuclex.models.blocks.state_space import StateSpaceConfig
from nuclex.tokenizers import TOKENIZERS

CONFIGS = {
    "roberta": RobertaConfig(depth=2, width=16, heads=4, inner=24, max_positions=50).backbone(),
    "rinalmo": RinalmoConfig(depth=2, width=16, heads=4).backbone(),
    "bert": BertConfig(depth=2, width=16, heads=4, inner=24, max_positions=48).backbone(),
    "gpt2": Gpt2Config(depth=2, width=16, heads=4, inner=24, max_positions=48).backbone(),
    "rotary gpt2": Gpt2Config(depth=2, width=16, heads=4, inner=24, positions="rotary").backbone(),
    "mamba": MambaConfig(depth=2, width=16).backbone(),
    "mamba2": MambaConfig(depth=2, width=16, version=2, state_space=StateSpaceConfig(head_size=8, groups=2)).backbone(),
    "bimamba": MambaConfig(depth=2, width=16, causal=False, embedding_gate=True).backbone(),
    "hyena": HyenaModelConfig(depth=2, width=16, inner=24).backbone(),
    "hyena both ways": HyenaModelConfig(depth=2, width=16, inner=24, causal=False).backbone(),
    "hybrid": MambaConfig(depth=2, width=16, inner=24, attention_every=2, heads=2).backbone(),
}
CONFIGS["untied roberta"] = CONFIGS["roberta"].model_copy(update={"tied": False})
CONFIGS["tied rinalmo"] = CONFIGS["rinalmo"].model_copy(update={"tied": True})
CONFIGS |= {f"untied {name}": CONFIGS[name].model_copy(update={"tied": False}) for name in ("bert", "gpt2", "mamba2")}
CONFIGS |= {
    f"headless {name}": CONFIGS[name].model_copy(update={"head": "none"})
    for name in ("roberta", "bert", "gpt2", "mamba", "mamba2", "rinalmo", "bimamba")
}
CONFIGS["rounded roberta"] = CONFIGS["roberta"].model_copy(update={"vocabulary_multiple": 8})
CONFIGS["rounded hybrid"] = CONFIGS["hybrid"].model_copy(update={"vocabulary_multiple": 16})
CLASSES = {
    "roberta": "RobertaForMaskedLM",
    "untied roberta": "RobertaForMaskedLM",
    "rounded roberta": "RobertaForMaskedLM",
    "headless roberta": "RobertaModel",
    "bert": "BertForMaskedLM",
    "untied bert": "BertForMaskedLM",
    "headless bert": "BertModel",
    "gpt2": "GPT2LMHeadModel",
    "untied gpt2": "GPT2LMHeadModel",
    "headless gpt2": "GPT2Model",
    "mamba": "MambaForCausalLM",
    "headless mamba": "MambaModel",
    "mamba2": "Mamba2ForCausalLM",
    "untied mamba2": "Mamba2ForCausalLM",
    "headless mamba2": "Mamba2Model",
    "rinalmo": "NuclexForMaskedLM",
    "tied rinalmo": "NuclexForMaskedLM",
    "headless rinalmo": "NuclexModel",
    "rotary gpt2": "NuclexForCausalLM",
    "bimamba": "NuclexForMaskedLM",
    "headless bimamba": "NuclexModel",
    "hyena": "NuclexForCausalLM",
    "hyena both ways": "NuclexForMaskedLM",
    "hybrid": "NuclexForCausalLM",
    "rounded hybrid": "NuclexForCausalLM",
}
"""The class that opens a bundle of each network."""
TOKENIZER_KINDS = {
    "nucleotide": {"kind": "nucleotide"},
    "rna": {"kind": "nucleotide", "alphabet": "rna"},
    "codon": {"kind": "codon", "frame": 1},
    "bpe": {"kind": "bpe", "vocab_size": 40},
}
RECORD = Record(
    recipe={"model": {"kind": "roberta", "depth": 2}, "seed": 3},
    provenance={"created": "2026-01-01T00:00:00Z", "packages": {"torch": "2.13.0"}},
    metrics={"validation_loss": 1.25, "best_step": 40},
    corpus={"sources": [{"path": "families.fa", "sha256": "0" * 64}], "sequences_out": 12},
    name="tiny",
    licence="cc-by-4.0",
    notes=("Made for a test.",),
)
HEAD = TaskPart({"head": "linear", "labels": ["tRNA", "miRNA"], "threshold": 0.5}, {"weight": torch.ones(2, 16)})


class Making:
    """Makes models and bundles; all weights random, none zero or one."""

    record, head, configs, tokenizer_kinds, classes = RECORD, HEAD, CONFIGS, TOKENIZER_KINDS, CLASSES

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def tokenizer(self, kind: str = "nucleotide"):
        return TOKENIZERS.parse(TOKENIZER_KINDS[kind]).train(["ACGTTGCAACGTACGGTACCATGA" * 4])

    def model(self, name: str = "roberta", kind: str = "nucleotide", seed: int = 0) -> LanguageModel:
        tokenizer = self.tokenizer(kind)
        ids = {"pad_id": tokenizer.pad_id, "mask_id": tokenizer.mask_id}
        model = LanguageModel(CONFIGS[name], vocabulary_size=len(tokenizer), **ids)
        generator = torch.Generator().manual_seed(seed)
        with torch.no_grad():
            for value in model.parameters():
                noise = torch.randn(value.shape, generator=generator)
                value.copy_(noise / math.sqrt(value.shape[-1]) if value.ndim == 2 else 1 + 0.3 * noise)
        return model

    def bundle(self, name: str = "roberta", kind: str = "nucleotide", task: TaskPart | None = None) -> Path:
        path = self.folder / "bundle"
        write_bundle(path, self.model(name, kind), self.tokenizer(kind), RECORD, task=task)
        return path


@pytest.fixture
def making(tmp_path: Path) -> Making:
    return Making(tmp_path)


@pytest.fixture
def edit():
    """Change a JSON file of a bundle by a function, and write sums that agree with it."""

    def change(path: Path, by) -> None:
        value = json.loads(path.read_text())
        by(value)
        path.write_text(json.dumps(value))
        write_manifest(path.parent)

    return change
