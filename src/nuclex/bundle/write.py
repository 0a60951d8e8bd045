"""Write a model as a bundle: a folder that nuclex and Hugging Face ``transformers`` open."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from nuclex.bundle.architecture import CONFIG_FILE, NETWORK_PREFIX, config_keys
from nuclex.bundle.card import model_card
from nuclex.bundle.fingerprint import fingerprint
from nuclex.bundle.foreign import to_foreign
from nuclex.bundle.formats import format_of
from nuclex.bundle.partners import write_partners
from nuclex.bundle.record import Record, TaskPart
from nuclex.bundle.weights import copy_on_cpu, unshared
from nuclex.core.artifact import atomic_folder, write_json, write_manifest
from nuclex.core.errors import InputError
from nuclex.models.backbone import LanguageModel
from nuclex.tokenizers.base import Tokenizer, save_tokenizer

WEIGHTS_FILE, RECORD_FILE, CARD_FILE = "model.safetensors", "nuclex.json", "README.md"
HEAD_PREFIX = "task_head."
FORMAT = 1


def write_bundle(
    folder: str | Path,
    model: LanguageModel,
    tokenizer: Tokenizer,
    record: Record,
    *,
    task: TaskPart | None = None,
    replace: bool = False,
) -> None:
    """Write a bundle at once: ``folder`` is there whole or not at all.

    Raises what ``fill_bundle`` raises, InputError where ``folder`` exists (unless ``replace``), DiskError.
    """
    with atomic_folder(folder, replace=replace) as temporary:
        fill_bundle(temporary, model, tokenizer, record, task)


def fill_bundle(
    folder: Path, model: LanguageModel, tokenizer: Tokenizer, record: Record, task: TaskPart | None = None
) -> None:
    """Write a bundle's files and their manifest into ``folder``, itself a part of an ``atomic_folder`` in the making.

    Weights are stored in float32 and the fingerprint is taken from a copy on the CPU; ``model`` stays as it is.
    InputError if model and tokenizer do not belong together or the weights are of another type, NonFiniteError if
    the model's scores are not finite.
    """
    _refuse_unfit(model, tokenizer)
    tensors = _on_cpu(unshared(model))
    head = _on_cpu({f"{HEAD_PREFIX}{name}": value for name, value in (task.weights if task else {}).items()})
    print_of_it = fingerprint(copy_on_cpu(model), tokenizer, {**tensors, **head})

    folder.mkdir(parents=True, exist_ok=True)
    write_json(folder / CONFIG_FILE, config_keys(model, tokenizer))
    write_weights(folder / WEIGHTS_FILE, {**named_for_file(model, tensors), **head})
    save_tokenizer(tokenizer, folder, max_length=model.config.longest)
    task_config = task.config if task else None
    (folder / CARD_FILE).write_text(model_card(model, tokenizer, record, task_config), encoding="utf-8")
    stored: dict[str, Any] = {"format": FORMAT, **record.to_data(), "task": task_config, "fingerprint": print_of_it}
    write_json(folder / RECORD_FILE, stored)
    if task is not None and task.partners is not None:
        write_partners(folder, task.partners)
    write_manifest(folder)


def named_for_file(model: LanguageModel, tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    """The model's tensors under the names they have in ``model.safetensors``."""
    form = format_of(model)
    if form is not None:
        return to_foreign(tensors, form.weights(model.config))
    return {f"{NETWORK_PREFIX}{name}": value for name, value in tensors.items()}


def write_weights(path: Path, tensors: dict[str, Tensor]) -> None:
    """Write a safetensors file as ``transformers`` reads it."""
    from safetensors.torch import save_file

    save_file(tensors, path, metadata={"format": "pt"})


def _on_cpu(tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    return {name: value.detach().cpu().contiguous() for name, value in tensors.items()}


def _refuse_unfit(model: LanguageModel, tokenizer: Tokenizer) -> None:
    pairs = {
        "tokens": (model.vocabulary_size, model.config.rows(len(tokenizer))),
        "as padding id": (model.pad_id, tokenizer.pad_id),
        "as mask id": (model.mask_id, tokenizer.mask_id),
    }
    for what, (in_model, in_tokenizer) in pairs.items():
        if in_model != in_tokenizer:
            raise InputError(
                f"bundle: the model has {in_model} {what}, the tokenizer {in_tokenizer}; they must belong together"
            )
    for name, value in model.named_parameters():
        if value.dtype != torch.float32:
            found = str(value.dtype).removeprefix("torch.")
            raise InputError(f"bundle: weight {name!r} is {found}; bundles hold float32, which model.float() gives")
