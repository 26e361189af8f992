"""A freshly started server for whoever asks, and a Chromium that records what goes wrong in it."""

from __future__ import annotations

import re
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from playwright.sync_api import Browser, ConsoleMessage, Page, expect, sync_playwright
from serving import Server, running_server

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
def launch() -> Iterator[Callable[[], Browser]]:
    """Starts a Chromium."""
    names = ("chromium", "chromium-browser", "google-chrome")
    installed = next((path for path in map(shutil.which, names) if path), None)
    with sync_playwright() as playwright:
        yield lambda: playwright.chromium.launch(executable_path=installed, args=CHROMIUM_FLAGS)


@pytest.fixture
def browser(launch: Callable[[], Browser]) -> Iterator[Browser]:
    """A Chromium of its own for each test: one that goes down after a test takes no other test with it."""
    browser = launch()
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
