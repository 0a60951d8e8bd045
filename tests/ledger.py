"""The memory of one update, measured: every piece that torch takes while the training code makes it, counted once.

Tests and ``benchmarks/plan_memory.py`` share what is here.
"""

from __future__ import annotations

import weakref
from typing import Any

import numpy as np
import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from nuclex.data.tokens import TokenTable
from nuclex.training.average import Average
from nuclex.training.checkpoint import Place
from nuclex.training.optimizer import build_optimizer
from nuclex.training.pretrain import LanguageWork, PretrainConfig, build_model
from nuclex.training.update import Learner, Updates
from nuclex.training.width import growth_of

SIZES = {"small": (2, 64, 4), "broad": (3, 128, 8), "nano": (6, 320, 20), "base": (8, 512, 8)}
"""Depth, width, heads."""
MAMBA2 = {"state_size": 64, "head_size": 32, "chunk": 64}


def networks(depth: int, width: int, heads: int) -> dict[str, tuple[dict[str, Any], str]]:
    """The model of a recipe by name, and the kind of its objective; dropout of attention only where it is named."""
    size, inner = {"depth": depth, "width": width}, 4 * width
    fused = {"heads": heads, "attention_dropout": 0.0}
    return {
        "roberta": ({"kind": "roberta", **size, "inner": inner, "max_positions": 1030, **fused}, "masked"),
        "rinalmo": ({"kind": "rinalmo", **size, **fused}, "masked"),
        "rinalmo, attention dropout": ({"kind": "rinalmo", **size, "heads": heads}, "masked"),
        "gpt2": ({"kind": "gpt2", **size, "inner": inner, "heads": heads}, "causal"),
        "mamba": ({"kind": "mamba", **size}, "causal"),
        "mamba, both ways": ({"kind": "mamba", **size, "inner": 2 * width, "causal": False}, "masked"),
        "mamba2": ({"kind": "mamba", "version": 2, **size, "state_space": MAMBA2}, "causal"),
        "hyena": ({"kind": "hyena", **size, "inner": inner}, "causal"),
    }


def recipe(model: dict[str, Any], objective: str, tokens: tuple[int, int, int], **training: Any) -> PretrainConfig:
    """A recipe whose pieces, passes and batches have so many tokens."""
    longest, micro, batch = tokens
    return PretrainConfig.from_data(
        {
            "tokenizer": {"kind": "nucleotide"},
            "model": model,
            "objective": {"kind": objective},
            "sampling": {"members": "all", "max_tokens": longest, "batch_tokens": batch, "micro_tokens": micro},
            "training": {"steps": 10, **training},
        }
    )


def updates(config: PretrainConfig, shortest: int | None = None) -> Updates:
    """The updates of a recipe over random sequences, all as long as it allows, or from so many nucleotides on."""
    tokenizer, sampling, training = config.tokenizer.build(), config.sampling, config.training
    room, rng = sampling.max_tokens - 2, np.random.default_rng(0)
    count = 3 * sampling.batch_tokens // (shortest or sampling.max_tokens)
    offsets = np.cumsum([0, *rng.integers(shortest or room, room, count, endpoint=True)])
    ids = rng.choice(tokenizer.encode("ACGT", start=False, end=False), offsets[-1]).astype(np.uint8)
    table = TokenTable(ids, offsets, np.arange(count), np.arange(count))
    model = build_model(config, tokenizer)
    optimizer = build_optimizer(model.named_parameters(), training.optimizer, growth=growth_of(model))
    average = Average(model, training.ema) if training.ema.decay else None
    work = LanguageWork(config, tokenizer, table, table)
    return Updates(model, work, training, Learner(optimizer, average), Place(), config.seed)


class Ledger(TorchDispatchMode):
    """Bytes of all tensors that are alive, a piece of memory that several share once; the most there were at a time."""

    def __init__(self) -> None:
        super().__init__()
        self.now = self.peak = 0
        self._alive: set[int] = set()

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        found = func(*args, **(kwargs or {}))
        for value in tree_leaves(found):
            if isinstance(value, torch.Tensor):
                self._note(value.untyped_storage())
        return found

    def _note(self, piece: torch.UntypedStorage) -> None:
        place, size = piece._cdata, piece.nbytes()
        if piece.device.type == "meta" or place in self._alive:
            return
        self._alive.add(place)
        self.now += size
        self.peak = max(self.peak, self.now)
        weakref.finalize(piece, self._forget, place, size)

    def _forget(self, place: int, size: int) -> None:
        self._alive.discard(place)
        self.now -= size


def peak_of(config: PretrainConfig, shortest: int | None = None) -> int:
    """Bytes that torch held at most in a second update, when the optimizer remembers the first."""
    with Ledger() as ledger:
        loop = updates(config, shortest)
        loop.update()
        ledger.peak = ledger.now
        loop.update()
    return ledger.peak
