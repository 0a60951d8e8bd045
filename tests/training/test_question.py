"""What a run is asked: short names for a table of one's own, and what a run is apart from what stands beside it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from nuclex.core.config import load_config
from nuclex.core.errors import InputError
from nuclex.tasks import TableScalarConfig
from nuclex.training.question import FinetuneConfig
from nuclex.training.run import run_digest


def asked(**given: Any) -> FinetuneConfig:
    found: FinetuneConfig = load_config(FinetuneConfig, None, {"bundle": "b", "task.kind": "table-scalar", **given})
    return found


def test_own_data_are_keys_of_the_task() -> None:
    config = asked(data={"path": "my.csv", "sequence": "cds", "target": "y", "id": "i", "group": "g", "split": "s"})
    task = config.task
    assert isinstance(task, TableScalarConfig)
    assert (task.train, task.sequence_column, task.label_column) == (Path("my.csv"), "cds", "y")
    assert (task.id_column, task.group_column, task.split_column) == ("i", "g", "s")
    assert FinetuneConfig.from_data(config.to_data()) == config
    assert config == asked(**{f"task.{key}": value for key, value in task.to_data().items() if value is not None})


@pytest.mark.parametrize(
    ("given", "sentence"),
    [
        ({"data.file": "x"}, "data.'file': unknown key; allowed: path, sequence, target, id, group, split"),
        (
            {"data.path": "x", "task.train": "y"},
            "data.path and task.train are two names of one thing; give one of them",
        ),
        (
            {"data": "my.csv"},
            "data: found 'my.csv'; a table with the keys path, sequence, target, id, group, split, partner, partners",
        ),
    ],
)
def test_other_keys_are_refused(given: dict[str, Any], sentence: str) -> None:
    with pytest.raises(InputError) as caught:
        asked(**given)
    assert str(caught.value).startswith(sentence)


def test_a_run_is_the_same_whatever_stands_beside_it() -> None:
    one = asked(**{"data.path": "x", "controls": ["scratch"], "seeds": 3, "grid": {"batching.examples": [4, 32]}})
    assert one != one.alone
    assert run_digest(one.at({"batching.examples": 32}).alone) == run_digest(asked(**{"data.path": "x"}).alone)
    assert run_digest(one.at({"batching.examples": 4}).alone) != run_digest(one.alone)


def test_a_probe_is_what_leaves_the_bundle_as_it_is() -> None:
    head = {"step": 0, "blocks": 0}
    assert asked(**{"data.path": "x", "thaw": [head]}).probes
    assert not asked(**{"data.path": "x"}).probes
    assert not asked(**{"data.path": "x", "thaw": [head, {"step": 9, "blocks": 1}]}).probes
    assert not asked(**{"data.path": "x", "adapter": {}}).probes
