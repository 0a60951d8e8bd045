"""Which perplexities may be held against each other, read from bundles and seen in the picture, table and caption."""

from __future__ import annotations

import csv
import io
import re
import xml.etree.ElementTree as ElementTree
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from nuclex.bundle import Bundle, Record, TaskPart, load
from nuclex.evaluation.benchmark_plots import perplexity_points
from nuclex.evaluation.held_out import HeldOut, comparable, held_out
from nuclex.evaluation.tables import perplexity_table
from nuclex.tokenizers.base import tokenizer_hash

pytest.importorskip("matplotlib", reason="pictures need matplotlib (extra plots)")

RECIPE: dict[str, Any] = {
    "objective": {"kind": "masked", "share": 0.15},
    "sampling": {"max_tokens": 64},
    "validation_sequences": 40,
    "seed": 7,
}
MADE = {"steps": 30, "tokens": 9000}
METRICS = {"step": 30, "validation_loss": 1.25, "validation_perplexity": 3.490343, "validation_tokens": 812}
CORPUS: dict[str, Any] = {"fingerprint": "ab" * 32, "split": {"validation": {"sequences": 41}}}
ONE = HeldOut("one", 2_000_000, 3.5, 1.25, 9000, 64, 812, "ab", "40 drawn with seed 7", "cd", "masked")


def bundle_with(given: Bundle, **parts: Any) -> Bundle:
    record = {"recipe": RECIPE, "provenance": MADE, "metrics": METRICS, "corpus": CORPUS, **parts}
    return replace(given, record=Record(**record, name="x"))


def test_a_bundle_says_what_was_measured_on_what(tiny_bundle: Path) -> None:
    given = load(tiny_bundle)
    found = held_out("m", bundle_with(given))
    count = sum(int(np.prod(parameter.shape)) for parameter in given.model.parameters())
    digest = tokenizer_hash(given.tokenizer)
    drawn = "40 drawn with seed 7"
    assert found == HeldOut("m", count, 3.490343, 1.25, 9000, 64, 812, "ab" * 32, drawn, digest, "masked")
    assert found.measured_on == ("ab" * 32, drawn, 812, digest, "masked")


def test_weights_that_were_not_measured_have_no_perplexity(tiny_bundle: Path) -> None:
    given = load(tiny_bundle)
    assert held_out("m", given) is None, "a loss alone is none"
    assert held_out("m", bundle_with(given, metrics={**METRICS, "validation_perplexity": "3"})) is None
    assert held_out("m", replace(bundle_with(given), task=TaskPart({}))) is None, "fine-tuning has moved them"


def test_the_best_weights_of_a_run_had_not_read_all_of_its_tokens(tiny_bundle: Path) -> None:
    given = load(tiny_bundle)
    for step, tokens in ((20, None), (30, 9000)):
        found = held_out("m", bundle_with(given, metrics={**METRICS, "step": step}))
        assert found is not None
        assert found.training_tokens == tokens
    without = held_out("m", bundle_with(given, metrics={k: v for k, v in METRICS.items() if k != "step"}))
    assert without is not None
    assert without.training_tokens == 9000, "the last weights are of the run's last step"


def test_all_of_a_validation_split_is_the_same_whatever_the_seed(tiny_bundle: Path) -> None:
    given = load(tiny_bundle)

    def measured(seed: int, drawn: int) -> HeldOut:
        found = held_out("m", bundle_with(given, recipe={**RECIPE, "seed": seed, "validation_sequences": drawn}))
        assert found is not None
        return found

    assert comparable([measured(1, 41), measured(2, 60)]) == [1, 1]
    assert comparable([measured(1, 40), measured(2, 40)]) == [1, 2]
    assert comparable([measured(1, 40), measured(1, 40)]) == [1, 1]


@pytest.mark.parametrize(
    "other",
    [{"corpus": "ef"}, {"sequences": "all"}, {"tokens": 813}, {"tokenizer": "ef"}, {"objective": "causal"}],
    ids=lambda other: next(iter(other)),
)
def test_what_was_measured_otherwise_is_another_group(other: dict[str, Any]) -> None:
    assert comparable([ONE, replace(ONE, **other), ONE]) == [1, 2, 1]
    assert "say nothing about each other" in perplexity_points([ONE, replace(ONE, **other)], "t").caption


@pytest.mark.parametrize("part", ["corpus", "sequences", "tokens", "objective"])
def test_what_a_record_does_not_say_is_compared_with_nothing(part: str) -> None:
    silent = replace(ONE, model="silent", **{part: None})
    assert comparable([silent, silent, ONE]) == [None, None, 1]
    figure = perplexity_points([silent, ONE], "t")
    assert "On what silent was measured is not in the record" in figure.caption
    assert "measured on what is unknown" in figure.svg


@pytest.mark.parametrize(
    ("recipe", "corpus"),
    [({}, CORPUS), (RECIPE, None), (RECIPE, {}), ({**RECIPE, "objective": 3, "seed": None}, CORPUS)],
)
def test_records_of_any_kind_are_read(tiny_bundle: Path, recipe: Any, corpus: Any) -> None:
    found = held_out("m", bundle_with(load(tiny_bundle), recipe=recipe, corpus=corpus))
    assert found is not None
    assert found.measured_on is None


def lines_of(svg: str) -> list[int]:
    """How many points each dashed coloured line of the picture has."""
    paths = [element for element in ElementTree.fromstring(svg).iter() if element.tag.endswith("path")]
    dashed = [path for path in paths if "stroke-dasharray" in path.get("style", "")]
    return [len(re.findall("[ML]", path.get("d", ""))) for path in dashed]


def test_only_what_was_measured_alike_is_joined() -> None:
    large = replace(ONE, model="large", parameters=8_000_000, perplexity=3.2)
    other = replace(ONE, model="other", parameters=30_000_000, tokenizer="ef")
    unknown = replace(ONE, model="unknown", parameters=60_000_000, corpus=None)
    again = replace(large, model="again", perplexity=3.4)
    assert lines_of(perplexity_points([ONE, large], "t").svg) == [2]
    assert lines_of(perplexity_points([large, other, unknown, ONE, again], "t").svg) == [2]
    assert lines_of(perplexity_points([ONE, other], "t").svg) == []
    assert lines_of(perplexity_points([unknown, replace(unknown, model="x")], "t").svg) == []
    assert "A line joins" in perplexity_points([ONE, large], "t").caption
    assert "A line joins" not in perplexity_points([ONE, other], "t").caption


def test_points_lie_where_the_numbers_say() -> None:
    found = [
        replace(ONE, model=f"m{n}", parameters=size, perplexity=value)
        for n, (size, value) in enumerate([(1_000_000, 4.0), (10_000_000, 3.5), (100_000_000, 3.0)])
    ]
    figure = perplexity_points(found, "t")
    (path,) = re.findall(r'd="([^"]*)"[^>]*stroke-dasharray', figure.svg)
    at_P2 = np.array(re.findall(r"[-\d.]+", path), dtype=float).reshape(-1, 2)
    across, up = np.diff(at_P2, axis=0).T
    assert across[0] == pytest.approx(across[1], abs=0.05), "ten times as large is as far, wherever"
    assert up[0] == pytest.approx(up[1], abs=0.05)
    assert up[0] > 0, "lower is lower (SVG counts downwards)"
    words = re.findall(r">([^<>]+)</text>", figure.svg)
    assert {"m0", "m1", "m2", "1", "10", "100", "parameters (millions, log scale)"} <= set(words)
    assert perplexity_points(found, "t") == figure, "equal data, equal pictures"


def test_names_do_not_lie_on_each_other() -> None:
    near = [replace(ONE, model=f"model {n}", perplexity=3.5 + 0.001 * n) for n in range(3)]
    far = replace(ONE, model="far", perplexity=9.0, parameters=90_000_000)
    svg = perplexity_points([*near, far], "t").svg
    spots = re.findall(r'<text[^>]*?x="([\d.]+)" y="([\d.]+)"[^>]*>(model \d|far)<', svg)
    height = {name: float(y) for _, y, name in spots}
    across = {name: float(x) for x, _, name in spots}
    assert len(height) == 4
    names = list(height)[:3]
    for place, one in enumerate(names):
        for other in names[place + 1 :]:
            assert abs(height[one] - height[other]) >= 9 or abs(across[one] - across[other]) >= 8, (one, other)


def test_the_caption_says_what_besides_size_differs() -> None:
    longer = replace(ONE, model="longer", training_tokens=90_000, window=512)
    caption = perplexity_points([ONE, longer], "t").caption
    assert "Models of group 1 read 9,000 to 90,000 tokens in training: size is not all that differs." in caption
    assert "Models of group 1 saw 64 to 512 tokens at once" in caption
    assert "size is not all" not in perplexity_points([ONE, ONE], "t").caption
    assert "size is not all" not in perplexity_points([ONE, replace(longer, tokens=1)], "t").caption


def test_the_table_holds_every_number_and_what_it_was_measured_on() -> None:
    table = perplexity_table([ONE, replace(ONE, model="two", training_tokens=None, loss=None, corpus=None)])
    rows = list(csv.DictReader(io.StringIO(table.csv(), newline="")))
    assert rows[0] == {
        **{"model": "one", "parameters": "2000000", "training tokens": "9000", "validation loss": "1.25"},
        **{"perplexity": "3.5", "n tokens": "812", "objective": "masked", "group": "1", "window": "64"},
        **{"validation sequences": "40 drawn with seed 7", "corpus": "ab", "tokenizer": "cd"},
    }
    assert (rows[1]["training tokens"], rows[1]["validation loss"], rows[1]["group"], rows[1]["corpus"]) == ("",) * 4
    assert perplexity_table([ONE], brief=True).columns == table.columns[:8]
