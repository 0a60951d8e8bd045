"""A full disk at any write: one sentence, exit code 5, the last good checkpoint stands, and with room it goes on."""

from __future__ import annotations

from functools import partial
from pathlib import Path

import faults
import pytest
from jobs import Job
from killing import Measured, Runner, differences
from starving import NEVER, fail_at, half_way, on_small_disk


@pytest.fixture(scope="module")
def base(
    jobs: dict[str, Job], whole: dict[str, Measured], server: object, tmp_path_factory: pytest.TempPathFactory
) -> Path:
    """A pre-training that was stopped half way."""
    job = jobs["pretrain"].fresh(tmp_path_factory.mktemp("half"))
    half_way(Runner(server, tmp_path_factory.mktemp("boards")), job, whole["pretrain"])
    return job.out


@pytest.mark.parametrize("every", [pytest.param(77, marks=pytest.mark.slow), pytest.param(3, marks=pytest.mark.long)])
def test_a_disk_that_is_full_from_some_call_on(
    every: int, runner: Runner, jobs: dict[str, Job], whole: dict[str, Measured], base: Path, tmp_path: Path
) -> None:
    """Fill the disk at every n-th call that writes."""
    attempt = partial(fail_at, runner, jobs["pretrain"].fresh(tmp_path), base, whole["pretrain"])
    untouched, calls = attempt(NEVER)
    assert untouched.code == 0
    assert calls > 50
    trials = [attempt(call)[0] for call in range(0, calls, every)]
    assert {trial.code for trial in trials} == {5}
    assert [trial for trial in trials if not trial.right] == []
    assert not runner.trouble


@pytest.mark.slow
def test_a_process_that_dies_at_some_call(
    runner: Runner, jobs: dict[str, Job], whole: dict[str, Measured], tmp_path: Path
) -> None:
    """The moments that a random kill seldom hits: before each single mkdir, fsync, rename, replace and write."""
    job = jobs["pretrain"].fresh(tmp_path)
    for call in (*range(3, 90, 11), *range(5, 60, 9)):
        process, _ = runner.start(job, partial(faults.die_at, call))
        process.join(60)
        assert process.exitcode == -9
    assert runner.finish(job) == 0, runner.trouble
    assert differences(whole["pretrain"].facts, job.facts()) == []
    assert job.leftovers() == []


@pytest.mark.long
def test_a_real_small_disk(tmp_path: Path) -> None:
    found = on_small_disk(tmp_path, points=6)
    if found is None:
        pytest.skip("no file system can be mounted here: unshare -Urm mount -t tmpfs does not work")
    assert [trial for trial in found if not trial["right"]] == []
    assert sum(trial["code"] == 5 for trial in found) > 12
