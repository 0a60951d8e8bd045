"""Splits that hold: equal sequences and relatives stay together, shares are kept, order of files does not matter."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from nuclex.core.errors import InputError
from nuclex.tasks.base import Example, Shape, Split, Task, assemble, carve, carve_missing, draw
from nuclex.tasks.families import SimulatedFamilyConfig
from nuclex.tasks.positions import TablePositionsConfig
from nuclex.tasks.properties import TableClassConfig

examples = st.lists(
    st.tuples(st.text("acgtuACGU", min_size=1, max_size=4), st.sampled_from("XY"), st.sampled_from(["f", "g", "h"])),
    min_size=3,
    max_size=40,
).map(lambda rows: [Example(row[0], row[1], f"id{place}", row[2]) for place, row in enumerate(rows)])


def ids(found: list[Example]) -> list[str]:
    return [example.id for example in found]


@given(examples, st.floats(0.05, 0.9), st.integers(0, 5))
def test_carving_keeps_equal_sequences_together(given_examples: list[Example], share: float, stream: int) -> None:
    stay, taken = carve(given_examples, share, stream)
    assert not {example.letters for example in stay} & {example.letters for example in taken}
    assert sorted(ids(stay) + ids(taken)) == sorted(ids(given_examples))
    again = carve(given_examples[::-1], share, stream)
    if len({(example.letters, example.label) for example in given_examples}) == len(
        {example.letters for example in given_examples}
    ):  # a sequence under two classes counts for the class named first
        assert sorted(ids(again[1])) == sorted(ids(taken))


@given(examples, st.integers(0, 5))
def test_carving_by_group_takes_whole_groups(given_examples: list[Example], stream: int) -> None:
    stay, taken = carve(given_examples, 0.4, stream, by="group")
    assert taken
    assert not {example.group for example in stay} & {example.group for example in taken}


def test_every_class_gives_its_share() -> None:
    given_examples = [Example("A" * (place + 1), "big", f"b{place}") for place in range(50)]
    given_examples += [Example("C" * (place + 1), "small", f"s{place}") for place in range(10)]
    _, taken = carve(given_examples, 0.2, 0)
    assert [sum(example.label == name for example in taken) for name in ("big", "small")] == [10, 2]


@pytest.mark.parametrize("share", [0.2, 0.6, 0.95])
def test_a_class_keeps_a_sequence_however_large_the_share(share: float) -> None:
    rows = [Example("A" * size, "big", f"b{size}") for size in range(1, 9)]
    stay, taken = carve(
        [*rows, Example("C", "rare", "r"), Example("G", "pair", "p"), Example("U", "pair", "q")], share, 0
    )
    assert {example.label for example in stay} == {"big", "rare", "pair"}
    assert {example.label for example in taken} == {"big", "pair"}


def test_groups_that_the_given_splits_tear_apart_are_refused() -> None:
    train = [Example("A" * size, "x", f"t{size}", f"g{size % 4}") for size in range(1, 9)]
    given_splits: dict[Split, list[Example]] = {"train": train, "test": [Example("C", "x", "alien", "g3")]}
    shares: dict[Split, float] = {"validation": 0.2, "test": 0.2}
    with pytest.raises(
        InputError, match=r"'alien' of the test split is of the group 'g3', which the \w+ split has, too"
    ):
        carve_missing(given_splits, shares, 0, by_group=True)
    assert carve_missing(given_splits, shares, 0, by_group=False)[0]["test"] == given_splits["test"]


def test_other_seeds_take_others() -> None:
    given_examples = [Example("A" * (place + 1), "x", f"b{place}") for place in range(50)]
    assert len({tuple(ids(carve(given_examples, 0.2, seed)[1])) for seed in range(5)}) == 5


def test_a_sequence_without_group_cannot_be_split_by_group() -> None:
    with pytest.raises(InputError, match=r"'lonely' names no group"):
        carve([Example("A", "x", "lonely"), Example("C", "x", "b", "g")], 0.5, 0, by="group")


def test_drawing_keeps_order_and_does_not_depend_on_it() -> None:
    given_examples = [Example("A", "x", f"b{place:02d}") for place in range(20)]
    drawn = ids(draw(given_examples, 6, 1))
    assert len(drawn) == 6
    assert drawn == sorted(drawn) == sorted(ids(draw(given_examples[::-1], 6, 1)))
    assert ids(draw(given_examples, None, 1)) == ids(draw(given_examples, 99, 1)) == ids(given_examples)


def task(test: tuple[Example, ...], classes: tuple[str, ...] = ("x", "y")) -> Task:
    train = (Example("ACGU", "x", "a"), Example("CCC", "y", "b"))
    return Task("toy", Shape.CLASS, {"train": train, "validation": (Example("GGG", "y", "c"),), "test": test}, classes)


@pytest.mark.parametrize(
    ("limits", "longest"),
    [({}, 6), ({"max_length": 4}, 4), ({"test_max_length": 5}, 5), ({"max_length": 3, "test_max_length": 5}, 5)],
)
def test_the_test_may_be_longer_than_what_is_trained_on(limits: dict[str, int], longest: int) -> None:
    config = SimulatedFamilyConfig(**limits)
    rows = [Example("A" * size + base, base, f"{base}{size}") for size in range(6) for base in "CG"]
    task = assemble(config, {"train": rows, "validation": rows, "test": rows}, {})
    assert max(len(example.letters) for example in task.examples("test")) == longest
    trained = max(len(example.letters) for example in task.examples("train"))
    assert trained == limits.get("max_length", 6)
    left_out = task.notes["left_out"]
    assert left_out == {} if not limits else left_out["test"] == 2 * (6 - longest)
    assert not limits or left_out["train"] == 2 * (6 - trained)


def test_what_was_seen_is_marked() -> None:
    made = task((Example("acgt", "x", "d"), Example("GGG", "y", "e"), Example("GGGA", "y", "f")))
    assert made.seen.tolist() == [True, True, False]
    counts = {"train": 2, "validation": 1, "test": 3}
    seen = {"validation_seen_in_train": 0, "test_seen_in_train_or_validation": 2}
    assert made.counts() == {**counts, **seen}


def test_the_digest_sees_every_change() -> None:
    digests = {
        task((example,)).digest
        for example in (Example("A", "x", "d"), Example("C", "x", "d"), Example("A", "y", "d"), Example("A", "x", "e"))
    }
    assert len(digests) == 4
    assert task((Example("A", "x", "d"),)).digest in digests
    with_pairs = [Example("GAAAAC", np.array([[0, last]], dtype=np.int32), "p") for last in (4, 5)]
    splits = [{"train": (item,), "validation": (item,), "test": (item,)} for item in with_pairs]
    assert len({Task("toy", Shape.PAIR_MAP, split).digest for split in splits}) == 2


def test_a_task_that_cannot_be_learned_is_refused() -> None:
    with pytest.raises(InputError, match="toy: the test split is empty"):
        task(())
    with pytest.raises(InputError, match=r"'d' is of class 'z', which the train split does not have; allowed: x, y"):
        task((Example("A", "z", "d"),))


@pytest.mark.parametrize("config", [TableClassConfig, TablePositionsConfig])
def test_one_class_is_nothing_to_learn(
    tmp_path: Path, config: type[TableClassConfig] | type[TablePositionsConfig]
) -> None:
    rows = "".join(f"{'ACGU'[place]}C,{label}\n" for place, label in enumerate(("HH", "HH", "HH", "HH")))
    (tmp_path / "a.csv").write_text("sequence,label\n" + rows)
    with pytest.raises(
        InputError, match=r"table-\w+: all labels of the train split are 'H+'; there is nothing to learn"
    ):
        config(train=tmp_path / "a.csv").read()
