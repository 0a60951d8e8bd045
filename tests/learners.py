"""The smallest things that learn, for tests of the training loop and of fine-tuning."""

from __future__ import annotations

from pathlib import Path

import torch
from torch import Tensor, nn

from nuclex.bundle import Record, write_bundle
from nuclex.models import LanguageModel, RinalmoConfig
from nuclex.tokenizers import NucleotideConfig


class Line(nn.Module):
    """A line through points, with dropout so that what is random matters."""

    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Linear(3, 1, bias=False)
        self.dropout = nn.Dropout(0.3)
        nn.init.constant_(self.layer.weight, 0.5)

    def forward(self, points: Tensor) -> Tensor:
        return self.layer(self.dropout(points))[:, 0]


def write_tiny_bundle(folder: Path, *, depth: int, width: int) -> Path:
    """A tiny RiNALMo with dropout as a bundle in ``folder``, as pre-training would leave it."""
    tokenizer = NucleotideConfig().build()
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        model = LanguageModel(
            RinalmoConfig(depth=depth, width=width, heads=2).backbone(),
            vocabulary_size=len(tokenizer),
            pad_id=tokenizer.pad_id,
            mask_id=tokenizer.mask_id,
        )
    write_bundle(folder / "bundle", model, tokenizer, Record({}, {}, {}, {"name": "corpus"}, "tiny", "apache-2.0"))
    return folder / "bundle"
