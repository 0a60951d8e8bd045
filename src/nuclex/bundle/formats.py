"""The networks that plain Hugging Face ``transformers`` has: a bundle of one of them opens without nuclex."""

from __future__ import annotations

from nuclex.bundle.bert import BERT
from nuclex.bundle.foreign import Format
from nuclex.bundle.gpt2 import GPT2
from nuclex.bundle.mamba import MAMBA, MAMBA2
from nuclex.bundle.roberta import ROBERTA
from nuclex.models.backbone import LanguageModel

FORMATS: dict[str, Format] = {form.name: form for form in (ROBERTA, BERT, GPT2, MAMBA, MAMBA2)}
"""By their ``model_type``."""


def format_of(model: LanguageModel) -> Format | None:
    """The format whose network this is exactly, in training as well; None where ``transformers`` has none."""
    return next((form for form in FORMATS.values() if form.misfit(model.config, model.pad_id) is None), None)


def own_class(model: LanguageModel) -> str:
    """The class of ``nuclex.hub`` that holds such a network."""
    if model.head is None:
        return "NuclexModel"
    return "NuclexForCausalLM" if model.config.causal else "NuclexForMaskedLM"


def class_of(model: LanguageModel) -> str:
    """The class that opens a bundle of the network: one of ``transformers`` itself, or one that ``nuclex.hub`` adds."""
    form = format_of(model)
    return own_class(model) if form is None else form.class_of(model.config)
