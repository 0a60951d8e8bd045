"""Vectors of partners come back from a bundle as they were, and a file that holds others is refused."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from nuclex.bundle.partners import PARTNERS_FILE, read_partners, write_partners
from nuclex.core.errors import CorruptError
from nuclex.data.vectors import Vectors


def test_what_is_written_is_read(tmp_path: Path) -> None:
    assert read_partners(tmp_path) is None
    numbers_KP = np.array([[1.5, -2e-30], [0.1, 7.0]])
    write_partners(tmp_path, Vectors.of(["a b", "ß"], numbers_KP, "x.npz"))
    found = read_partners(tmp_path)
    assert found is not None
    assert found.names == ("a b", "ß")
    assert np.array_equal(found.numbers_KP, numbers_KP.astype(np.float32))


def of(text: str) -> torch.Tensor:
    return torch.frombuffer(bytearray(text.encode()), dtype=torch.uint8)


@pytest.mark.parametrize("tensors", [
    {"numbers": torch.ones(2, 2)},
    {"names": of("a"), "numbers": torch.ones(2, 2)},
    {"names": of("a\na"), "numbers": torch.ones(2, 2)},
    {"names": of("a\nb"), "numbers": torch.ones(2)},
    {"names": of("a\nb"), "numbers": torch.full((2, 2), torch.inf)},
    {"names": torch.tensor([255, 254], dtype=torch.uint8), "numbers": torch.ones(1, 2)},
])  # fmt: skip
def test_other_files_are_refused(tmp_path: Path, tensors: dict[str, torch.Tensor]) -> None:
    save_file(tensors, tmp_path / PARTNERS_FILE)
    with pytest.raises(CorruptError, match=r"partners\.safetensors: does not hold a vector for each name"):
        read_partners(tmp_path)
