"""Open a bundle, and refuse one that is not exactly what was written."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from nuclex.bundle.architecture import CONFIG_FILE, NETWORK_PREFIX, bare_network, refuse_contradiction
from nuclex.bundle.fingerprint import check_fingerprint
from nuclex.bundle.record import Record, TaskPart
from nuclex.bundle.roberta import from_roberta, is_roberta
from nuclex.bundle.weights import filled
from nuclex.bundle.write import FORMAT, HEAD_PREFIX, RECORD_FILE, WEIGHTS_FILE
from nuclex.core.artifact import MANIFEST, verify_folder
from nuclex.core.errors import CorruptError, InputError, one_line
from nuclex.core.plain import from_json
from nuclex.models.backbone import LanguageModel
from nuclex.tokenizers.base import CONFIG_FILE as TOKENIZER_CONFIG_FILE
from nuclex.tokenizers.base import TOKENIZER_FILE, Tokenizer, load_tokenizer

NEEDED = (CONFIG_FILE, WEIGHTS_FILE, TOKENIZER_FILE, TOKENIZER_CONFIG_FILE, RECORD_FILE)


@dataclass(frozen=True, eq=False)
class Bundle:
    """A model in evaluation mode, its tokenizer, what is known about it, and its fine-tuned head if it has one."""

    model: LanguageModel
    tokenizer: Tokenizer
    record: Record
    task: TaskPart | None
    path: Path


def load(path: str | Path, *, device: str | torch.device = "cpu") -> Bundle:
    """Open the bundle at ``path``; no random number is drawn, and nothing is downloaded.

    Checked in this order: the manifest's sums, that the weights are exactly those of the network, the fingerprint.
    CorruptError says what differs; InputError that ``path`` is not a bundle.
    """
    path = Path(path)
    _refuse_other_folders(path)
    tokenizer = load_tokenizer(path)
    model, tensors, head = _network(path)
    refuse_contradiction(path / CONFIG_FILE, model, tokenizer)
    record, task, fingerprint = _read_record(path / RECORD_FILE, head)
    prefixed_head = {f"{HEAD_PREFIX}{name}": value for name, value in head.items()}
    check_fingerprint(fingerprint, model, tokenizer, {**tensors, **prefixed_head}, path)
    if task is not None:
        task = TaskPart(task.config, {name: value.to(device) for name, value in task.weights.items()})
    return Bundle(model.to(device), tokenizer, record, task, path)


def _refuse_other_folders(path: Path) -> None:
    if not path.is_dir():
        raise InputError(f"{path}: no such folder; a bundle is a folder that holds {', '.join(NEEDED)}")
    missing = [name for name in NEEDED if not (path / name).is_file()]
    if (path / MANIFEST).is_file() or not missing:
        verify_folder(path)
    if missing:
        inside = path / "bundle"
        hint = f"; did you mean {inside}?" if (inside / RECORD_FILE).is_file() else ""
        raise InputError(f"{path}: is not a bundle: it lacks {', '.join(missing)}{hint}")


def _network(path: Path) -> tuple[LanguageModel, dict[str, Tensor], dict[str, Tensor]]:
    """The model, its tensors under nuclex's names, and those of the fine-tuned head."""
    origin = path / WEIGHTS_FILE
    bare = bare_network(path / CONFIG_FILE)
    stored = _read_weights(origin)
    head = {name.removeprefix(HEAD_PREFIX): value for name, value in stored.items() if name.startswith(HEAD_PREFIX)}
    rest = {name: value for name, value in stored.items() if not name.startswith(HEAD_PREFIX)}
    for name, value in rest.items():
        if value.dtype != torch.float32:
            found = str(value.dtype).removeprefix("torch.")
            raise CorruptError(f"{origin}: weight {name!r} is {found}; bundles hold float32")
    if is_roberta(bare.config, bare.pad_id):
        tensors = from_roberta(rest, bare.config, origin)
    else:
        for name in rest:
            if not name.startswith(NETWORK_PREFIX):
                raise CorruptError(f"{origin}: holds the weight {name!r}, which this architecture does not have")
        tensors = {name.removeprefix(NETWORK_PREFIX): value for name, value in rest.items()}
    return filled(bare, tensors, origin), tensors, head


def _read_weights(path: Path) -> dict[str, Tensor]:
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    try:
        return load_file(path)
    except SafetensorError as error:
        raise CorruptError(f"{path}: is not a readable safetensors file: {one_line(str(error))}") from None


def _read_record(path: Path, head: dict[str, Tensor]) -> tuple[Record, TaskPart | None, dict[str, Any]]:
    try:
        stored = from_json(path.read_bytes())
        form = stored["format"]
    except (ValueError, KeyError, TypeError):
        raise CorruptError(f"{path}: is not a readable record of a bundle") from None
    if form != FORMAT:
        raise InputError(f"{path}: format {form!r} is not known to this version of nuclex, which reads {FORMAT}")
    try:
        record, task, fingerprint = Record.from_data(stored), stored["task"], dict(stored["fingerprint"])
    except (ValueError, KeyError, TypeError):
        raise CorruptError(f"{path}: is not a readable record of a bundle") from None
    if task is None and head:
        raise CorruptError(f"{path}: names no task, but the weight {HEAD_PREFIX + min(head)!r} is of a fine-tuned head")
    return record, TaskPart(dict(task), head) if task is not None else None, fingerprint
