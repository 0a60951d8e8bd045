from __future__ import annotations

import errno
import itertools
import json
import os
import resource
import signal
import subprocess
import sys
import textwrap
from collections.abc import Callable
from pathlib import Path

import pytest

from nuclex.core import artifact
from nuclex.core.artifact import (
    MANIFEST,
    atomic_file,
    atomic_folder,
    clear_leftovers,
    disk_errors,
    sha256_file,
    verify_folder,
    write_json,
    write_manifest,
)
from nuclex.core.errors import CorruptError, DiskError, InputError


class BrokenError(Exception):
    """What a test's own block raises."""


def make(target: Path, replace: bool = False, text: str = "hello") -> None:
    with atomic_folder(target, replace=replace) as folder:
        (folder / "a.txt").write_text(text)
        (folder / "inner").mkdir()
        (folder / "inner" / "b.bin").write_bytes(bytes(range(16)))
        (folder / "empty").touch()


def break_folder(target: Path, error: BaseException, replace: bool = False) -> None:
    with atomic_folder(target, replace=replace) as folder:
        (folder / "a.txt").write_text("half")
        raise error


def break_file(target: Path, error: BaseException) -> None:
    with atomic_file(target) as path:
        path.write_text("half")
        raise error


def names(folder: Path) -> list[str]:
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*"))


def contents(folder: Path) -> dict[str, bytes]:
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_sha256_of_a_known_text(tmp_path: Path) -> None:
    (tmp_path / "abc").write_bytes(b"abc")  # FIPS 180-2, appendix B.1
    assert sha256_file(tmp_path / "abc") == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"


def test_json_is_for_people_and_machines(tmp_path: Path) -> None:
    value = {"z": [1, 2.5, None], "a": "é – ≥", "nested": {"true": True}}
    write_json(tmp_path / "a.json", value)
    text = (tmp_path / "a.json").read_text(encoding="utf-8")
    assert json.loads(text) == value
    assert list(json.loads(text)) == ["z", "a", "nested"]
    assert "é – ≥" in text
    assert text.endswith("}\n")


def test_a_file_name_that_is_no_utf8_comes_back_from_json(tmp_path: Path) -> None:
    value = {"path": os.fsdecode(b"caf\xe9 \xc3\xa9")}
    write_json(tmp_path / "a.json", value)
    assert json.loads((tmp_path / "a.json").read_text(encoding="utf-8")) == value


# ---- whole or not there ----


def test_a_folder_is_whole_and_readable_by_others(tmp_path: Path) -> None:
    make(tmp_path / "new" / "corpus")
    assert names(tmp_path) == [
        "new",
        *(f"new/corpus{name}" for name in ("", "/a.txt", "/empty", "/inner", "/inner/b.bin", f"/{MANIFEST}")),
    ]
    verify_folder(tmp_path / "new" / "corpus")
    assert (tmp_path / "new" / "corpus").stat().st_mode & 0o777 == 0o755
    manifest = json.loads((tmp_path / "new" / "corpus" / MANIFEST).read_text())
    assert manifest["files"]["a.txt"] == {"bytes": 5, "sha256": sha256_file(tmp_path / "new/corpus/a.txt")}
    assert list(manifest["files"]) == ["a.txt", "empty", "inner/b.bin"]


@pytest.mark.parametrize("error", [BrokenError, KeyboardInterrupt, SystemExit])
def test_a_failing_block_leaves_nothing_behind(error: type[BaseException], tmp_path: Path) -> None:
    with pytest.raises(error):
        break_folder(tmp_path / "new", error())
    with pytest.raises(error):
        break_file(tmp_path / "new.txt", error())
    assert names(tmp_path) == []


def test_a_failing_block_leaves_the_old_intact(tmp_path: Path) -> None:
    make(tmp_path / "old")
    (tmp_path / "old.txt").write_text("old")
    before = contents(tmp_path)
    with pytest.raises(BrokenError):
        break_folder(tmp_path / "old", BrokenError(), replace=True)
    with pytest.raises(BrokenError):
        break_file(tmp_path / "old.txt", BrokenError())
    assert contents(tmp_path) == before
    verify_folder(tmp_path / "old")


def test_a_folder_is_replaced_only_when_asked(tmp_path: Path) -> None:
    make(tmp_path / "old")
    with pytest.raises(InputError, match=r"old: exists already; give another --out or remove it first"):
        make(tmp_path / "old", text="new")
    assert (tmp_path / "old" / "a.txt").read_text() == "hello"
    make(tmp_path / "old", replace=True, text="new")
    assert (tmp_path / "old" / "a.txt").read_text() == "new"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["old"], "nothing else stays"
    make(tmp_path / "fresh", replace=True)
    verify_folder(tmp_path / "fresh")


def test_a_folder_that_appeared_meanwhile_is_not_replaced(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="exists already"), atomic_folder(tmp_path / "out"):
        make(tmp_path / "out", text="of another process")
    assert (tmp_path / "out" / "a.txt").read_text() == "of another process"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["out"]


@pytest.mark.parametrize("failing", [1, 2])
def test_the_old_folder_comes_back_when_the_swap_fails(
    failing: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    make(tmp_path / "old")
    before, calls, rename = contents(tmp_path), [], os.rename

    def broken(source: Path, target: Path) -> None:
        calls.append(target)
        if len(calls) == failing:
            raise OSError(errno.ENOSPC, "full", source, None, target)
        rename(source, target)

    monkeypatch.setattr(artifact.os, "rename", broken)
    with pytest.raises(DiskError, match=r"old: cannot be written: No space left on device"):
        make(tmp_path / "old", replace=True, text="new")
    assert contents(tmp_path) == before
    assert sorted(path.name for path in tmp_path.iterdir()) == ["old"]


def test_the_old_folder_is_not_thrown_away_when_it_cannot_come_back(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    make(tmp_path / "old")
    calls, rename = [], os.rename

    def broken(source: Path, target: Path) -> None:
        calls.append(target)
        if len(calls) > 1:
            raise OSError(errno.EIO, "the disk died", source, None, target)
        rename(source, target)

    monkeypatch.setattr(artifact.os, "rename", broken)
    with pytest.raises(DiskError):
        make(tmp_path / "old", replace=True, text="new")
    (kept,) = tmp_path.glob(".tmp-old-old-*/old")
    verify_folder(kept)
    assert (kept / "a.txt").read_text() == "hello"


def test_a_file_is_replaced_whole(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("old")
    with atomic_file(tmp_path / "a.csv") as path:
        assert path.suffix == ".csv"
        path.write_text("new")
        assert (tmp_path / "a.csv").read_text() == "old"
    assert (tmp_path / "a.csv").read_text() == "new"
    assert (tmp_path / "a.csv").stat().st_mode & 0o777 == 0o644
    assert names(tmp_path) == ["a.csv"]


@pytest.mark.parametrize("attempt", [break_folder, break_file])
def test_folders_made_on_the_way_go_again_when_the_block_fails(attempt: Callable[..., None], tmp_path: Path) -> None:
    (tmp_path / "old").mkdir()
    with pytest.raises(BrokenError):
        attempt(tmp_path / "old" / "new" / "newer" / "thing", BrokenError())
    assert names(tmp_path) == ["old"]


def test_what_others_put_into_a_folder_made_on_the_way_stays(tmp_path: Path) -> None:
    def attempt() -> None:
        with atomic_folder(tmp_path / "new" / "newer" / "thing"):
            (tmp_path / "new" / "notes.txt").touch()
            raise BrokenError

    with pytest.raises(BrokenError):
        attempt()
    assert names(tmp_path) == ["new", "new/notes.txt"]


@pytest.mark.parametrize("target", ["corpus/run", "corpus/inner/deep/run", "corpus/inner/run", "link/run"])
@pytest.mark.parametrize("attempt", [break_folder, break_file])
def test_nothing_is_written_into_a_whole_artefact(target: str, attempt: Callable[..., None], tmp_path: Path) -> None:
    make(tmp_path / "corpus")
    (tmp_path / "link").symlink_to("corpus")
    with pytest.raises(InputError, match=r"run: lies inside .*corpus, which nuclex wrote"):
        attempt(tmp_path / target, BrokenError())
    verify_folder(tmp_path / "corpus")


def test_a_file_of_a_whole_artefact_is_not_replaced(whole: Path) -> None:
    with pytest.raises(InputError, match="lies inside"):
        break_file(whole / "a.txt", BrokenError())
    verify_folder(whole)


def test_other_programs_have_manifests_too(tmp_path: Path) -> None:
    (tmp_path / MANIFEST).write_text('{"name": "an extension", "version": "1"}')
    make(tmp_path / "corpus")
    assert (tmp_path / "corpus" / MANIFEST).is_file()


def test_a_name_that_is_too_long_is_refused(tmp_path: Path) -> None:
    for write in (break_folder, break_file):
        with pytest.raises(DiskError, match="cannot be written: File name too long"):
            write(tmp_path / ("x" * 300) / "thing", BrokenError())
    with pytest.raises(DiskError, match="cannot be written: File name too long"):
        make(tmp_path / ("x" * 300))
    assert names(tmp_path) == []


def test_a_link_to_nowhere_is_there_already(tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to("nowhere")
    with pytest.raises(InputError, match="link: exists already"):
        make(tmp_path / "link")
    assert names(tmp_path) == ["link"]


def test_files_for_the_owner_alone_become_as_readable_as_the_rest(tmp_path: Path) -> None:
    with atomic_folder(tmp_path / "bundle") as folder:
        os.close(os.open(folder / "weights", os.O_CREAT | os.O_WRONLY, 0o600))
    modes = {path.stat().st_mode & 0o777 for path in (tmp_path / "bundle").iterdir()}
    assert len(modes) == 1
    assert modes.pop() & 0o044 == 0o044


def test_leftovers_of_killed_processes_are_cleared(tmp_path: Path) -> None:
    make(tmp_path / "step-1")
    code = f"""
        import os, signal
        from nuclex.core.artifact import atomic_file, atomic_folder
        with atomic_folder({str(tmp_path / "step-2")!r}) as folder, atomic_file({str(tmp_path / "x.json")!r}):
            (folder / "a").write_text("half")
            os.kill(os.getpid(), signal.SIGKILL)
    """
    done = subprocess.run([sys.executable, "-c", textwrap.dedent(code)], check=False)
    assert done.returncode == -signal.SIGKILL
    assert len(list(tmp_path.glob(".tmp-*"))) == 2
    clear_leftovers(tmp_path)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["step-1"]
    verify_folder(tmp_path / "step-1")


KILLED = """
    import os, signal, sys
    from pathlib import Path
    from nuclex.core.artifact import atomic_file, atomic_folder, scratch_folder
    target = Path(sys.argv[1])
    with atomic_folder(target / "corpus") as a, scratch_folder(target / "corpus") as b, atomic_file(target / "x.json"):
        (a / "half").touch(); (b / "half").touch()
        print("writing", flush=True)
        sys.stdin.read()
"""


def writing(folder: Path) -> subprocess.Popen[str]:
    """A process in the middle of writing ``corpus`` and ``x.json``."""
    pipe = subprocess.PIPE
    command = [sys.executable, "-c", textwrap.dedent(KILLED), str(folder)]
    process = subprocess.Popen(command, stdin=pipe, stdout=pipe, text=True)
    assert process.stdout is not None
    assert process.stdout.readline() == "writing\n"
    return process


def test_what_a_killed_writer_left_goes_with_the_next_writing(tmp_path: Path) -> None:
    process = writing(tmp_path)
    process.kill()
    process.communicate()
    assert len(list(tmp_path.glob(".tmp-*"))) == 3
    make(tmp_path / "another")
    assert len(list(tmp_path.glob(".tmp-*"))) == 3, "the leftovers of other targets are not its own"
    make(tmp_path / "corpus")
    with atomic_file(tmp_path / "x.json") as path:
        path.write_text("{}")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["another", "corpus", "x.json"]


def test_what_is_written_into_while_it_is_removed_goes_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A program that the killed process had started makes another file when the folder was just emptied."""
    left = tmp_path / ".tmp-corpus-x"
    (left / "work").mkdir(parents=True)
    rmdir, late = os.rmdir, iter(["first", "work/second", "third"])

    def removed(path: str, **given: int) -> None:
        for name in itertools.islice(late, 1):
            (left / name).parent.mkdir(exist_ok=True)
            (left / name).touch()
        rmdir(path, **given)

    monkeypatch.setattr(os, "rmdir", removed)
    make(tmp_path / "corpus")
    assert next(late, None) is None
    assert [path.name for path in tmp_path.iterdir()] == ["corpus"]


def test_what_a_living_writer_has_stays(tmp_path: Path) -> None:
    process = writing(tmp_path)
    before = sorted(tmp_path.glob(".tmp-*"))
    for text in ("one", "two"):
        make(tmp_path / "corpus", replace=True, text=text)
        with atomic_file(tmp_path / "x.json") as path:
            path.write_text(text)
    assert sorted(tmp_path.glob(".tmp-*")) == before
    assert len(before) == 3
    process.communicate("")
    assert process.returncode == 1, "the corpus appeared meanwhile, and is not replaced"
    assert (tmp_path / "corpus" / "a.txt").read_text() == "two"
    assert not list(tmp_path.glob(".tmp-*"))


def test_what_was_set_aside_is_no_leftover(tmp_path: Path) -> None:
    (tmp_path / ".tmp-old-corpus-x" / "old").mkdir(parents=True)
    for name in ("old", "old-corpus"):
        make(tmp_path / name)
    assert (tmp_path / ".tmp-old-corpus-x" / "old").is_dir()


def test_where_there_are_no_locks_nothing_is_taken_for_abandoned(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def unsupported(descriptor: int, operation: int) -> None:
        raise OSError(errno.ENOLCK, os.strerror(errno.ENOLCK))

    monkeypatch.setattr(artifact.fcntl, "flock", unsupported)
    (tmp_path / ".tmp-corpus-x").mkdir()
    make(tmp_path / "corpus")
    assert names(tmp_path)[0] == ".tmp-corpus-x"
    verify_folder(tmp_path / "corpus")


@pytest.mark.parametrize("what", ["locked", "gone"])
def test_a_temporary_that_another_takes_for_abandoned(
    what: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Between making a temporary and locking it, another writer of the same target may come."""
    flock, came = artifact.fcntl.flock, []

    def late(descriptor: int, operation: int) -> None:
        if not came:
            (path,) = tmp_path.glob(".tmp-*")
            came.append(path)
            if what == "gone":
                path.rmdir()
            else:
                raise BlockingIOError
        flock(descriptor, operation)

    monkeypatch.setattr(artifact.fcntl, "flock", late)
    make(tmp_path / "corpus")
    verify_folder(tmp_path / "corpus")
    assert [path for path in tmp_path.glob(".tmp-*") if path not in came] == []


@pytest.mark.skipif(not Path("/proc/self").is_dir(), reason="needs the /proc of Linux, where nothing can be made")
def test_where_nothing_can_be_made_is_told_at_once() -> None:
    for attempt in (atomic_folder, atomic_file):
        with pytest.raises(DiskError, match="/proc: nothing can be written there"), attempt(Path("/proc/nuclex")):
            raise AssertionError("the block has begun")


def test_an_artefact_whose_replacement_was_killed_comes_back(tmp_path: Path) -> None:
    make(tmp_path / "best-of-all")
    code = f"""
        import os, signal
        from nuclex.core.artifact import atomic_folder
        rename, calls = os.rename, []
        def killed(source, target):
            calls.append(target)
            if len(calls) == 2:  # the old one is aside, the new one not yet there
                os.kill(os.getpid(), signal.SIGKILL)
            rename(source, target)
        os.rename = killed
        with atomic_folder({str(tmp_path / "best-of-all")!r}, replace=True) as folder:
            (folder / "a.txt").write_text("new")
    """
    done = subprocess.run([sys.executable, "-c", textwrap.dedent(code)], check=False)
    assert done.returncode == -signal.SIGKILL
    assert not (tmp_path / "best-of-all").exists()
    clear_leftovers(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["best-of-all"]
    verify_folder(tmp_path / "best-of-all")
    assert (tmp_path / "best-of-all" / "a.txt").read_text() == "hello"


# ---- the disk ----


def test_a_file_where_a_folder_should_be(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("I am no folder")
    for target in (tmp_path / "file" / "out", tmp_path / "file" / "deep" / "out"):
        with pytest.raises(DiskError, match=r"out: cannot be written: Not a directory"):
            make(target)
        with (
            pytest.raises(DiskError, match=r"out: cannot be written: Not a directory"),
            atomic_file(target),
        ):
            pass
    assert names(tmp_path) == ["file"]


def test_a_folder_where_a_file_should_be(tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    with (
        pytest.raises(DiskError, match="folder: cannot be written: Is a directory"),
        atomic_file(tmp_path / "folder") as path,
    ):
        path.write_text("x")
    assert names(tmp_path) == ["folder"]


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EROFS, errno.EACCES, errno.EDQUOT])
def test_a_full_or_protected_disk(number: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(source: Path, target: Path) -> None:
        raise OSError(number, os.strerror(number), source, None, target)

    monkeypatch.setattr(artifact.os, "replace", full)
    with (
        pytest.raises(DiskError, match=f"a.txt: cannot be written: {os.strerror(number)}"),
        atomic_file(tmp_path / "a.txt"),
    ):
        pass
    assert names(tmp_path) == []


WRITERS = {
    "text": "(folder / 'a').write_text('x' * 200_000)",
    "numpy": "import numpy; numpy.savez(folder / 'a.npz', a=numpy.zeros(100_000))",
    "arrow": "import pyarrow as pa, pyarrow.parquet as p; p.write_table(pa.table({'a': range(99_999)}), folder / 'a')",
    "safetensors": "import numpy; from safetensors.numpy import save_file; "
    "save_file({'a': numpy.zeros(99_999)}, folder / 'a')",
}


@pytest.mark.slow
@pytest.mark.parametrize("writer", WRITERS)
def test_no_library_hides_a_full_disk(writer: str, tmp_path: Path) -> None:
    code = f"""
        from pathlib import Path
        from nuclex.core.artifact import atomic_folder
        from nuclex.core.errors import DiskError
        try:
            with atomic_folder(Path({str(tmp_path / "out")!r})) as folder:
                {WRITERS[writer]}
        except DiskError as error:
            print(error)
    """

    def small_files() -> None:  # the nearest thing to a full disk that needs no rights
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000))

    command = [sys.executable, "-c", textwrap.dedent(code)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, preexec_fn=small_files)
    assert done.stdout == f"{tmp_path / 'out'}: cannot be written: File too large\n", done.stderr
    assert names(tmp_path) == []


def test_an_error_about_another_file_is_not_blamed_on_the_target(tmp_path: Path) -> None:
    for place in (tmp_path / "input.fa", tmp_path / "elsewhere" / "input.fa", Path("input.fa")):
        with pytest.raises(PermissionError), atomic_file(tmp_path / "out.npz"):
            raise PermissionError(errno.EACCES, "Permission denied", str(place))
    with pytest.raises(FileNotFoundError), disk_errors(tmp_path):
        (tmp_path / "none").read_text()


# ---- the manifest notices ----


@pytest.fixture
def whole(tmp_path: Path) -> Path:
    make(tmp_path / "artifact")
    return tmp_path / "artifact"


def refused(folder: Path) -> bool:
    try:
        verify_folder(folder)
    except CorruptError:
        return True
    return False


@pytest.mark.parametrize(
    "flips",
    [(0x01, 0x20, 0x80, 0x29)]  # 0x29 turns a space into a tab
    + [pytest.param((flip,), marks=pytest.mark.slow) for flip in (0x01, 0x20, 0x29, 0x80, 0xFF)],
)
def test_every_flipped_byte_is_noticed(flips: tuple[int, ...], whole: Path) -> None:
    for path in [path for path in whole.rglob("*") if path.is_file()]:
        content = path.read_bytes()
        for place in range(len(content)):
            flip = flips[place % len(flips)]
            path.write_bytes(content[:place] + bytes([content[place] ^ flip]) + content[place + 1 :])
            assert refused(whole), f"{path.name}, byte {place}: {content[place]:#x} ^ {flip:#x}"
        path.write_bytes(content)
    verify_folder(whole)


def test_every_truncation_is_noticed(whole: Path) -> None:
    for path in [path for path in whole.rglob("*") if path.is_file()]:
        content = path.read_bytes()
        for length in range(0, len(content), 3):
            path.write_bytes(content[:length])
            assert refused(whole), f"{path.name} cut to {length} bytes"
        path.write_bytes(content + b"\n")
        assert refused(whole), f"{path.name} with a line more"
        path.write_bytes(content)
    verify_folder(whole)


def test_every_missing_or_added_file_is_noticed(whole: Path) -> None:
    for path in [path for path in whole.rglob("*") if path.is_file()]:
        content = path.read_bytes()
        path.unlink()
        assert refused(whole), f"{path.name} removed"
        path.write_bytes(content)
    additions: list[Callable[[], None]] = [
        lambda: (whole / "extra").touch(),
        lambda: (whole / "inner" / "extra").touch(),
        lambda: (whole / "extra").symlink_to("nowhere"),
        lambda: (whole / "extra").symlink_to(whole / "inner"),
    ]
    for add in additions:
        add()
        with pytest.raises(CorruptError, match=r"extra: is not in the manifest; the artefact was edited"):
            verify_folder(whole)
        for place in (whole, whole / "inner"):
            (place / "extra").unlink(missing_ok=True)
    verify_folder(whole)


def test_what_is_wrong_is_named(whole: Path) -> None:
    (whole / "inner" / "b.bin").write_bytes(bytes(15))
    with pytest.raises(CorruptError, match=r"inner/b\.bin: has 15 bytes, the manifest says 16"):
        verify_folder(whole)
    (whole / "inner" / "b.bin").write_bytes(bytes(16))
    with pytest.raises(CorruptError, match=r"inner/b\.bin: its sha256 differs from the manifest"):
        verify_folder(whole)
    (whole / "inner" / "b.bin").unlink()
    with pytest.raises(CorruptError, match=r"inner/b\.bin: is missing, though the manifest lists it"):
        verify_folder(whole)
    (whole / MANIFEST).unlink()
    with pytest.raises(CorruptError, match=r"artifact: has no manifest\.json; it is not a whole artefact of nuclex"):
        verify_folder(whole)


@pytest.mark.parametrize(
    "text", ["", "{}", "[]", "null", '{"files": []}', '{"files": {"a": 1}}', '{"files": {"a": {}}}', "\xff"]
)
def test_a_manifest_that_is_none(text: str, tmp_path: Path) -> None:
    (tmp_path / MANIFEST).write_bytes(text.encode("latin-1"))
    with pytest.raises(CorruptError, match=r"manifest\.json: is not"):
        verify_folder(tmp_path)


def test_a_rewritten_manifest_holds_again(whole: Path) -> None:
    (whole / "a.txt").write_text("edited on purpose")
    assert refused(whole)
    write_manifest(whole)
    verify_folder(whole)


@pytest.mark.parametrize("name", ["//a.txt", "a\u200b.txt", "x" * 5000, "\\ud800", "a\\u0000b", "../" * 2000])
def test_a_manifest_that_lists_what_cannot_be_is_damage_and_no_bug(tmp_path: Path, name: str) -> None:
    folder = tmp_path / "thing"
    with atomic_folder(folder) as made:
        (made / "a.txt").write_text("a")
    text = (folder / MANIFEST).read_text()
    (folder / MANIFEST).write_text(text.replace('"a.txt"', f'"{name}"'))
    with pytest.raises(CorruptError, match=r"is missing|is not as nuclex writes it|is no name of a file") as caught:
        verify_folder(folder)
    assert str(caught.value).isprintable()
    assert str(folder) in str(caught.value)
