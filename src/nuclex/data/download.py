"""One file from the web: checked, gone on with after a break, never larger than expected, fetched by one process.

What has arrived lies in a hidden folder ``.part-NAME-SUM`` beside the target until it is whole. If the server breaks
off or the process dies, the next call asks only for the rest. Nothing is seen under the target's name before its end.
"""

from __future__ import annotations

import contextlib
import os
import re
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from nuclex.core.artifact import atomic_file, disk_errors, folder_around, sha256_file
from nuclex.core.errors import OutsideError
from nuclex.core.lock import owned
from nuclex.core.progress import Bar, bar, say
from nuclex.data.address import origin, web_address, without_password

if TYPE_CHECKING:
    import requests


@dataclass(frozen=True)
class Limits:
    """How long and how often a download is tried; seconds, and attempts in a row that bring no new byte."""

    connect_s: float = 20
    idle_s: float = 30
    total_s: float = 3600
    attempts: int = 4
    pause_s: float = 0.5
    redirects: int = 5


LIMITS = Limits()
_PIECE = 1 << 16
_LONGEST_PAUSE_S = 30.0
_REDIRECTS = {301, 302, 303, 307, 308}
_PASSING = {408, 425, 429, 500, 502, 503, 504}
_STRONG_TAG = re.compile(r'"[!#-~]{0,200}"')
_RANGE = re.compile(r"bytes (\d{1,18})-(\d{1,18})/(\d{1,18}|\*)")


class _PassingError(Exception):
    """What may be over in a moment; the transfer is tried again."""

    def __init__(self, message: str, pause_s: float = 0.0) -> None:
        super().__init__(message)
        self.pause_s = pause_s


def download(
    address: str,
    target: Path,
    *,
    sha256: str | None,
    size: int | None,
    limits: Limits | None = None,
    token: str | None = None,
) -> Path:
    """Bring the file at an http or https address to ``target``, and return ``target``; a whole one is left as it is.

    ``sha256`` (hex) and ``size`` (bytes) are those that the file must have: not one byte more is accepted. Where both
    are None, nobody knows them: the length that the server announces is taken for the file's, a broken transfer goes on
    only where the server's tag proves that the file is the same, and a target that is there counts as whole. Two
    processes that want the same target wait for each other. Redirects lead to http and https only; ``token`` is sent to
    the address's own host alone.
    Raises OutsideError where the address does not give the file, DiskError where it cannot be written.
    """
    limits = limits or LIMITS
    if _is_whole(target, sha256, size):
        return target
    part = _Part(target.parent / f".part-{target.name[:100]}-{(sha256 or 'unknown')[:12]}")
    with disk_errors(part.folder), disk_errors(target), folder_around(target), part.held(limits.total_s):
        if not _is_whole(target, sha256, size):  # else another process has just brought it
            say(f"fetching {without_password(address)}")
            with bar(f"fetching {target.name} (bytes)", size or 0, part.size()) as progress:
                _Transfer(_Asked(address, sha256, size, token), part, limits, progress).run()
            with atomic_file(target) as copy:
                os.replace(part.content, copy)
    return target


class _Part:
    """What has arrived of a file, and the tag by which the server knows which version that is."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.content, self._tag = folder / "content", folder / "tag"

    @contextlib.contextmanager
    def held(self, patience_s: float) -> Iterator[None]:
        """Be the only one who writes here, as soon as that is so; what is empty goes afterwards."""
        try:
            with contextlib.ExitStack() as stack:
                self._enter(stack, time.monotonic() + patience_s)
                try:
                    yield
                finally:
                    if not self.size():
                        self.drop()
        finally:
            with contextlib.suppress(OSError):  # it holds something to go on with, or the next one has come
                self.folder.rmdir()

    def _enter(self, stack: contextlib.ExitStack, deadline: float) -> None:
        """Take the lock, waiting for whoever has it until ``deadline``."""
        said = False
        while True:
            try:
                stack.enter_context(owned(self.folder))
                return
            except FileNotFoundError:  # the one before removed the folder as this one came
                continue
            except OutsideError as error:
                if time.monotonic() > deadline:
                    raise
                if not said:
                    say(f"waiting: {error}")
                said = True
                time.sleep(0.05)

    def size(self) -> int:
        """Bytes that are there."""
        return self.content.stat().st_size if self.content.is_file() else 0

    def tag(self) -> str:
        """The server's tag of what is there, or nothing."""
        return self._tag.read_text("ascii", errors="replace") if self._tag.is_file() else ""

    def begin(self, tag: str) -> None:
        """Forget what is there; what comes now is the version with this tag."""
        self.drop()
        if _STRONG_TAG.fullmatch(tag):  # a weak one does not promise the same bytes
            self._tag.write_text(tag, "ascii")

    def drop(self) -> None:
        """Forget what is there."""
        self.content.unlink(missing_ok=True)
        self._tag.unlink(missing_ok=True)


@dataclass(frozen=True)
class _Asked:
    """A file of the web, what it must be where that is known, and the token that its host wants to see."""

    address: str
    sha256: str | None
    size: int | None
    token: str | None = field(repr=False)


class _Transfer:
    """Asks until the file is there and right, or until it is clear that it will not come."""

    def __init__(self, asked: _Asked, part: _Part, limits: Limits, progress: Bar) -> None:
        import requests

        self._address, self._shown = asked.address, without_password(asked.address)
        self._sha256, self._size, self._token = asked.sha256, asked.size, asked.token
        self._part, self._limits, self._progress = part, limits, progress
        self._deadline = time.monotonic() + limits.total_s
        self._session = requests.Session()
        self._pieced = part.size() > 0

    def run(self) -> None:
        """Fill the part with the whole file."""
        failures, furthest = 0, self._part.size()
        with self._session:
            while True:
                try:
                    self._receive()
                    self._check()
                    return
                except _PassingError as trouble:
                    here = self._part.size()
                    failures = failures + 1 if here <= furthest else 1
                    furthest = max(here, furthest)
                    pause_s = max(self._limits.pause_s * 2 ** (failures - 1), trouble.pause_s)
                    if failures >= self._limits.attempts or time.monotonic() + pause_s > self._deadline:
                        raise OutsideError(f"{self._shown}: {trouble}{self._kept()}") from None
                    time.sleep(pause_s)

    def _receive(self) -> None:
        """Ask for what is missing and take it."""
        if self._sha256 is None and not self._part.tag():
            self._part.drop()  # nothing would tell pieces of two versions apart
        start = self._part.size()
        if start == self._size:
            return
        headers = {"Accept-Encoding": "identity", "User-Agent": "nuclex"}
        if start:
            headers["Range"] = f"bytes={start}-"
            if tag := self._part.tag():
                headers["If-Range"] = tag
        with self._answer(headers) as answer:
            self._refuse_answer(answer)
            start = self._place(answer, start)
            self._pieced = start > 0
            if not start:
                self._part.begin(answer.headers.get("ETag", ""))
            self._take(answer, start)

    def _answer(self, headers: dict[str, str]) -> requests.Response:
        """The answer at the end of the redirects, whose own bodies are not read."""
        address = web_address(self._address, "", f"{self._shown}: is")
        for _ in range(self._limits.redirects + 1):
            answer = self._get(address, headers)
            onward = self._session.get_redirect_target(answer) if answer.status_code in _REDIRECTS else None
            if not onward:
                return answer
            answer.close()
            address = web_address(onward, address, f"{self._shown}: redirects to")
        raise OutsideError(f"{self._shown}: redirects more than {self._limits.redirects} times")

    def _get(self, address: str, headers: dict[str, str]) -> requests.Response:
        import requests

        patience = (self._limits.connect_s, self._limits.idle_s)
        if self._token is not None and origin(address) == origin(self._address):
            headers = {**headers, "Authorization": f"Bearer {self._token}"}
        try:  # not Session.send: it reads the body of a redirect to its end, however far away that is
            request = self._session.prepare_request(requests.Request("GET", address, headers=headers))
            way = self._session.merge_environment_settings(address, {}, True, None, None)
            adapter = self._session.get_adapter(address)
            return adapter.send(
                request, stream=True, timeout=patience, verify=way["verify"], cert=way["cert"], proxies=way["proxies"]
            )
        except requests.Timeout:
            raise _PassingError(f"did not answer within {self._limits.idle_s:g} s") from None
        except requests.exceptions.SSLError:
            raise OutsideError(f"{self._shown}: its certificate is not accepted") from None
        except requests.ConnectionError:
            raise _PassingError("cannot be reached") from None
        except (requests.RequestException, ValueError):
            raise OutsideError(f"{self._shown}: is not an address") from None

    def _refuse_answer(self, answer: requests.Response) -> None:
        code = answer.status_code
        if code in _PASSING:
            wait = answer.headers.get("Retry-After", "")
            pause_s = min(float(wait), _LONGEST_PAUSE_S) if re.fullmatch(r"\d{1,6}", wait) else 0.0
            raise _PassingError(f"answered {code}", pause_s)
        if code == 416:
            self._part.drop()
            raise _PassingError("answered 416")
        if code not in {200, 206}:
            raise OutsideError(f"{self._shown}: answered {code}")
        coding = answer.headers.get("Content-Encoding", "identity")
        if coding.strip().lower() not in {"identity", ""}:
            raise OutsideError(f"{self._shown}: sends Content-Encoding {coding[:40]!r}, which was not asked for")

    def _place(self, answer: requests.Response, start: int) -> int:
        """Where in the file the answer's body belongs: 0, or ``start`` if the server goes on from there."""
        if answer.status_code == 206:
            found = _RANGE.fullmatch(answer.headers.get("Content-Range", ""))
            same = self._sha256 is not None or answer.headers.get("ETag", "") == self._part.tag()
            if found and same and self._size is None and found[3] != "*":
                self._size = int(found[3])
            if not start or not found or not same or int(found[1]) != start or found[3] not in {str(self._size), "*"}:
                self._part.drop()
                raise _PassingError("sends another part than was asked for")
        else:
            start = 0
        announced = answer.headers.get("Content-Length", "")
        if self._sha256 is None and not start:
            self._size = int(announced) if re.fullmatch(r"\d{1,18}", announced) else None
        if self._size is None:
            raise OutsideError(f"{self._shown}: announces no length, so nobody can tell whether all of it has come")
        if re.fullmatch(r"\d{1,18}", announced) and start + int(announced) != self._size:
            self._part.drop()
            raise OutsideError(
                f"{self._shown}: announces {start + int(announced)} bytes, the catalogue says {self._size}"
            )
        return start

    def _take(self, answer: requests.Response, start: int) -> None:
        """Write the body behind the ``start`` bytes that are there; on a full disk all goes, which frees it."""
        received, size = start, self._size or 0
        self._progress.total = size
        try:
            with open(self._part.content, "ab") as file:
                for piece in self._pieces(answer):
                    received += len(piece)
                    if received > size:
                        break
                    file.write(piece)
                    self._progress.advance(max(received - self._progress.done, 0))
        except OSError:
            self._part.drop()
            raise
        if received > size:
            self._part.drop()
            raise OutsideError(f"{self._shown}: sends more than the {size} bytes that the catalogue says")
        if time.monotonic() > self._deadline and received < size:
            raise OutsideError(f"{self._shown}: is not through after {self._limits.total_s:g} s{self._kept()}")
        if received < size:
            raise _PassingError(f"broke off after {received} of {size} bytes")

    def _pieces(self, answer: requests.Response) -> Iterator[bytes]:
        """What comes, however little at a time, until the end of the answer or of all patience."""
        from urllib3.exceptions import HTTPError, ReadTimeoutError

        try:
            while time.monotonic() <= self._deadline:
                piece = answer.raw.read1(_PIECE, decode_content=False)
                if not piece:
                    return
                yield piece
        except ReadTimeoutError:
            raise _PassingError(f"sent nothing for {self._limits.idle_s:g} s") from None
        except HTTPError:
            return  # broken off: how much is missing is told from what has come

    def _check(self) -> None:
        """Refuse what is not the file; pieces of several answers get a second chance as one."""
        if self._sha256 is None or sha256_file(self._part.content) == self._sha256:
            return
        self._part.drop()
        message = "what it sends differs from the catalogue's sha256"
        if self._pieced:
            raise _PassingError(message)
        raise OutsideError(f"{self._shown}: {message}")

    def _kept(self) -> str:
        here = self._part.size()
        if not here or (self._sha256 is None and not self._part.tag()):
            return ""
        return f"; {here} of {self._size or 'all'} bytes are kept, fetch again to go on"


def _is_whole(target: Path, sha256: str | None, size: int | None) -> bool:
    if sha256 is None:
        return target.is_file()
    return target.is_file() and target.stat().st_size == size and sha256_file(target) == sha256
