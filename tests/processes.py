"""Runs of several processes for tests: a script that imports everything once and forks the processes of one run each.

It stands in for torchrun (the same variables, a store that outlives the processes), and can kill one of them or ask it
to stop. No process outlives it: what is not done in time is killed, and the run has failed.
"""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

LIMIT_S = 240.0


def started(jobs: list[dict[str, Any]], folder: Path) -> dict[str, dict[str, Any]]:
    """Run jobs one after the other; by name their ``codes``, ``seconds`` from the blow to the end, and ``said``.

    The code of a process that had to be killed is -1000; of a blow that only freezes, nobody waits for those it meets.
    """
    (folder / "jobs.json").write_text(json.dumps(jobs))
    words = [sys.executable, __file__, str(folder / "jobs.json")]
    free = {key: value for key, value in os.environ.items() if not key.startswith(("RANK", "WORLD", "MASTER", "LOCAL"))}
    done = subprocess.run(words, env={**free, "OMP_NUM_THREADS": "1"}, capture_output=True, text=True, timeout=1800)
    assert done.returncode == 0, done.stderr
    return json.loads((folder / "done.json").read_text())


def lines_in(path: Path) -> int:
    """How many lines a file has so far."""
    return path.read_bytes().count(b"\n") if path.is_file() else 0


def free_port() -> int:
    """A port that nobody listens on."""
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return int(found.getsockname()[1])


def _process(job: dict[str, Any], rank: int, port: int, log: Path) -> int:
    """Fork one process of a job; its number."""
    pid = os.fork()
    if pid:
        return pid
    try:
        with log.open("wb") as file:
            os.dup2(file.fileno(), 1)
            os.dup2(file.fileno(), 2)
        if not job.get("plain"):
            world = {"RANK": rank, "WORLD_SIZE": job["world"], "LOCAL_RANK": rank, "MASTER_PORT": port}
            os.environ.update({name: str(value) for name, value in world.items()}, MASTER_ADDR="127.0.0.1")
            os.environ.update(TORCHELASTIC_USE_AGENT_STORE="True", TORCHELASTIC_RESTART_COUNT="0")
        from nuclex.cli.main import main

        main(job["words"])
    except SystemExit as error:
        os._exit(int(error.code or 0))
    except BaseException:
        import traceback

        traceback.print_exc()
    os._exit(99)


def _strike(job: dict[str, Any], pids: list[int], deadline: float) -> float:
    """Send the job's signal to its processes when the run has got as far as it says; when that was."""
    blow = job.get("blow")
    while blow and lines_in(Path(blow["file"])) < blow["lines"] and time.monotonic() < deadline:
        time.sleep(0.01)
    for rank in blow["ranks"] if blow else ():
        os.kill(pids[rank], blow["signal"])
    return time.monotonic()


def _run(job: dict[str, Any], folder: Path) -> dict[str, Any]:
    from torch.distributed import TCPStore

    store = TCPStore("127.0.0.1", 0, is_master=True, wait_for_workers=False)
    logs = [folder / f"{job['name']}-{rank}.log" for rank in range(job["world"])]
    pids = [_process(job, rank, store.port, log) for rank, log in enumerate(logs)]
    deadline, codes = time.monotonic() + LIMIT_S, dict.fromkeys(pids, -1000)
    blown = _strike(job, pids, deadline)
    while -1000 in codes.values() and time.monotonic() < deadline:
        for pid in [pid for pid in pids if codes[pid] == -1000]:
            found, status = os.waitpid(pid, os.WNOHANG)
            if found:
                codes[pid] = os.waitstatus_to_exitcode(status)
        frozen = [pids[rank] for rank in job["blow"]["ranks"]] if job["blow"] and job["blow"]["frozen"] else []
        if frozen and all(codes[pid] != -1000 for pid in pids if pid not in frozen):
            break
        time.sleep(0.01)
    seconds = time.monotonic() - blown
    for pid in [pid for pid in pids if codes[pid] == -1000]:
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)
    said = "".join(log.read_text() for log in logs)
    return {"codes": list(codes.values()), "seconds": seconds, "said": said}


def _all(path: Path) -> None:
    import nuclex.training.pretrain  # noqa: F401  what every process needs

    done = {job["name"]: _run(job, path.parent) for job in json.loads(path.read_text())}
    (path.parent / "done.json").write_text(json.dumps(done))


if __name__ == "__main__":
    _all(Path(sys.argv[1]))
