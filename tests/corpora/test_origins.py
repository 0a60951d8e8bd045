"""A corpus knows which data sets of the catalogue its sources are, and what they say of their sequences."""

import gzip
import hashlib

import pytest

from nuclex.core.errors import CorruptError
from nuclex.data import catalog
from nuclex.data.corpus import CorpusConfig, build_corpus
from nuclex.data.first_sum import accept

CONFIG = CorpusConfig.from_data(
    {
        "filter": {"min_length": 1, "duplicates": "keep"},
        "cluster": {"method": "none"},
        "split": {"by": "random", "validation": 0, "test": 0},
    }
)
TEXT = b">a\nACGTACGTAA\n>b type=miRNA\nTTTACG\n"


def entry(name, **given):
    about = {"what": "w", "mirror": f"{name}.fa", "citation": "c", "url": "https://example.org/x", "licence": "CC0"}
    return catalog.Dataset.from_data({"name": name, **about, **given})


@pytest.fixture
def known(monkeypatch):
    """Makes the catalogue hold these entries alone."""

    def hold(*datasets):
        monkeypatch.setattr(catalog, "_catalogue", lambda: ({one.name: one for one in datasets}, {}))

    return hold


def test_a_source_that_is_a_data_set_has_its_licence_and_its_type_of_rna(tmp_path, known):
    digest = hashlib.sha256(TEXT).hexdigest()
    licence = "SILVA 119: free for academic use, commercial use needs a licence"
    known(entry("other", sha256="0" * 64, bytes=1), entry("mine", sha256=digest, bytes=1, rna="tRNA", licence=licence))
    (tmp_path / "mine.fa").write_bytes(TEXT)
    (tmp_path / "own.fa").write_bytes(TEXT + b">c\nGGG\n")
    manifest = build_corpus([tmp_path / "mine.fa", tmp_path / "own.fa"], tmp_path / "corpus", CONFIG)
    mine, own = manifest["sources"]
    assert [mine[key] for key in ("dataset", "licence", "terms", "citation")] == ["mine", licence, "academic", "c"]
    assert not {"dataset", "licence", "terms", "citation"} & own.keys()
    # by hand: a's type is the data set's, b's the header's; of the other file only b has one
    found = {row["name"]: (row["sequences"], row["nucleotides"]) for row in manifest["by_type"]}
    assert found == {"tRNA": (1, 10), "miRNA": (2, 12), "(none)": (2, 13)}


def test_the_public_form_of_a_data_set_and_an_accepted_copy_are_known_too(tmp_path, known, monkeypatch):
    monkeypatch.setenv(catalog.CACHE, str(tmp_path / "cache"))
    plain, packed = hashlib.sha256(TEXT).hexdigest(), hashlib.sha256(gzip.compress(TEXT)).hexdigest()
    public, first = entry("public", sha256=packed, bytes=1, url_sha256=plain, url_bytes=1), entry("first")
    known(public, first)
    assert catalog.recognised(plain) == catalog.recognised(packed) == public
    other = tmp_path / "cache" / "data" / "first" / "first.fa"
    other.parent.mkdir(parents=True)
    other.write_bytes(b"x")
    digest = hashlib.sha256(b"x").hexdigest()
    assert catalog.recognised(digest) is None
    accept(other, other, "here")
    assert catalog.recognised(digest) == first
    (other.parent / "first.fa.sum.json").write_text("{")
    with pytest.raises(CorruptError):
        catalog.fetch("first")
    assert catalog.recognised(digest) is None
