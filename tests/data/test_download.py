"""Downloads against a local server that does everything a server can do wrong."""

import contextlib
import gzip
import hashlib
import http.server
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from nuclex.core.errors import DiskError, OutsideError
from nuclex.core.progress import quiet
from nuclex.data.download import Limits, download

CONTENT = bytes(range(256)) * 400
SUM, SIZE = hashlib.sha256(CONTENT).hexdigest(), len(CONTENT)
QUICK = Limits(connect_s=2, idle_s=0.3, total_s=5, attempts=3, pause_s=0.01, redirects=3)


class Server:
    """Answers requests by a list of answers, the last one for ever; remembers path and Range of each request."""

    def __init__(self):
        self.answers, self.asked, self.open = [], [], threading.Event()
        outer = self

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self):
                outer.asked.append((self.path, self.headers.get("Range"), self.headers.get("If-Range")))
                answer = outer.answers[min(len(outer.asked), len(outer.answers)) - 1]
                self.close_connection = True
                with contextlib.suppress(BrokenPipeError, ConnectionResetError):
                    answer(self)

            def log_message(self, format, *args):
                pass

        self._server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self.address = f"http://127.0.0.1:{self._server.server_port}/file.bin"
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.01})
        self._thread.start()

    def close(self):
        self.open.set()
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()


@pytest.fixture
def server():
    made = Server()
    with quiet():
        yield made
    made.close()


def head(request, code, headers):
    request.send_response(code)
    for name, value in {"Connection": "close", **headers}.items():
        request.send_header(name, value)
    request.end_headers()


def body(content=CONTENT, *, length=None, stop=None, tag='"v1"', ranges=True, **headers):
    """Send ``content``, or from Range on; announce ``length``; break off after ``stop`` bytes of the file."""

    def answer(request):
        start = 0
        wanted, version = request.headers.get("Range"), request.headers.get("If-Range")
        if ranges and wanted and version in (None, tag):
            start = int(wanted.removeprefix("bytes=").rstrip("-"))
        extra = {"ETag": tag} if tag else {}
        if start:
            extra["Content-Range"] = f"bytes {start}-{len(content) - 1}/{len(content)}"
        if length != "none":
            extra["Content-Length"] = str(len(content) - start if length is None else length)
        head(request, 206 if start else 200, extra | headers)
        request.wfile.write(content[start:stop])

    return answer


def status(code, **headers):
    return lambda request: head(request, code, {"Content-Length": "0", **headers})


def get(server, target, **changes):
    limits = Limits(**{**QUICK.__dict__, **changes})
    return download(server.address, target, sha256=SUM, size=SIZE, limits=limits)


def left_over(target):
    return sorted(path.relative_to(target.parent).as_posix() for path in target.parent.rglob("*"))


@pytest.fixture
def target(tmp_path):
    return tmp_path / "deep" / "file.bin"


def ranges(server):
    return [wanted for _, wanted, _ in server.asked]


def test_a_good_file_is_asked_for_once(server, target):
    server.answers = [body()]
    assert get(server, target) == target
    assert target.read_bytes() == CONTENT
    assert left_over(target) == ["file.bin"]
    assert get(server, target) == target
    assert ranges(server) == [None]


@pytest.mark.parametrize("length", [None, "none"], ids=["Content-Length", "until the end of the connection"])
def test_a_truncated_body_is_gone_on_with_where_it_broke_off(server, target, length):
    server.answers = [body(stop=70_000, length=length), body(stop=90_000), body()]
    get(server, target)
    assert target.read_bytes() == CONTENT
    assert ranges(server) == [None, "bytes=70000-", "bytes=90000-"]
    assert [version for _, _, version in server.asked] == [None, '"v1"', '"v1"']
    assert left_over(target) == ["file.bin"]


def test_a_server_that_ignores_ranges_is_read_from_the_start(server, target):
    server.answers = [body(stop=70_000, ranges=False), body(ranges=False)]
    get(server, target)
    assert target.read_bytes() == CONTENT
    assert ranges(server) == [None, "bytes=70000-"]


def test_another_version_on_the_server_is_not_mixed_with_the_first(server, target):
    old = bytes(SIZE)
    server.answers = [body(old, stop=70_000, tag='"old"'), body(tag='"new"')]
    get(server, target)
    assert target.read_bytes() == CONTENT
    assert server.asked[1][1:] == ("bytes=70000-", '"old"')


@pytest.mark.parametrize("tag", [None, 'W/"weak"'])
def test_pieces_that_do_not_fit_are_fetched_again_as_one(server, target, tag):
    server.answers = [body(bytes(SIZE), stop=70_000, tag=tag), body(tag=tag), body(tag=tag)]
    get(server, target)
    assert target.read_bytes() == CONTENT
    assert ranges(server) == [None, "bytes=70000-", None]
    assert server.asked[1][2] is None


def test_a_server_that_is_killed_midway_is_asked_only_for_the_rest_by_the_next_call(server, target):
    server.answers = [body(stop=70_000), lambda request: request.connection.shutdown(socket.SHUT_RDWR)]
    with pytest.raises(
        OutsideError, match=r"file\.bin: cannot be reached; 70000 of 102400 bytes are kept, fetch again"
    ):
        get(server, target)
    assert not target.exists()
    asked = len(server.asked)
    server.answers = [body()]
    get(server, target)
    assert ranges(server)[asked:] == ["bytes=70000-"]
    assert target.read_bytes() == CONTENT
    assert left_over(target) == ["file.bin"]


def test_a_process_that_is_killed_midway_is_asked_only_for_the_rest_by_the_next_one(server, target):
    def slow(request):
        head(request, 200, {"Content-Length": str(SIZE)})
        request.wfile.write(CONTENT[:50_000])
        request.wfile.flush()
        server.open.wait(20)

    server.answers = [slow, body()]
    code = "import sys; from pathlib import Path; from nuclex.data.download import download\n"
    code += f"download({server.address!r}, Path(sys.argv[1]), sha256={SUM!r}, size={SIZE})"
    process = subprocess.Popen([sys.executable, "-c", code, str(target)], stderr=subprocess.DEVNULL)
    deadline = time.monotonic() + 20
    while not any(path.stat().st_size for path in target.parent.rglob("content")) and time.monotonic() < deadline:
        time.sleep(0.02)
    time.sleep(0.1)
    process.send_signal(signal.SIGKILL)
    process.wait()
    (content,) = target.parent.rglob("content")
    here = content.stat().st_size
    assert 0 < here <= 50_000
    get(server, target)
    assert target.read_bytes() == CONTENT
    assert ranges(server) == [None, f"bytes={here}-"]
    assert left_over(target) == ["file.bin"]


def test_corrupt_bytes_are_refused_and_not_kept(server, target):
    server.answers = [body(CONTENT[:-1] + b"X")]
    with pytest.raises(OutsideError, match="what it sends differs from the catalogue's sha256"):
        get(server, target)
    assert not target.parent.exists()
    assert len(server.asked) == 1


def test_what_was_damaged_on_the_disk_is_fetched_again(server, target):
    server.answers = [body(stop=70_000)]
    with pytest.raises(OutsideError, match="broke off after 70000 of 102400 bytes; 70000"):
        get(server, target)
    (content,) = target.parent.rglob("content")
    content.write_bytes(bytes(70_000))
    server.answers = [body()]
    get(server, target)
    assert target.read_bytes() == CONTENT


def test_a_slow_drip_ends_by_the_idle_limit_and_by_the_limit_of_the_whole(server, target):
    def silent(request):
        head(request, 200, {"Content-Length": str(SIZE)})
        server.open.wait(20)

    server.answers = [silent]
    began = time.monotonic()
    with pytest.raises(OutsideError, match=r"sent nothing for 0\.3 s"):
        get(server, target)
    assert time.monotonic() - began < 4
    assert len(server.asked) == 3
    assert not target.parent.exists()

    def drip(request):
        head(request, 200, {"Content-Length": str(SIZE)})
        for place in range(SIZE):
            if server.open.wait(0.02):
                return
            request.wfile.write(CONTENT[place : place + 1])

    server.answers = [drip]
    began = time.monotonic()
    with pytest.raises(OutsideError, match=r"is not through after 0\.5 s; \d+ of 102400 bytes are kept"):
        get(server, target, total_s=0.5)
    assert time.monotonic() - began < 2
    server.answers = [body()]
    get(server, target)
    assert target.read_bytes() == CONTENT


def test_no_answer_at_all_is_said(server, target):
    server.answers = [lambda request: server.open.wait(20)]
    with pytest.raises(OutsideError, match=r"did not answer within 0\.3 s"):
        get(server, target)
    assert not target.parent.exists()


def test_a_missing_file_is_asked_for_once(server, target):
    server.answers = [status(404)]
    with pytest.raises(OutsideError, match=r"file\.bin: answered 404$"):
        get(server, target)
    assert len(server.asked) == 1
    assert not target.parent.exists()


@pytest.mark.parametrize("code", [408, 429, 500, 502, 503, 504])
def test_a_passing_trouble_is_tried_again(server, target, code):
    server.answers = [status(code, **{"Retry-After": "0"}), body()]
    get(server, target)
    assert len(server.asked) == 2
    assert target.read_bytes() == CONTENT


def test_a_trouble_that_stays_ends_after_the_attempts_with_growing_pauses(server, target):
    server.answers = [status(500)]
    began = time.monotonic()
    with pytest.raises(OutsideError, match=r"answered 500$"):
        get(server, target, attempts=4, pause_s=0.05)
    assert len(server.asked) == 4
    assert time.monotonic() - began >= 0.05 + 0.1 + 0.2


def test_a_server_that_asks_to_wait_longer_than_there_is_time_is_not_waited_for(server, target):
    server.answers = [status(503, **{"Retry-After": "999999"})]
    began = time.monotonic()
    with pytest.raises(OutsideError, match="answered 503"):
        get(server, target)
    assert time.monotonic() - began < 2


@pytest.mark.parametrize("code", [301, 302, 303, 307, 308])
def test_a_redirect_is_followed(server, target, code):
    server.answers = [status(code, Location="/elsewhere"), body()]
    get(server, target)
    assert [path for path, _, _ in server.asked] == ["/file.bin", "/elsewhere"]
    assert target.read_bytes() == CONTENT


def test_a_redirect_keeps_the_range(server, target):
    server.answers = [body(stop=70_000), status(302, Location="/elsewhere"), body()]
    get(server, target)
    assert server.asked[2] == ("/elsewhere", "bytes=70000-", '"v1"')


def test_redirects_in_a_circle_end(server, target):
    server.answers = [status(302, Location="/file.bin")]
    with pytest.raises(OutsideError, match="redirects more than 3 times"):
        get(server, target)
    assert len(server.asked) == 4


@pytest.mark.parametrize(
    ("location", "message"),
    [
        ("file:///etc/passwd", r"redirects to no address of the web \(file\); only http and https are fetched"),
        ("ftp://127.0.0.1/file.bin", r"redirects to no address of the web \(ftp\)"),
        ("data:text/plain,ACGT", r"redirects to no address of the web \(data\)"),
        ("javascript:alert(1)", r"redirects to no address of the web \(javascript\)"),
        ("gopher://127.0.0.1:70/_x", r"redirects to no address of the web \(gopher\)"),
        ("http://[bad", "redirects to not an address"),
    ],
)
def test_a_redirect_leads_to_the_web_only(server, target, location, message):
    server.answers = [status(302, Location=location)]
    with pytest.raises(OutsideError, match=message):
        get(server, target)
    assert not target.parent.exists()


def test_the_body_of_a_redirect_is_not_read(server, target):
    def endless(request):
        head(request, 302, {"Location": "/elsewhere"})
        while not server.open.wait(0.001):
            request.wfile.write(bytes(1 << 16))

    server.answers = [endless, body()]
    get(server, target)
    assert target.read_bytes() == CONTENT


@pytest.mark.parametrize(
    "address", ["file:///etc/passwd", "ftp://127.0.0.1/x", "x", "", "http://", "//h/x", "http://[b"]
)
def test_an_address_is_one_of_the_web(target, address):
    with quiet(), pytest.raises(OutsideError, match=r"is no address of the web \(\w+\); only http|is not an address"):
        download(address, target, sha256=SUM, size=SIZE, limits=QUICK)
    assert not target.parent.exists()


def test_a_wrong_content_length_is_refused_before_anything_is_read(server, target):
    for length in (SIZE - 1, SIZE + 1, 10**17):
        server.answers = [body(length=length)]
        with pytest.raises(OutsideError, match=f"announces {length} bytes, the catalogue says {SIZE}"):
            get(server, target)
    assert not target.parent.exists()


def test_more_than_announced_is_not_read(server, target):
    sent = []

    def endless(request):
        head(request, 200, {})
        while not server.open.wait(0.0001):
            request.wfile.write(CONTENT)
            sent.append(len(CONTENT))

    server.answers = [endless]
    with pytest.raises(OutsideError, match=f"sends more than the {SIZE} bytes that the catalogue says"):
        get(server, target)
    assert not target.parent.exists()
    assert sum(sent) < 400 * SIZE  # what fits into the buffers between them


def test_a_compressed_answer_is_not_unpacked(server, target):
    bomb = gzip.compress(bytes(50_000_000))
    server.answers = [body(bomb, **{"Content-Encoding": "gzip"})]
    with pytest.raises(OutsideError, match="sends Content-Encoding 'gzip', which was not asked for"):
        get(server, target)
    server.answers = [body(gzip.compress(CONTENT), length="none", **{"Content-Encoding": "br, gzip"})]
    with pytest.raises(OutsideError, match="sends Content-Encoding 'br, gzip'"):
        get(server, target)
    assert not target.parent.exists()


@pytest.mark.parametrize(
    "content_range",
    [
        "bytes 0-102399/102400",
        "bytes 70001-102399/102400",
        "bytes 70000-102399/999999",
        "bytes x",
        "",
        "bytes */102400",
    ],
)
def test_another_part_than_asked_for_is_thrown_away(server, target, content_range):
    def other(request):
        head(request, 206, {"Content-Range": content_range, "Content-Length": "5"})
        request.wfile.write(b"wrong")

    server.answers = [body(stop=70_000), other, body()]
    get(server, target)
    assert ranges(server) == [None, "bytes=70000-", None]
    assert target.read_bytes() == CONTENT


def test_a_range_that_the_server_refuses_begins_anew(server, target):
    server.answers = [body(stop=70_000), status(416), body()]
    get(server, target)
    assert ranges(server) == [None, "bytes=70000-", None]
    assert target.read_bytes() == CONTENT


def test_chunks_are_read_and_broken_ones_are_gone_on_with(server, target):
    def chunked(request):
        head(request, 200, {"Transfer-Encoding": "chunked"})
        request.wfile.write(b"7530\r\n" + CONTENT[:30_000] + b"\r\n")
        request.wfile.write(b"no length\r\n")

    server.answers = [chunked, body()]
    get(server, target)
    assert ranges(server) == [None, "bytes=30000-"]
    assert target.read_bytes() == CONTENT


@pytest.mark.parametrize(
    "junk", [b"", b"\x00\xff\r\n\r\n", b"HTTP/1.1 200 OK\r\n" + b"A: b\r\n" * 500 + b"\r\n", b"A" * 70_000]
)
def test_what_is_no_answer_is_said(server, target, junk):
    server.answers = [lambda request: request.wfile.write(junk)]
    with pytest.raises(OutsideError, match="cannot be reached"):
        get(server, target)
    assert not target.parent.exists()


def test_two_processes_want_the_same_file_and_one_fetches_it(server, target):
    def slow(request):
        head(request, 200, {"Content-Length": str(SIZE)})
        for start in range(0, SIZE, 10_240):
            time.sleep(0.1)
            request.wfile.write(CONTENT[start : start + 10_240])

    server.answers = [slow]
    code = "import sys; from pathlib import Path; from nuclex.data.download import download\n"
    code += f"print(download({server.address!r}, Path(sys.argv[1]), sha256={SUM!r}, size={SIZE}))"
    command = [sys.executable, "-c", code, str(target)]
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    processes = [subprocess.Popen(command, **pipes) for _ in range(3)]
    outputs = [process.communicate(timeout=60) for process in processes]
    assert [process.returncode for process in processes] == [0, 0, 0], outputs
    assert {out.strip() for out, _ in outputs} == {str(target)}
    assert target.read_bytes() == CONTENT
    assert len(server.asked) == 1
    assert left_over(target) == ["file.bin"]


def test_threads_want_the_same_file_and_one_fetches_it(server, target):
    server.answers = [body()]
    threads = [threading.Thread(target=get, args=(server, target)) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert target.read_bytes() == CONTENT
    assert len(server.asked) == 1
    assert left_over(target) == ["file.bin"]


def test_a_password_in_the_address_is_not_shown(server, target):
    server.answers = [status(403)]
    address = server.address.replace("http://", "http://me:secret@")
    with pytest.raises(OutsideError, match="answered 403") as caught:
        download(address, target, sha256=SUM, size=SIZE, limits=QUICK)
    assert "secret" not in str(caught.value)


def test_a_target_that_cannot_be_written_is_the_disks_trouble(server, tmp_path):
    server.answers = [body()]
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(DiskError, match="cannot be written"):
        get(server, tmp_path / "file" / "file.bin")
    assert left_over(tmp_path / "x") == ["file"]


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full")
def test_a_full_disk_is_said_and_nothing_is_kept(server, target, monkeypatch):
    def full(path, mode):
        return os.fdopen(os.open("/dev/full", os.O_WRONLY), "wb", 0)

    server.answers = [body()]
    monkeypatch.setattr("nuclex.data.download.open", full, raising=False)
    with pytest.raises(DiskError, match=r"file\.bin: cannot be written: No space left"):
        get(server, target)
    assert not target.parent.exists()
    assert os.path.exists("/dev/full")


def first(server, target, **changes):
    """The file as the server has it: nobody knows its sum."""
    limits = Limits(**{**QUICK.__dict__, **changes})
    return download(server.address, target, sha256=None, size=None, limits=limits)


def test_a_file_that_nobody_knows_is_as_long_as_announced(server, target):
    server.answers = [body()]
    assert first(server, target).read_bytes() == CONTENT
    assert first(server, target) == target
    assert ranges(server) == [None]
    assert left_over(target) == ["file.bin"]


@pytest.mark.parametrize("length", ["none", "many"])
def test_a_file_that_nobody_knows_needs_a_length(server, target, length):
    server.answers = [body(length=length)]
    with pytest.raises(OutsideError, match=r"file\.bin: announces no length, so nobody can tell whether all of it"):
        first(server, target)
    assert not target.parent.exists()


def test_a_file_that_nobody_knows_goes_on_only_by_its_tag(server, target):
    server.answers = [body(stop=70_000), body(stop=90_000), body()]
    assert first(server, target).read_bytes() == CONTENT
    assert ranges(server) == [None, "bytes=70000-", "bytes=90000-"]
    target.unlink()
    server.answers, server.asked[:] = [body(stop=70_000, tag=None), body(tag=None)], []
    assert first(server, target).read_bytes() == CONTENT
    assert ranges(server) == [None, None]


def test_a_file_that_nobody_knows_goes_on_in_another_process(server, target):
    server.answers = [body(stop=70_000)]
    with pytest.raises(OutsideError, match=r"70000 of 102400 bytes; 70000 of 102400 bytes are kept, fetch again"):
        first(server, target, attempts=1)
    server.answers, server.asked[:] = [body()], []
    assert first(server, target).read_bytes() == CONTENT
    assert ranges(server) == ["bytes=70000-"]


def test_two_versions_of_a_file_that_nobody_knows_are_never_mixed(server, target):
    other = CONTENT[::-1] + b"more"
    server.answers = [body(stop=70_000), body(other, tag='"v2"')]
    assert first(server, target).read_bytes() == other
    target.unlink()

    def mixing(request):  # a server that does not look at If-Range
        start = 70_000
        extra = {"ETag": '"v2"', "Content-Range": f"bytes {start}-{SIZE - 1}/{SIZE}"}
        head(request, 206, {**extra, "Content-Length": str(SIZE - start)})
        request.wfile.write(CONTENT[::-1][start:])

    server.answers, server.asked[:] = [body(stop=70_000), mixing, body(CONTENT[::-1], tag='"v2"')], []
    assert first(server, target).read_bytes() == CONTENT[::-1]
    assert ranges(server) == [None, "bytes=70000-", None]
