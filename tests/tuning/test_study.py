"""What a trial is given: a function of the seed, its number and what is known, for every kill; owned by one process."""

from __future__ import annotations

import contextlib
import sqlite3
from pathlib import Path
from typing import Any

import pytest

from nuclex.core.errors import DiskError
from nuclex.tuning.asked import Asked
from nuclex.tuning.question import read_search
from nuclex.tuning.space import Dimension
from nuclex.tuning.study import Study, Ticket, claimed, clear_claims, turn

pytest.importorskip("optuna", reason="optuna is not installed: pip install 'nuclex[search]'")


def study(folder: Path, **settings: Any) -> Study:
    """The search of RNA-BERTa's rate and warm-up, with a name to choose, in a folder whose name no address takes."""
    choices = {"space.training.optimizer.beta2.choices": [0.9, 0.98, 0.999]}
    given = {"trials": 6, "startup": 3, **choices, **settings}
    return Study(folder / "a?b %20", Asked.of(read_search("search/rnaberta", given)))


def values(found: Study) -> list[dict[str, Any]]:
    """The values of all trials, each told a score that follows from them."""
    drawn = []
    while True:
        with contextlib.ExitStack() as stack:
            ticket = found.next(stack)
            if ticket is None:
                return drawn
            drawn.append(ticket.values)
            found.tell(ticket, float(str(ticket.values["training.schedule.rate"])) * 1e3)


@pytest.mark.parametrize("sampler", ["tpe", "random"])
def test_a_kill_between_two_keys_changes_nothing(sampler: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with contextlib.closing(study(tmp_path / "whole", sampler=sampler)) as found:
        whole = values(found)
    assert len({one["training.schedule.rate"] for one in whole}) == 6
    suggest, asked = Dimension.suggest, []

    def killed(self: Dimension, trial: Any, key: str) -> Any:
        asked.append(key)
        if len(asked) in (2, 14):  # in the first trial and in the fifth, which TPE draws
            raise KeyboardInterrupt
        return suggest(self, trial, key)

    monkeypatch.setattr(Dimension, "suggest", killed)
    drawn: list[dict[str, Any]] = []
    for _ in range(3):
        with contextlib.closing(study(tmp_path / "cut", sampler=sampler)) as found:
            with contextlib.suppress(KeyboardInterrupt):
                values(found)
            drawn = [one.params for one in found._study().get_trials()]
    assert drawn == whole


def test_a_trial_is_one_process_own(tmp_path: Path) -> None:
    with contextlib.closing(study(tmp_path, trials=2)) as one, contextlib.closing(study(tmp_path, trials=2)) as other:
        with contextlib.ExitStack() as first, contextlib.ExitStack() as second:
            tickets = [one.next(first), other.next(second)]
            assert [ticket and ticket.number for ticket in tickets] == [0, 1]
            assert one.next(contextlib.ExitStack()) is None, "all are begun"
            assert not one.all_done()
        again = other.next(contextlib.ExitStack())
        assert isinstance(again, Ticket)
        assert isinstance(tickets[0], Ticket)
        assert (again.number, again.values) == (0, tickets[0].values)


def test_done_is_done(tmp_path: Path) -> None:
    with contextlib.closing(study(tmp_path, trials=2)) as found:
        for score in (1.0, None):
            with contextlib.ExitStack() as stack:
                ticket = found.next(stack)
                assert ticket is not None
                found.tell(ticket, score)
                found.tell(ticket, 9.0)
        assert found.all_done()
        states = [(one.state.name, one.value) for one in found._study().get_trials()]
    assert states == [("COMPLETE", 1.0), ("PRUNED", None)]


def test_a_full_disk_is_told_of(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with contextlib.closing(study(tmp_path, trials=2)) as found:
        with sqlite3.connect(found.folder / "search.db") as store:
            (pages,) = store.execute("pragma page_count").fetchone()
        store.close()

        def small(path: Path, timeout: float) -> sqlite3.Connection:
            opened = connect(path, timeout=timeout)
            opened.execute(f"pragma max_page_count = {pages}")
            return opened

        connect = sqlite3.connect
        monkeypatch.setattr(sqlite3, "connect", small)
        full = r"search\.db: cannot be written: database or disk is full"
        with contextlib.closing(study(tmp_path, trials=10_000)) as other, pytest.raises(DiskError, match=full):
            values(other)


def test_marks_of_work_go_when_nobody_works(tmp_path: Path) -> None:
    with contextlib.ExitStack() as stack:
        assert claimed(stack, tmp_path, "a")
        with contextlib.ExitStack() as other:
            assert not claimed(other, tmp_path, "a")
            assert claimed(other, tmp_path, "b")
        with turn(tmp_path):
            clear_claims(tmp_path)
        assert [path.name for path in (tmp_path / "claims").iterdir()] == ["a"]
    with turn(tmp_path):
        clear_claims(tmp_path)
    assert not (tmp_path / "claims").exists()
