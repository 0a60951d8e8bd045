"""Damaged artefacts are recognised, whatever happened to them, and a run goes on from the last one that is whole."""

from __future__ import annotations

import random
import shutil
from pathlib import Path

import pytest
from damages import Artefacts, Damage, emptied, make_artefacts, one_bit_flipped, sound_ones_refused, swapped, try_all
from jobs import Job
from killing import Measured, Runner, differences
from starving import half_way


@pytest.fixture(scope="module")
def artefacts(tmp_path_factory: pytest.TempPathFactory) -> Artefacts:
    return make_artefacts(tmp_path_factory.mktemp("artefacts"))


@pytest.mark.slow
def test_every_damage_is_recognised(artefacts: Artefacts, tmp_path: Path) -> None:
    found = try_all(artefacts, 84, 0, tmp_path / "copy")
    assert {kind for kind, counts in found.items() if counts[False]} == set()
    assert all(counts[True] >= 2 for counts in found.values())
    assert sound_ones_refused(artefacts, tmp_path / "copy") == [False] * 3, "what is sound is not taken for damaged"


@pytest.mark.long
def test_every_damage_is_recognised_a_thousand_times(artefacts: Artefacts, tmp_path: Path) -> None:
    found = try_all(artefacts, 1000, 1, tmp_path / "copy")
    assert {kind for kind, counts in found.items() if counts[False]} == set()


@pytest.mark.parametrize(
    "damage",
    [
        pytest.param(swapped, marks=pytest.mark.slow, id="swapped"),
        pytest.param(one_bit_flipped, marks=pytest.mark.long, id="flipped"),
        pytest.param(emptied, marks=pytest.mark.long, id="emptied"),
    ],
)
def test_a_run_goes_on_from_the_last_whole_checkpoint(
    damage: Damage, runner: Runner, jobs: dict[str, Job], whole: dict[str, Measured], tmp_path: Path
) -> None:
    job = jobs["pretrain"].fresh(tmp_path)
    half_way(runner, job, whole["pretrain"])
    before, newest = sorted((job.out / "checkpoints").glob("step-*"))[-2:]
    damage(newest, before, random.Random(5))
    job.quiet = False
    assert runner.finish(job) == 0, runner.trouble
    (line,) = (line for line in runner.errors.read_text().splitlines() if "refused a damaged checkpoint" in line)
    assert newest.name in line
    assert line.endswith(f"going on from {before.name}")
    assert differences(whole["pretrain"].facts, job.facts()) == []


@pytest.mark.slow
def test_a_run_without_a_whole_checkpoint_says_so(
    runner: Runner, jobs: dict[str, Job], whole: dict[str, Measured], tmp_path: Path
) -> None:
    job = jobs["pretrain"].fresh(tmp_path)
    half_way(runner, job, whole["pretrain"])
    for path in (job.out / "checkpoints").glob("step-*"):
        emptied(path, path, random.Random(0))
    assert runner.finish(job) == 4
    (line,) = runner.errors.read_text().splitlines()
    assert "checkpoints: no checkpoint in it is whole" in line
    shutil.rmtree(job.out / "checkpoints")
    assert runner.finish(job) == 0, "without them it begins again"
    assert differences(whole["pretrain"].facts, job.facts()) == []
