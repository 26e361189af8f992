"""The activation explorer in Chromium: the slider through a network, and what is drawn against the probe's values."""

from __future__ import annotations

import base64
import io

import numpy as np
import pytest
from PIL import Image
from playwright.sync_api import expect

from covid_core.data.phantom import sample_slices
from covid_core.data.slices import resize_slice
from covid_core.explain.activations import ActivationProbe, to_grey
from covid_core.models.library import list_networks, load_network
from covid_core.settings import REPOSITORY
from covid_core.ui.activation_views import GAP
from covid_core.ui.slices import SAMPLE_SIZE

pytestmark = pytest.mark.browser


@pytest.fixture(scope="module")
def shipped():
    """The probe of the first network that the page offers, and the first sample as the network sees it."""
    card = list_networks([REPOSITORY / "trained"])["EfficientNetB0"][0]
    first = sample_slices(SAMPLE_SIZE)[0].pixels.astype(np.float32)
    return ActivationProbe(load_network(card)), resize_slice(first, card.input_size, card.interpolation)


def marks(visit):
    """The drawn chart of channels, once it stands."""
    drawn = visit.page.locator(".st-key-channel_grid svg.marks").first
    expect(drawn).to_be_visible(timeout=120_000)
    visit.settle()
    return drawn


def test_the_slider_walks_through_the_network_and_draws_the_probes_values(server, visit, shipped):
    probe, seen = shipped
    page = visit.page
    page.goto(f"{server.url}/activations?network=EfficientNetB0&channels=4")
    visit.accept()
    layers, blocks = (page.locator(f".st-key-layer_{of} input[type=range]") for of in ("number", "block"))
    expect(layers).to_be_attached(timeout=120_000)
    ends = [layer.number for layer in probe.layers if layer.ends_block]
    # the first convolution, the layer behind it, and the ends of blocks from the second on
    stops = [(5, layers), (6, blocks), (ends[1], blocks), (ends[2], None)]
    for number, slider in stops:
        layer = probe.layer(number)
        expect(page.get_by_text(f"Layer {number} of {len(probe.layers)}: {layer.name}")).to_be_visible(timeout=60_000)
        drawn = marks(visit)
        box, (href,) = (
            drawn.bounding_box(),
            drawn.evaluate("svg => [...svg.querySelectorAll('image')].map(image => image.getAttribute('href'))"),
        )
        assert box["width"] == pytest.approx(box["height"], abs=2), "the tiles are square"
        inside = page.locator(".st-key-channel_grid svg.marks image").first.bounding_box()
        assert inside == pytest.approx(box, abs=2), "nothing of the tiles is cut off"
        picture = np.asarray(Image.open(io.BytesIO(base64.b64decode(href.split(",")[1]))).convert("L"))
        maps = probe.maps(seen, number)
        side = (picture.shape[0] - GAP) // 2
        for channel, corner in enumerate(((0, 0), (0, side + GAP), (side + GAP, 0), (side + GAP, side + GAP))):
            tile = picture[corner[0] : corner[0] + side, corner[1] : corner[1] + side]
            rows = np.arange(side) * maps.shape[0] // side
            np.testing.assert_array_equal(tile, to_grey(maps[..., channel])[np.ix_(rows, rows)])
        if slider:  # one step at a time: the page may take the next only once it has drawn this one
            slider.press("ArrowRight")
    visit.check()


def test_a_click_on_a_channel_opens_it(server, visit):
    page = visit.page
    page.goto(f"{server.url}/activations?network=EfficientNetB0&channels=16")
    visit.accept()
    for row, column in ((1, 2), (3, 0)):
        box = marks(visit).bounding_box()
        page.mouse.click(box["x"] + (column + 0.5) * box["width"] / 4, box["y"] + (row + 0.5) * box["height"] / 4)
        wanted = str(4 * row + column + 1)
        expect(page.locator(".st-key-channel input")).to_have_value(wanted, timeout=30_000)
    visit.check()
