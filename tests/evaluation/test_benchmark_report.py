"""What the report of a benchmark says, read back from reports of runs that were made up by hand."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from nuclex.evaluation.benchmark import Benchmark, Line, Map, PairCalibration, Question, System
from nuclex.evaluation.benchmark_lines import lines
from nuclex.evaluation.benchmark_report import tell
from nuclex.evaluation.held_out import HeldOut
from nuclex.evaluation.report import Headline, Report, render
from nuclex.evaluation.suite import ASKED, QuotedConfig
from nuclex.metrics.calibration import error_interval, gaps, reliability
from nuclex.metrics.statistics import Interval, bootstrap

pytest.importorskip("matplotlib", reason="the report needs matplotlib (extra plots)")

INTERVAL = Interval(0.5, 0.4, 0.6, 6, 0.95, "BCa bootstrap")
COUNTS = {"train": 9, "validation": 3, "test": 6}
TASK = {"name": "toy", "notes": {}, "counts": COUNTS, "shape": "class"}
POOLED = {"encoder": "cls", "causal": "mean"}
TWO = tuple(
    HeldOut(model, size, perplexity, 1.2, 900, 64, 812, "ab", "all", "cd", "masked")
    for model, size, perplexity in (("small", 2_000_000, 3.5), ("large", 8_000_000, 3.25))
)


def question(scores: dict[tuple[str, str], list[list[float]]], **row: Any) -> Question:
    """A question whose systems have these scores, a list a seed."""
    systems = tuple(
        System(
            *named,
            tuple(
                [{"id": f"e{n}", "scores": {"m": s}, "truth": "x", **row} for n, s in enumerate(one)] for one in each
            ),
            ({},),
        )
        for named, each in scores.items()
    )
    units_N = np.arange(len(systems[0].rows[0]))
    return Question("q", "", TASK, ("m",), units_N, systems)


def report(asked: Question, seeds: dict[tuple[str, str], int], **parts: Any) -> Report:
    """The report of one question; ``seeds`` says how many each system was trained with."""
    spread = float("nan")
    lines = tuple(Line("q", *name, "m", INTERVAL, 6, count, spread) for name, count in seeds.items())
    models = {name: f"/bundles/{name}" for name in dict.fromkeys(model for model, _ in seeds)}
    found = Benchmark("Toy", "about", 0.95, models, (asked,), lines, (), (), (), ())
    return tell(replace(found, **parts))


def headline(told: Report, label: str) -> Headline:
    return next(one for one in told.summary if one.label == label)


@pytest.mark.parametrize(("fewest", "note"), [(3, ""), (2, "too few to tell luck from gain")])
def test_the_seeds_are_the_fewest_that_anything_was_trained_with(fewest: int, note: str) -> None:
    scores = [[0.0, 1.0, 0.0, 1.0, 1.0, 0.5]]
    asked = question({("a", "pretrained"): scores, ("b", "pretrained"): scores})
    seeds = {("a", "pretrained"): 5, ("a", "scratch"): fewest, ("b", "pretrained"): 4, ("a", "zero-shot"): 1}
    seeds[("ViennaRNA", "mfe")] = 1
    assert headline(report(asked, seeds), "training seeds") == Headline("training seeds", str(fewest), note)


def test_one_molecule_of_middling_score_is_drawn_for_every_model() -> None:
    scores = {"a": [1.0, 0.2, 0.0, 0.9, 0.6], "b": [0.9, 0.2, 1.0, 0.0, 0.7]}  # means 0.95, 0.2, 0.5, 0.45, 0.65
    seeds = [0.0, 0.0, 1.0, 0.0, 0.0]  # of another seed, which is not drawn
    asked = question({(model, "pretrained"): [one, seeds] for model, one in scores.items()}, truth=[], predicted=[])
    asked = replace(asked, task={**TASK, "shape": "pair map"})
    for system in asked.systems:
        for rows in system.rows:
            for n, row in enumerate(rows):
                row["sequence"] = "A" * (n + 4)
    told = report(asked, {("a", "pretrained"): 2, ("b", "pretrained"): 2})
    drawn = [figure for figure in told.sections[1].figures if "middling" in figure.title]
    assert [figure.title for figure in drawn] == [
        "e2 by a: a molecule of middling score (m 0.00)",
        "e2 by b: a molecule of middling score (m 1.00)",
    ]
    assert all("one sequence of 6 nt" in figure.caption for figure in drawn)


def test_of_equally_middling_molecules_the_first_is_drawn() -> None:
    asked = question({("a", "pretrained"): [[0.9, 0.6, 0.4, 0.1]]}, sequence="GCGC", truth=[], predicted=[])
    asked = replace(asked, task={**TASK, "shape": "pair map"})
    titles = [figure.title for figure in report(asked, {("a", "pretrained"): 1}).sections[1].figures]
    assert "e1 by a: a molecule of middling score (m 0.60)" in titles


@pytest.mark.parametrize("level", [0.8, 0.95])
def test_intervals_of_classes_are_of_the_suites_level(level: float) -> None:
    random = np.random.default_rng(0)
    scores_SN = random.random((2, 40))
    asked = question({("a", "pretrained"): scores_SN.tolist()})
    kinds = ["x" if n % 3 else "y" for n in range(40)]
    for rows in asked.systems[0].rows:
        for row, kind in zip(rows, kinds, strict=True):
            row["truth"] = kind
    asked = replace(asked, units_N=np.arange(40) // 2)
    told = report(asked, {("a", "pretrained"): 2}, level=level)
    (table,) = [table for table in told.sections[1].tables if table.name == "groups-q"]
    mean_N, which_N = scores_SN.mean(axis=0), np.array(kinds) == "x"
    by_name = {row[0]: row[1:] for row in table.rows}
    for name, inside_N in (("x", which_N), ("y", ~which_N)):
        expected = bootstrap(mean_N[inside_N], clusters=asked.units_N[inside_N], level=level)
        assert by_name[name] == (inside_N.sum(), expected)
        assert expected.level == level


def test_perplexity_stands_beside_size_where_two_models_have_it() -> None:
    asked = question({("small", "pretrained"): [[0.0, 1.0, 0.5]]})
    seeds = {("small", "pretrained"): 1}
    told = report(asked, seeds, held_out=TWO)
    (section,) = [section for section in told.sections if "Perplexity" in section.title]
    assert re.fullmatch(r"\d+\. Perplexity and size", section.title)
    assert [row[:5] for row in section.tables[0].rows] == [
        ("small", 2_000_000, 900, 1.2, 3.5),
        ("large", 8_000_000, 900, 1.2, 3.25),
    ]
    assert len(section.figures) == 1
    assert section.figures[0].data.rows[1][:5] == ("large", 8_000_000, 900, 1.2, 3.25)
    assert "Perplexity against size" in render(told)
    for few in ((), TWO[:1]):
        assert not any("Perplexity" in section.title for section in report(asked, seeds, held_out=few).sections)


def test_what_models_needed_to_fold_without_learning_is_said() -> None:
    asked = question({("a", "attention"): [[0.0, 1.0]], ("a", "jacobian"): [[0.0, 1.0]]}, truth=[])
    told = ({"threshold": 0.4, "tuned_on": 32, "layer": 1, "head": 5}, {"threshold": 0.3, "tuned_on": 32})
    asked = replace(
        asked, systems=tuple(replace(one, settings=some) for one, some in zip(asked.systems, told, strict=True))
    )
    found = report(asked, {("a", "attention"): 1, ("a", "jacobian"): 1})
    (table,) = [table for table in found.sections[1].tables if table.name == "chosen-q"]
    assert table.columns == ("model", "start", "layer", "head", "threshold", "validation structures")
    assert table.rows == (
        ("a", "zero-shot, attention", 1, 5, 0.4, 32),
        ("a", "zero-shot, categorical Jacobian", None, None, 0.3, 32),
    )
    assert "chosen on some labelled validation structures" in found.sections[-1].text


def test_examples_of_all_splits_are_said_to_be_the_test() -> None:
    asked = question({("a", "zero-shot"): [[0.0, 1.0]]})
    whole = replace(asked, task={**TASK, "notes": {ASKED: "all splits", "test": "carved from train"}})
    seeds = {("a", "zero-shot"): 1}
    text = report(whole, seeds).sections[1].text
    assert text.startswith("toy: nothing was learned, so all 6 examples (all splits) are the test, of 2 independent")
    assert "carved" not in text
    assert "9 sequences to train on, 3 to choose on, 6 to test" in report(asked, seeds).sections[1].text


def test_families_held_out_share_a_map_that_says_what_it_is_of() -> None:
    asked = question({("a", "pretrained"): [[0.0, 1.0]]})
    points_N2 = np.arange(8.0).reshape(4, 2)
    maps = tuple(Map("archive", name, points_N2, ("x", "x", "y", "y"), pool) for name, pool in POOLED.items())
    told = report(asked, {("a", "pretrained"): 1}, family_maps=maps)
    (section,) = [section for section in told.sections if section.title.endswith("Families on a map")]
    first, second = section.figures
    assert first.title == "archive: where encoder puts the families held out, before fine-tuning"
    assert "t-SNE of the vector of the token in front of each sequence (<cls>)" in first.caption
    assert "t-SNE of the mean of each sequence's vectors" in second.caption
    assert not any("map" in section.title for section in report(asked, {("a", "pretrained"): 1}).sections)


def test_the_calibration_error_has_an_interval_over_the_units_of_the_test() -> None:
    rng = np.random.default_rng(0)
    probability_SN, right_SN = rng.uniform(0.5, 1, (2, 60)), rng.random((2, 60)) < 0.7
    asked = question({("a", "pretrained"): right_SN.astype(float).tolist()})
    asked = replace(asked, units_N=np.arange(60) // 3)
    for rows, chances, right in zip(asked.systems[0].rows, probability_SN, right_SN, strict=True):
        for row, chance, hit in zip(rows, chances.tolist(), right.tolist(), strict=True):
            row |= {"probability": chance, "predicted": "x" if hit else "y"}
    pairs_SX = np.stack([gaps(rng.random(30), rng.random(30) < 0.3).sum(axis=0) for _ in range(8)])
    places_S = np.arange(0, 16, 2)
    calibration = PairCalibration("q", "a", reliability([0.5], [1]), places_S, pairs_SX)
    told = report(asked, {("a", "pretrained"): 2}, calibrations=(calibration,), level=0.9)
    classes, pairs = [figure for figure in told.sections[1].figures if "reliability" in figure.name]
    whole = error_interval(
        gaps(probability_SN.ravel(), right_SN.ravel()), clusters=np.tile(asked.units_N, 2), level=0.9
    )
    assert f"a: {whole.value:.3f} [{whole.low:.3f}, {whole.high:.3f}]" in classes.alt
    found = error_interval(pairs_SX, clusters=asked.units_N[places_S], level=0.9)
    assert f"a: {found.value:.3f} [{found.low:.3f}, {found.high:.3f}]" in pairs.alt
    assert "Of 8 test structures, training seed 0 alone." in pairs.caption
    assert "90 % interval over units" in pairs.caption


def test_notes_say_which_class_is_meant_and_how_many_structures_have_a_pseudoknot() -> None:
    asked = question({("a", "pretrained"): [[0.0, 1.0, 1.0]]}, predicted="x")
    two = replace(asked, task={**TASK, "classes": ("w", "x")})
    told = report(two, {("a", "pretrained"): 1})
    assert "Precision, recall, specificity and F1 are of the class 'x'." in told.sections[1].tables[0].notes
    knot, hairpin = [[0, 6], [3, 9]], [[0, 6], [1, 5]]
    folded = question({("a", "pretrained"): [[0.0, 1.0, 1.0]]}, sequence="A" * 10, predicted=hairpin)
    for row, truth in zip(folded.systems[0].rows[0], (knot, hairpin, hairpin), strict=True):
        row["truth"] = truth
    folded = replace(folded, task={**TASK, "shape": "pair map"})
    told = report(folded, {("a", "pretrained"): 1}, lines=tuple(lines(folded)))
    row = {"strict_f1": 0.5, "m": 1.0}
    weighed = replace(
        folded,
        systems=tuple(
            replace(one, rows=([{**each, "scores": row} for each in one.rows[0]],)) for one in folded.systems
        ),
    )
    (table, *_) = report(weighed, {("a", "pretrained"): 1}, lines=tuple(lines(weighed))).sections[1].tables
    assert table.columns[4:] == ("m", "weighted strict f1", "pseudoknot f1", "pseudoknot false alarms")
    assert "Weighted: each structure weighs as much as it has nucleotides." in table.notes
    assert told.sections[1].tables[0].notes[1:] == (
        "Pseudoknot F1: of pairs that cross another, mean of the 1 structures with some.",
        "Pseudoknot false alarms: share of the 2 structures without one in which one was predicted.",
    )


def test_quotes_of_what_was_not_run_are_in_the_overview() -> None:
    quoted = QuotedConfig(model="Other", metric="spearman", value=0.7, source="a paper")
    asked = question({("a", "pretrained"): [[0.0, 1.0]]})
    told = report(asked, {("a", "pretrained"): 1}, unasked={"later": (quoted,)})
    rows = told.sections[0].tables[0].rows
    assert [row[:5] for row in rows if row[0] == "later"] == [
        ("later", "all", "not run", "spearman", None),
        ("later", "Other", "quoted", "spearman", 0.7),
    ]
