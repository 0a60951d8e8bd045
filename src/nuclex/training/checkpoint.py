"""Stop and go: a checkpoint is a whole, summed folder; the newest sound one is taken up, a damaged one is refused."""

from __future__ import annotations

import json
import shutil
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from nuclex.bundle.weights import restore, unshared
from nuclex.core.artifact import atomic_folder, verify_folder, write_json
from nuclex.core.errors import CorruptError, InputError
from nuclex.core.progress import say
from nuclex.core.provenance import package_versions

STATE, FACTS = "state.safetensors", "checkpoint.json"


@dataclass
class Place:
    """Where a run stands: updates done, the batch that comes next, and the validation numbers so far."""

    step: int = 0
    epoch: int = 0
    batch: int = 0
    tokens: int = 0
    seconds: float = 0.0
    best_score: float | None = None
    best_step: int | None = None
    last: dict[str, float] = field(default_factory=dict)


def save_checkpoint(
    folder: Path, model: nn.Module, optimizer: torch.optim.Optimizer, place: Place, identity: dict[str, Any]
) -> Path:
    """Write ``folder/step-XXXXXXXX`` atomically; ``identity`` says which run it belongs to. Returns its path."""
    from safetensors.torch import save_file

    target = folder / _name(place.step)
    tensors = {f"model.{name}": value for name, value in unshared(model).items()}
    for name, state in _optimizer_state(model, optimizer).items():
        tensors.update({f"optimizer.{name}.{key}": value for key, value in state.items()})
    facts = {
        "place": asdict(place),
        "identity": identity,
        "threads": torch.get_num_threads(),
        "packages": package_versions(),
    }
    with atomic_folder(target, replace=True) as temporary:
        save_file({name: value.detach().cpu().contiguous() for name, value in tensors.items()}, temporary / STATE)
        write_json(temporary / FACTS, facts)
    return target


def latest_checkpoint(folder: Path) -> Path | None:
    """The newest checkpoint that is whole; says which newer ones were refused and why."""
    for path in sorted(folder.glob("step-*"), reverse=True):
        try:
            verify_folder(path)
        except CorruptError as error:
            say(f"refused a damaged checkpoint: {error}")
            continue
        return path
    return None


def load_checkpoint(
    path: Path, model: nn.Module, optimizer: torch.optim.Optimizer | None, identity: dict[str, Any]
) -> Place:
    """Fill model and optimizer from a checkpoint that has been verified; InputError if it belongs to another run."""
    from safetensors.torch import load_file

    facts = json.loads((path / FACTS).read_text())
    for key, value in identity.items():
        if facts["identity"].get(key) != value:
            raise InputError(
                f"{path}: was written with another {key}; resume with the same recipe and corpus, or give a new --out"
            )
    if facts["threads"] != torch.get_num_threads():
        say(f"resuming with {torch.get_num_threads()} threads, {facts['threads']} before: not bit for bit the same")
    then, now = facts["packages"].get("torch"), package_versions().get("torch")
    if then != now:
        say(f"resuming with torch {now}, {then} before: not bit for bit the same")
    tensors = load_file(path / STATE)
    restore(model, {name[6:]: value for name, value in tensors.items() if name.startswith("model.")}, path)
    if optimizer is not None:
        for name, parameter in model.named_parameters():
            prefix = f"optimizer.{name}."
            state = {key[len(prefix) :]: value for key, value in tensors.items() if key.startswith(prefix)}
            if state:
                optimizer.state[parameter] = {key: _like(key, value, parameter) for key, value in state.items()}
    return Place(**facts["place"])


def prune(folder: Path, keep: int, step: int) -> None:
    """Delete all but the newest ``keep`` checkpoints up to ``step``, where the run stands.

    What is beyond it was refused when the run was taken up; it must not count among those that are kept.
    """
    paths = sorted(folder.glob("step-*"), reverse=True)
    good = [path for path in paths if path.name <= _name(step)]
    for path in [*good[keep:], *(path for path in paths if path not in good)]:
        shutil.rmtree(path) if path.is_dir() else path.unlink()


def _name(step: int) -> str:
    return f"step-{step:08d}"


def _optimizer_state(model: nn.Module, optimizer: torch.optim.Optimizer) -> dict[str, dict[str, Tensor]]:
    return {name: dict(optimizer.state[value]) for name, value in model.named_parameters() if value in optimizer.state}


def _like(key: str, value: Tensor, parameter: Tensor) -> Tensor:
    return value.to(parameter.device) if key != "step" or parameter.is_cuda else value
