"""The share of G and C in made-up sequences: a positive control, since anybody can compute the answer."""

from __future__ import annotations

from typing import ClassVar, Literal, Self

import numpy as np
from pydantic import Field, model_validator

from nuclex.core.randomness import key
from nuclex.tasks import Example, Shape, Split, Task, TaskConfig
from nuclex.tasks.base import assemble, carve


class GcShareConfig(TaskConfig):
    """Sequences whose GC share is drawn evenly from 0.2 to 0.8; a network that does not learn it has a fault."""

    kind: Literal["gc-share"] = "gc-share"
    shape: ClassVar[Shape] = Shape.SCALAR
    sequences: int = Field(default=400, ge=20)
    shortest: int = Field(default=40, ge=1)
    longest: int = Field(default=120, ge=1)

    @model_validator(mode="after")
    def _fits(self) -> Self:
        if self.shortest > self.longest:
            raise ValueError(f"shortest {self.shortest} is more than longest {self.longest}")
        return self

    def read(self) -> Task:
        """Make them up, and carve off a fifth for the test and a tenth for validation."""
        examples = [self._example(number) for number in range(self.sequences)]
        rest, test = carve(examples, 0.2, key(self.seed, "test"))
        train, validation = carve(rest, 0.125, key(self.seed, "validation"))
        splits: dict[Split, list[Example]] = {"train": train, "validation": validation, "test": test}
        return assemble(self, splits, {"simulated": True})

    def _example(self, number: int) -> Example:
        random = np.random.default_rng(key(self.seed, "gc-share", number))
        strong = random.uniform(0.2, 0.8)
        size = int(random.integers(self.shortest, self.longest + 1))
        letters = random.choice(list("ACGT"), size, p=[(1 - strong) / 2, strong / 2, strong / 2, (1 - strong) / 2])
        return Example("".join(letters), float(np.isin(letters, ["G", "C"]).mean()), f"made-up-{number:04d}")
