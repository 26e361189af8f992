import io
import json
import zipfile

import numpy as np
import pytest
from PIL import Image

pytest.importorskip("tensorflow")
from covid_core.explain.gradcam import CamMaps
from covid_core.explain.report import NOTICE, described_map, described_weights, png, report_zip


@pytest.fixture
def result():
    maps = np.arange(24, dtype=np.float32).reshape(2, 3, 4)
    probabilities = np.float32([[0.75, 0.25], [0.1, 0.9]])
    return CamMaps(maps, probabilities, np.float32([-1.0, 2.0]), "margin", "top_activation", 1)


@pytest.mark.parametrize("shape", [(5, 7), (5, 7, 3)])
def test_png_keeps_every_pixel(shape):
    picture = np.random.default_rng(0).integers(0, 256, shape, dtype=np.uint8)
    np.testing.assert_array_equal(np.asarray(Image.open(io.BytesIO(png(picture)))), picture)


def test_report_holds_the_pictures_and_everything_about_the_map(result):
    overlay = np.full((6, 6, 3), 9, np.uint8)
    parameters = {
        "weights": described_weights("VGG16", None, seed=3, input_size=128, interpolation="area"),
        "map": described_map(result, ("non-COVID", "COVID"), position=1),
        "mask": {"share": float("nan"), "means": [1.5, float("inf")]},
    }
    archive = zipfile.ZipFile(io.BytesIO(report_zip({"overlay": overlay}, parameters)))
    assert archive.namelist() == ["overlay.png", "report.json"]
    np.testing.assert_array_equal(np.asarray(Image.open(archive.open("overlay.png"))), overlay)
    report = json.loads(archive.read("report.json"))
    assert report["notice"] == NOTICE
    assert report["weights"]["seed"] == 3
    assert report["weights"]["input_size"] == 128
    assert report["mask"] == {"share": None, "means": [1.5, None]}
    assert report["map"]["class"] == "COVID"
    assert report["map"]["raw_map"] == {"height": 3, "width": 4, "maximum": 23.0}
    assert report["map"]["log_odds"] == 2.0
    assert report["map"]["probabilities"] == pytest.approx({"non-COVID": 0.1, "COVID": 0.9})


def test_equal_reports_are_equal_bytes(result):
    parameters = {"map": described_map(result, ("non-COVID", "COVID"))}
    assert report_zip({}, parameters) == report_zip({}, parameters)
