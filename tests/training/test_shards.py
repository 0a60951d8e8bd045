from __future__ import annotations

from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import nn

from nuclex.core.errors import CorruptError
from nuclex.training.shards import read_state, write_shards


@pytest.fixture
def model() -> nn.Module:
    torch.manual_seed(0)
    return nn.Linear(3, 4)


@pytest.fixture
def shards(model: nn.Module, tmp_path: Path) -> Path:
    """What one process writes of a model and of what an optimizer keeps of its bias."""
    state = {f"model.{name}": value.detach() for name, value in model.named_parameters()}
    write_shards(
        tmp_path / "shards",
        {**state, "optimizer.bias.exp_avg": torch.ones(4), "optimizer.bias.step": torch.tensor(7.0)},
    )
    return tmp_path / "shards"


def test_what_is_written_is_read(model: nn.Module, shards: Path) -> None:
    found = read_state(shards, model)
    assert torch.equal(found["model.weight"], model.weight)
    assert torch.equal(found["model.bias"], model.bias)
    assert found["optimizer.bias.step"] == 7
    assert found["optimizer.bias.exp_avg"].tolist() == [1.0] * 4
    assert len(found) == 4


def test_the_files_are_plain_safetensors(model: nn.Module, shards: Path) -> None:
    (file,) = shards.iterdir()
    assert torch.equal(load_file(file)["model.weight"], model.weight)


def test_one_file_is_read_the_same_way(model: nn.Module, shards: Path, tmp_path: Path) -> None:
    (file,) = shards.iterdir()
    save_file(load_file(file), tmp_path / "state.safetensors")
    found, wanted = read_state(tmp_path / "state.safetensors", model), read_state(shards, model)
    assert found.keys() == wanted.keys()
    assert all(torch.equal(found[name], wanted[name]) for name in found)


@pytest.mark.parametrize(
    "content", [b"", b"garbage of some length", b"\x02\x00\x00\x00\x00\x00\x00\x00{}x", b"\xff" * 64]
)
def test_what_is_no_shard_is_refused(model: nn.Module, shards: Path, content: bytes) -> None:
    (file,) = shards.iterdir()
    file.write_bytes(content)
    with pytest.raises(CorruptError, match=r"shard-\d+|shards"):
        read_state(shards, model)


def test_a_shard_cut_short_is_refused(model: nn.Module, shards: Path) -> None:
    (file,) = shards.iterdir()
    file.write_bytes(file.read_bytes()[:-4])
    with pytest.raises(CorruptError, match="is not readable as shards"):
        read_state(shards, model)
