"""Pages and what is no axial chest slice: its reason and the slice, no probability, no map; others stay usable."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from covid_core.models.familiarity import Familiarity
from covid_core.models.familiarity_files import Provenance, path_of, save_familiarity
from covid_core.models.library import list_networks

FEATURES = 1280  # of EfficientNetB0


@pytest.fixture(scope="module")
def noise() -> bytes:
    """A PNG that reads as a slice and shows none."""
    file = io.BytesIO()
    Image.fromarray(np.random.default_rng(1).integers(0, 255, (150, 200), dtype=np.uint8)).save(file, "PNG")
    return file.getvalue()


@pytest.fixture
def judging(trained, tmp_path, monkeypatch):
    """Gives the network EfficientNetB0, in a folder of its own, a limit on distance."""

    def judging_(limit: float) -> Path:
        source = list_networks([trained])["EfficientNetB0"][0]
        folder = tmp_path / "judging" / "EfficientNetB0"
        folder.mkdir(parents=True)
        for file in (source.path, source.weights_path):
            (folder / file.name).write_bytes(file.read_bytes())
        monkeypatch.setenv("COVID_NETWORKS", str(folder.parent))
        (card,) = list_networks([folder.parent])["EfficientNetB0"]
        known = Familiarity(
            np.zeros((2, FEATURES), np.float32), np.eye(1, FEATURES, dtype=np.float32), np.ones(1, np.float32), 1, limit
        )
        save_familiarity(card, known, Provenance(80, 20, 99.0, card.dataset_digest))
        return path_of(card)

    return judging_


def refused(app) -> bool:
    """Whether the page shows a refused slice and its reason, and nothing that a network says."""
    pictures = [caption for image in app.get("image") for caption in image.captions]
    assert not app.exception
    if not any("refused, no network was asked" in caption for caption in pictures):
        return False
    assert len(pictures) == 1
    assert app.error[0].value.startswith("Expected ")
    assert not app.metric
    return True


@pytest.mark.parametrize("page", ["gradcam", "methods", "activations"])
def test_a_refused_slice_gets_a_reason_and_is_shown(open_page, trained, noise, page):
    app = open_page(page)
    assert not app.error
    app.file_uploader(key="upload").set_value(("noise.png", noise, "image/png")).run()
    assert refused(app)
    assert app.selectbox(key="network").value == "EfficientNetB0"
    app.selectbox(key="slice_or_upload").select("Generated COVID 1").run()
    assert not app.error
    assert not refused(app)


def test_the_slider_of_a_series_passes_over_refused_slices(open_page, trained, noise, picture):
    app = open_page("gradcam", layer="top_conv")
    files = [("scan-1.png", picture, "image/png"), ("scan-2.png", noise, "image/png")]
    app.file_uploader(key="upload").set_value(files).run()
    for number, expected in ((1, False), (2, True), (1, False)):
        app.slider(key="slice_number").set_value(number).run()
        assert refused(app) is expected
        assert len(app.metric) == (0 if expected else 2)
    assert app.selectbox(key="layer").value == "top_conv"


def test_a_second_slice_is_refused_for_itself(open_page, trained, noise):
    app = open_page("gradcam")
    app.file_uploader(key="upload").set_value(("noise.png", noise, "image/png")).run()
    app.selectbox(key="slice_or_upload").select("Generated COVID 1").run()
    app.selectbox(key="second_or_upload").select("Uploaded slice").run()
    assert not app.exception
    assert len(app.metric) == 2
    assert len(app.error) == 1
    captions = [caption for image in app.get("image") for caption in image.captions]
    assert not any(caption.startswith("noise.png · probability") for caption in captions)


def test_figures_are_not_drawn_of_a_refused_slice(open_page, trained, noise):
    app = open_page("figures")
    app.file_uploader(key="upload").set_value(("noise.png", noise, "image/png")).run()
    app.selectbox(key="positive_or_own").select("noise.png").run()
    assert refused(app)


def test_a_page_that_forgets_to_look_is_stopped(places, trained, noise):
    from covid_core.data.slices import read_slice
    from covid_core.errors import SliceError
    from covid_core.models import zoo
    from covid_core.ui import inference, method_maps
    from covid_core.ui.chosen import as_chosen
    from covid_core.ui.networks import ChosenNetwork

    network = ChosenNetwork(zoo.get("EfficientNetB0"), list_networks([trained])["EfficientNetB0"][0])
    chosen = as_chosen(read_slice(noise).pixels, "noise.png", uploaded=True)
    for ask in (
        lambda: inference.explain(network, chosen, "top_conv", 1),
        lambda: inference.activation_maps(network, chosen, 3),
        lambda: inference.maps_of_layers(network, chosen, [3]),
        lambda: inference.statistics_over_depth(network, chosen),
        lambda: inference.explain_folds(network, [network.card], chosen, "top_conv", 1),
        lambda: method_maps.job(network, chosen, 1),
    ):
        with pytest.raises(SliceError, match="Expected"):
            ask()


def test_what_lies_far_from_the_training_slices_gets_a_warning(open_page, judging, picture):
    judging(limit=1e-9)
    app = open_page("gradcam")
    assert not app.warning  # generated slices are not judged
    app.file_uploader(key="upload").set_value(("mine.png", picture, "image/png")).run()
    assert not app.exception
    assert len(app.metric) == 2
    assert "99 % of 20 held-out slices within 0.0" in app.warning[0].value


def test_what_lies_near_gets_none(open_page, judging, picture):
    judging(limit=1e9)
    app = open_page("gradcam")
    app.file_uploader(key="upload").set_value(("mine.png", picture, "image/png")).run()
    assert not app.error
    assert not app.warning
    assert len(app.metric) == 2
    assert not any("has no check" in caption.value for caption in app.caption)


def test_a_network_without_that_check_says_so(open_page, trained, picture):
    app = open_page("gradcam")
    app.file_uploader(key="upload").set_value(("mine.png", picture, "image/png")).run()
    assert len(app.metric) == 2
    assert any("EfficientNetB0 has no check" in caption.value for caption in app.caption)


def test_a_damaged_check_is_not_taken_for_none(open_page, judging, picture):
    path = judging(limit=1e9)
    path.write_bytes(path.read_bytes()[:-200])
    app = open_page("gradcam")
    app.file_uploader(key="upload").set_value(("mine.png", picture, "image/png")).run()
    assert not app.exception
    assert "Expected what is known of the training slices" in app.error[0].value
    assert not app.metric
