from __future__ import annotations

from nuclex.data.simulate import SimulationConfig, simulate
from nuclex.tasks import Shape, SimulatedFamilyConfig


def test_every_molecule_is_asked_for_its_own_family() -> None:
    config = SimulatedFamilyConfig(simulation=SimulationConfig(families=3, members=20), seed=4)
    task = config.read()
    families = {rna.id: (rna.sequence, rna.family) for rna in simulate(config.simulation)}
    found = [example for examples in task.splits.values() for example in examples]
    assert len(found) == len({example.id for example in found}) == 60
    assert all(families[example.id] == (example.sequence, example.label) for example in found)
    assert task.shape is Shape.CLASS
    assert task.classes == ("sim01", "sim02", "sim03")
    assert not task.seen.any()
    assert task.notes["simulated"]
    assert {len(task.examples("validation")), len(task.examples("test"))} == {6, 12}
    assert config.read().digest == task.digest
    assert config.model_copy(update={"seed": 5}).read().digest != task.digest
