"""A freshly started server for whoever asks, and a Chromium that records what goes wrong in it."""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from playwright.sync_api import Browser, ConsoleMessage, Page, expect, sync_playwright

REPOSITORY = Path(__file__).resolve().parents[2]
VIEWPORT = {"width": 1440, "height": 1500}
CHROMIUM_FLAGS = [
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--force-color-profile=srgb",
]


@dataclass
class Server:
    """A running dashboard."""

    process: subprocess.Popen
    url: str
    log: Path

    def loaded(self, library: str) -> bool:
        """Whether the process has mapped a library's file into memory."""
        return library in Path(f"/proc/{self.process.pid}/maps").read_text()


@contextlib.contextmanager
def running_server(folder: Path) -> Iterator[Server]:
    """Serves the dashboard as a fresh clone would, with a store of its own, until the block ends."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    log = folder / "server.log"
    # the repository's own networks and results, not those that someone trained into this checkout
    places = {"COVID_STORE": f"sqlite:///{folder / 'store.sqlite'}", "COVID_NETWORKS": str(REPOSITORY / "trained")}
    places["COVID_DATA"] = ""
    command = [sys.executable, "-m", "streamlit", "run", "app.py", "--server.port", str(port)]
    with log.open("wb") as out:
        process = subprocess.Popen(
            [*command, "--server.address", "127.0.0.1"],
            cwd=REPOSITORY,
            env=os.environ | places,
            stdout=out,
            stderr=subprocess.STDOUT,
        )
        try:
            url = f"http://127.0.0.1:{port}"
            _wait_until_healthy(process, url, log)
            yield Server(process, url, log)
        finally:
            process.terminate()
            process.wait(20)


def _wait_until_healthy(process: subprocess.Popen, url: str, log: Path, seconds: float = 60) -> None:
    end = time.monotonic() + seconds
    while True:
        with contextlib.suppress(OSError), urllib.request.urlopen(f"{url}/_stcore/health", timeout=2) as answer:
            if answer.status == 200:
                return
        assert process.poll() is None, log.read_text()
        assert time.monotonic() < end, log.read_text()
        time.sleep(0.1)


@pytest.fixture
def fresh_server(tmp_path: Path) -> Iterator[Server]:
    """A server that nobody has visited."""
    with running_server(tmp_path) as server:
        yield server


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """The same, shared by the tests of a file."""
    with running_server(tmp_path_factory.mktemp("server")) as shared:
        yield shared


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    names = ("chromium", "chromium-browser", "google-chrome")
    installed = next((path for path in map(shutil.which, names) if path), None)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=installed, args=CHROMIUM_FLAGS)
        yield browser
        browser.close()


@dataclass
class Visit:
    """One tab, and what it complained about."""

    page: Page
    complaints: list[str] = field(default_factory=list)

    def accept(self) -> None:
        """Pass the disclaimer."""
        self.page.get_by_role("button", name="I understand").click()

    def settle(self, seconds: float = 120) -> None:
        """Wait until the script has run and everything it drew has arrived."""
        page = self.page
        expect(page.locator("[data-testid=stApp]")).to_have_attribute(
            "data-test-script-state", "notRunning", timeout=seconds * 1000
        )
        for part in ("stSpinner", "stSkeleton"):
            expect(page.get_by_test_id(part)).to_have_count(0, timeout=seconds * 1000)
        page.wait_for_load_state("networkidle")
        page.evaluate("document.fonts.ready")
        page.wait_for_function("[...document.images].every(image => image.complete)")

    def picture(self) -> bytes:
        """A screenshot, taken when two in a row are the same."""
        self.settle()
        # the card beside a live map is computed while the page is already usable
        expect(self.page.get_by_text("Measuring the map")).to_have_count(0, timeout=120_000)
        self.settle()
        self.page.mouse.move(0, 0)
        before = b""
        for _ in range(20):
            now = self.page.screenshot(animations="disabled")
            if now == before:
                return now
            before = now
            self.page.wait_for_timeout(150)
        return before

    def check(self) -> None:
        """No exception box, no error in the console."""
        assert self.page.get_by_test_id("stException").count() == 0, self.page.get_by_test_id(
            "stException"
        ).inner_text()
        assert self.complaints == []


@pytest.fixture
def visit(browser: Browser) -> Iterator[Visit]:
    context = browser.new_context(viewport=VIEWPORT, device_scale_factor=1, color_scheme="light", locale="en-GB")
    page = context.new_page()
    visit = Visit(page)

    def heard(message: ConsoleMessage) -> None:
        # at a deep link Streamlit's front end first looks for its server below the page's own path
        probing = re.search(r"/[a-z]+/_stcore/(health|host-config)$", message.location["url"])
        if message.type == "error" and not probing:
            visit.complaints.append(f"{message.text} {message.location['url']}")

    page.on("console", heard)
    page.on("pageerror", lambda error: visit.complaints.append(str(error)))
    yield visit
    context.close()
