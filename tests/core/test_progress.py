from __future__ import annotations

import os
import pty
import subprocess
import sys
from itertools import count

import pytest

from nuclex.core import progress
from nuclex.core.progress import bar, counted, quiet, say


def test_messages_go_to_stderr(capsys: pytest.CaptureFixture[str]) -> None:
    say("hello")
    assert capsys.readouterr() == ("", "hello\n")


def test_quiet_holds_inside_its_block_only(capsys: pytest.CaptureFixture[str]) -> None:
    with quiet():
        say("a")
        with quiet(False):
            say("b")
        say("c")
    with pytest.raises(ValueError, match="x"), quiet():
        raise ValueError("x")
    say("d")
    assert capsys.readouterr() == ("", "b\nd\n")


def test_without_a_terminal_a_line_comes_now_and_then(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = count(0, 4)  # every look at the clock is four seconds later
    monkeypatch.setattr(progress.time, "monotonic", lambda: next(clock))
    with bar("training", 100, start=10) as made:
        for _ in range(6):
            made.advance(5, "loss 1.0")
    # a line each ten seconds: after 12 s (15 of 90 steps done) and after 24 s (30 of 90)
    assert capsys.readouterr() == (
        "",
        "training: 25/100 loss 1.0 1.25/s 60 s left\ntraining: 40/100 loss 1.0 1.25/s 48 s left\n",
    )
    assert made.done == 40


def test_a_bar_that_has_not_moved_promises_nothing(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = count(0, 60)
    monkeypatch.setattr(progress.time, "monotonic", lambda: next(clock))
    with bar("reading", 3) as made:
        made.advance(0, "first file")
    assert capsys.readouterr().err == "reading: 0/3 first file\n"


def test_on_a_terminal_a_bar_is_drawn_on_stderr(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True, raising=False)
    with bar("training", 4, start=1) as made:
        made.advance(1, "loss 0.7")
        made.advance(2)
    drawn = capsys.readouterr()
    assert drawn.out == ""
    assert "training" in drawn.err
    assert "4/4" in drawn.err
    with quiet(), bar("training", 4) as silent:
        silent.advance(4)
    assert capsys.readouterr() == ("", "")


def test_of_unknown_many_only_count_and_speed_are_told(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = count(0, 6)
    monkeypatch.setattr(progress.time, "monotonic", lambda: next(clock))
    assert list(counted("folding", "abcd")) == list("abcd")
    assert capsys.readouterr().err == "folding: 2 0.167/s\nfolding: 4 0.167/s\n"


def test_a_real_terminal_gets_a_bar_with_speed_and_time_left() -> None:
    code = "import time; from nuclex.core.progress import bar, counted\n"
    code += "with bar('training', 40) as made:\n    for _ in range(40): time.sleep(0.02); made.advance(1, 'loss 0.5')\n"
    code += "list(counted('folding', range(3)))"
    ours, theirs = pty.openpty()
    environment = {**os.environ, "TERM": "xterm", "COLUMNS": "100"}
    process = subprocess.Popen([sys.executable, "-c", code], stderr=theirs, stdout=subprocess.DEVNULL, env=environment)
    os.close(theirs)
    drawn = b""
    try:
        while part := os.read(ours, 4096):
            drawn += part
    except OSError:  # how Linux says that the other end is closed
        pass
    os.close(ours)
    assert process.wait() == 0
    text = drawn.decode()
    assert "40/40" in text
    assert "loss 0.5" in text
    assert "/s" in text
    assert "0:00:0" in text, "time left"
    assert "\x1b[" in text, "drawn in place"
    assert "3/?" in text


def test_inside_a_bar_there_is_no_second_one(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A look at validation during training scores tokens; rich refuses two live displays."""
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True, raising=False)
    with bar("outer", 2) as outer:
        outer.advance()
        with bar("inner", 3) as inner:
            inner.advance(3)
        assert list(counted("inner", "ab", 2)) == ["a", "b"]
        outer.advance()
    drawn = capsys.readouterr().err
    assert "2/2" in drawn
    assert "inner" not in drawn
    with pytest.raises(ValueError, match="x"), bar("outer", 2):
        raise ValueError("x")
    with bar("after", 1) as after:
        after.advance()
    assert "after" in capsys.readouterr().err, "a bar that ended badly makes room, too"


def test_a_high_speed_is_told_in_digits(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    clock = count(0, 10)
    monkeypatch.setattr(progress.time, "monotonic", lambda: next(clock))
    with bar("scoring tokens", 1_000_000) as made:
        made.advance(82_345)
    assert "scoring tokens: 82345/1000000 8 234/s 111 s left" in capsys.readouterr().err
