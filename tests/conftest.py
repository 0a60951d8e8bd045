"""What all tests share: the real data, Hypothesis' settings, one thread for each parallel worker."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

# No deadline and no too_slow: both measure the machine, not the code. In CI the examples are the same in every run.
settings.register_profile("nuclex", deadline=None, suppress_health_check=[HealthCheck.too_slow], print_blob=True)
settings.register_profile("nuclex-ci", settings.get_profile("nuclex"), derandomize=True, database=None)
settings.load_profile("nuclex-ci" if os.environ.get("CI") else "nuclex")


@pytest.fixture(scope="session")
def mirror() -> Path:
    """The folder of the catalogue's real data sets (NUCLEX_MIRROR); tests that need it are skipped without it."""
    name = os.environ.get("NUCLEX_MIRROR", "")
    if not name or "://" in name:
        pytest.skip("real data not available: set NUCLEX_MIRROR to a folder that mirrors the catalogue")
    folder = Path(name)
    if not folder.is_dir():
        pytest.fail(f"NUCLEX_MIRROR={name}: no such folder; name the mirror of the catalogue, or unset it")
    return folder.resolve()


@pytest.fixture(autouse=True)
def _real_needs_the_mirror(request: pytest.FixtureRequest) -> None:
    """A test marked ``real`` is skipped with the mirror's sentence even if it reads NUCLEX_MIRROR by itself."""
    if request.node.get_closest_marker("real") is not None:
        request.getfixturevalue("mirror")


@pytest.fixture(autouse=True)
def _one_thread_a_worker() -> None:
    """Inside an xdist worker torch computes on one thread; it is not imported for that."""
    torch = sys.modules.get("torch")
    if torch is not None and "PYTEST_XDIST_WORKER" in os.environ and torch.get_num_threads() != 1:
        torch.set_num_threads(1)
