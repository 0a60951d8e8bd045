"""What the tests of the page share: a server in a process of its own, a browser, and what a visitor does."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[1]
KINDS = ("predict", "fold", "embed", "mutate", "codons", "compare")
PHONE, DESK = {"width": 390, "height": 844}, {"width": 1280, "height": 900}
PATIENCE = 60_000  # milliseconds until a result must be there, on a machine that does other things too
CDS = "ATGGCTAGCAAAGGAGAAGAACTTTTCACTGGAGTTTAA"
RNA = "GGGAAACUCCGAAAGGAGUUUCCC"


@contextmanager
def served(*arguments: str) -> Iterator[str]:
    """The address of `nuclex serve` with these arguments, on a port that is free."""
    command = [sys.executable, "-m", "nuclex", "serve", *arguments, "--port", "0"]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True, env=environment) as process:
        assert process.stderr is not None
        said = ""
        try:
            for line in process.stderr:
                said += line
                address = re.search(r"http://\S+", line)
                if address:
                    yield address.group()
                    return
            pytest.fail(f"the server did not start: {said}")
        finally:
            process.terminate()
            process.wait(30)
            process.stderr.read()


@contextmanager
def browser() -> Iterator[Any]:
    """Debian's Chromium under Playwright; a skip where either is missing."""
    api = pytest.importorskip("playwright.sync_api", reason="playwright is not installed, so the page is not tried")
    path = shutil.which("chromium")
    if path is None:
        pytest.skip("there is no chromium on the PATH, so the page is not tried in a browser")
    with api.sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=path, args=["--no-sandbox"])
        yield chromium
        chromium.close()


class Visit:
    """One window on the page, in a context of its own, which notes what must not happen."""

    def __init__(self, chromium: Any, address: str, **settings: Any) -> None:
        self.address = address
        self.context = chromium.new_context(**{"viewport": DESK, "color_scheme": "light", **settings})
        self.page = self.context.new_page()
        self.page.set_default_timeout(PATIENCE)
        self.wrong: list[str] = []
        self.page.on("pageerror", lambda error: self.wrong.append(f"error: {error}"))
        self.page.on("console", self._heard)
        self.page.on("request", self._asked)

    def _heard(self, message: Any) -> None:
        refused = "Failed to load resource" in message.text  # a 4xx, which the page answers with a sentence
        if message.type in ("error", "warning") and not refused:
            self.wrong.append(f"console: {message.text}")

    def _asked(self, request: Any) -> None:
        if not request.url.startswith((self.address, "blob:", "data:")):
            self.wrong.append(f"another host: {request.url}")

    def open(self, fragment: str = "") -> Any:
        """The page with these settings behind "#", once it is ready."""
        self.page.goto("about:blank")  # only then is a fragment a new visit
        self.page.goto(f"{self.address}/{fragment}")
        self.page.wait_for_selector("html[data-ready]")
        return self.page

    def ask(self, kind: str, fasta: str) -> Any:
        """Paste, choose, press; the result as the server gave it, once its pictures are there."""
        page = self.page
        page.fill("#fasta", fasta)
        page.check(f'#kinds input[value="{kind}"]')
        return self.result(kind, lambda: page.click("#run"))

    def result(self, kind: str, act: Any) -> Any:
        """The result of the job that ``act`` starts."""
        with self.page.expect_response(f"**/api/v1/{kind}") as started:
            act()
        self.page.wait_for_selector(f'#pictures[data-kind="{kind}"]:not([aria-busy])')
        return self.job(started.value.json()["job"])["result"]

    def job(self, token: str) -> Any:
        """A job as the API tells it."""
        return self.context.request.get(f"{self.address}/api/v1/jobs/{token}").json()

    def wait_for(self, selector: str, text: str) -> None:
        """Wait until the element says ``text`` (a wait on a script of one's own is refused by the page's policy)."""
        self.page.locator(selector).filter(has_text=text).wait_for(state="attached")

    def saved(self, button: Any) -> str:
        """The text of the file that a press on ``button`` downloads."""
        with self.page.expect_download() as download:
            button.click()
        return Path(download.value.path()).read_text("utf-8")

    def close(self) -> None:
        """Close the window; nothing must have gone wrong in it."""
        self.context.close()
        assert not self.wrong, self.wrong


def axe() -> str:
    """The source of axe-core; a skip where it is not."""
    place = Path(os.environ.get("NUCLEX_AXE", ROOT / "node_modules/axe-core/axe.min.js"))
    if not place.is_file():
        pytest.skip("axe-core is not there: `npm pack axe-core@4.10.2`, unpack, name its axe.min.js in NUCLEX_AXE")
    return place.read_text("utf-8")


def violations(page: Any, source: str) -> list[str]:
    """What axe finds serious or critical on the page as it is now (through the debugger: the page forbids scripts)."""
    expression = f"{source};axe.run().then(found => found.violations.map(v => [v.impact, v.id, v.nodes[0].html]))"
    session = page.context.new_cdp_session(page)
    asked = {"expression": expression, "awaitPromise": True, "returnByValue": True}
    found = session.send("Runtime.evaluate", asked)["result"]["value"]
    session.detach()
    return [f"{rule}: {html}" for impact, rule, html in found if impact in ("serious", "critical")]
