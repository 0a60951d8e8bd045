"""How many sequences and nucleotides went into a filter, and how many came out."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray


class Tally:
    """How many sequences and nucleotides went into one filter and came out."""

    def __init__(self, name: str, **settings: Any) -> None:
        self.name, self.settings = name, settings
        self.sequences_in = self.sequences_out = self.nucleotides_in = self.nucleotides_out = 0

    def count(self, length_in: int, length_out: int | None) -> None:
        """One sequence of ``length_in`` nucleotides went in; None says that it did not come out."""
        self.sequences_in += 1
        self.nucleotides_in += length_in
        if length_out is not None:
            self.sequences_out += 1
            self.nucleotides_out += length_out

    def add(self, lengths_in: NDArray[np.int64], lengths_out: NDArray[np.int64]) -> None:
        """Many sequences of these lengths went in, and these came out."""
        self.sequences_in += len(lengths_in)
        self.sequences_out += len(lengths_out)
        self.nucleotides_in += int(lengths_in.sum())
        self.nucleotides_out += int(lengths_out.sum())

    def record(self) -> dict[str, Any]:
        """The entry of the manifest."""
        return {
            "name": self.name,
            "in": self.sequences_in,
            "out": self.sequences_out,
            "removed": self.sequences_in - self.sequences_out,
            "nucleotides_in": self.nucleotides_in,
            "nucleotides_out": self.nucleotides_out,
            **self.settings,
        }
