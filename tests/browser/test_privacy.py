"""Nothing of an upload stays anywhere: searched for are a name and a text inside the picture, in all places."""

from __future__ import annotations

import io
import os
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, PngImagePlugin
from playwright.sync_api import Browser, Page, expect
from serving import REPOSITORY, WATCHED, Server, running_server

from covid_core.data.phantom import sample_slices

pytestmark = pytest.mark.browser

NAME = "patient-4711-kqvx"
INSIDE = "born-1957-zjwy"
PLACES = ("home", "temporary")


@dataclass
class Uploaded:
    """A dashboard that was visited: a slice and a refused file were uploaded, and the slice's map is on the page."""

    server: Server
    page: Page
    folder: Path
    started: float
    written_before: int = 0


def marked_slice() -> bytes:
    """A slice above 1 MiB, from where parsers of requests like to use files, with a text beside its pixels."""
    pixels = np.asarray(Image.fromarray(sample_slices(380)[0].pixels).resize((1600, 1600), Image.Resampling.BILINEAR))
    noise = np.random.default_rng(0).integers(0, 8, pixels.shape)
    text, file = PngImagePlugin.PngInfo(), io.BytesIO()
    text.add_text("PatientName", INSIDE)
    Image.fromarray(np.clip(pixels + noise, 0, 255).astype(np.uint8)).save(file, "PNG", pnginfo=text)
    assert len(file.getvalue()) > 2**20
    return file.getvalue()


@pytest.fixture(scope="module")
def uploaded(tmp_path_factory: pytest.TempPathFactory, launch: Callable[[], Browser]) -> Iterator[Uploaded]:
    folder = tmp_path_factory.mktemp("privacy")
    for place in PLACES:
        (folder / place).mkdir()
    environment = {
        "HOME": str(folder / "home"),
        "TMPDIR": str(folder / "temporary"),
        "PYTHONDONTWRITEBYTECODE": "1",
    }
    started = time.time()
    with running_server(folder, program=WATCHED, environment=environment) as server, closing(launch()) as browser:
        page = browser.new_context().new_page()
        page.goto(f"{server.url}/gradcam")
        page.get_by_role("button", name="I understand").click()
        pictures = page.get_by_test_id("stImage")
        expect(pictures.first).to_be_visible(timeout=120_000)
        expect(page.get_by_test_id("stSpinner")).to_have_count(0, timeout=120_000)
        visited = Uploaded(server, page, folder, started)
        visited.written_before = len(server.watched()["written"])
        values = page.get_by_test_id("stMetricValue")
        sample = values.first.inner_text()
        for name, data in ((f"{NAME}.png", marked_slice()), (f"{NAME}-refused.png", f"text {INSIDE}".encode())):
            page.get_by_test_id("stFileUploaderDropzoneInput").set_input_files(
                {"name": name, "mimeType": "image/png", "buffer": data}
            )
            expect(page.get_by_text(name).first).to_be_visible(timeout=60_000)
        expect(page.get_by_test_id("stAlertContentError")).to_contain_text("Expected", timeout=60_000)
        expect(values.first).not_to_have_text(sample, timeout=60_000)
        expect(page.get_by_text("Overlay", exact=True)).to_be_visible()
        expect(page.get_by_text("Measuring the map")).to_have_count(0, timeout=120_000)
        yield visited


def holds(data: bytes) -> bool:
    return any(mark.encode(coding) in data for mark in (NAME, INSIDE) for coding in ("utf-8", "utf-16-le"))


def test_no_file_holds_it(uploaded):
    changed = [
        path
        for root in (uploaded.folder, REPOSITORY)
        for path in root.rglob("*")
        if path.is_file() and not path.is_symlink() and path.stat().st_mtime >= uploaded.started
    ]
    assert uploaded.folder / "server.log" in changed
    assert [path for path in changed if holds(path.read_bytes())] == []
    assert list((uploaded.folder / "temporary").rglob("*")) == []


def test_no_file_was_opened_for_writing_since_the_upload(uploaded):
    assert uploaded.server.watched()["written"][uploaded.written_before :] == []


def test_the_process_has_no_file_open_that_could_hold_it(uploaded):
    process = Path(f"/proc/{uploaded.server.process.pid}")
    opened = [os.readlink(one) for one in (process / "fd").iterdir()]
    assert not [one for one in opened if "(deleted)" in one or str(uploaded.folder / "temporary") in one]
    for file in ("cmdline", "environ", "maps"):
        assert not holds((process / file).read_bytes()), file


def test_log_address_and_title_do_not_name_it(uploaded):
    assert not holds(uploaded.server.log.read_bytes())
    assert "Traceback" not in uploaded.server.log.read_text()
    assert not holds(uploaded.page.url.encode())
    assert not holds(uploaded.page.title().encode())


def test_another_visitor_sees_nothing_of_it(uploaded, visit):
    assert uploaded.server.watched()["held"].get("Slice") == 1
    visit.page.goto(f"{uploaded.server.url}/gradcam")
    visit.accept()
    expect(visit.page.get_by_test_id("stImage").first).to_be_visible(timeout=120_000)
    visit.settle()
    assert not holds(visit.page.content().encode())
    assert visit.page.get_by_role("combobox", name="Slice", exact=True).input_value() != "Uploaded slice"
    visit.check()


def test_when_the_tab_closes_nothing_of_it_is_left_in_memory(uploaded):
    pictures = [one.get_attribute("src") for one in uploaded.page.locator("[data-testid=stImage] img").all()]
    assert status(pictures[0]) == 200
    uploaded.page.context.close()
    uploaded.server.wait_until_nothing_is_held()
    end = time.monotonic() + 60
    while left := [one for one in pictures if status(one) != 404]:
        assert time.monotonic() < end, left
        time.sleep(0.5)


def status(url: str) -> int:
    try:
        with urllib.request.urlopen(url, timeout=60) as answer:
            return answer.status
    except urllib.error.HTTPError as error:
        return error.code
