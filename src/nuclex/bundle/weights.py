"""The weights of a network as named tensors: each stored once, and put back only where every one of them fits."""

from __future__ import annotations

import struct
from collections.abc import Mapping
from pathlib import Path

import torch
from torch import Tensor, nn

from nuclex.core.errors import CorruptError, one_line
from nuclex.core.plain import from_json
from nuclex.core.signals import undisturbed
from nuclex.models.backbone import BackboneConfig, LanguageModel

MOST_HEADER_BYTES, MOST_TENSORS, MOST_AXES = 4 << 20, 20_000, 8
"""More than any network here has; the library itself reads headers of 100 MB, and for minutes."""


def read_weights(path: Path) -> dict[str, Tensor]:
    """The tensors of a safetensors file by name; CorruptError if it is not a sound one, whoever made it.

    The library sees to it that the tensors fill the file without holes and overlaps and are as long as they say. What
    it lets pass is refused here: endless headers, a name that stands twice, thousands of axes.
    """
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    refuse_odd_header(path)
    try:
        with undisturbed():
            return load_file(path)
    except (SafetensorError, OSError, ValueError, RuntimeError) as error:
        raise _unreadable(path, one_line(str(error))) from None


def refuse_odd_header(path: Path) -> None:
    """CorruptError if the header of a safetensors file is endless, says a name twice, or has thousands of axes."""
    with open(path, "rb") as file:
        start = file.read(8)
        length = struct.unpack("<Q", start)[0] if len(start) == 8 else 0
        if not 2 <= length <= MOST_HEADER_BYTES:
            raise _unreadable(path, f"its header has {length} bytes; 2 to {MOST_HEADER_BYTES} are allowed")
        header = file.read(length)
    if len(header) < length:
        raise _unreadable(path, f"its header has {length} bytes, of which {len(header)} are there")
    try:
        entries = from_json(header)
        axes = [len(entry["shape"]) for name, entry in entries.items() if name != "__metadata__"]
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise _unreadable(path, f"its header is none: {one_line(str(error))}") from None
    if len(axes) > MOST_TENSORS or max(axes, default=0) > MOST_AXES:
        raise _unreadable(path, f"it has more than {MOST_TENSORS} tensors, or one of more than {MOST_AXES} axes")


def _unreadable(path: Path, why: str) -> CorruptError:
    return CorruptError(f"{path}: is not a readable safetensors file: {why}")


def unshared(model: nn.Module) -> dict[str, Tensor]:
    """The model's tensors, each once: a tied weight goes by the first of its names."""
    seen: set[int] = set()
    kept: dict[str, Tensor] = {}
    for name, value in model.state_dict(keep_vars=True).items():
        if id(value) not in seen:
            seen.add(id(value))
            kept[name] = value.detach()
    return kept


def restore(model: nn.Module, tensors: Mapping[str, Tensor], origin: Path) -> None:
    """Load tensors written by ``unshared``; every one must be wanted and none may be missing (CorruptError)."""
    wanted = unshared(model)
    refuse_unfit(wanted, tensors, origin)
    with torch.no_grad():
        for name, value in wanted.items():
            value.copy_(tensors[name])


def refuse_unfit(wanted: Mapping[str, Tensor], found: Mapping[str, Tensor], origin: Path) -> None:
    """CorruptError if a wanted weight is missing, one is left over, or a shape differs."""
    if missing := sorted(wanted.keys() - found.keys()):
        raise CorruptError(f"{origin}: lacks the weight {missing[0]!r}")
    if extra := sorted(found.keys() - wanted.keys()):
        raise CorruptError(f"{origin}: holds the weight {extra[0]!r}, which this architecture does not have")
    for name, value in wanted.items():
        if value.shape != found[name].shape:
            shape, needed = tuple(found[name].shape), tuple(value.shape)
            raise CorruptError(f"{origin}: weight {name!r} has shape {shape}, the config says {needed}")


def skeleton(config: BackboneConfig, *, vocabulary_size: int, pad_id: int, mask_id: int) -> LanguageModel:
    """The network without memory for its weights, made without drawing a random number."""
    with torch.device("meta"):
        return LanguageModel(config, vocabulary_size=vocabulary_size, pad_id=pad_id, mask_id=mask_id)


def filled(bare: LanguageModel, tensors: Mapping[str, Tensor], origin: Path) -> LanguageModel:
    """``bare`` (a ``skeleton``) itself, with copies of these tensors as its weights, in evaluation mode.

    Nothing of it can stay random: a weight that no tensor fills does not exist. CorruptError as in ``restore``.
    """
    wanted = unshared(bare)
    refuse_unfit(wanted, tensors, origin)
    shared = {id(value): name for name, value in bare.state_dict(keep_vars=True).items() if name in wanted}
    parameters = {name: nn.Parameter(tensors[name].detach().clone()) for name in wanted}
    for name, value in list(bare.named_parameters(remove_duplicate=False)):
        owner, _, leaf = name.rpartition(".")
        setattr(bare.get_submodule(owner), leaf, parameters[shared[id(value)]])
    return bare.eval()


def copy_on_cpu(model: LanguageModel) -> LanguageModel:
    """The same network with copies of its weights on the CPU, in evaluation mode; ``model`` stays as it is."""
    sizes = {"vocabulary_size": model.vocabulary_size, "pad_id": model.pad_id, "mask_id": model.mask_id}
    bare = skeleton(model.config, **sizes)
    return filled(bare, {name: value.cpu() for name, value in unshared(model).items()}, Path("model"))
