"""The check of a parametrisation: does what comes out of each layer stay as large when the network becomes wider?

Networks of several widths learn the same random tokens for a few updates. Under μP the mean absolute number that
leaves a part does not depend on the width, neither at first nor after updates; in standard parametrisation it grows
(arXiv:2203.03466, appendix D.1).
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from nuclex.models import LanguageModel, Layout, ModelConfig
from nuclex.models.scaling import at_width
from nuclex.training.optimizer import OptimizerConfig, build_optimizer, set_rate
from nuclex.training.width import growth_of

LENGTHS, VOCABULARY, FIRST = (32,) * 8, 22, 5
PARTS = re.compile(r"(embedding|blocks\.\d+|.*\.mixer|.*\.feedforward|head\.dense|)")
Sizes = dict[str, float]


def coordinate_check(
    config: ModelConfig, widths: Sequence[int], *, updates: int = 4, rate: float = 1e-2, seeds: Sequence[int] = (0, 1)
) -> dict[int, list[Sizes]]:
    """For each width, before the first update and after each: mean absolute number that leaves a part, by its name.

    ``config`` is made as wide as asked (``at_width``), and learns with AdamW at ``rate``. The name of the logits is
    ``logits``. Means are over tokens, channels and ``seeds``. InputError where a width is none for the network.
    """
    return {
        width: _means([_checked(at_width(config, width), updates, rate, seed) for seed in seeds]) for width in widths
    }


def slopes(sizes: Mapping[int, Sequence[Sizes]], update: int = -1) -> Sizes:
    """How each part's numbers follow the width after so many updates: the exponent, by least squares; 0 = not at all.

    >>> slopes({64: [{"logits": 1.0}], 128: [{"logits": 2.0}], 256: [{"logits": 4.0}]})
    {'logits': 1.0}
    """
    logs = [math.log(width) for width in sizes]
    centre = sum(logs) / len(logs)
    spread = sum((one - centre) ** 2 for one in logs)
    found = {}
    for part in next(iter(sizes.values()))[update]:
        heights = [math.log(seen[update][part]) for seen in sizes.values()]
        found[part] = sum((one - centre) * height for one, height in zip(logs, heights, strict=True)) / spread
    return {part: round(slope, 6) for part, slope in found.items()}


def _checked(config: ModelConfig, updates: int, rate: float, seed: int) -> list[Sizes]:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model = LanguageModel(config.backbone(), vocabulary_size=VOCABULARY, pad_id=1, mask_id=4)
        tokens_T, targets_T = torch.randint(FIRST, VOCABULARY, (2, sum(LENGTHS)))
        settings = OptimizerConfig(weight_decay=0.0)
        optimizer = build_optimizer(model.named_parameters(), settings, growth=growth_of(model))
        set_rate(optimizer, rate)
        seen: list[Sizes] = [{} for _ in range(updates + 1)]
        for update in range(updates + 1):
            hooks = [part.register_forward_hook(_noting(seen[update], name)) for name, part in _parts(model)]
            loss = F.cross_entropy(model.train()(tokens_T, Layout.of(LENGTHS)), targets_T)
            for hook in hooks:
                hook.remove()
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
    return seen


def _parts(model: LanguageModel) -> list[tuple[str, nn.Module]]:
    return [(name, part) for name, part in model.named_modules() if PARTS.fullmatch(name)]


def _noting(sizes: Sizes, name: str) -> Callable[[nn.Module, Any, Tensor], None]:
    def note(part: nn.Module, given: Any, values: Tensor) -> None:
        sizes[name or "logits"] = float(values.detach().abs().mean())

    return note


def _means(runs: Sequence[Sequence[Sizes]]) -> list[Sizes]:
    """The mean over runs of each number."""
    return [{part: sum(one[part] for one in at) / len(at) for part in at[0]} for at in zip(*runs, strict=True)]
