import gzip
import hashlib
import http.server
import io
import json
import lzma
import re
import tarfile
import threading
from collections import Counter
from functools import partial
from pathlib import Path

import pytest
from pydantic import ValidationError

from nuclex.core.errors import CorruptError, InputError, OutsideError
from nuclex.core.progress import quiet
from nuclex.data import catalog, download
from nuclex.data.catalog import Dataset, available, fetch, list_datasets
from nuclex.data.corpus import CorpusConfig, build_corpus
from nuclex.data.read import read_sequences
from nuclex.data.unpack import archive_stem

# the release that each address of a large public database must hold; None where the database numbers none
SOURCES = {
    "rnacentral-active": "/releases/24.0/", "rfam-sequences": "/15.1/",
    "silva-ssu": "/release_138_2/", "silva-lsu": "/release_138_2/", "ncbi-virus": None, "ncbi-nt": None,
    "ensembl-human-ncrna": "/release-110/", "ensembl-ecoli-ncrna": "/release-62/",
    "ensembl-ecoli-genome": "/release-62/", "gencode-transcripts": "/release_49/", "gencode-lncrna": "/release_49/",
}  # fmt: skip
HEADERS = {
    "rnacentral-active": (b"URS000000000A tRNA from 15 species", "tRNA"),
    "ensembl-human-ncrna": (b"ENST0.1 ncrna chromosome:GRCh38:1:1:9:-1 gene:E gene_biotype:miRNA", "miRNA"),
    "gencode-transcripts": (b"ENST0.2|ENSG0.1|-|-|DDX11L2-202|DDX11L2|1657|lncRNA|", "lncRNA"),
}
PLAIN, PACKED = b">a\nACGT\n", b"packed form of the same"


def _sum(content):
    return hashlib.sha256(content).hexdigest()


class _Quiet(http.server.SimpleHTTPRequestHandler):
    asked: list[str] = []  # noqa: RUF012

    def do_GET(self):
        self.asked.append(self.path)
        super().do_GET()

    def log_message(self, format, *args):
        pass


@pytest.fixture(autouse=True)
def _alone(tmp_path, monkeypatch):
    """No mirror, an empty cache, no patience, nothing printed."""
    monkeypatch.setattr(download, "LIMITS", download.Limits(attempts=2, pause_s=0.01))
    monkeypatch.delenv("NUCLEX_MIRROR", raising=False)
    monkeypatch.setenv("NUCLEX_CACHE", str(tmp_path / "cache"))
    with quiet():
        yield


@pytest.fixture
def web(tmp_path):
    """A local web server: its folder, its address and what it was asked for."""
    folder = tmp_path / "web"
    folder.mkdir()
    _Quiet.asked = []
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), partial(_Quiet, directory=str(folder)))
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield folder, f"http://127.0.0.1:{server.server_port}", _Quiet.asked
    server.shutdown()
    thread.join()
    server.server_close()


def _entry(**changes):
    entry = {
        "name": "small", "what": "a test", "mirror": "deep/small.fa.gz", "sha256": _sum(PACKED), "bytes": len(PACKED),
        "licence": "CC0", "citation": "none", "url": "http://127.0.0.1:9/small.fasta",
        "url_sha256": _sum(PLAIN), "url_bytes": len(PLAIN),
    }  # fmt: skip
    return Dataset(**{**entry, **changes})


def _unknown(**changes):
    """An entry whose sum nobody knows."""
    nothing = dict.fromkeys(["sha256", "bytes", "url_sha256", "url_bytes"])
    return _entry(**{**nothing, "mirror": "deep/small.fa", **changes})


@pytest.fixture
def only(monkeypatch):
    """Replace the catalogue."""

    def replace(*datasets, collections=None):
        names = {dataset.name: dataset for dataset in datasets}
        monkeypatch.setattr(catalog, "_catalogue", lambda: (names, collections or {}))

    return replace


def test_every_entry_is_whole_and_public_or_says_that_it_is_derived():
    entries = list_datasets()
    names = [entry["name"] for entry in entries]
    assert len(set(names)) == len(names) == 131
    assert sum(entry["derived"] for entry in entries) == 19
    unknown = [entry for entry in entries if entry["sha256"] is None]
    assert [entry["name"] for entry in unknown if entry["page"] is None] == [
        "oas-heavy", "oas-paired", "splice-gs1", "ribosome-load-25-to-100", *SOURCES,
    ]  # fmt: skip
    assert len(unknown) == 20
    for entry in entries:
        assert entry["licence"]
        assert "doi:10." in entry["citation"]
        assert not entry["available"]
    for entry in [entry for entry in entries if entry not in unknown]:
        assert len(entry["sha256"]) == 64
        assert entry["bytes"] > 0
        assert entry["records"] > 0
        place = "https://github.com/" if entry["derived"] else "https://raw.githubusercontent.com/"
        for address in (entry["derived_from"] or entry["url"]).split("; "):
            assert address.startswith(place)
            assert re.search(r"/[0-9a-f]{40}/", address)
            assert " " not in address.partition(",")[0]
    for entry in unknown:
        assert (entry["url"] or entry["page"]).startswith("https://")


def test_collections_hold_what_their_names_say():
    entries = list_datasets()
    counts = Counter(name for entry in entries for name in entry["collections"])
    names = {entry["name"] for entry in entries}
    assert len(counts) == 36
    assert not counts.keys() & names
    expected = {"ncrna": 9, "nrc": 2, "archiveii": 4, "genomes": 5, "calm-species": 14, "splice-human": 8, "gue": 37}
    assert {name: counts[name] for name in expected} == expected
    for entry in entries:
        tasks = [name for name in entry["collections"] if name.startswith("gue-")]
        assert tasks == ([entry["name"].rpartition("-")[0]] if entry["name"].startswith("gue-") else [])


def test_no_two_copies_have_the_same_name():
    datasets, _ = catalog._catalogue()
    for names in ({d.mirror_file for d in datasets.values()}, {d.public_file for d in datasets.values()}):
        assert len(names) == len(datasets)
    assert datasets["gue-tf-0-train"].mirror.endswith("/train.csv.xz")
    assert datasets["gue-tf-0-train"].mirror_file == "gue-tf-0-train.csv.xz"
    assert datasets["gue-tf-0-train"].public_file == "gue-tf-0-train.csv"


def test_an_entry_needs_an_origin():
    with pytest.raises(ValidationError, match="either a url, or a page, or derived"):
        _entry(derived=True)
    with pytest.raises(ValidationError, match="either a url, or a page, or derived"):
        _entry(url=None)
    with pytest.raises(ValidationError, match="both sha256 and bytes, or"):
        _entry(sha256=None)
    with pytest.raises(ValidationError, match="a page needs how, and url_sha256 a sha256"):
        _entry(sha256=None, bytes=None)
    with pytest.raises(ValidationError, match="a page needs how"):
        _unknown(url=None, page="https://example.org")
    with pytest.raises(ValidationError, match="both url_sha256 and url_bytes"):
        _entry(url_bytes=None)


def test_a_mirror_folder_hands_out_its_own_file(tmp_path, monkeypatch, only):
    only(_entry())
    place = tmp_path / "mirror" / "deep" / "small.fa.gz"
    place.parent.mkdir(parents=True)
    place.write_bytes(PACKED)
    assert not available("small")
    monkeypatch.setenv("NUCLEX_MIRROR", str(tmp_path / "mirror"))
    assert available("small")
    assert fetch("small") == [place]
    assert fetch("small", tmp_path / "out") == [tmp_path / "out" / "small.fa.gz"]
    assert (tmp_path / "out" / "small.fa.gz").read_bytes() == PACKED
    place.write_bytes(PACKED[:-1] + b"X")
    with pytest.raises(OutsideError, match=r"small\.fa\.gz: its sha256 differs from the catalogue's"):
        fetch("small")


def test_the_public_address_is_asked_once_and_its_form_is_named_rightly(tmp_path, web, only):
    folder, address, asked = web
    (folder / "original.fasta").write_bytes(PLAIN)
    only(_entry(url=f"{address}/original.fasta"))
    (path,) = fetch("small")
    assert path == tmp_path / "cache" / "data" / "small" / "small.fa"
    assert path.read_bytes() == PLAIN
    assert available("small")
    assert fetch("small") == [path]
    assert asked == ["/original.fasta"]
    path.write_bytes(b"damaged since")
    assert fetch("small")[0].read_bytes() == PLAIN
    assert len(asked) == 2
    assert fetch("small", tmp_path / "out") == [tmp_path / "out" / "small.fa"]


def test_a_mirror_address_comes_before_the_public_one(tmp_path, monkeypatch, web, only):
    folder, address, asked = web
    (folder / "deep").mkdir()
    (folder / "deep" / "small.fa.gz").write_bytes(PACKED)
    (folder / "original.fasta").write_bytes(PLAIN)
    only(_entry(url=f"{address}/original.fasta"))
    monkeypatch.setenv("NUCLEX_MIRROR", f"{address}/")
    (path,) = fetch("small")
    assert (path.name, path.read_bytes()) == ("small.fa.gz", PACKED)
    assert asked == ["/deep/small.fa.gz"]
    monkeypatch.delenv("NUCLEX_MIRROR")
    assert fetch("small") == [path]
    assert len(asked) == 1


def test_what_a_mirror_lacks_is_fetched_from_the_public_address(tmp_path, monkeypatch, web, only):
    folder, address, asked = web
    (folder / "original.fasta").write_bytes(PLAIN)
    only(_entry(url=f"{address}/original.fasta"))
    for mirror in (str(tmp_path / "empty"), f"{address}/nothing"):
        monkeypatch.setenv("NUCLEX_MIRROR", mirror)
        assert fetch("small", tmp_path / Path(mirror).name)[0].read_bytes() == PLAIN
    assert asked == ["/original.fasta", "/nothing/deep/small.fa.gz", "/original.fasta"]


def test_wrong_content_is_not_kept(tmp_path, web, only):
    folder, address, _ = web
    only(_entry(url=f"{address}/original.fasta"))
    for content, message in (
        (PLAIN.lower(), "what it sends differs from the catalogue's sha256"),
        (b"another file", "announces 12 bytes, the catalogue says 8"),
    ):
        (folder / "original.fasta").write_bytes(content)
        with pytest.raises(OutsideError, match=message):
            fetch("small")
        assert not (tmp_path / "cache").exists()
        with pytest.raises(OutsideError, match=message):
            fetch("small", tmp_path / "out" / "deep")
        assert not (tmp_path / "out").exists()


def test_an_archive_becomes_a_folder_where_that_is_wanted(tmp_path, monkeypatch, only):
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w:xz") as archive:
        info = tarfile.TarInfo("structures/a.bpseq")
        info.size = len(PLAIN)
        archive.addfile(info, io.BytesIO(PLAIN))
    content = packed.getvalue()
    changes = {"url": None, "url_sha256": None, "url_bytes": None, "derived": True, "derived_from": "elsewhere"}
    archive = _entry(name="all", mirror="all.tar.xz", sha256=_sum(content), bytes=len(content), **changes)
    only(archive, _entry(), collections={"both": ["all", "small"]})
    mirror = tmp_path / "mirror"
    (mirror / "deep").mkdir(parents=True)
    (mirror / "all.tar.xz").write_bytes(content)
    (mirror / "deep" / "small.fa.gz").write_bytes(PACKED)
    monkeypatch.setenv("NUCLEX_MIRROR", str(mirror))
    assert fetch("both") == [mirror / "all.tar.xz", mirror / "deep" / "small.fa.gz"]
    for out, place in ((None, tmp_path / "cache" / "data" / "all"), (tmp_path / "out", tmp_path / "out")):
        for _ in range(2):  # the second time it is there
            folder, other = fetch("both", out, unpack=True)
            assert folder == place / "all"
            assert (folder / "structures" / "a.bpseq").read_bytes() == PLAIN
            assert other.name == "small.fa.gz"
    (folder / "structures" / "a.bpseq").write_bytes(b"changed")
    with pytest.raises(CorruptError, match="the manifest says"):
        fetch("both", tmp_path / "out", unpack=True)


def test_a_mirror_given_as_a_file_address_is_refused(only, monkeypatch, tmp_path):
    only(_entry(url="http://127.0.0.1:9/small.fasta"))
    (tmp_path / "deep").mkdir()
    (tmp_path / "deep" / "small.fa.gz").write_bytes(PACKED)
    monkeypatch.setenv("NUCLEX_MIRROR", f"file://{tmp_path}")
    with pytest.raises(OutsideError, match=r"no address of the web \(file\); only http and https are fetched"):
        fetch("small")


def test_an_address_that_is_none_is_said(tmp_path, monkeypatch, only):
    only(_entry())
    monkeypatch.setenv("NUCLEX_MIRROR", "ftp://[bad")
    with pytest.raises(
        OutsideError, match=r"ftp://\[bad/deep/small\.fa\.gz: is not an address; http.*cannot be reached"
    ):
        fetch("small", tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_nothing_anywhere_is_one_sentence(tmp_path, monkeypatch, web, only):
    _, address, _ = web
    only(_entry(url=f"{address}/gone.fasta"), _entry(name="far"))
    monkeypatch.setenv("NUCLEX_MIRROR", str(tmp_path / "empty"))
    with pytest.raises(OutsideError) as caught:
        fetch("small")
    assert str(caught.value) == (
        f"small: cannot be obtained: the mirror {tmp_path / 'empty'} has no deep/small.fa.gz; "
        f"{address}/gone.fasta: answered 404; set NUCLEX_MIRROR to a folder or an address that has deep/small.fa.gz"
    )
    with pytest.raises(OutsideError, match=r"127\.0\.0\.1:9/small\.fasta: cannot be reached"):
        fetch("far")


def test_a_derived_file_says_that_only_a_mirror_has_it(only):
    changes = {"url": None, "url_sha256": None, "url_bytes": None}
    only(_entry(derived=True, derived_from="https://example.org/raw", **changes))
    with pytest.raises(
        OutsideError, match=r"made from https://example\.org/raw and has no public address .* NUCLEX_MIRROR"
    ):
        fetch("small")


def test_a_file_without_a_known_sum_is_accepted_once_and_demanded_from_then_on(tmp_path, web, only):
    folder, address, asked = web
    (folder / "original.fasta").write_bytes(PLAIN)
    only(_unknown(url=f"{address}/original.fasta"))
    refusal = (
        "small: the sha256 of small.fa was published nowhere; `nuclex data fetch small --trust-first` takes the first "
        f"copy as it is and demands its sum from then on: {address}/original.fasta"
    )
    for _ in range(2):
        with pytest.raises(OutsideError) as caught:
            fetch("small")
        assert str(caught.value) == refusal
    assert (asked, (tmp_path / "cache").exists(), available("small")) == ([], False, False)
    (path,) = fetch("small", trust_first=True)
    assert path.read_bytes() == PLAIN
    record = json.loads((path.parent / "small.fa.sum.json").read_text())
    assert record == {"sha256": _sum(PLAIN), "bytes": len(PLAIN), "origin": f"{address}/original.fasta"}
    assert available("small")
    assert fetch("small") == fetch("small", trust_first=True) == [path]
    assert fetch("small", tmp_path / "out")[0].read_bytes() == PLAIN
    assert asked == ["/original.fasta"]
    path.unlink()
    (folder / "original.fasta").write_bytes(PLAIN.lower())
    for trust in (False, True):  # what was accepted is not forgotten
        with pytest.raises(OutsideError, match="what it sends differs from the catalogue's sha256"):
            fetch("small", trust_first=trust)
    (folder / "original.fasta").write_bytes(PLAIN)
    assert fetch("small") == [path]
    (path.parent / "small.fa.sum.json").write_text("{}")
    with pytest.raises(CorruptError, match=r"small\.fa\.sum\.json: is not the readable record of a sum"):
        fetch("small")


def test_a_mirrors_file_without_a_known_sum_is_accepted_too(tmp_path, monkeypatch, only):
    only(_unknown())
    place = tmp_path / "mirror" / "deep" / "small.fa"
    place.parent.mkdir(parents=True)
    place.write_bytes(PLAIN)
    monkeypatch.setenv("NUCLEX_MIRROR", str(tmp_path / "mirror"))
    with pytest.raises(OutsideError, match=rf"takes the first copy as it is .*: {place}"):
        fetch("small")
    assert fetch("small", trust_first=True) == fetch("small") == [place]
    place.write_bytes(PLAIN.lower())
    with pytest.raises(OutsideError, match=r"small\.fa: its sha256 differs"):
        fetch("small", trust_first=True)


@pytest.mark.parametrize("name", SOURCES)
def test_a_release_of_a_large_database_comes_from_its_layout_and_can_be_read(tmp_path, web, only, name):
    folder, address, asked = web
    entry = catalog._catalogue()[0][name]
    _, slashes, host, path = re.fullmatch(r"(https:)(//)([^/]+)(/.+)", entry.url).groups()
    assert SOURCES[name] is None or SOURCES[name] in path
    assert (SOURCES[name] is None) == ("no numbered releases" in entry.what)
    assert (slashes, host.count(".") >= 2, "latest" in path, "current" in path) == ("//", True, False, False)
    header, kind = HEADERS.get(name, (b"seq1 some words", None))
    place = folder / path.lstrip("/")
    place.parent.mkdir(parents=True)
    letters = [bytes(b"ACGT"[number >> 2 * place & 3] for place in range(4)) for number in range(1, 41)]
    records = [b">%b\nACGTTGCAACGG\n%b\n" % (header, four) for four in letters]
    place.write_bytes(gzip.compress(b"".join(records), mtime=0))
    only(entry.model_copy(update={"url": address + path}))
    with pytest.raises(OutsideError, match=f"`nuclex data fetch {name} --trust-first`"):
        fetch(name)
    (copy,) = fetch(name, trust_first=True)
    assert (asked, copy.name) == ([path], Path(entry.mirror).name)
    manifest = build_corpus([copy], tmp_path / "corpus", CorpusConfig.from_data({"cluster": {"method": "none"}}))
    assert (manifest["sequences_out"], manifest["nucleotides_out"]) == (40, 640)
    assert kind is None or f'"{kind}"' in json.dumps(manifest)


def test_what_no_program_can_fetch_is_put_there_by_a_person(tmp_path, only):
    only(_unknown(url=None, page="https://example.org/table", how="press the button"))
    place = tmp_path / "cache" / "data" / "small" / "small.fa"
    for trust in (False, True):
        with pytest.raises(OutsideError) as caught:
            fetch("small", trust_first=trust)
        assert str(caught.value) == (
            "small: the sha256 of small.fa was published nowhere, and no program can fetch it: press the button "
            f"(https://example.org/table), save it as {place}; `nuclex data fetch small --trust-first` takes the first "
            "copy as it is and demands its sum from then on"
        )
    place.parent.mkdir(parents=True)
    place.write_bytes(PLAIN)
    with pytest.raises(OutsideError, match="takes the first copy as it is"):
        fetch("small")
    assert fetch("small", trust_first=True) == fetch("small") == [place]
    place.write_bytes(PLAIN.lower())
    with pytest.raises(OutsideError, match="the copy that was accepted is gone; press the button"):
        fetch("small")


def test_collections_and_unknown_names(tmp_path, monkeypatch, only):
    only(_entry(), _entry(name="other", mirror="other.fa.gz"), collections={"pair": ["other", "small"]})
    monkeypatch.setenv("NUCLEX_MIRROR", str(tmp_path))
    (tmp_path / "other.fa.gz").write_bytes(PACKED)
    assert not available("pair")
    (tmp_path / "deep").mkdir()
    (tmp_path / "deep" / "small.fa.gz").write_bytes(PACKED)
    assert available("pair")
    assert [path.name for path in fetch("pair")] == ["other.fa.gz", "small.fa.gz"]
    for function in (fetch, available):
        with pytest.raises(
            InputError, match=r"unknown name 'smal' \(did you mean 'small'\?\); known: pair, small, other"
        ):
            function("smal")


@pytest.mark.slow
@pytest.mark.real
def test_every_entry_is_what_the_mirror_has(mirror, monkeypatch):
    monkeypatch.setenv("NUCLEX_MIRROR", str(mirror))
    for entry in [entry for entry in list_datasets() if entry["sha256"]]:
        assert entry["available"]
        (path,) = fetch(entry["name"])
        assert path.stat().st_size == entry["bytes"]
        if entry["url_sha256"]:
            content = (gzip if path.suffix == ".gz" else lzma).decompress(path.read_bytes())
            assert (_sum(content), len(content)) == (entry["url_sha256"], entry["url_bytes"])
        assert _records(path) == entry["records"]


def _records(path):
    """How many records a file has, by its format."""
    if archive_stem(path.name):
        with tarfile.open(path) as archive:
            return len(archive.getnames())
    opened = {".gz": gzip.open, ".xz": lzma.open}.get(path.suffix, open)
    with opened(path, "rt", encoding="utf-8") as file:
        if ".json." in path.name:
            return len(json.load(file)["id"])
        if ".fa." in path.name:
            return sum(line.startswith(">") for line in file)
        return sum(1 for _ in file) - (".jsonl" not in path.name and ".snp" not in path.name)


@pytest.mark.real
@pytest.mark.parametrize("part", range(8))
def test_sequences_of_the_catalogue_can_be_read(mirror, monkeypatch, part):
    monkeypatch.setenv("NUCLEX_MIRROR", str(mirror))
    entries = [entry for entry in list_datasets() if ".fa." in entry["mirror"] and entry["sha256"]]
    assert len(entries) > 30
    for entry in entries[part::8]:
        (path,) = fetch(entry["name"])
        assert sum(1 for _ in read_sequences(path)) == entry["records"]
