"""What each setting of a corpus does to what is stored: shuffling, masks, segments, tables."""

import gzip
from collections import Counter

import numpy as np
import pytest

from made import fasta, letters
from nuclex.data import partition
from nuclex.data.corpus import CorpusConfig, build_corpus, corpus_info
from nuclex.data.store import Corpus

ALONE = {"cluster": {"method": "none"}}
ALL_TRAIN = {**ALONE, "split": {"validation": 0, "test": 0}}


pytestmark = pytest.mark.usefixtures("silent")


def _rows(folder):
    corpus = Corpus.open(folder)
    return [(corpus.ids(row), corpus.sequence(row), int(corpus.split_codes[row])) for row in range(len(corpus))]


def test_shuffling_changes_the_order_and_nothing_else(tmp_path, monkeypatch):
    source = fasta(tmp_path / "x.fa", [(f"s{n}", letters(n, 40)) for n in range(200)])
    made = {
        name: build_corpus([source], tmp_path / name, CorpusConfig.from_data({**ALONE, **settings}))
        for name, settings in (
            ("plain", {}), ("mixed", {"shuffle": True}), ("again", {"shuffle": True}),
        )
    }  # fmt: skip
    monkeypatch.setattr(partition, "_BYTES_AT_ONCE", 500)
    made["disk"] = build_corpus([source], tmp_path / "disk", CorpusConfig.from_data({**ALONE, "shuffle": True}))
    plain, mixed = _rows(tmp_path / "plain"), _rows(tmp_path / "mixed")
    assert plain != mixed
    assert sorted(plain) == sorted(mixed)
    assert made["mixed"]["fingerprint"] == made["again"]["fingerprint"] == made["disk"]["fingerprint"]
    assert _rows(tmp_path / "disk") == mixed
    places = [int(name[1:]) for name, _, _ in mixed]
    assert abs(np.corrcoef(places, np.arange(200))[0, 1]) < 0.3
    assert {key: made["plain"][key] for key in ("lengths", "composition", "split", "sources")} == {
        key: made["mixed"][key] for key in ("lengths", "composition", "split", "sources")
    }


def test_soft_masked_repeats_by_policy(tmp_path):
    contig = letters(0, 300) + letters(1, 200).lower() + "N" * 30 + letters(2, 100)
    source = fasta(tmp_path / "x.fa", [("chr1 repeats in lower case", contig), ("chr2", letters(3, 60))])
    cut = {"method": "random", "shortest": 40, "longest": 80}

    def built(name, **settings):
        return build_corpus(
            [source], tmp_path / name, CorpusConfig.from_data({**ALL_TRAIN, "segment": cut, **settings})
        )

    upper = built("upper")
    assert upper["lower_case_in"] == 200
    assert upper["filters"][0]["gap_letters"] == 30
    for name, text, _ in _rows(tmp_path / "upper"):
        place, _, span = name.partition(":")
        start, end = map(int, span.split("-"))
        assert text.decode() == {"chr1": contig, "chr2": letters(3, 60)}[place][start:end].upper()
    masked = built("masked", filter={"soft_mask": "n"})
    assert masked["filters"][0]["gap_letters"] == 230
    assert all(b"N" not in text for _, text, _ in _rows(tmp_path / "masked"))
    kept = {name for name, _, _ in _rows(tmp_path / "masked")}
    assert kept
    assert all(not (300 <= int(name.split(":")[1].split("-")[0]) < 530) for name in kept if name.startswith("chr1"))
    dropped = built("dropped", filter={"soft_mask": "drop", "max_lower": 0.0})
    entry = dropped["filters"][1]
    assert (entry["name"], entry["in"]) == ("soft_mask", dropped["filters"][0]["out"])
    rest = [row for row in _rows(tmp_path / "upper") if not any(x.islower() for x in _written(contig, row[0]))]
    assert _rows(tmp_path / "dropped") == rest
    assert entry["removed"] == len(_rows(tmp_path / "upper")) - len(rest) > 0


def _written(contig, name):
    start, end = map(int, name.split(":")[1].split("-"))
    return contig[start:end] if name.startswith("chr1") else ""


def test_tables_by_source_family_and_type(tmp_path):
    one = fasta(tmp_path / "one.fa", [
        ("URS00008314B2 rRNA from 13 species", "GGGGCCCCGGGGCCCC"),
        ("URS0000EEA3B1 tRNA from 12 species", "AAAATTTTAAAATTTTGGGG"),
        ("URS000075B5B7_9606 Homo sapiens (human) tRNA-Ala", "ACGTACGTACGTACGTAC"),
        ("ENST1 ncrna chromosome:1 gene_biotype:miRNA transcript_biotype:miRNA", "AACCGGTTAACCGGTTNN"),
    ])  # fmt: skip
    two = fasta(tmp_path / "two.fa", [("x type=tRNA family=RF00005", "ACACACACACACACACACAC")])
    config = CorpusConfig.from_data({**ALL_TRAIN, "filter": {"max_ambiguous": 0.2}})
    build_corpus([one, two], tmp_path / "corpus", config)
    info = corpus_info(tmp_path / "corpus")
    assert [(row["name"], row["sequences"], row["nucleotides"]) for row in info["by_type"]] == [
        ("tRNA", 2, 40), ("(none)", 1, 18), ("rRNA", 1, 16), ("miRNA", 1, 18),
    ]  # fmt: skip
    by_name = {row["name"]: row for row in info["by_type"]}
    assert by_name["tRNA"]["gc"] == (4 + 10) / 40
    assert by_name["miRNA"]["ambiguous"] == 2 / 18
    assert by_name["miRNA"]["gc"] == 0.5
    assert [(row["name"], row["sequences"]) for row in info["by_family"]] == [("(none)", 4), ("RF00005", 1)]
    assert [(row["name"], row["median"]) for row in info["by_source"]] == [("one", 18), ("two", 20)]
    pattern = {**ALL_TRAIN, "type_pattern": r"(\S+)$", "filter": {"max_ambiguous": 0.2}}
    other = build_corpus([two], tmp_path / "other", CorpusConfig.from_data(pattern))
    assert [row["name"] for row in other["by_type"]] == ["family=RF00005"]


@pytest.mark.real
def test_types_of_the_rnacentral_sample(mirror, tmp_path):
    path = mirror / "ncrna_pretrain" / "rnacentral_sample_1400.fa.gz"
    config = CorpusConfig.from_data(
        {**ALL_TRAIN, "filter": {"min_length": 1, "max_ambiguous": 1, "duplicates": "keep", "max_length": 100_000}}
    )
    manifest = build_corpus([path], tmp_path / "corpus", config)
    headers = [line.split() for line in gzip.decompress(path.read_bytes()).decode().splitlines() if line[0] == ">"]
    counted = Counter(words[1] for words in headers)
    assert {row["name"]: row["sequences"] for row in manifest["by_type"]} == dict(counted)
    assert len(counted) > 10


@pytest.mark.real
@pytest.mark.slow
def test_the_yeast_genome(mirror, tmp_path):
    """16 chromosomes, 12 071 326 letters (R64-1-1 without the mitochondrion), none of them N."""
    from nuclex.core.config import load_config

    config = load_config(CorpusConfig, "corpus/yeast")
    source = mirror / "genomes" / "scerevisiae_R64-1-1_nuclear.fa.gz"
    manifest = build_corpus([source], tmp_path / "corpus", config)
    segments = manifest["filters"][0]
    assert (segments["in"], segments["nucleotides_in"], segments["gap_letters"]) == (16, 12_071_326, 0)
    assert segments["out"] == manifest["sequences_out"] == 18_774
    assert manifest["nucleotides_out"] == 12_069_105
    lengths = {"IX": 439_888, "XI": 666_816}
    for split, contig in (("validation", "IX"), ("test", "XI")):
        assert lengths[contig] - 256 < manifest["split"][split]["nucleotides"] <= lengths[contig]
