"""Jobs: in their order, cancelled, out of time, too many, failed, forgotten."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator

import pytest

from nuclex.core.errors import InputError
from nuclex.web.jobs import Answer, FullError, Job, Jobs
from nuclex.web.settings import ServeConfig


@pytest.fixture
def gate() -> Iterator[threading.Event]:
    event = threading.Event()
    yield event
    event.set()


def waited(job: Job) -> str:
    limit = time.monotonic() + 20
    while job.ended is None and time.monotonic() < limit:
        time.sleep(0.005)
    return job.state


def endless(job: Job) -> Answer:
    while True:
        job.step()
        time.sleep(0.002)


def test_a_running_and_a_waiting_job_are_cancelled() -> None:
    jobs = Jobs(ServeConfig())
    running, waiting = jobs.add("fold", endless), jobs.add("fold", endless)
    after = jobs.add("fold", lambda job: Answer({"x": 1}))
    assert jobs.position(after) in (1, 2)
    for job in (waiting, running):
        jobs.cancel(job)
        assert job.state == "cancelled"
    assert waited(after) == "done"
    assert (after.result, running.result, waiting.done) == (b'{"x": 1}', None, 0)
    jobs.cancel(after)
    assert after.state == "done", "what has ended stays"
    jobs.close()


def test_time_ends_a_job_with_a_sentence() -> None:
    jobs = Jobs(ServeConfig(seconds=0.05))
    job = jobs.add("fold", endless)
    assert waited(job) == "failed"
    assert (job.error or "").startswith("time: the job took longer than 0.05 s")
    jobs.close()


def test_waiting_does_not_count_as_computing() -> None:
    """A job that waits for four times its limit and then takes no time is answered."""
    limit = 0.25

    def slow(job: Job) -> Answer:
        time.sleep(0.8 * limit)
        job.step()
        return Answer({})

    jobs = Jobs(ServeConfig(seconds=limit))
    several = [jobs.add("fold", slow) for _ in range(5)]
    last = jobs.add("fold", lambda job: Answer({"x": 1}))
    assert waited(last) == "done"
    assert [job.state for job in several] == ["done"] * 5
    assert (last.ended or 0) - (several[0].ended or 0) > 3 * limit
    assert last.seconds < limit
    jobs.close()


def test_a_step_that_never_comes_does_not_outlive_the_next(gate: threading.Event) -> None:
    """Work that is late says so at its first step after the limit, and the next job begins."""

    def late(job: Job) -> Answer:
        gate.wait(0.3)
        job.expect(1)
        raise AssertionError("the limit was not seen")

    jobs = Jobs(ServeConfig(seconds=0.1))
    job, after = jobs.add("fold", late), jobs.add("fold", lambda job: Answer({}))
    assert (waited(job), waited(after)) == ("failed", "done")
    assert "larger --seconds" in (job.error or "")
    jobs.close()


def test_a_full_queue_takes_no_more(gate: threading.Event) -> None:
    def blocked(job: Job) -> Answer:
        gate.wait(20)
        return Answer({})

    jobs = Jobs(ServeConfig(queue=2))
    first = jobs.add("fold", blocked)
    while first.state == "queued":
        time.sleep(0.005)
    jobs.add("fold", blocked)
    last = jobs.add("fold", blocked)
    with pytest.raises(FullError, match="2 jobs wait already"):
        jobs.add("fold", blocked)
    gate.set()
    assert waited(last) == "done"
    jobs.close()


def test_a_refusal_is_told_and_a_bug_is_not_shown(capsys: pytest.CaptureFixture[str]) -> None:
    def refused(job: Job) -> Answer:
        raise InputError("x: found y")

    def broken(job: Job) -> Answer:
        raise KeyError("secret")

    jobs = Jobs(ServeConfig())
    one, other = jobs.add("fold", refused), jobs.add("fold", broken)
    assert (waited(one), waited(other)) == ("failed", "failed")
    assert one.error == "x: found y"
    assert "secret" not in (other.error or "")
    jobs.close()


def test_only_the_newest_results_are_kept_and_not_for_ever() -> None:
    jobs = Jobs(ServeConfig(kept=2, kept_seconds=0.3))
    made = [jobs.add("fold", lambda job: Answer({})) for _ in range(5)]
    assert [waited(job) for job in made] == ["done"] * 5
    assert [jobs.find(job.token) is not None for job in made] == [False] * 3 + [True] * 2
    time.sleep(0.35)
    assert jobs.find(made[-1].token) is None
    assert len({job.token for job in made}) == 5
    jobs.close()
