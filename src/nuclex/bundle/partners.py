"""The vectors of the partners that a model was fine-tuned with, kept in its bundle to be asked about again."""

from __future__ import annotations

from pathlib import Path

import torch

from nuclex.bundle.weights import read_weights
from nuclex.core.errors import CorruptError, InputError
from nuclex.data.vectors import Vectors

PARTNERS_FILE = "partners.safetensors"
"""``names``: UTF-8 text with a line a name, as bytes; ``numbers``: (K, P) in float32."""


def write_partners(folder: Path, partners: Vectors) -> None:
    """Write them into a bundle in the making."""
    from safetensors.torch import save_file

    names = torch.frombuffer(bytearray("\n".join(partners.names).encode()), dtype=torch.uint8)
    save_file({"names": names, "numbers": torch.from_numpy(partners.numbers_KP)}, folder / PARTNERS_FILE)


def read_partners(folder: Path) -> Vectors | None:
    """The partners of a bundle, None where it has none; CorruptError where the file is not what was written."""
    path = folder / PARTNERS_FILE
    if not path.is_file():
        return None
    found = read_weights(path)
    try:
        names, numbers_KP = bytes(found["names"].numpy()).decode().split("\n"), found["numbers"].numpy()
        if numbers_KP.ndim != 2 or len(names) != len(numbers_KP):
            raise ValueError
        return Vectors.of(names, numbers_KP, f"the partners of {folder}")
    except (KeyError, ValueError, TypeError, InputError):
        raise CorruptError(f"{path}: does not hold a vector for each name") from None
