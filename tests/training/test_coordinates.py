"""Coordinate checks: under μP what leaves each layer does not follow the width; in standard parametrisation it does."""

from __future__ import annotations

import pytest
import torch

from nuclex.core.errors import InputError
from nuclex.models import Gpt2Config, HyenaModelConfig, MambaConfig, ModelConfig, RinalmoConfig, RobertaConfig
from nuclex.models.scaling import at_width
from nuclex.training.coordinates import coordinate_check, slopes

WIDTHS, SEEDS = (64, 128, 256), (0, 1, 2, 3)
SHRINKS = {"hyena": 0.5}
"""How fast a part may shrink where it is more than 0.2: Hyena's filters are one small random network a layer at every
width, so that four seeds are four filters."""
CHECKED: dict[str, ModelConfig] = {
    "roberta": RobertaConfig(depth=2, width=64, heads=4, inner=128, dropout=0, attention_dropout=0, max_positions=64),
    "rinalmo": RinalmoConfig(depth=2, width=64, heads=4, dropout=0, attention_dropout=0, token_dropout=0),
    "gpt2": Gpt2Config(depth=2, width=64, heads=4, inner=128),
    "mamba": MambaConfig(depth=2, width=64),
    "mamba2": MambaConfig(version=2, depth=2, width=64),
    "bimamba": MambaConfig(depth=1, width=64, causal=False, inner=64, embedding_gate=True),
    "hyena": HyenaModelConfig(depth=2, width=64, inner=128),
    "hybrid": MambaConfig(depth=2, width=64, attention_every=2, heads=4),
}


@pytest.mark.slow
@pytest.mark.parametrize("name", CHECKED)
def test_flat_under_mup_and_growing_without(name: str) -> None:
    """Exponents after four updates: near 0 for every part, where the mixers' standard ones are clearly above."""
    config = CHECKED[name]
    flat = slopes(coordinate_check(config.model_copy(update={"base_width": 64}), WIDTHS, rate=3e-3, seeds=SEEDS))
    growing = slopes(coordinate_check(config, WIDTHS, rate=3e-3, seeds=SEEDS))
    for part, slope in flat.items():
        assert -SHRINKS.get(name, 0.2) < slope < 0.2, (part, slope)
    mixers = [part for part in growing if part.endswith("mixer")]
    assert sum(growing[part] - flat[part] for part in mixers) / len(mixers) > 0.35
    assert growing["logits"] > 0.25
    assert abs(flat["logits"]) < 0.15


def test_nothing_outside_notices() -> None:
    state = torch.random.get_rng_state()
    found = coordinate_check(CHECKED["gpt2"], (32,), updates=1, seeds=(0,))
    assert torch.equal(state, torch.random.get_rng_state())
    assert [sorted(part) for part in found[32]] == [
        sorted(
            ["embedding", "logits", *(f"blocks.{n}{part}" for n in (0, 1) for part in ("", ".mixer", ".feedforward"))]
        )
    ] * 2


def test_a_network_at_another_width() -> None:
    config = at_width(Gpt2Config(depth=1, width=48, heads=4, inner=96, positions="learned", position_width=24), 64)
    assert (config.width, config.inner, config.position_width, config.heads) == (64, 128, 32, 4)
    assert at_width(RinalmoConfig(width=320), 640).backbone().inner == 1706
    with pytest.raises(InputError, match="width 50: width 50 is not a multiple of heads 4"):
        at_width(config, 50)
    with pytest.raises(InputError, match="width 33: position_width 32 does not go with it from width 64"):
        at_width(config.model_copy(update={"heads": 1}), 33)
