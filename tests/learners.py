"""The smallest things that learn, for tests of the training loop and of fine-tuning."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import torch
from torch import Tensor, nn

from nuclex.bundle import Record, write_bundle
from nuclex.models import LanguageModel, RinalmoConfig
from nuclex.tokenizers import NucleotideConfig
from nuclex.training.work import Work


class Line(nn.Module):
    """A line through points, with dropout so that what is random matters."""

    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Linear(3, 1, bias=False)
        self.dropout = nn.Dropout(0.3)
        nn.init.constant_(self.layer.weight, 0.5)

    def forward(self, points: Tensor) -> Tensor:
        return self.layer(self.dropout(points))[:, 0]


class Weighed(Work[Tensor]):
    """One batch an epoch; notes with which weights it is looked at."""

    def __init__(self) -> None:
        self.seen: list[list[float]] = []

    def batches(self, epoch: int) -> int:
        return 1

    def micro_batches(self, epoch: int, batch: int, rank: int, world: int) -> Sequence[Tensor]:
        return [torch.full((2, 3), float(epoch % 3 + 1))]

    def targets(self, micro: Tensor) -> int:
        return len(micro)

    def tokens(self, micro: Tensor) -> int:
        return len(micro)

    def loss(self, model: nn.Module, micro: Tensor) -> Tensor:
        return (model(micro) - 1).square().sum()

    def evaluate(self, model: nn.Module) -> dict[str, float]:
        self.seen.append(flat(model))
        return {"score": -float(len(self.seen)), "loss": -float(len(self.seen))}


def flat(model: nn.Module) -> list[float]:
    """All weights, one after the other."""
    return [value for parameter in model.parameters() for value in parameter.flatten().tolist()]


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
