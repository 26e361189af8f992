"""Uploads in Chromium: real slices are explained, and what is no slice gets a plain message."""

from __future__ import annotations

import io
import struct
import zlib

import numpy as np
import pytest
from made_up_scans import patient, scan, zipped
from PIL import Image
from playwright.sync_api import expect

from covid_core.data.phantom import patient_slices
from covid_core.models.library import list_networks
from covid_core.settings import REPOSITORY

pytestmark = pytest.mark.browser


def png_of(pixels) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "PNG")
    return buffer.getvalue()


def photograph() -> bytes:
    """Bright colours in smooth shapes, as in a picture of a landscape."""
    y, x = np.mgrid[:240, :320] / 240.0
    colours = np.stack([0.5 + 0.5 * np.sin(3 * x), 0.3 + 0.6 * y, 0.5 + 0.5 * np.cos(4 * y + x)], axis=-1)
    noise = np.random.default_rng(0).normal(0, 8, colours.shape)
    return png_of(np.clip(255 * colours + noise, 0, 255).astype(np.uint8))


def huge_png() -> bytes:
    """A valid PNG header of 20 000 x 20 000 pixels over a little data."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">IIBBBBB", 20_000, 20_000, 8, 0, 0, 0, 0)
    rows = zlib.compress(bytes(20_001) * 64)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", rows) + chunk(b"IEND", b"")


def noise_slice() -> bytes:
    return png_of(np.random.default_rng(1).integers(0, 255, (300, 400), dtype=np.uint8))


def drawn_slice() -> bytes:
    """A generated slice that is none of the samples."""
    return png_of(patient_slices(5, False, slices=1, size=256)[0].pixels)


BAD = {
    "text renamed .png": b"This is not a picture.\n",
    "truncated PNG": noise_slice()[:20_000],
    "20 000 x 20 000 PNG": huge_png(),
    "1 x 1 PNG": png_of(np.zeros((1, 1), np.uint8)),
    "colour photograph": photograph(),
}


def upload(visit, name: str, data: bytes) -> None:
    visit.page.get_by_test_id("stFileUploaderDropzoneInput").set_input_files(
        {"name": name, "mimeType": "image/png", "buffer": data}
    )


def open_gradcam(server, visit) -> None:
    visit.page.goto(f"{server.url}/gradcam?opacity=0.6")
    visit.accept()
    expect(visit.page.get_by_test_id("stImage").first).to_be_visible(timeout=120_000)
    visit.settle()


def test_what_is_no_slice_gets_a_message_and_costs_nothing(server, visit):
    open_gradcam(server, visit)
    pictures = visit.page.get_by_test_id("stImage").count()
    for kind, data in BAD.items():
        upload(visit, f"{kind}.png", data)
        message = visit.page.get_by_test_id("stAlertContentError").filter(has_text=f"{kind}.png: Expected")
        expect(message).to_be_visible(timeout=30_000)
        assert "Traceback" not in message.inner_text()
        visit.settle()
        visit.check()
        assert visit.page.get_by_test_id("stImage").count() == pictures, kind
        assert "opacity=0.6" in visit.page.url


def test_a_real_slice_gives_probability_overlay_and_statistic(server, visit, shared_data):
    file = shared_data / "sars-cov-2-ct-originals" / "COVID" / "Covid (50).png"
    if not file.is_file():
        pytest.skip(f"no real slice at {file}")
    open_gradcam(server, visit)
    values = visit.page.get_by_test_id("stMetricValue")
    before = values.all_inner_texts()
    upload(visit, file.name, file.read_bytes())
    expect(values.first).not_to_have_text(before[0], timeout=60_000)
    visit.settle()
    visit.check()
    probabilities = [float(text) for text in values.all_inner_texts()]
    assert len(probabilities) == 2
    assert sum(probabilities) == pytest.approx(1, abs=2e-4)
    expect(visit.page.get_by_text("Overlay", exact=True)).to_be_visible()
    # the statistic needs both networks of a pair; without the partner the page names the command that trains it
    pair = {"EfficientNetB0", "Modified-EfficientNetB0"} <= set(list_networks([REPOSITORY / "trained"]))
    expected = "Mean intensity, 0–255" if pair else "--networks Modified-EfficientNetB0"
    expect(visit.page.get_by_text(expected)).to_be_visible()


def test_a_refused_file_after_an_accepted_one_leaves_it_in_place(server, visit):
    open_gradcam(server, visit)
    values = visit.page.get_by_test_id("stMetricValue")
    picker = visit.page.get_by_role("combobox", name="Slice", exact=True)
    sample = values.all_inner_texts()
    upload(visit, "mine.png", drawn_slice())
    expect(values.first).not_to_have_text(sample[0], timeout=60_000)
    visit.settle()
    accepted = values.all_inner_texts()
    upload(visit, "text.png", BAD["text renamed .png"])
    expect(visit.page.get_by_test_id("stAlertContentError").first).to_contain_text("Expected", timeout=30_000)
    visit.settle()
    assert values.all_inner_texts() == accepted
    expect(picker).to_have_value("Uploaded slice")
    upload(visit, "mine.png", drawn_slice())
    expect(visit.page.get_by_test_id("stAlertContentError")).to_have_count(0, timeout=30_000)
    visit.settle()
    assert values.all_inner_texts() == accepted
    visit.check()


def test_a_picture_that_shows_no_chest_gets_its_reason_and_no_probability(server, visit):
    open_gradcam(server, visit)
    upload(visit, "noise.png", noise_slice())
    expect(visit.page.get_by_text("noise.png: refused, no network was asked")).to_be_visible(timeout=60_000)
    expect(visit.page.get_by_test_id("stAlertContentError").first).to_contain_text("Expected")
    visit.settle()
    visit.check()
    assert visit.page.get_by_test_id("stMetricValue").count() == 0


def test_a_scan_is_walked_through_and_looked_at_in_another_window(server, visit):
    archive = zipped({f"scan/{number}.dcm": data for number, data in enumerate(scan(slices=patient(6, 256)))})
    open_gradcam(server, visit)
    values = visit.page.get_by_test_id("stMetricValue")
    sample = values.all_inner_texts()
    upload(visit, "scan.zip", archive)
    expect(values.first).not_to_have_text(sample[0], timeout=60_000)
    visit.settle()
    expect(visit.page.get_by_text("3.dcm, slice 4 of 6", exact=True)).to_be_visible()
    pictures = visit.page.get_by_test_id("stImage").locator("img")
    answers, before = values.all_inner_texts(), [picture.get_attribute("src") for picture in pictures.all()]
    visit.page.get_by_role("radio", name="Mediastinum").click()
    expect(pictures.first).not_to_have_attribute("src", before[0])
    visit.settle()
    assert [picture.get_attribute("src") for picture in pictures.all()][1:] == before[1:]
    assert values.all_inner_texts() == answers
    expect(visit.page.get_by_text("for looking only")).to_be_visible()
    assert "scan" not in visit.page.url
    visit.check()
