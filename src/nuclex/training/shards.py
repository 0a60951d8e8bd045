"""Checkpoints of a model that is shared out: each process writes its parts, and any number of processes reads them.

Who writes and reads what is planned by torch.distributed.checkpoint (DCP). Its usual files are pickles, which execute
what they hold when they are read, so it is given its safetensors form: numbers and their places, nothing else. Files
are checked against the sums of the checkpoint before one of them is opened.
"""

from __future__ import annotations

import contextlib
import warnings
from collections.abc import Iterator, Mapping
from pathlib import Path

import torch
from torch import Tensor, nn

from nuclex.bundle.weights import read_weights, refuse_odd_header, unshared
from nuclex.core.errors import CorruptError, one_line

SHARDS = "shards"
"""The folder in a checkpoint that holds one safetensors file of each process."""


def write_shards(folder: Path, tensors: Mapping[str, Tensor]) -> None:
    """Write the parts that this process holds; all processes of the run are in here at once."""
    from torch.distributed.checkpoint import HuggingFaceStorageWriter, save

    with _own_errors():
        save(dict(tensors), storage_writer=HuggingFaceStorageWriter(str(folder), save_distributed=True))


def read_state(path: Path, model: nn.Module) -> dict[str, Tensor]:
    """The tensors of a checkpoint by name, each shared out as the weight of ``model`` that it belongs to.

    ``path`` is one safetensors file, or a folder of shards, of however many processes. CorruptError where it is none.
    """
    weights = unshared(model)
    if path.is_file():
        return {name: _dealt(value, _weight_of(name, weights)) for name, value in read_weights(path).items()}
    from safetensors import SafetensorError
    from torch.distributed.checkpoint import HuggingFaceStorageReader, load
    from torch.distributed.checkpoint.metadata import TensorStorageMetadata

    for shard in path.iterdir():
        refuse_odd_header(shard)
    odd = (SafetensorError, OSError, ValueError, KeyError, TypeError, AttributeError, AssertionError, IndexError)
    try:
        with _own_errors():
            described = HuggingFaceStorageReader(str(path)).read_metadata().state_dict_metadata
            state = {
                name: _room(torch.empty(entry.size, dtype=entry.properties.dtype), _weight_of(name, weights))
                for name, entry in described.items()
                if isinstance(entry, TensorStorageMetadata)
            }
            load(state, storage_reader=HuggingFaceStorageReader(str(path)))
    except odd as error:
        raise CorruptError(f"{path}: is not readable as shards of a checkpoint: {one_line(str(error))}") from None
    return state


def _weight_of(name: str, weights: Mapping[str, Tensor]) -> Tensor | None:
    """The weight that ``model.WEIGHT``, ``average.WEIGHT`` or ``optimizer.WEIGHT.KEY`` belongs to."""
    inner = name.partition(".")[2]
    return weights.get(inner, weights.get(inner.rpartition(".")[0]))


def _room(value: Tensor, weight: Tensor | None) -> Tensor:
    """Where the tensor is to be read into: memory for a part, where the weight is shared out and has its shape."""
    from torch.distributed.tensor import DTensor

    if isinstance(weight, DTensor) and weight.shape == value.shape:
        return torch.empty_like(weight, dtype=value.dtype)
    return value


def _dealt(value: Tensor, weight: Tensor | None) -> Tensor:
    """This process's part of a tensor that it has the whole of."""
    from torch.distributed.tensor import DTensor, distribute_tensor

    if not isinstance(weight, DTensor) or weight.shape != value.shape:
        return value
    where = value.to(weight.device)
    return distribute_tensor(where, weight.device_mesh, weight.placements, src_data_rank=None)


@contextlib.contextmanager
def _own_errors() -> Iterator[None]:
    """DCP wraps what went wrong in an exception that ``except Exception`` does not catch: unwrap it."""
    from torch.distributed.checkpoint.api import CheckpointException

    try:
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", "torch.distributed is disabled", UserWarning)  # one process is fine
            yield
    except CheckpointException as error:
        causes = [cause for cause, _ in error.failures.values()]
        raise next((cause for cause in causes if isinstance(cause, OSError)), causes[0]) from None
