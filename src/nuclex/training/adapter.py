"""LoRA (arXiv:2106.09685): the weights stay as they are, and a product of two narrow matrices beside each one learns.

The library ``peft`` lays them in. When a run ends they are added to the weights, so that what is exported is an
ordinary model, and what was measured on the test split is that model.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import torch
from pydantic import Field
from torch import nn

from nuclex.core.config import Config
from nuclex.core.errors import InputError, missing_extra
from nuclex.models import LanguageModel
from nuclex.models.blocks.hyena import ImplicitFilter

LEARNING = ".lora_"
"""What the names of ``peft``'s parameters have in them."""
READ_DIRECTLY = ("delta",)
"""Layers whose matrix is read without calling them, where nothing laid beside it would be noticed."""


class AdapterConfig(Config):
    """How wide the changes are, how much they count, and which layers have them."""

    rank: int = Field(default=8, ge=1, description="width of the narrow matrices")
    alpha: float = Field(default=16.0, gt=0, description="their product counts alpha / rank, with rslora alpha / √rank")
    dropout: float = Field(default=0.0, ge=0, lt=1, description="of what enters them, in training")
    targets: tuple[str, ...] = Field(
        default=(), description='linear layers of the blocks by name, such as "query_key_value"; empty = all of them'
    )
    rslora: bool = Field(default=False, description="the scale of arXiv:2312.03732, for large ranks")

    def layers(self, model: LanguageModel) -> list[tuple[str, nn.Linear]]:
        """The layers that are changed, by their names in the model; InputError for a target that it does not have."""
        layers = list(_adaptable(model))
        allowed = sorted({name.rpartition(".")[2] for name, _ in layers})
        for target in self.targets:
            if target not in allowed:
                raise InputError(f"adapter.targets: found {target!r}; layers of this model: {', '.join(allowed)}")
        return [(name, layer) for name, layer in layers if name.rpartition(".")[2] in (self.targets or allowed)]

    def parameters(self, model: LanguageModel) -> int:
        """How many numbers learn in the language model: rank × (inputs + outputs) of each layer."""
        return sum(self.rank * (layer.in_features + layer.out_features) for _, layer in self.layers(model))


def lay_in(model: LanguageModel, config: AdapterConfig, seed: int) -> None:
    """Lay random changes beside the layers of ``model``, which at first change nothing; all else is frozen.

    InputError where ``peft`` is not installed.
    """
    try:
        from peft import LoraConfig, inject_adapter_in_model
    except ImportError:
        raise missing_extra("peft", "lora", "adapter") from None
    lora = LoraConfig(
        r=config.rank,
        lora_alpha=config.alpha,  # type: ignore[arg-type]  # a quotient is made of it
        lora_dropout=config.dropout,
        target_modules=[name for name, _ in config.layers(model)],
        use_rslora=config.rslora,
    )
    device = next(model.parameters()).device
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        inject_adapter_in_model(lora, model.cpu())
    model.to(device)


def merge(model: LanguageModel) -> None:
    """Add the changes to the weights and take ``peft``'s layers out again; a model without any stays as it is."""
    from peft.tuners.lora import LoraLayer

    for name, layer in list(model.named_modules()):
        if isinstance(layer, LoraLayer):
            layer.merge()
            above, _, last = name.rpartition(".")
            setattr(model.get_submodule(above), last, layer.get_base_layer())
    vars(model).pop("peft_config", None)


def adapting(model: nn.Module) -> list[nn.Parameter]:
    """The parameters that ``lay_in`` made; none where it did nothing."""
    return [parameter for name, parameter in model.named_parameters() if LEARNING in name]


def _adaptable(model: LanguageModel) -> Iterator[tuple[str, nn.Linear]]:
    inside: Sequence[nn.Module] = [part for part in model.modules() if isinstance(part, ImplicitFilter)]
    read = {id(layer) for part in inside for layer in part.modules()}
    for name, layer in model.blocks.named_modules(prefix="blocks"):
        if isinstance(layer, nn.Linear) and id(layer) not in read and name.rpartition(".")[2] not in READ_DIRECTLY:
            yield name, layer
