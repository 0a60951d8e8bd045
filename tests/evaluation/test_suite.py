"""A suite says clearly what is wrong with it, and which test sequences are independent of each other."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from made import letters
from nuclex.core.config import load_config
from nuclex.core.errors import InputError
from nuclex.evaluation.suite import ASKED, EntryConfig, SuiteConfig, as_one_test, load_suite, units_of
from nuclex.tasks import Example, Shape, Task

FAMILY = {"name": "a", "recipe": "finetune/simulated-family"}


def suite(*entries: dict[str, Any]) -> SuiteConfig:
    found: SuiteConfig = load_config(SuiteConfig, None, {"title": "t", "entries": list(entries)})
    return found


@pytest.mark.parametrize(
    ("entries", "message"),
    [
        ([], "at least 1"),
        ([FAMILY, FAMILY], "the name 'a' stands twice"),
        ([{"name": "a"}], "a: give recipe, or say in waits_for why there is none"),
        ([{**FAMILY, "waits_for": "data"}], "give recipe, or say in waits_for"),
        ([{**FAMILY, "name": "../a"}], "name"),
        ([{**FAMILY, "set": {"bundle": "x"}}], "a: set: 'bundle' is decided by the suite"),
        ([{**FAMILY, "set": {"controls": False}}], "a: set: 'controls' is decided by the suite"),
        ([{**FAMILY, "zero_shot": True, "folded_by": ["energy"]}], "give one of them"),
        ([{**FAMILY, "all_splits": True}], "a: all_splits is for zero_shot"),
        ([{**FAMILY, "quoted": [{"model": "m", "metric": "f1", "value": 0.5, "source": ""}]}], "source"),
    ],
)
def test_what_is_wrong_is_said(entries: list[dict[str, Any]], message: str) -> None:
    with pytest.raises(InputError, match=message):
        suite(*entries)


def test_an_entry_is_its_recipe_with_changes_and_every_control() -> None:
    (entry,) = suite({**FAMILY, "set": {"training.steps": 7, "task.simulation.families": 3}}).entries
    config = entry.finetuning(Path("bundle"), 4)
    assert (config.training.steps, config.task.to_data()["simulation"]["families"]) == (7, 3)
    assert config.controls == ("frozen", "scratch", "one-hot", "cnn", "k-mers")
    assert (config.seed, config.bundle) == (4, Path("bundle"))
    (wrong,) = suite({**FAMILY, "set": {"training.stepps": 7}}).entries
    with pytest.raises(InputError, match=r"training\.stepps: unknown key"):
        wrong.finetuning(Path("bundle"), 0)


def test_a_suite_has_a_short_name(tmp_path: Path) -> None:
    assert load_suite("smoke", {"seeds": 5}).seeds == 5
    (tmp_path / "own.toml").write_text('title = "own"\n[[entries]]\nname = "a"\nwaits_for = "data"\n')
    assert load_suite(tmp_path / "own.toml").title == "own"
    with pytest.raises(InputError, match="no such recipe file"):
        load_suite("smok")


def task(*examples: tuple[str, str | None]) -> Task:
    test = tuple(Example(text, "x", f"e{n}", group) for n, (text, group) in enumerate(examples))
    return Task("toy", Shape.CLASS, {"train": test, "validation": test, "test": test}, ("x",))


def partition(units_N: np.ndarray) -> list[list[int]]:
    return [np.flatnonzero(units_N == unit).tolist() for unit in dict.fromkeys(units_N.tolist())]


def test_units_are_sequences_groups_or_relatives(tmp_path: Path) -> None:
    parent, other = letters(0, 120), letters(1, 120)
    relative = parent[:60] + ("A" if parent[60] != "A" else "C") + parent[61:]
    asked = task((parent, "f"), (other, "g"), (relative, "g"), (parent.lower().replace("t", "u"), "f"))
    found = {}
    for units in ("sequence", "group", "mmseqs"):
        entry = EntryConfig.from_data({**FAMILY, "units": units})
        found[units] = partition(units_of(asked, entry, tmp_path / "units"))
    assert found == {
        "sequence": [[0, 3], [1], [2]],
        "group": [[0, 3], [1, 2]],
        "mmseqs": [[0, 2, 3], [1]],
    }
    assert not list(tmp_path.iterdir())
    torn = task((parent, "f"), (parent, "g"), (other, "g"), (relative, "h"))
    entry = EntryConfig.from_data({**FAMILY, "units": "group"})
    assert partition(units_of(torn, entry, tmp_path)) == [[0, 1, 2], [3]], "equal sequences are always of one unit"
    with pytest.raises(InputError, match="a: units are groups, and 'e1' names none"):
        units_of(task((parent, "f"), (other, None)), EntryConfig.from_data({**FAMILY, "units": "group"}), tmp_path)


def test_without_learning_all_splits_are_asked_unless_a_twin_learns() -> None:
    asked: dict[str, Any] = {"name": "asked", "recipe": "finetune/utr-variants", "zero_shot": True}
    twin = {"name": "twin", "recipe": "finetune/utr-variants", "set": {"training.steps": 7}}
    other = {**twin, "name": "other", "set": {"task.label": "harm"}}
    for entries, expected in (
        ([asked], True),
        ([asked, {**asked, "name": "again"}, FAMILY], True),
        ([asked, other], True),
        ([asked, other, twin], False),
        ([{**asked, "all_splits": True}, twin], True),
        ([{**asked, "all_splits": False}], False),
        ([asked, {"name": "later", "waits_for": "data"}], True),
    ):
        found = suite(*entries)
        assert found.asks_all(found.entries[0]) == expected, entries
        assert not any(found.asks_all(entry) for entry in found.entries if not entry.zero_shot)


def test_a_task_as_one_test_has_the_examples_of_all_splits() -> None:
    parts = {"train": ("A", "C"), "validation": ("G",), "test": ("U", "AA")}
    splits = {split: tuple(Example(text, 1.0, text) for text in texts) for split, texts in parts.items()}
    whole = as_one_test(Task("toy", Shape.SCALAR, splits))  # type: ignore[arg-type]
    assert [example.id for example in whole.examples("test")] == ["A", "C", "G", "U", "AA"]
    assert (whole.counts()["test"], whole.notes[ASKED]) == (5, "all splits")
    assert whole.examples("train") == splits["train"]
