"""Open a bundle, and refuse one that is not exactly what was written."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from nuclex.bundle.architecture import (
    CONFIG_FILE,
    NETWORK_PREFIX,
    bare_network,
    refuse_contradiction,
    stored_format,
)
from nuclex.bundle.fingerprint import check_fingerprint
from nuclex.bundle.foreign import from_foreign
from nuclex.bundle.partners import read_partners
from nuclex.bundle.published import SUFFIXES, bring, hub_name
from nuclex.bundle.record import Record, TaskPart
from nuclex.bundle.weights import filled, read_weights
from nuclex.bundle.write import FORMAT, HEAD_PREFIX, RECORD_FILE, WEIGHTS_FILE
from nuclex.core.artifact import MANIFEST, verify_folder
from nuclex.core.errors import CorruptError, InputError
from nuclex.core.plain import from_json
from nuclex.models.backbone import LanguageModel
from nuclex.tokenizers.base import CONFIG_FILE as TOKENIZER_CONFIG_FILE
from nuclex.tokenizers.base import TOKENIZER_FILE, Tokenizer, load_tokenizer

NEEDED = (CONFIG_FILE, WEIGHTS_FILE, TOKENIZER_FILE, TOKENIZER_CONFIG_FILE, RECORD_FILE)
MOST_TEXT_BYTES = 64 << 20
CODE_KEYS = {"auto_map", "custom_pipelines"}
"""Keys by which ``transformers`` is told to run a Python file of the folder."""


@dataclass(frozen=True, eq=False)
class Bundle:
    """A model in evaluation mode, its tokenizer, what is known about it, and its fine-tuned head if it has one.

    ``source`` is ``org/name@commit`` where it came from the hub; the same words open the same bytes again.
    """

    model: LanguageModel
    tokenizer: Tokenizer
    record: Record
    task: TaskPart | None
    path: Path
    source: str | None = None


def load(path: str | Path, *, revision: str | None = None, device: str | torch.device = "cpu") -> Bundle:
    """Open the bundle at ``path``; no random number is drawn, and of a folder nothing is downloaded.

    What is no folder and is written ``org/name`` is looked for on the Hugging Face hub: ``org/name@REVISION`` or
    ``revision`` pins a commit, branch or tag; without one the newest commit is taken, said, and kept as ``source``.
    Checked in this order: the manifest's sums, that the weights are exactly those of the network, the fingerprint.
    CorruptError says what differs; InputError that ``path`` is not a bundle; OutsideError that the hub does not answer.
    """
    named = hub_name(path, revision)
    if named is None:
        return _opened(Path(path), None, device)
    folder, commit = bring(*named)
    return _opened(folder, f"{named[0]}@{commit}", device)


def _opened(path: Path, source: str | None, device: str | torch.device) -> Bundle:
    _refuse_other_folders(path)
    tokenizer = load_tokenizer(path)
    _refuse_other_rules(path / TOKENIZER_FILE, tokenizer)
    model, tensors, head = _network(path)
    _refuse_code(path)
    refuse_contradiction(path / CONFIG_FILE, model, tokenizer)
    record, task, fingerprint = _read_record(path / RECORD_FILE, head)
    prefixed_head = {f"{HEAD_PREFIX}{name}": value for name, value in head.items()}
    check_fingerprint(fingerprint, model, tokenizer, {**tensors, **prefixed_head}, path)
    if task is not None:
        weights = {name: value.to(device) for name, value in task.weights.items()}
        task = TaskPart(task.config, weights, read_partners(path))
    return Bundle(model.to(device), tokenizer, record, task, path, source)


def _refuse_other_folders(path: Path) -> None:
    if not path.is_dir():
        raise InputError(f"{path}: no such folder; a bundle is a folder that holds {', '.join(NEEDED)}")
    missing = [name for name in NEEDED if not (path / name).is_file()]
    if len(missing) < len(NEEDED):  # else it is something else altogether
        _refuse_odd_files(path)
    if (path / MANIFEST).is_file() or not missing:
        verify_folder(path)
    if missing:
        inside = path / "bundle"
        hint = f"; did you mean {inside}?" if (inside / RECORD_FILE).is_file() else ""
        raise InputError(f"{path}: is not a bundle: it lacks {', '.join(missing)}{hint}")


def _refuse_odd_files(path: Path) -> None:
    """CorruptError for a file that no bundle holds, be it listed or not: code, pickles, texts without end."""
    for file in sorted(path.rglob("*")):
        if file.is_dir() and not file.is_symlink():
            continue
        if (path / MANIFEST).is_file() and file.suffix not in SUFFIXES:
            raise CorruptError(f"{file}: does not belong in a bundle; its files end in {', '.join(SUFFIXES)}")
        if file.suffix != ".safetensors" and file.is_file() and file.stat().st_size > MOST_TEXT_BYTES:
            raise CorruptError(f"{file}: has {file.stat().st_size} bytes; at most {MOST_TEXT_BYTES} are read")


def _refuse_other_rules(path: Path, tokenizer: Tokenizer) -> None:
    """CorruptError where other libraries would read sequences by other rules than nuclex does."""
    if path.read_text(encoding="utf-8") != tokenizer.to_json():
        raise CorruptError(f"{path}: is not what its config makes; other libraries would read sequences differently")


def _refuse_code(path: Path) -> None:
    """CorruptError for keys by which other libraries would run code."""
    for name in (CONFIG_FILE, TOKENIZER_CONFIG_FILE):
        for key in CODE_KEYS & from_json((path / name).read_bytes()).keys():
            raise CorruptError(f"{path / name}: {key}: names code to be run; bundles hold none")


def _network(path: Path) -> tuple[LanguageModel, dict[str, Tensor], dict[str, Tensor]]:
    """The model, its tensors under nuclex's names, and those of the fine-tuned head."""
    origin = path / WEIGHTS_FILE
    bare = bare_network(path / CONFIG_FILE)
    stored = read_weights(origin)
    head = {name.removeprefix(HEAD_PREFIX): value for name, value in stored.items() if name.startswith(HEAD_PREFIX)}
    rest = {name: value for name, value in stored.items() if not name.startswith(HEAD_PREFIX)}
    for name, value in rest.items():
        if value.dtype != torch.float32:
            found = str(value.dtype).removeprefix("torch.")
            raise CorruptError(f"{origin}: weight {name!r} is {found}; bundles hold float32")
    form = stored_format(path / CONFIG_FILE, bare)
    if form is not None:
        tensors = from_foreign(rest, form.weights(bare.config), origin)
    else:
        for name in rest:
            if not name.startswith(NETWORK_PREFIX):
                raise CorruptError(f"{origin}: holds the weight {name!r}, which this architecture does not have")
        tensors = {name.removeprefix(NETWORK_PREFIX): value for name, value in rest.items()}
    return filled(bare, tensors, origin), tensors, head


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
