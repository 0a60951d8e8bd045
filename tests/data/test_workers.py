"""A corpus whose files were read by workers is the one that a single reader makes, byte for byte."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from nuclex.core.errors import InputError, OutsideError
from nuclex.core.progress import quiet
from nuclex.data import partition, stage, store, workers
from nuclex.data.corpus import CorpusConfig, build_corpus

SETTINGS = {
    "plain": {},
    "families": {"split": {"by": "family"}, "filter": {"duplicates": "drop_both_strands"}},
    "each source": {"split": {"by": "random-per-source"}, "filter": {"duplicates": "keep", "foreign": "drop"}},
    "contigs": {
        "segment": {"method": "random", "shortest": 20, "longest": 40, "gap": 1},
        "split": {"by": "contig", "validation": 0, "test": 0, "test_contigs": ["s3"], "validation_contigs": ["s9"]},
    },
    "coding": {"coding": {"frame": 0, "start": "trim", "final_stop": "keep"}, "filter": {"soft_mask": "drop"}},
    "clusters": {"cluster": {"method": "kmer"}, "shuffle": True},
}


@pytest.fixture(scope="module")
def inputs(tmp_path_factory):
    """Four files with copies within and between them, families and types that come in another order in each."""
    random = np.random.default_rng(3)
    rows = []
    for number in range(240):
        text = "ATG" + "".join(random.choice(list("ACGT"), int(random.integers(30, 90))))
        text = rows[int(random.integers(len(rows)))][1] if number % 6 == 5 else text
        text = text[:9] + "NN" + text[11:] if number % 17 == 0 else text.lower() if number % 19 == 0 else text
        rows.append((f"s{number % 150} family=f{random.integers(9)} type={random.choice(['tRNA', 'miRNA'])}", text))
    folder = tmp_path_factory.mktemp("parts")
    paths = []
    for number, (start, stop) in enumerate([(0, 90), (90, 100), (100, 190), (190, 240)]):
        paths.append(folder / f"part{number}.fa")
        paths[-1].write_text("".join(f">{header}\n{text}\n" for header, text in rows[start:stop]))
    return paths


def _config(settings):
    return CorpusConfig.from_data({"cluster": {"method": "none"}, **settings})


def _bytes(corpus):
    """What a corpus holds: its Arrow files, and its manifest without the time and the place of its making."""
    manifest = json.loads((corpus / "corpus.json").read_text())
    assert manifest.pop("provenance")
    arrow = {path.name: path.read_bytes() for path in sorted(corpus.glob("*.arrow"))}
    return json.dumps(manifest), arrow, sorted(path.name for path in corpus.iterdir())


@pytest.fixture
def one_after_the_other(monkeypatch):
    """The tasks without Ray: run here, in the order in which their results are asked for."""
    monkeypatch.setattr(workers, "_ray", lambda: None)
    monkeypatch.setattr(
        workers, "_parts", lambda files, config, work: (workers.read_part(f, config, str(work)) for f in files)
    )


@pytest.mark.parametrize("little", [False, True], ids=["memory", "hardly any memory"])
@pytest.mark.parametrize("name", SETTINGS)
def test_parts_join_to_what_one_reader_stages(inputs, tmp_path, monkeypatch, one_after_the_other, name, little):
    if little:
        monkeypatch.setattr(partition, "_ROWS_AT_ONCE", 16)
        monkeypatch.setattr(partition, "_BYTES_AT_ONCE", 2048)
        monkeypatch.setattr(stage, "BATCH_ROWS", 7)
        monkeypatch.setattr(store, "BATCH_ROWS", 11)
    with quiet():
        build_corpus(inputs, tmp_path / "here", _config(SETTINGS[name]))
        build_corpus(inputs, tmp_path / "parts", _config(SETTINGS[name]), engine="ray")
    assert _bytes(tmp_path / "parts") == _bytes(tmp_path / "here")


def test_counts_are_added_and_settings_must_agree():
    entry = {"name": "anarci", "in": 5, "drop": ["x"], "remarks": {"a": 1, "b": 2}}
    added = workers._added(entry, {**entry, "in": 2, "remarks": {"c": 4, "b": 1}})
    assert json.dumps(added) == '{"name": "anarci", "in": 7, "drop": ["x"], "remarks": {"a": 1, "b": 3, "c": 4}}'
    with pytest.raises(AssertionError, match=r"anarci\.drop is a setting, yet it differs"):
        workers._added(entry, {**entry, "drop": []})


def test_the_first_bad_file_is_refused_as_here(inputs, tmp_path, one_after_the_other):
    bad = tmp_path / "bad.fa"
    bad.write_text(">p\nMKVLEQ\n")
    said = []
    for engine in ("here", "ray"):
        with pytest.raises(InputError) as caught, quiet():
            build_corpus([inputs[0], bad, tmp_path / "gone.fa"], tmp_path / "no", _config({}), engine=engine)
        said.append(str(caught.value))
        assert not (tmp_path / "no").exists()
    assert said[0] == said[1]
    assert "bad.fa:1: 'p' looks like a protein" in said[0]


def test_a_folder_that_a_worker_does_not_see(tmp_path):
    with pytest.raises(OutsideError, match=r"nowhere: the Ray worker on .* does not see this folder"):
        workers.read_part(("a", "a", "a"), _config({}), str(tmp_path / "nowhere"))


def test_without_ray_one_sentence(inputs, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(
        InputError, match=r"'ray' needs the package 'ray', which .*pip install 'nuclex\[ray\]'"
    ) as caught:
        build_corpus(inputs, tmp_path / "no", engine="ray")
    assert caught.value.exit_code == 2
    with pytest.raises(InputError, match="engine: found 'dask', allowed: here, ray"):
        build_corpus(inputs, tmp_path / "no", engine="dask")


def test_standard_input_is_not_for_workers(tmp_path, monkeypatch):
    monkeypatch.setattr(workers, "_ray", lambda: None)
    with pytest.raises(InputError, match=r"'ray' has workers that cannot read - \(standard input\)"):
        build_corpus(["-"], tmp_path / "no", engine="ray")


CLUSTER = """
import json, os, sys
os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
import ray
from nuclex.data.corpus import CorpusConfig, build_corpus
ray.init(address="local", num_cpus=2, include_dashboard=False, log_to_driver=False, object_store_memory=80_000_000)
out, settings, *paths = sys.argv[1:]
build_corpus(paths, out, CorpusConfig.from_data(json.loads(settings)), engine="ray")
ray.shutdown()
"""


def _readers(pipe):
    """The other processes that have a pipe open."""
    found = set()
    for link in Path("/proc").glob("[0-9]*/fd/*"):
        try:
            if os.readlink(link) == str(pipe) and int(link.parts[2]) != os.getpid():
                found.add(int(link.parts[2]))
        except OSError:  # it ended meanwhile, or is another user's
            continue
    return found


def _opened(pipe, process, deadline):
    """A pipe for writing, as soon as a worker reads from it."""
    while time.monotonic() < deadline:
        try:
            return os.open(pipe, os.O_WRONLY | os.O_NONBLOCK)
        except OSError:
            assert process.poll() is None, process.stderr.read()
            time.sleep(0.05)
    raise AssertionError("no worker came to read")


def _reader(pipe, process, deadline):
    """The one process that reads from a pipe: a writer is let in a moment before it shows, and while it dies."""
    while time.monotonic() < deadline:
        if found := _readers(pipe):
            (reader,) = found
            return reader
        assert process.poll() is None, process.stderr.read()
        time.sleep(0.01)
    raise AssertionError("no worker came to read")


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc/self/fd").is_dir(), reason="needs /proc to find the worker that is killed")
def test_two_workers_of_which_one_is_killed_half_way(inputs, tmp_path):
    """One input is a pipe: who reads it is in the middle of it when killed, and the next one gets it whole."""
    pytest.importorskip("ray", reason="ray is not installed: pip install 'nuclex[ray]'")
    settings = {"cluster": {"method": "none"}, "split": {"by": "family"}}
    pipe = tmp_path / "pipe.fa"
    content = inputs[1].read_bytes()
    pipe.write_bytes(content)
    paths = [inputs[0], pipe, *inputs[2:]]
    with quiet():
        build_corpus(paths, tmp_path / "here", CorpusConfig.from_data(settings))
    pipe.unlink()
    os.mkfifo(pipe)
    command = [sys.executable, "-c", CLUSTER, tmp_path / "ray", json.dumps(settings), *paths]
    deadline = time.monotonic() + 240
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True) as process:
        try:
            end = _opened(pipe, process, deadline)
            os.write(end, content[: len(content) // 2])
            killed = _reader(pipe, process, deadline)
            assert killed != process.pid
            os.kill(killed, signal.SIGKILL)
            while _readers(pipe):
                assert time.monotonic() < deadline
                time.sleep(0.05)
            os.close(end)
            end = _opened(pipe, process, deadline)
            assert _reader(pipe, process, deadline) not in {killed, process.pid}
            os.write(end, content)
            os.close(end)
            process.wait(deadline - time.monotonic())
        finally:
            process.kill()
        assert process.returncode == 0, process.stderr.read()
    assert _bytes(tmp_path / "ray") == _bytes(tmp_path / "here")
