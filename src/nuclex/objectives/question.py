"""What a model is asked: the tokens it reads, where it is asked, and what is true there."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class Question:
    """What the model reads (T,), at which tokens it is asked (M,), and the true tokens (M,).

    ``ahead`` is how many tokens behind the place of the asking its answer stands: 1 where the next one is foretold.
    """

    inputs_T: NDArray[np.int64]
    selected_M: NDArray[np.int64]
    targets_M: NDArray[np.int64]
    ahead: int = 0

    @property
    def places_M(self) -> NDArray[np.int64]:
        """Where in the batch the true tokens stand (M,)."""
        return self.selected_M + self.ahead
