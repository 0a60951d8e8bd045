"""Work in parts: what stays, what is taken up, what is refused; nothing of another run gets into a result."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from nuclex.bundle import Bundle, load
from nuclex.core.errors import CorruptError, DiskError, InputError, OutsideError
from nuclex.core.lock import owned
from nuclex.core.progress import quiet
from nuclex.inference import embed as module
from nuclex.inference.embed import embed
from nuclex.inference.parts import Part, Parts, chunked, digest, opened_parts

SETTINGS = {"verb": "count", "pool": "mean"}


class Killed(BaseException):
    """Stands for a kill."""


@pytest.fixture(scope="module")
def bundle(tiny_bundle: Path) -> Bundle:
    return load(tiny_bundle)


def part(number: int) -> Part:
    return Part({"id": [f"s{number}", "ä"]}, {"value": np.arange(number, dtype=np.int64)})


def kill_after(count: int, out: Path, bundle: Bundle) -> None:
    """Begin a work, and end as a kill would when so many parts are finished."""
    killed = pytest.raises(Killed)
    with killed, opened_parts(out, bundle, SETTINGS, resume=False) as parts:
        for number in range(count):
            parts.add(digest([b"%d" % number]), part(number))
        raise Killed


@pytest.fixture
def begun(bundle: Bundle, tmp_path: Path) -> Path:
    """Three parts of a work that was killed; the folder they are in."""
    with quiet():
        kill_after(3, tmp_path / "out.npz", bundle)
    return tmp_path / "out.npz.parts"


def taken_up(begun: Path, bundle: Bundle, settings: dict[str, Any] | None = None, *, resume: bool = True) -> list[int]:
    """Go on to five parts and end; which were made now."""
    made: list[int] = []

    def make(numbers: list[int]) -> Part:
        made.extend(numbers)
        return part(numbers[0])

    out = begun.with_name("out.npz")
    with opened_parts(out, bundle, settings or SETTINGS, resume=resume) as parts:
        parts.fill([[number] for number in range(5)], lambda numbers: digest([b"%d" % numbers[0]]), make)
        found = [(one.texts["id"], one.arrays["value"].tolist()) for one in parts]
        assert len(parts) == 5
    assert found == [([f"s{number}", "ä"], list(range(number))) for number in range(5)]
    assert not begun.exists(), "nothing stays when the work is done"
    return made


def test_finished_parts_stay_and_are_taken_up(begun: Path, bundle: Bundle, capsys: pytest.CaptureFixture[str]) -> None:
    assert sorted(path.name for path in begun.iterdir()) == ["begun.json", *(f"part-{n:08d}" for n in range(3))]
    assert taken_up(begun, bundle) == [3, 4]
    assert "going on from finished parts: 3" in capsys.readouterr().err


def test_what_is_said_when_work_is_broken_off(
    bundle: Bundle, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    kill_after(1, tmp_path / "out.npz", bundle)
    assert "out.npz.parts: finished parts that stay: 1; --resume goes on from them" in capsys.readouterr().err


def test_without_resume_finished_parts_are_not_thrown_away(begun: Path, bundle: Bundle) -> None:
    with pytest.raises(InputError, match=r"holds finished parts \(3\) of an unfinished result; go on with --resume"):
        taken_up(begun, bundle, resume=False)
    assert len(list(begun.glob("part-*"))) == 3


def test_resume_without_anything_to_resume_begins(bundle: Bundle, tmp_path: Path) -> None:
    assert taken_up(tmp_path / "out.npz.parts", bundle) == [0, 1, 2, 3, 4]
    assert list(tmp_path.iterdir()) == []


def test_other_settings_or_another_model_are_refused(begun: Path, bundle: Bundle) -> None:
    with pytest.raises(
        InputError, match=r"begun\.json: is not what is asked for now \(pool was 'mean', now it is 'max'"
    ):
        taken_up(begun, bundle, {**SETTINGS, "pool": "max"})
    stranger = load(bundle.path)
    with torch.no_grad():
        stranger.model.embedding.tokens.weight[5, 3] += 1e-3
    with pytest.raises(InputError, match=r"asked for now \(parameters was '[0-9a-f]+\.\.\., now it is '"):
        taken_up(begun, stranger)
    config = bundle.tokenizer.config.model_copy(update={"max_unknown_share": 0.5})
    with pytest.raises(InputError, match=r"\(reading\.max_unknown_share was 0\.05, now it is 0\.5\)"):
        taken_up(begun, replace(bundle, tokenizer=config.build()))
    assert taken_up(begun, bundle) == [3, 4]


def test_other_input_is_refused(begun: Path, bundle: Bundle) -> None:
    out = begun.with_name("out.npz")
    with quiet(), opened_parts(out, bundle, SETTINGS, resume=True) as parts:
        assert parts.finished(digest([b"0"]))
        with pytest.raises(InputError, match=r"part-00000001: was made of other input than is there now; remove"):
            parts.finished(digest([b"another"]))
        with pytest.raises(InputError, match="holds more parts than the input that is there now gives"):
            parts.fill([], lambda numbers: "", lambda numbers: part(0))
    assert not begun.exists()


@pytest.mark.parametrize("damage", ["flipped", "emptied", "record", "swapped", "lost"])
def test_a_damaged_part_is_made_again(
    damage: str, begun: Path, bundle: Bundle, capsys: pytest.CaptureFixture[str]
) -> None:
    home = begun / "part-00000001"
    values = home / "value.npy"
    if damage == "flipped":
        content = bytearray(values.read_bytes())
        content[-3] ^= 1
        values.write_bytes(content)
    elif damage == "emptied":
        values.write_bytes(b"")
    elif damage == "record":
        (home / "part.json").write_text("{}")
    elif damage == "swapped":
        values.write_bytes((begun / "part-00000002" / "value.npy").read_bytes())
    else:
        values.unlink()
    assert taken_up(begun, bundle) == [1, 3, 4]
    assert "a damaged part is made again: " in capsys.readouterr().err


def test_a_lost_record_of_the_beginning_is_refused(begun: Path, bundle: Bundle) -> None:
    (begun / "begun.json").write_text('{"settings": {}}')
    with pytest.raises(CorruptError, match=r"begun\.json: is missing or not readable; remove .*out\.npz\.parts"):
        taken_up(begun, bundle)


def test_another_environment_is_said(begun: Path, bundle: Bundle, capsys: pytest.CaptureFixture[str]) -> None:
    facts = json.loads((begun / "begun.json").read_text())
    facts["environment"]["threads"] += 1
    (begun / "begun.json").write_text(json.dumps(facts))
    assert taken_up(begun, bundle) == [3, 4]
    assert "not bit for bit the same" in capsys.readouterr().err


def test_what_is_not_ours_is_left_alone(bundle: Bundle, tmp_path: Path) -> None:
    out, work = tmp_path / "out.npz", tmp_path / "out.npz.parts"
    work.write_text("mine")
    for _ in range(2):
        with pytest.raises(InputError, match="exists and is not what nuclex keeps unfinished work in"):
            taken_up(work, bundle)
        if work.is_file():
            work.unlink()
            work.mkdir()
            (work / "thesis.tex").write_text("x")
    assert (work / "thesis.tex").read_text() == "x"
    assert not out.exists()


def test_one_process_at_a_time(begun: Path, bundle: Bundle) -> None:
    with owned(begun), pytest.raises(OutsideError, match="is in use by process"):
        taken_up(begun, bundle)
    assert taken_up(begun, bundle) == [3, 4]


def test_leftovers_in_the_folder_go(begun: Path, bundle: Bundle) -> None:
    (begun / ".tmp-part-00000003-xyz").mkdir()
    (begun / ".tmp-part-00000003-xyz" / "value.npy").touch()
    assert taken_up(begun, bundle) == [3, 4]


def test_nothing_is_left_of_work_that_finished_no_part(bundle: Bundle, tmp_path: Path) -> None:
    kill_after(0, tmp_path / "new" / "out.npz", bundle)
    assert list(tmp_path.iterdir()) == []
    (tmp_path / "file").touch()
    with (
        pytest.raises(DiskError, match=r"file/out\.npz: cannot be written: Not a directory"),
        opened_parts(tmp_path / "file" / "out.npz", bundle, SETTINGS, resume=False),
    ):
        pass


def test_a_letter_put_right_behind_the_finished_parts_costs_nothing(
    bundle: Bundle, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Parts know what they are made of, so only input that they were made of must stay as it was."""
    monkeypatch.setattr(module, "AT_ONCE", 2)
    path, out = tmp_path / "in.fa", tmp_path / "v.npz"
    records = [f">s{number}\nACGT\n" for number in range(4)]
    path.write_text("".join([*records, ">bad\nXXXX\n"]))
    with quiet(), pytest.raises(InputError, match=r"in\.fa:9: bad: 'X' at position 0"):
        embed(bundle, path, out)
    path.write_text("".join([*records, ">good\nACCC\n"]))
    with quiet():
        assert embed(bundle, path, out, resume=True)["sequences"] == 5
    path.write_text("".join([*records, ">bad\nXXXX\n"]))
    with quiet(), pytest.raises(InputError, match="bad"):
        embed(bundle, path, out)
    path.write_text("".join([">other\nACGT\n", *records[1:]]))
    with quiet(), pytest.raises(InputError, match="part-00000000: was made of other input"):
        embed(bundle, path, out, resume=True)


def test_runs_of_items_keep_to_number_and_budget() -> None:
    sizes = [3, 1, 1, 9, 2, 2, 2, 2]
    assert list(chunked(sizes, 3, lambda size: size, 5)) == [[3, 1, 1], [9], [2, 2], [2, 2]]
    assert list(chunked([], 3, lambda size: size, 5)) == []
    assert [size for run in chunked(range(100), 7, lambda size: size, 40) for size in run] == list(range(100))


def test_a_digest_tells_rows_apart() -> None:
    rows = [[b"ab", b"c"], [b"a", b"bc"], [b"abc"], [b"abc", b""], []]
    assert len({digest(row) for row in rows}) == 5
    assert digest([b"ab", b"c"]) == digest(iter([b"ab", b"c"]))


def test_parts_are_read_as_often_as_is_needed(tmp_path: Path) -> None:
    parts = Parts(tmp_path)
    for number in range(3):
        parts.add("x", part(number))
    for _ in range(2):
        assert [one.arrays["value"].tolist() for one in parts] == [[], [0], [0, 1]]
