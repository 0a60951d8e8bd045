"""Bundles on the Hugging Face hub: which commit a name stands for, and its files in the cache, each checked by its sum.

Read with plain requests, so that nothing beyond nuclex need be installed. Asked is the server of ``HF_ENDPOINT``; a
token, from where ``hf auth login`` or ``HF_TOKEN`` puts it, is sent to it alone.
"""

from __future__ import annotations

import json
import os
import re
from pathlib import Path
from urllib.parse import quote

from nuclex.core.artifact import MANIFEST, atomic_file
from nuclex.core.errors import CONTROL, CorruptError, InputError, OutsideError, shown
from nuclex.core.plain import from_json
from nuclex.core.progress import say
from nuclex.data.catalog import cache_folder
from nuclex.data.download import LIMITS, download

MAIN = "main"
SUFFIXES = (".json", ".md", ".safetensors", ".txt")
"""What the files of a bundle may be; code and pickles, which other programs might run, are refused unread."""
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,95}/[A-Za-z0-9][A-Za-z0-9._-]{0,95}")
_COMMIT = re.compile(r"[0-9a-f]{40}")
_MOST_BYTES = 16 << 20
"""Of an answer that is read into memory: a list of files, a manifest."""


def hub_name(path: str | Path, revision: str | None) -> tuple[str, str | None] | None:
    """Repository and revision that ``org/name`` or ``org/name@revision`` stands for; None for a path of this machine.

    A path is what exists, or begins with a folder that exists. InputError where a revision is given for a path, or
    twice.
    """
    name, at, inside = str(path).partition("@")
    if os.path.exists(path) or not _NAME.fullmatch(name) or os.path.isdir(name.partition("/")[0]):
        if revision is not None:
            raise InputError(f"{path}: is no name on the hub (org/name); only there are revisions")
        return None
    if at and revision is not None:
        raise InputError(f"{path}: names a revision, and revision={shown(revision)} is given, too; one is needed")
    found = inside if at else revision
    if found is not None and (not found or CONTROL.search(found)):
        raise InputError(f"{path}: revision {shown(found)}: a commit, branch or tag is needed")
    return name, found


def bring(name: str, revision: str | None) -> tuple[Path, str]:
    """The folder in the cache with the bundle ``name`` at a revision (None: main), and its commit, 40 hex digits.

    A whole commit is kept and not asked for again. InputError where there is no such repository, revision or bundle, or
    it may not be read; OutsideError where the hub cannot be reached or sends something else.
    """
    asked = revision or MAIN
    if _COMMIT.fullmatch(asked) and (_home(name) / asked / MANIFEST).is_file():
        return _home(name) / asked, asked
    if os.environ.get("HF_HUB_OFFLINE", "").upper() in ("1", "ON", "YES", "TRUE"):
        raise OutsideError(f"{name}@{asked}: is not in the cache, and HF_HUB_OFFLINE is set{_at_hand(name)}")
    commit = _commit(name, asked)
    if asked != commit:
        say(f"{name}: {asked} is commit {commit}; {name}@{commit} gives the same again")
    folder = _home(name) / commit
    if not (folder / MANIFEST).is_file():
        _fill(folder, name, commit)
    return folder, commit


def endpoint() -> str:
    """The address of the hub."""
    return (os.environ.get("HF_ENDPOINT") or "https://huggingface.co").rstrip("/")


def token() -> str | None:
    """The user's token, if there is one, from where the hub's own client keeps it; never to be shown."""
    if os.environ.get("HF_HUB_DISABLE_IMPLICIT_TOKEN", "").upper() in ("1", "ON", "YES", "TRUE"):
        return None
    for variable in ("HF_TOKEN", "HUGGING_FACE_HUB_TOKEN"):
        if found := os.environ.get(variable, "").strip():
            return found
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    home = Path(os.environ.get("HF_HOME") or cache / "huggingface")
    path = Path(os.environ.get("HF_TOKEN_PATH") or home / "token")
    try:
        return path.expanduser().read_text(encoding="utf-8").strip() or None
    except (OSError, UnicodeDecodeError):
        return None


def _home(name: str) -> Path:
    return cache_folder() / "hub" / name


def _at_hand(name: str) -> str:
    """What a message adds where commits of the bundle are in the cache."""
    home = _home(name)
    commits = sorted(path.name for path in home.iterdir() if (path / MANIFEST).is_file()) if home.is_dir() else []
    return f"; at hand: {', '.join(f'{name}@{commit}' for commit in commits)}" if commits else ""


def _commit(name: str, revision: str) -> str:
    address = f"{endpoint()}/api/models/{name}/revision/{quote(revision, safe='')}"
    content = _answer(address, name, f"no model or revision {revision} of that name")
    try:
        commit = from_json(content)["sha"]
    except (ValueError, KeyError, TypeError):
        commit = None
    if not isinstance(commit, str) or not _COMMIT.fullmatch(commit):
        raise OutsideError(f"{name}: the hub names no commit of {revision}")
    return commit


def _fill(folder: Path, name: str, commit: str) -> None:
    """Bring every file that the manifest lists, the manifest last: a folder without it is not whole."""
    base = f"{endpoint()}/{name}/resolve/{commit}"
    content = _answer(f"{base}/{MANIFEST}", name, f"no {MANIFEST} at {commit}: it is not a bundle of nuclex")
    for file, (size, digest) in _listed(content, name).items():
        download(f"{base}/{quote(file)}", folder / file, sha256=digest, size=size, token=token())
    with atomic_file(folder / MANIFEST) as temporary:
        temporary.write_bytes(content)


def _listed(content: bytes, name: str) -> dict[str, tuple[int, str]]:
    """Size and sha256 by file; CorruptError unless it is a manifest, of nothing but what a bundle holds."""
    try:
        listed = {file: (entry["bytes"], entry["sha256"]) for file, entry in json.loads(content)["files"].items()}
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        raise CorruptError(f"{name}: its {MANIFEST} on the hub is not readable") from None
    for file, (size, digest) in listed.items():
        pieces = file.split("/")
        plain = len(file) < 300 and not CONTROL.search(file) and not {"", ".", ".."} & set(pieces)
        if not plain or Path(file).suffix not in SUFFIXES:
            raise CorruptError(f"{name}: its {MANIFEST} on the hub lists {shown(file)}, which no bundle holds")
        if type(size) is not int or size < 0 or not re.fullmatch(r"[0-9a-f]{64}", str(digest)):
            raise CorruptError(f"{name}: its {MANIFEST} on the hub has no size and sum of {shown(file)}")
    return listed


def _answer(address: str, name: str, missing: str) -> bytes:
    """A small answer of the hub; it alone gets the token, which requests drops where a redirect leads elsewhere."""
    import requests

    secret = token()
    headers = {"User-Agent": "nuclex", **({} if secret is None else {"Authorization": f"Bearer {secret}"})}
    try:
        with requests.get(address, headers=headers, timeout=(LIMITS.connect_s, LIMITS.idle_s), stream=True) as answer:
            _refuse(answer.status_code, name, missing)
            content = answer.raw.read(_MOST_BYTES + 1, decode_content=True)
    except (requests.RequestException, OSError, ValueError):
        raise OutsideError(
            f"{name}: no such folder, and the hub, {endpoint()}, cannot be reached{_at_hand(name)}"
        ) from None
    if len(content) > _MOST_BYTES:
        raise OutsideError(f"{name}: the hub sends more than the {_MOST_BYTES} bytes that are read")
    return bytes(content)


def _refuse(status: int, name: str, missing: str) -> None:
    if status in (401, 403):
        raise InputError(
            f"{name}: no such folder, and the hub shows no such model (answered {status}); where it is private or "
            "gated, `hf auth login` or HF_TOKEN gives the right to read it"
        )
    if status == 404:
        raise InputError(f"{name}: no such folder, and the hub has {missing}")
    if status != 200:
        raise OutsideError(f"{name}: the hub, {endpoint()}, answered {status}{_at_hand(name)}")
