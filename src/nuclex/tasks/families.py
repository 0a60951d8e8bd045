"""Which family a molecule is of, among families that nuclex makes up: a question of classes that needs no file."""

from __future__ import annotations

from typing import ClassVar, Literal

from pydantic import Field

from nuclex.core.randomness import key
from nuclex.data.simulate import SimulationConfig, simulate
from nuclex.tasks.base import TASKS, Example, Shape, Split, Task, TaskConfig, assemble, carve


@TASKS.register
class SimulatedFamilyConfig(TaskConfig):
    """RNA families that nuclex makes up; the question is the family's name, the splits are by distinct sequence."""

    kind: Literal["simulated-family"] = "simulated-family"
    shape: ClassVar[Shape] = Shape.CLASS
    simulation: SimulationConfig = SimulationConfig()
    validation_share: float = Field(default=0.1, gt=0, lt=0.5)
    test_share: float = Field(default=0.2, gt=0, lt=0.5)

    def read(self) -> Task:
        """Simulate, and carve off validation and test."""
        examples = [Example(rna.sequence, rna.family, rna.id) for rna in simulate(self.simulation)]
        rest, test = carve(examples, self.test_share, key(self.seed, "test"))
        share = self.validation_share / (1 - self.test_share)
        train, validation = carve(rest, share, key(self.seed, "validation"))
        splits: dict[Split, list[Example]] = {"train": train, "validation": validation, "test": test}
        return assemble(self, splits, {"simulated": True})
