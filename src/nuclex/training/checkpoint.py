"""Stop and go: a checkpoint is a whole, summed folder; the newest sound one is taken up, a damaged one is refused."""

from __future__ import annotations

import contextlib
import json
import shutil
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import torch
from pydantic import TypeAdapter
from torch import Tensor, nn

from nuclex.bundle.weights import restore, unshared
from nuclex.core.artifact import TEMPORARY, atomic_folder, verify_folder, write_json
from nuclex.core.errors import CorruptError, InputError
from nuclex.core.progress import say
from nuclex.training.average import Average
from nuclex.training.distributed import devices, present
from nuclex.training.environment import drift, environment
from nuclex.training.optimizer_state import numbers_of, remember, tensors_of
from nuclex.training.shards import SHARDS, read_state, write_shards

STATE, FACTS = "state.safetensors", "checkpoint.json"
NUMBERS = TypeAdapter(tuple[list[dict[str, float]], dict[str, dict[str, float | bool | None]]])
"""What an optimizer keeps besides tensors: of groups of weights, and of weights by name."""


@dataclass
class Place:
    """Where a run stands: updates done, the batch that comes next, and the validation numbers so far.

    ``looked`` is the step of the last evaluation that was finished, ``lines`` the lines of metrics.jsonl so far,
    ``skipped`` the batches that were left out, ``anchor`` the step of the checkpoint that a roll-back goes to and
    ``returns`` how often one did, ``losses`` and ``norms`` what the next update is compared with. ``stale`` are the
    looks since the score was better, ``waited`` those since the rate was lowered, ``reductions`` how often it was.
    """

    step: int = 0
    epoch: int = 0
    batch: int = 0
    tokens: int = 0
    seconds: float = 0.0
    best_score: float | None = None
    best_step: int | None = None
    last: dict[str, float] = field(default_factory=dict)
    looked: int = 0
    stale: int = 0
    waited: int = 0
    reductions: int = 0
    lines: int = 0
    skipped: int = 0
    anchor: int | None = None
    returns: int = 0
    refused: int = 0
    losses: list[float] = field(default_factory=list)
    norms: list[float] = field(default_factory=list)


def save_checkpoint(
    folder: Path,
    model: nn.Module,
    optimizer: torch.optim.Optimizer,
    place: Place,
    identity: dict[str, Any],
    average: Average | None = None,
) -> Path:
    """Write ``folder/step-XXXXXXXX`` atomically; ``identity`` says which run it belongs to. Returns its path."""
    from safetensors.torch import save_file

    target, tensors = folder / checkpoint_name(place.step), _state(model, optimizer, average)
    with atomic_folder(target, replace=True) as temporary:
        save_file({name: value.detach().cpu().contiguous() for name, value in tensors.items()}, temporary / STATE)
        write_json(temporary / FACTS, _known(model, optimizer, place, identity))
    return target


def save_shared_out(
    folder: Path,
    model: nn.Module,
    optimizer: torch.optim.Optimizer,
    place: Place,
    identity: dict[str, Any],
    average: Average | None = None,
) -> Path:
    """``save_checkpoint`` by all processes of a run at once, where each has a part of every weight (``shards/``).

    The first makes the folder, which all must see, and the sums of what they wrote.
    """
    target, group = folder / checkpoint_name(place.step), present("fsdp")
    tensors = {name: value.detach() for name, value in _state(model, optimizer, average).items()}
    making = atomic_folder(target, replace=True) if group.first else contextlib.nullcontext()
    with making as temporary:
        shards = folder / group.shared(temporary and temporary.name) / SHARDS
        if group.first:
            shards.mkdir()
        group.shared(None)
        write_shards(shards, tensors)
        group.wait()
        if group.first:
            write_json(shards.parent / FACTS, _known(model, optimizer, place, identity))
    return target


def _state(model: nn.Module, optimizer: torch.optim.Optimizer, average: Average | None) -> dict[str, Tensor]:
    """All tensors of a checkpoint by name."""
    tensors = {f"model.{name}": value for name, value in unshared(model).items()}
    tensors |= {
        f"optimizer.{name}": value for name, value in tensors_of(list(model.named_parameters()), optimizer).items()
    }
    return tensors | ({} if average is None else {f"average.{name}": value for name, value in average.tensors.items()})


def _known(
    model: nn.Module, optimizer: torch.optim.Optimizer, place: Place, identity: dict[str, Any]
) -> dict[str, Any]:
    """What a checkpoint says of itself."""
    named, device = list(model.named_parameters()), next(model.parameters()).device
    kept = {"place": asdict(place), "identity": identity, "optimizer": numbers_of(named, optimizer)}
    return {**kept, **environment(device), "devices": devices()}


def latest_checkpoint(folder: Path, upto: int | None = None) -> Path | None:
    """The newest checkpoint that is whole (of step ``upto`` or before); says which newer ones were refused and why.

    None where there is none at all; CorruptError where there are some and none of them is whole.
    """
    refused: list[CorruptError] = []
    for path in sorted(folder.glob("step-*"), reverse=True):
        if upto is not None and path.name > checkpoint_name(upto):
            continue
        try:
            _verify(path)
        except CorruptError as error:
            refused.append(error)
            continue
        for why in refused:
            say(f"refused a damaged checkpoint: {why}; going on from {path.name}")
        return path
    if refused:
        raise CorruptError(
            f"{folder}: no checkpoint in it is whole ({refused[0]}); put a sound copy there, or give a new --out"
        )
    return None


def _verify(path: Path) -> None:
    """CorruptError unless every file is as it was written, and the folder still has the name of its step."""
    verify_folder(path)
    step = _facts(path)["place"]["step"]
    if path.name != checkpoint_name(step):
        raise CorruptError(f"{path}: is the checkpoint of step {step} under another name")


def _facts(path: Path) -> dict[str, Any]:
    """What a checkpoint says of itself; CorruptError where that is not what ``save_checkpoint`` writes."""
    try:
        facts = dict(json.loads((path / FACTS).read_bytes()))
        whole = [facts["place"][name] for name in ("step", "epoch", "batch", "tokens")]
        TypeAdapter(Place).validate_json(json.dumps(facts["place"]), strict=True)
        numbers = facts.get("optimizer", {})
        NUMBERS.validate_python((numbers.get("groups", []), numbers.get("weights", {})), strict=True)
        if not isinstance(facts["identity"], dict) or min(whole) < 0:
            raise ValueError
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError):
        raise CorruptError(f"{path / FACTS}: is not a readable record of a checkpoint") from None
    return facts


def load_checkpoint(
    path: Path,
    model: nn.Module,
    optimizer: torch.optim.Optimizer | None,
    identity: dict[str, Any],
    average: Average | None = None,
) -> Place:
    """Fill model, optimizer and averages from a checkpoint that has been verified; InputError if of another run.

    Says in one line what of the environment is not as it was.
    """
    facts, place = _facts(path), place_of(path, identity)
    if changed := drift(facts, {**environment(next(model.parameters()).device), "devices": devices()}):
        say(f"resuming with {changed}: not bit for bit the same")
    tensors = read_state(path / (SHARDS if (path / SHARDS).is_dir() else STATE), model)
    restore(model, _part("model", tensors), path)
    if optimizer is not None:
        named, state = list(model.named_parameters()), _part("optimizer", tensors)
        _refuse_misfit(named, state, path)
        remember(named, optimizer, state, facts.get("optimizer", {}))
    if average is not None:
        average.take(_part("average", tensors), path)
    return place


def place_of(path: Path, identity: dict[str, Any]) -> Place:
    """Where the run of a verified checkpoint stood; InputError if it is of another run."""
    facts = _facts(path)
    for key, value in identity.items():
        if facts["identity"].get(key) != value:
            raise InputError(
                f"{path}: was written with another {key}; resume with the same recipe and corpus, or give a new --out"
            )
    try:
        return Place(**facts["place"])
    except TypeError:
        raise InputError(
            f"{path}: was written by a version of nuclex that this one cannot follow; give a new --out"
        ) from None


def _part(name: str, tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The tensors of one part of a checkpoint, by their names in it."""
    prefix = f"{name}."
    return {key[len(prefix) :]: value for key, value in tensors.items() if key.startswith(prefix)}


def _refuse_misfit(named: Iterable[tuple[str, nn.Parameter]], state: Mapping[str, Tensor], path: Path) -> None:
    """CorruptError where Adam's averages have not the shape of their weight, or are not of floating point."""
    for name, parameter in named:
        for key, shape in (("step", torch.Size([])), ("exp_avg", parameter.shape), ("exp_avg_sq", parameter.shape)):
            value = state.get(f"{name}.{key}")
            if value is not None and (value.shape != shape or not value.is_floating_point()):
                raise CorruptError(f"{path / STATE}: optimizer.{name}.{key} does not fit its weight")


def prune(folder: Path, keep: int, step: int, spared: Iterable[int] = ()) -> None:
    """Delete all but the newest ``keep`` checkpoints up to ``step``, where the run stands, and the ``spared`` ones.

    What is beyond it was refused when the run was taken up, or rolled back; it must not count among those kept.
    """
    names = {checkpoint_name(number) for number in spared}
    paths = sorted(folder.glob("step-*"), reverse=True)
    good = [path for path in paths if path.name <= checkpoint_name(step)]
    for path in [*good[keep:], *(path for path in paths if path not in good)]:
        if path.name not in names:
            discard(path)


def discard(path: Path) -> None:
    """Delete a folder (or what stands in its place) so that a kill does not leave half of it under its name."""
    doomed = path.rename(path.with_name(f"{TEMPORARY}{path.name}"))
    shutil.rmtree(doomed) if doomed.is_dir() else doomed.unlink()


def checkpoint_name(step: int) -> str:
    """The folder of a step's checkpoint."""
    return f"step-{step:08d}"
