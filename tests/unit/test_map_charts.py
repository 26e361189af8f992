import base64
import io

import numpy as np
import pytest
from PIL import Image

from covid_core.charts.maps import CELLS, readable_map


@pytest.fixture
def arrays():
    rng = np.random.default_rng(0)
    grey = rng.uniform(0, 255, (96, 192)).astype(np.float32)
    heat = rng.uniform(0, 1, (96, 192)).astype(np.float32)
    picture = rng.integers(0, 256, (96, 192, 3), dtype=np.uint8)
    return picture, grey, heat


def test_each_cell_tells_the_means_of_its_pixels(arrays):
    picture, grey, heat = arrays
    cells = readable_map(picture, grey, heat).layer[1].data
    assert len(cells) == CELLS * CELLS // 2  # square cells on a picture twice as wide as high
    for _, cell in cells.sample(20, random_state=0).iterrows():
        place = np.s_[int(cell["top"]) : int(cell["bottom"]), int(cell["left"]) : int(cell["right"])]
        assert cell["grey"] == pytest.approx(grey[place].mean(), abs=0.01)
        assert cell["heat"] == pytest.approx(heat[place].mean(), abs=1e-3)
        assert cell["left"] < cell["column"] < cell["right"]
        assert cell["top"] < cell["row"] < cell["bottom"]
    assert cells["left"].min() == 0
    assert cells["right"].max() == 192
    assert cells["bottom"].max() == 96


def test_the_picture_is_drawn_whole_and_keeps_its_shape(arrays):
    picture, grey, heat = arrays
    chart = readable_map(picture, grey, heat, width=400)
    assert (chart.width, chart.height) == (400, 200)
    url = chart.layer[0].data["url"][0]
    shown = Image.open(io.BytesIO(base64.b64decode(url.removeprefix("data:image/png;base64,"))))
    np.testing.assert_array_equal(np.asarray(shown), picture)


def test_slices_smaller_than_the_grid_have_cells_of_one_pixel_at_least():
    grey = np.arange(20 * 30, dtype=np.float32).reshape(20, 30) % 256
    cells = readable_map(np.zeros((20, 30, 3), np.uint8), grey, np.zeros((20, 30), np.float32)).layer[1].data
    assert len(cells) == 20 * 30
    np.testing.assert_array_equal(cells["grey"], grey.ravel())
