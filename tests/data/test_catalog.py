import gzip
import hashlib
import http.server
import lzma
import threading
from functools import partial
from pathlib import Path

import pytest
from pydantic import ValidationError

from nuclex.core.errors import InputError, OutsideError
from nuclex.core.progress import quiet
from nuclex.data import catalog
from nuclex.data.catalog import Dataset, available, fetch, list_datasets
from nuclex.data.read import read_sequences

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
    """No mirror, an empty cache, nothing printed."""
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
    assert len(set(names)) == len(names) == 15
    for entry in entries:
        assert len(entry["sha256"]) == 64
        assert entry["bytes"] > 0
        assert entry["licence"]
        assert "doi:10." in entry["citation"]
        address = entry["derived_from"] if entry["derived"] else entry["url"]
        assert address.startswith("https://github.com/" if entry["derived"] else "https://raw.githubusercontent.com/")
        assert any(len(part) == 40 and int(part, 16) for part in address.split("/") if len(part) == 40)
        assert not entry["available"]
    members = {name for entry in entries for name in entry["collections"]}
    assert members == {"ncrna", "nrc", "archiveii"}
    assert sum("ncrna" in entry["collections"] for entry in entries) == 9


def test_an_entry_needs_an_origin():
    with pytest.raises(ValidationError, match="either a url, or derived"):
        _entry(derived=True)
    with pytest.raises(ValidationError, match="either a url, or derived"):
        _entry(url=None)


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
    (folder / "original.fasta").write_bytes(b"another file")
    only(_entry(url=f"{address}/original.fasta"))
    with pytest.raises(OutsideError, match="what it sends differs from the catalogue's sha256"):
        fetch("small")
    assert not (tmp_path / "cache").exists()
    with pytest.raises(OutsideError, match="differs from the catalogue's sha256"):
        fetch("small", tmp_path / "out" / "deep")
    assert not (tmp_path / "out").exists()


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


@pytest.mark.real
def test_every_entry_is_what_the_mirror_has(mirror, monkeypatch):
    monkeypatch.setenv("NUCLEX_MIRROR", str(mirror))
    for entry in list_datasets():
        assert entry["available"]
        (path,) = fetch(entry["name"])
        assert path.stat().st_size == entry["bytes"]
        if entry["url_sha256"]:
            content = (gzip if path.suffix == ".gz" else lzma).decompress(path.read_bytes())
            assert (_sum(content), len(content)) == (entry["url_sha256"], entry["url_bytes"])
        if ".fa" in path.name:
            assert sum(1 for _ in read_sequences(path)) == entry["records"]
