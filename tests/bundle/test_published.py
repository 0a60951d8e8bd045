"""A bundle on the hub is opened by its name: pinned, checked, kept; a token goes to the hub alone."""

import hashlib
import json

import pytest
import torch

import nuclex
from fakehub import READ_ONLY, TOKEN, FakeHub, Repository
from nuclex.bundle import published
from nuclex.bundle.published import hub_name
from nuclex.core.errors import CorruptError, InputError, OutsideError

NAME = "lab/tiny"


@pytest.fixture
def hub(monkeypatch, tmp_path, silent):
    made = FakeHub()
    monkeypatch.setenv("HF_ENDPOINT", made.address)
    monkeypatch.setenv("NUCLEX_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("HF_HOME", str(tmp_path / "hf"))
    for name in ("HF_TOKEN", "HUGGING_FACE_HUB_TOKEN", "HF_TOKEN_PATH", "HF_HUB_OFFLINE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.chdir(tmp_path)
    yield made
    made.close()


def files_of(folder):
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def put(hub, folder, *, private=False, branch="main"):
    """Commit a bundle's files, beside one that the hub itself makes."""
    repository = hub.repositories.setdefault(NAME, Repository(private=private))
    return repository.commit(branch, {".gitattributes": b"x", **files_of(folder)}, "a bundle")


def test_the_newest_commit_is_taken_said_and_kept(hub, making, capsys):
    folder = making.bundle()
    commit = put(hub, folder)
    bundle = nuclex.load(NAME)
    assert bundle.source == f"{NAME}@{commit}"
    assert files_of(bundle.path) == files_of(folder)
    weights = nuclex.load(folder).model.state_dict()
    assert all(torch.equal(value, weights[key]) for key, value in bundle.model.state_dict().items())


def test_a_moved_branch_is_another_commit_and_a_pinned_one_stays(hub, making, tmp_path):
    first = put(hub, making.bundle())
    assert nuclex.load(NAME).source == f"{NAME}@{first}"
    making.folder = tmp_path / "second"
    making.folder.mkdir()
    second = put(hub, making.bundle("rinalmo"))
    assert second != first
    assert nuclex.load(NAME).source == f"{NAME}@{second}"
    for pinned in (nuclex.load(f"{NAME}@{first}"), nuclex.load(NAME, revision=first)):
        assert pinned.source == f"{NAME}@{first}"
        assert type(pinned.model.config) is type(making.configs["roberta"])
        assert pinned.model.config == making.configs["roberta"]


def test_what_is_kept_is_not_asked_for_again(hub, making, monkeypatch):
    commit = put(hub, making.bundle())
    nuclex.load(NAME)
    asked = len(hub.asked)
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    nuclex.load(f"{NAME}@{commit}")
    assert len(hub.asked) == asked
    with pytest.raises(OutsideError, match=f"HF_HUB_OFFLINE is set; at hand: {NAME}@{commit}"):
        nuclex.load(NAME)


def test_a_branch_with_a_slash_is_a_revision(hub, making):
    commit = put(hub, making.bundle(), branch="try/2")
    assert nuclex.load(f"{NAME}@try/2").source == f"{NAME}@{commit}"


@pytest.mark.parametrize("where", ["variable", "file"])
def test_a_private_bundle_needs_a_token_which_the_hub_alone_sees(hub, making, monkeypatch, tmp_path, where):
    put(hub, making.bundle(), private=True)
    with pytest.raises(InputError, match=r"shows no such model \(answered 401\).*`hf auth login` or HF_TOKEN"):
        nuclex.load(NAME)
    if where == "variable":
        monkeypatch.setenv("HF_TOKEN", READ_ONLY)
    else:
        (tmp_path / "hf").mkdir()
        (tmp_path / "hf" / "token").write_text(f"{READ_ONLY}\n")
    nuclex.load(NAME)
    elsewhere = [given for _, path, given, host in hub.asked if host == "localhost"]
    assert elsewhere == [None], "large files lie on another host"


def test_a_file_that_was_changed_on_the_hub_is_refused(hub, making):
    folder = making.bundle()
    commit = put(hub, folder)
    changed = bytearray((folder / "model.safetensors").read_bytes())
    changed[-1] ^= 1
    hub.repositories[NAME].commits[commit]["model.safetensors"] = bytes(changed)
    with pytest.raises(OutsideError, match=r"model\.safetensors: what it sends differs from"):
        nuclex.load(NAME)


@pytest.mark.parametrize("file", ["../evil.json", "/etc/x.json", "run.py", "a//b.json", "model.bin"])
def test_a_manifest_that_lists_what_no_bundle_holds_is_refused_unread(hub, making, file, tmp_path):
    commit = put(hub, making.bundle())
    entry = {"bytes": 1, "sha256": hashlib.sha256(b"x").hexdigest()}
    hub.repositories[NAME].commits[commit]["manifest.json"] = json.dumps({"files": {file: entry}}).encode()
    with pytest.raises(CorruptError, match="which no bundle holds"):
        nuclex.load(NAME)
    assert not list((tmp_path / "cache").rglob("*.json"))


def test_what_is_missing_is_said(hub, making):
    with pytest.raises(InputError, match="nobody/nothing: no such folder, and the hub shows no such model"):
        nuclex.load("nobody/nothing")
    put(hub, making.bundle())
    with pytest.raises(InputError, match="the hub has no model or revision v9 of that name"):
        nuclex.load(f"{NAME}@v9")
    with pytest.raises(InputError, match="names a revision, and revision='v9' is given, too"):
        nuclex.load(f"{NAME}@v8", revision="v9")
    hub.repositories["lab/other"] = Repository()
    hub.repositories["lab/other"].commit("main", {"config.json": b"{}"}, "no bundle")
    with pytest.raises(InputError, match=r"no manifest\.json at .*: it is not a bundle of nuclex"):
        nuclex.load("lab/other")


def test_a_hub_that_fails_or_is_not_there_is_an_outside_error(hub, making, monkeypatch):
    put(hub, making.bundle())
    hub.broken = 500
    with pytest.raises(OutsideError, match="answered 500"):
        nuclex.load(NAME)
    monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:9")
    with pytest.raises(OutsideError, match="cannot be reached"):
        nuclex.load(NAME)


def test_a_path_is_no_name(hub, tmp_path):
    (tmp_path / "run").mkdir()
    for path in (tmp_path / "x", "run/bundle", "./a/b", "a/b/c", "bundle", "../up/there"):
        assert hub_name(path, None) is None, path
        with pytest.raises(InputError):
            nuclex.load(path)
    with pytest.raises(InputError, match=r"only there are revisions"):
        nuclex.load("run/bundle", revision="main")
    assert hub.asked == []
    assert hub_name("org/na.me-1@v1.0", None) == ("org/na.me-1", "v1.0")


def test_the_token_may_be_turned_off(monkeypatch):
    monkeypatch.setenv("HF_TOKEN", TOKEN)
    assert published.token() == TOKEN
    monkeypatch.setenv("HF_HUB_DISABLE_IMPLICIT_TOKEN", "1")
    assert published.token() is None
