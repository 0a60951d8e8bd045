"""The server as a process: it says where it is, answers, and ends when it is told to, in the middle of a job too."""

from __future__ import annotations

import json
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

import pytest

from nuclex import serve
from nuclex.core.errors import InputError, OutsideError

pytest.importorskip("uvicorn")


@pytest.mark.slow
@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_signal_ends_it_cleanly(tiny_bundle: Path, number: signal.Signals, code: int) -> None:
    command = [sys.executable, "-m", "nuclex", "serve", str(tiny_bundle), "--port", "0", "--device", "cpu"]
    process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
    assert process.stderr is not None
    try:
        line = process.stderr.readline()
        assert line.startswith("serving tiny at http://127.0.0.1:"), line
        address = line.split(" at ")[1].split()[0]
        body = json.dumps({"fasta": "ACGU" * 90}).encode()
        request = urllib.request.Request(f"{address}/api/v1/fold", body, {"content-type": "application/json"})
        with urllib.request.urlopen(request, timeout=30) as response:
            assert response.status == 202
        began = time.monotonic()
        process.send_signal(number)
        _, rest = process.communicate(timeout=60)
        assert process.returncode == code
        assert time.monotonic() - began < 30
        assert "Traceback" not in rest
    finally:
        process.kill()


def test_a_port_that_is_taken_and_one_that_is_none(tiny_bundle: Path) -> None:
    taken = socket.create_server(("127.0.0.1", 0))
    with taken, pytest.raises(OutsideError, match="cannot be listened on: Address already in use; give another --port"):
        serve(tiny_bundle, port=taken.getsockname()[1])
    with pytest.raises(InputError, match="port: found 70000"):
        serve(tiny_bundle, port=70000)
    with pytest.raises(InputError, match="leters: unknown key"):
        serve(tiny_bundle, leters=3)
