import tracemalloc
from collections import defaultdict

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from made import fasta, letters
from nuclex.core.errors import InputError
from nuclex.data import partition, stage
from nuclex.data.corpus import CorpusConfig, build_corpus
from nuclex.data.curate import sequence_key
from nuclex.data.divide import divide, undivided
from nuclex.data.duplicates import divided_duplicates, first_occurrences
from nuclex.data.gather import Gathered, Source
from nuclex.data.split import SplitConfig
from nuclex.data.stage import Kept, Stage, Staged, rows_of
from nuclex.data.store import Corpus

pytestmark = pytest.mark.usefixtures("silent")


def _config(split, **others):
    return CorpusConfig.from_data({"cluster": {"method": "none"}, "split": split, **others})


def _splits_of_contigs(folder):
    """Which splits the pieces of each contig of each source are in."""
    corpus, found = Corpus.open(folder), defaultdict(set)
    sources, names = corpus.sources
    for row in range(len(corpus)):
        contig = corpus.ids(row).rpartition(":")[0] or corpus.ids(row)
        found[names[sources[row]], contig].add(int(corpus.split_codes[row]))
    return found


CUT = {"method": "random", "shortest": 20, "longest": 60}


def test_pieces_of_a_contig_stay_together_and_so_do_contigs_of_one_name_in_two_files(tmp_path):
    inputs = [
        fasta(tmp_path / f"{name}.fa", [(f"chr{n}", letters(100 * start + n, 1000)) for n in range(10)])
        for start, name in enumerate(("yeast", "worm"))
    ]
    manifest = build_corpus(
        inputs, tmp_path / "corpus", _config({"by": "contig", "validation": 0.25, "test": 0.35}, segment=CUT)
    )
    found = _splits_of_contigs(tmp_path / "corpus")
    assert len(found) == 20
    assert all(len(codes) == 1 for codes in found.values())
    shares = [manifest["split"][name]["sequences"] / manifest["sequences_out"] for name in ("validation", "test")]
    np.testing.assert_allclose(shares, [0.2, 0.3], atol=0.03)  # as many of ten as fit
    assert all(found["yeast", f"chr{n}"] == found["worm", f"chr{n}"] for n in range(10))
    assert {code for codes in found.values() for code in codes} == {0, 1, 2}


def test_named_contigs_fill_their_splits(tmp_path):
    source = fasta(tmp_path / "x.fa", [(f"chr{n}", letters(n, 600)) for n in range(8)])
    split = {"by": "contig", "test_contigs": ["chr3", "chr5"], "validation_contigs": ["chr0"]}
    manifest = build_corpus([source], tmp_path / "both", _config(split, segment=CUT))
    found = {contig: codes for (_, contig), codes in _splits_of_contigs(tmp_path / "both").items()}
    assert found == {f"chr{n}": {{3: 2, 5: 2, 0: 1}.get(n, 0)} for n in range(8)}
    assert manifest["config"]["split"]["test_contigs"] == ["chr3", "chr5"]
    build_corpus([source], tmp_path / "one", _config({"by": "contig", "test_contigs": ["chr3"]}, segment=CUT))
    found = {contig: codes for (_, contig), codes in _splits_of_contigs(tmp_path / "one").items()}
    assert found.pop("chr3") == {2}
    assert sorted(map(tuple, found.values())) == [(0,)] * 6 + [(1,)]  # validation is filled up to its share
    nothing = {"by": "contig", "test_contigs": [f"chr{n}" for n in range(8)]}
    for wrong, message in (
        (
            {"by": "contig", "test_contigs": ["III"]},
            r"split\.test_contigs: no sequence of contig 'III' .*found chr0, chr1",
        ),
        (nothing, "leaves nothing to train on"),
    ):
        with pytest.raises(InputError, match=message):
            build_corpus([source], tmp_path / "wrong", _config(wrong, segment=CUT))
        assert not (tmp_path / "wrong").exists()


def test_two_builds_of_a_genome_are_divided_alike(tmp_path):
    chromosomes = {f"chr{n}": letters(n, 700) for n in range(9)}
    old = fasta(tmp_path / "old.fa", list(chromosomes.items()))
    new = fasta(tmp_path / "new.fa", [(name, text[:300] + "A" + text[300:]) for name, text in chromosomes.items()])
    for seed in range(4):
        split = {"by": "contig", "validation": 0.2, "test": 0.2}
        build_corpus([old, new], tmp_path / f"{seed}", _config(split, segment=CUT, seed=seed))
        together = defaultdict(set)
        for (_, contig), codes in _splits_of_contigs(tmp_path / f"{seed}").items():
            together[contig] |= codes
        assert len(together) == 9
        assert all(len(codes) == 1 for codes in together.values())


def test_whole_sequences_are_their_own_contigs(tmp_path):
    source = fasta(tmp_path / "x.fa", [(f"chr{n}:1-2", letters(n, 60)) for n in range(8)])
    build_corpus([source], tmp_path / "corpus", _config({"by": "contig", "test_contigs": ["chr3:1-2"]}))
    corpus = Corpus.open(tmp_path / "corpus")
    assert [corpus.ids(int(row)) for row in corpus.indices("test")] == ["chr3:1-2"]


def test_each_source_is_divided_on_its_own(tmp_path):
    sizes = {"large": 300, "middle": 50, "small": 10, "tiny": 1}
    inputs = [
        fasta(tmp_path / f"{name}.fa", [(f"s{n}", letters(1000 * place + n, 40)) for n in range(size)])
        for place, (name, size) in enumerate(sizes.items())
    ]
    split = {"by": "random-per-source", "validation": 0.1, "test": 0}
    build_corpus(inputs, tmp_path / "corpus", _config(split))
    corpus = Corpus.open(tmp_path / "corpus")
    sources, names = corpus.sources
    held = {name: int((corpus.split_codes[sources == place] == 1).sum()) for place, name in enumerate(names)}
    assert held == {"large": 30, "middle": 5, "small": 1, "tiny": 0}
    build_corpus(inputs[1:2], tmp_path / "alone", _config(split))
    alone = Corpus.open(tmp_path / "alone")
    np.testing.assert_array_equal(alone.split_codes, corpus.split_codes[sources == 1])  # the others do not matter


def test_equal_sequences_are_not_divided_where_copies_are_kept(tmp_path):
    texts = [letters(number, 50) for number in range(10)]
    source = fasta(tmp_path / "x.fa", [(f"s{n}-{copy}", text) for n, text in enumerate(texts) for copy in range(7)])
    for seed in range(5):
        config = _config({"by": "cluster"}, filter={"duplicates": "keep"}, seed=seed)
        manifest = build_corpus([source], tmp_path / f"{seed}", config)
        assert manifest["split"]["divided_duplicates"] == 0
        corpus, together = Corpus.open(tmp_path / f"{seed}"), defaultdict(set)
        for row in range(len(corpus)):
            together[corpus.sequence(row)].add(int(corpus.split_codes[row]))
        assert [len(codes) for codes in together.values()] == [1] * 10
        assert set.union(*together.values()) == {0, 1, 2}


@pytest.mark.parametrize("policy", ["keep", "drop", "drop_both_strands"])
@pytest.mark.parametrize("alphabet", ["dna", "rna"])
def test_reverse_complements_on_both_sides_of_a_border_are_counted_and_said(tmp_path, monkeypatch, policy, alphabet):
    said = []
    monkeypatch.setattr("nuclex.data.corpus.say", said.append)
    texts = [letters(number, 50) for number in range(60)]
    both = [*texts, *(text.translate(str.maketrans("ACGT", "TGCA"))[::-1] for text in texts)]
    source = fasta(tmp_path / "x.fa", [(f"s{n}", text) for n, text in enumerate(both)])
    split = {"by": "random", "validation": 0.3, "test": 0.3}
    config = _config(split, filter={"duplicates": policy}, alphabet=alphabet)
    manifest = build_corpus([source], tmp_path / "corpus", config)
    corpus, codes = Corpus.open(tmp_path / "corpus"), {}
    for row in range(len(corpus)):
        codes[corpus.ids(row)] = int(corpus.split_codes[row])
    divided = 0
    if alphabet == "dna" and policy != "drop_both_strands":
        divided = sum(codes[f"s{n}"] != codes[f"s{n + 60}"] for n in range(60))
        assert divided > 10
    assert manifest["split"]["divided_duplicates"] == divided
    lines = [line for line in said if "both sides of a border" in line]
    assert len(lines) == (divided > 0)
    assert all(f" {divided} sets" in line and "'drop_both_strands'" in line for line in lines)


@settings(max_examples=15)
@given(st.integers(0, 99), st.sampled_from(["cluster", "random", "family", "contig", "random-per-source"]))
def test_on_disk_as_in_memory(tmp_path_factory, seed, by):
    home = tmp_path_factory.mktemp("divide")
    random = np.random.default_rng(seed)
    texts = [letters(int(number), 20) for number in random.integers(0, 60, 150)]
    inputs = [
        fasta(home / f"{name}.fa", [(f"c{random.integers(9)} family=f{random.integers(9)}", text) for text in part])
        for name, part in (("one", texts[:100]), ("two", texts[100:]))
    ]
    config = _config({"by": by, "validation": 0.2, "test": 0.1}, filter={"duplicates": "keep"}, seed=seed)
    whole = build_corpus(inputs, home / "whole", config)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(partition, "_ROWS_AT_ONCE", int(random.integers(1, 40)))
        parts = build_corpus(inputs, home / "parts", config)
    assert whole["fingerprint"] == parts["fingerprint"]
    assert whole["split"] == parts["split"]
    if by in ("random", "random-per-source", "family", "contig"):
        corpus, together = Corpus.open(home / "whole"), defaultdict(set)
        sources, _ = corpus.sources
        for row in range(len(corpus)):
            group = {
                "random": corpus.sequence(row),
                "random-per-source": (corpus.sequence(row), int(sources[row])),
                "family": corpus.families[row],
                "contig": corpus.ids(row),
            }[by]
            together[group].add(int(corpus.split_codes[row]))
        assert all(len(codes) == 1 for codes in together.values())


def _peak(folder, rows, config):
    """The most bytes that Python and numpy held while ``rows`` sequences were told apart and divided."""
    folder.mkdir()
    staged = Stage(folder)
    for number in range(rows):
        key = sequence_key(b"%d" % number if number % 2 else b"one of %d" % (number % 3))
        row = rows_of([key], [1])
        row["contig"] = number % 9
        staged.add(Staged(["s"], b"A", ["x"], [None], row))
    staged.close()
    gathered = Gathered(staged, [Source("x", "x.fa", "", 0)])
    tracemalloc.start()
    try:
        codes_M = undivided(first_occurrences(staged, folder / "keys"))
        divide(gathered, codes_M, config, 0, folder)
        assert divided_duplicates(staged, Kept(codes_M), codes_M, folder / "pairs") == 0
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    found = np.bincount(codes_M + 1)
    assert found.tolist()[0] == rows // 2 - 3
    if config.by != "contig":
        np.testing.assert_allclose(found[2:], 0.05 * (rows // 2 + 3), atol=1)
    return peak


@pytest.mark.slow
@pytest.mark.parametrize("by", ["random", "random-per-source", "contig"])
def test_memory_grows_by_one_byte_a_sequence(tmp_path, monkeypatch, by):
    """Nothing but the array of splits is held for each sequence, also where many are equal or of one contig."""
    monkeypatch.setattr(partition, "_ROWS_AT_ONCE", 2000)
    monkeypatch.setattr(partition, "BLOCK_ROWS", 500)
    monkeypatch.setattr(partition, "_MOST_BITS", 4)  # as many open files in both
    monkeypatch.setattr(stage, "BATCH_ROWS", 500)
    few, many = 20_000, 160_000
    peaks = [_peak(tmp_path / f"{rows}", rows, SplitConfig(by=by, test=0.05)) for rows in (few, many)]
    each = (peaks[1] - peaks[0]) / (many - few)
    assert 0.9 < each < 2.5  # files of partitions, their names and the heap add a little
