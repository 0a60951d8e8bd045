"""A Hugging Face hub for tests, on this machine: repositories, commits, large files and cards, by its HTTP API.

What it speaks is what ``huggingface_hub`` asks for in create_repo, create_branch, create_commit (regular files, and
large ones by git-lfs), card validation and reading. Large files lie on "another host" (localhost instead of 127.0.0.1).
"""

from __future__ import annotations

import base64
import hashlib
import http.server
import json
import re
import threading
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import unquote, urlsplit

import yaml

TOKEN = "hf_SecretOfTheTests0123456789abcdef"
READ_ONLY = "hf_ReadOnlySecret0123456789abcdefgh"
LARGE = (".safetensors",)


@dataclass
class Repository:
    """Commits by hash, each all files by name; branches point to commits."""

    private: bool = False
    commits: dict[str, dict[str, bytes]] = field(default_factory=dict)
    branches: dict[str, str] = field(default_factory=dict)
    messages: list[str] = field(default_factory=list)

    def commit(self, branch: str, files: dict[str, bytes], message: str) -> str:
        text = f"{branch} {message} {len(self.messages)} {sorted(files)}"
        digest = hashlib.sha1(text.encode()).hexdigest()
        self.commits[digest], self.branches[branch] = files, digest
        self.messages.append(message)
        return digest

    def at(self, revision: str) -> str | None:
        return self.branches.get(revision, revision if revision in self.commits else None)


class FakeHub:
    """Answers until it is closed; remembers (method, path, Authorization, host) of each request."""

    def __init__(self) -> None:
        self.repositories: dict[str, Repository] = {}
        self.large: dict[str, bytes] = {}
        self.asked: list[tuple[str, str, str | None, str]] = []
        self.broken: int | None = None
        outer = self

        class Handler(_Handler):
            hub = outer

        self._server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self.port = self._server.server_port
        self.address = f"http://127.0.0.1:{self.port}"
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.01})
        self._thread.start()

    def close(self) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()

    def paths(self, method: str) -> list[str]:
        return [path for asked, path, _, _ in self.asked if asked == method]


class _Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    hub: FakeHub

    def do_GET(self) -> None:
        self._do("GET")

    def do_HEAD(self) -> None:
        self._do("HEAD")

    def do_PUT(self) -> None:
        self._do("PUT")

    def do_POST(self) -> None:
        self._do("POST")

    def log_message(self, format: str, *args: Any) -> None:
        pass

    def _do(self, method: str) -> None:
        path = unquote(urlsplit(self.path).path)
        self.body = self._read()
        given = self.headers.get("Authorization")
        self.hub.asked.append((method, path, given, self.headers.get("Host", "").partition(":")[0]))
        self.writes, self.reads = given == f"Bearer {TOKEN}", given in (f"Bearer {TOKEN}", f"Bearer {READ_ONLY}")
        if self.hub.broken is not None:
            return self._say(self.hub.broken, {"error": "broken"})
        for verb, pattern, answer in ROUTES:
            found = re.fullmatch(pattern, path)
            if found and method in (verb, *(["HEAD"] if verb == "GET" else [])):
                return answer(self, *found.groups())
        return self._say(404, {"error": f"no such page: {method} {path}"})

    def _read(self) -> bytes:
        if self.headers.get("Transfer-Encoding", "") != "chunked":
            return self.rfile.read(int(self.headers.get("Content-Length") or 0))
        pieces = []
        while size := int(self.rfile.readline(), 16):
            pieces.append(self.rfile.read(size))
            self.rfile.readline()
        self.rfile.readline()
        return b"".join(pieces)

    def _say(self, code: int, value: Any, **headers: str) -> None:
        content = value if isinstance(value, bytes) else json.dumps(value).encode()
        self.send_response(code)
        self.send_header("Content-Length", str(len(content)))
        for name, text in headers.items():
            self.send_header(name.replace("_", "-"), text)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(content)

    def _json(self) -> Any:
        return json.loads(self.body)

    def _allowed(self) -> bool:
        if not self.writes:
            code = 403 if self.reads else 401
            self._say(code, {"error": "you may not write here"})
        return self.writes

    def _found(self, name: str) -> Repository | None:
        repository = self.hub.repositories.get(name)
        if repository is None or (repository.private and not self.reads):
            self._say(401, {"error": "Repository not found"}, X_Error_Code="RepoNotFound")
            return None
        return repository

    def create(self) -> None:
        if not self._allowed():
            return
        asked = self._json()
        name = f"{asked['organization']}/{asked['name']}" if asked.get("organization") else asked["name"]
        kind = "" if asked.get("type", "model") == "model" else f"{asked['type']}s/"
        if f"{kind}{name}" in self.hub.repositories:
            return self._say(409, {"error": "exists", "url": f"{self.hub.address}/{kind}{name}"})
        private = bool(asked.get("private") or asked.get("visibility") == "private")
        made = self.hub.repositories[f"{kind}{name}"] = Repository(private)
        made.commit("main", {".gitattributes": b"*.safetensors filter=lfs\n"}, "initial commit")
        self._say(200, {"url": f"{self.hub.address}/{kind}{name}", "name": name, "id": "0" * 24})

    def branch(self, kind: str, name: str, branch: str) -> None:
        if self._allowed() and (found := self._found(_full(kind, name))) is not None:
            if branch in found.branches:
                return self._say(409, {"error": "exists"})
            found.branches[branch] = found.branches["main"]
            self._say(200, {})

    def validate(self) -> None:
        head = re.match(r"---\n(.*?)\n---\n", self._json()["content"], re.DOTALL)
        told = yaml.safe_load(head[1]) if head else {}
        wrong = [key for key in ("tags", "datasets") if not isinstance(told.get(key, []), list)]
        wrong += [] if isinstance(told.get("license", ""), str) else ["license"]
        wrong += ["license_name"] if told.get("license") == "other" and not told.get("license_name") else []
        errors = [{"message": f'"{key}" is not as it must be'} for key in wrong]
        self._say(400 if errors else 200, {"errors": errors, "warnings": []})

    def preupload(self, kind: str, name: str, revision: str) -> None:
        if not self._allowed() or self._found(_full(kind, name)) is None:
            return
        files = [
            {
                "path": file["path"],
                "uploadMode": "lfs" if file["path"].endswith(LARGE) else "regular",
                "shouldIgnore": False,
            }
            for file in self._json()["files"]
        ]
        self._say(200, {"files": files})

    def batch(self, name: str) -> None:
        if not self._allowed():
            return
        objects = []
        for entry in self._json()["objects"]:
            there = entry["oid"] in self.hub.large
            upload = {"href": f"http://localhost:{self.hub.port}/large/{entry['oid']}", "header": {}}
            objects.append({**entry, **({} if there else {"actions": {"upload": upload}})})
        self._say(200, {"transfer": "basic", "objects": objects})

    def take(self, oid: str) -> None:
        if hashlib.sha256(self.body).hexdigest() != oid:
            return self._say(400, {"error": "another sum"})
        self.hub.large[oid] = self.body
        self._say(200, {})

    def give(self, oid: str) -> None:
        self._say(200, self.hub.large[oid])

    def commit(self, kind: str, name: str, revision: str) -> None:
        if not self._allowed() or (found := self._found(_full(kind, name))) is None:
            return
        before = found.at(revision)
        if before is None:
            return self._say(404, {"error": "no such branch"}, X_Error_Code="RevisionNotFound")
        files, message = dict(found.commits[before]), ""
        for line in self.body.splitlines():
            entry = json.loads(line)
            value = entry["value"]
            if entry["key"] == "header":
                message = value["summary"]
            elif entry["key"] == "file":
                files[value["path"]] = base64.b64decode(value["content"])
            elif entry["key"] == "lfsFile":
                files[value["path"]] = self.hub.large[value["oid"]]
            elif entry["key"] == "deletedFile":
                del files[value["path"]]
        digest = found.commit(revision, files, message)
        url = f"{self.hub.address}/{_full(kind, name)}/commit/{digest}"
        self._say(200, {"success": True, "commitOid": digest, "commitUrl": url})

    def tell(self, kind: str, name: str, revision: str | None) -> None:
        if (found := self._found(_full(kind, name))) is None:
            return
        commit = found.at(revision or "main")
        if commit is None:
            return self._say(404, {"error": "Invalid rev id"}, X_Error_Code="RevisionNotFound")
        siblings = [{"rfilename": file} for file in found.commits[commit]]
        told = {"id": name, "sha": commit, "siblings": siblings, "private": found.private, "tags": [], "downloads": 0}
        self._say(200, told)

    def tree(self, kind: str, name: str, revision: str) -> None:
        if (found := self._found(_full(kind, name))) is None:
            return
        files = found.commits[found.at(revision) or ""]
        self._say(200, [{"type": "file", "path": path, "size": len(value), "oid": "0" * 40}
                        for path, value in files.items()])  # fmt: skip

    def resolve(self, name: str, revision: str, file: str) -> None:
        if (found := self._found(name)) is None:
            return
        commit = found.at(revision)
        content = None if commit is None else found.commits[commit].get(file)
        if commit is None or content is None:
            return self._say(404, {"error": "Entry not found"}, X_Error_Code="EntryNotFound")
        digest = hashlib.sha256(content).hexdigest()
        facts = {"X_Repo_Commit": commit, "ETag": f'"{digest}"'}
        if not file.endswith(LARGE):
            return self._say(200, content, **facts)
        self.hub.large.setdefault(digest, content)
        facts |= {"X_Linked_Size": str(len(content)), "X_Linked_Etag": f'"{digest}"'}
        self._say(302, b"", Location=f"http://localhost:{self.hub.port}/large/{digest}", **facts)


def _full(kind: str, name: str) -> str:
    return name if kind == "models" else f"{kind}/{name}"


_KIND, _ID = "(models|spaces|datasets)", "([^/]+/[^/]+?)"
ROUTES = (
    ("POST", "/api/repos/create", _Handler.create),
    ("POST", "/api/validate-yaml", _Handler.validate),
    ("POST", f"/api/{_KIND}/{_ID}/branch/(.+)", _Handler.branch),
    ("POST", f"/api/{_KIND}/{_ID}/preupload/(.+)", _Handler.preupload),
    ("POST", f"/api/{_KIND}/{_ID}/commit/(.+)", _Handler.commit),
    ("POST", r"/(?:spaces/)?([^/]+/[^/]+)\.git/info/lfs/objects/batch", _Handler.batch),
    ("PUT", "/large/([0-9a-f]{64})", _Handler.take),
    ("GET", "/large/([0-9a-f]{64})", _Handler.give),
    ("GET", f"/api/{_KIND}/{_ID}/tree/(.+)", _Handler.tree),
    ("GET", f"/api/{_KIND}/{_ID}(?:/revision/(.+))?", _Handler.tell),
    ("GET", f"/{_ID}/resolve/([^/]+)/(.+)", _Handler.resolve),
)
