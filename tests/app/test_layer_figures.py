"""Figures 6 and 7: the study's layers, and tiles that show a layer's values on the scale that the figure names."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from covid_core.charts import figures
from covid_core.charts.figures import GAP, LINE, TILE, draw_figure
from covid_core.models import zoo

STRIP = "Layers of ResNet101V2 (figure 6)"
SLICES = "Two slices through a network (figure 7)"
PAPER = [17, 63, 109, 166, 219, 263, 307, 379]


@pytest.fixture
def drawn(monkeypatch):
    """Blocks and caption of each figure that a page draws."""
    seen = []

    def draw(blocks, caption):
        seen.append((blocks, caption))
        return draw_figure(blocks, caption)

    monkeypatch.setattr(figures, "draw_figure", draw)
    return seen


@pytest.fixture
def probe(trained):
    """Maps of the trained EfficientNetB0 on a generated slice, by layer number."""
    from covid_core.data.slices import resize_slice
    from covid_core.explain.activations import ActivationProbe
    from covid_core.models.library import list_networks, load_network
    from covid_core.ui.slices import samples

    card = list_networks([trained])["EfficientNetB0"][0]
    network = ActivationProbe(load_network(card))

    def maps(name, number):
        pixels = samples()[name].astype(np.float32)
        return network.maps(resize_slice(pixels, card.input_size, card.interpolation), number)

    maps.layers = network.layers
    return maps


def layer_info(number, shape, name="layer", kind="Conv2D"):
    from covid_core.explain.activations import LayerInfo

    return LayerInfo(number, name, kind, shape, 0)


def enlarged(values, low, high, side):
    """Grey as the figure says: ``low`` black, ``high`` white, each value a field of its own."""
    low, high = float(low), float(high)
    grey = np.rint(255 * ((values.astype(np.float64) - low) / (high - low))) if high > low else 0 * values
    rows, columns = (np.arange(side) * length // side for length in values.shape)
    return np.repeat(grey[np.ix_(rows, columns)][..., None], 3, axis=-1)


def tiles_of(block):
    return [tile for row in block.rows for tile in row if tile is not None]


def number_of(tile):
    return int(tile.heading.split()[0])


# ---- figure 6 ----


def test_the_strip_shows_the_probes_values_each_channel_on_its_own_scale(open_page, probe, drawn):
    app = open_page("figures", figure=STRIP, slice="Generated COVID 1")
    assert app.selectbox(key="layer_network").value == "EfficientNetB0"
    assert any("is not trained here: this is EfficientNetB0 instead" in one.value for one in app.caption)
    assert app.get("image")
    assert app.get("download_button")
    (block,), caption = drawn[-1]
    assert block.title == "EfficientNetB0: Generated COVID 1"
    assert [len(row) for row in block.rows] == [5, 5]
    assert block.rows[1][0] is None
    _, *maps, output = tiles_of(block)
    numbers = [number_of(tile) for tile in maps]
    assert len(numbers) == 7
    assert numbers == sorted(set(numbers))
    gaps = np.diff([1, *numbers, len(probe.layers)])
    assert gaps.max() < 2 * len(probe.layers) / 8, "spread over the whole depth"
    side = (TILE - 8) // 2 - 4  # a gap of 8 pixels, and a frame of 2 around each channel
    near, far = 2, side + 14
    corners = ((near, near), (near, far), (far, near), (far, far))
    for tile in maps:
        values = probe("Generated COVID 1", number_of(tile))
        assert tile.image.shape == (TILE, TILE, 3)
        assert tile.lines[0] == f"{values.shape[0]} x {values.shape[1]}, {values.shape[2]} channels"
        assert tile.lines[1] == "No. 1, 2, 3, 4"
        for channel, (top, left) in enumerate(corners):
            one = values[..., channel]
            np.testing.assert_array_equal(
                tile.image[top : top + side, left : left + side], enlarged(one, one.min(), one.max(), side)
            )
    assert number_of(output) == len(probe.layers)
    values = probe("Generated COVID 1", len(probe.layers))
    assert output.lines == [f"P(non-COVID) {values[0]:.4f}", f"P(COVID) {values[1]:.4f}"]
    np.testing.assert_array_equal(output.image, figures.bars(values, ["non-COVID", "COVID"]))
    text = " ".join(caption)
    assert "seven spread evenly over the layers of EfficientNetB0" in text
    assert "the first four of each layer" in text
    assert "its own smallest value (black) to its largest (white)" in text


def test_the_strongest_channels_can_be_drawn_instead(open_page, probe, drawn):
    app = open_page("figures", figure=STRIP, slice="Generated COVID 1", strip_channels="The four with the highest mean")
    (block,), caption = drawn[-1]
    for tile in tiles_of(block)[1:-1]:
        means = probe("Generated COVID 1", number_of(tile)).mean(axis=(0, 1), dtype=np.float64)
        shown = [int(text) - 1 for text in tile.lines[1].removeprefix("No. ").split(", ")]
        assert means[shown].tolist() == sorted(means, reverse=True)[:4]
    assert "highest mean on this slice" in " ".join(caption)
    app.selectbox(key="slice").select("Generated non-COVID 1").run()
    assert drawn[-1][0][0].title == "EfficientNetB0: Generated non-COVID 1"


def test_without_trained_networks_the_papers_layers_have_their_places(open_page, places, drawn):
    app = open_page("figures", figure=STRIP)
    assert app.selectbox(key="layer_network").value == "ResNet101V2"
    assert "ResNet101V2 has no trained weights" in app.info[0].value
    assert app.toggle(key="random_layers").value is False
    (block,), _ = drawn[-1]
    slice_, *empty = tiles_of(block)
    assert slice_.image is not None
    assert [number_of(tile) for tile in empty] == PAPER
    assert empty[3].heading == "166 conv4_block8_preact_relu"
    assert all(tile.image is None and "not trained" in tile.note for tile in empty)
    assert block.title.startswith("ResNet101V2: Generated")
    app.selectbox(key="layer_network").select("VGG16").run()
    assert not app.exception
    assert [tile.heading for tile in tiles_of(drawn[-1][0][0])][1:] == [f"Layer {place} of 8" for place in range(1, 9)]


def test_random_weights_come_on_request_and_the_figure_says_so(open_page, places, drawn):
    app = open_page("figures", figure=STRIP, layer_network="EfficientNetB0")
    app.toggle(key="random_layers").set_value(True).run()
    assert not app.exception
    assert "nothing was learned" in app.warning[0].value
    (block,), _ = drawn[-1]
    assert block.title.startswith("EfficientNetB0, random weights: ")
    assert all(tile.image is not None for tile in tiles_of(block))


def test_the_name_of_an_uploaded_file_stays_out_of_the_figure(open_page, trained, picture, drawn):
    app = open_page("figures", figure=STRIP)
    app.file_uploader(key="upload").set_value(("somebody.png", picture, "image/png")).run()
    assert not app.exception
    (block,), caption = drawn[-1]
    assert block.title == "EfficientNetB0: uploaded"
    assert "somebody" not in " ".join([*caption, *(tile.heading for tile in tiles_of(block))])


def test_the_strip_has_the_papers_layers_of_its_network_and_of_no_other():
    from covid_core.ui.figure_layers import strip_layers

    layers = [layer_info(number, (8, 8, 16)) for number in range(1, 379)] + [layer_info(379, (2,))]
    assert [layer.number for layer in strip_layers(zoo.get("ResNet101V2"), layers)] == PAPER
    longer = [*layers[:-1], layer_info(379, (128,)), layer_info(380, (2,))]
    assert [one.number for one in strip_layers(zoo.get("Modified-ResNet101V2"), longer)] == [*PAPER[:-1], 380]
    others = [one.number for one in strip_layers(zoo.get("ResNet152V2"), layers)]
    assert others == [28, 82, 136, 190, 244, 298, 352, 379]  # the middles of seven parts of 378, and the last


def test_only_layers_with_several_places_are_spread_over():
    from covid_core.ui.figure_layers import map_layers, spread

    layers = [
        layer_info(1, (32, 32, 1), "slice", "InputLayer"),
        layer_info(2, (16, 16, 8), "conv"),
        layer_info(3, (1, 1, 8), "squeezed"),
        layer_info(4, (4, 4, 8), "late"),
        layer_info(5, (8,), "pooled"),
    ]
    assert [layer.name for layer in map_layers(layers)] == ["conv", "late"]
    assert [one.number for one in spread(layers, 1)] == [3]
    assert [one.number for one in spread(layers, 5)] == [1, 2, 3, 4, 5]


def test_a_constant_channel_is_black_and_counted():
    from covid_core.ui.figure_layers import Excerpt, maps_tile

    maps = np.random.default_rng(0).normal(size=(5, 5, 4)).astype(np.float32)
    maps[..., 2] = 7
    tile = maps_tile(Excerpt(layer_info(9, (5, 5, 30)), (4, 0, 29, 1), maps))
    assert list(tile.lines) == ["5 x 5, 30 channels", "No. 5, 1, 30, 2", "1 constant, drawn black"]
    side = TILE // 2 - 4
    assert not tile.image[-side + 2 : -2, 2 : side - 2].any()
    assert tile.image[2 : side - 2, 2 : side - 2].max() == 255
    for frame in (tile.image[0, :side], tile.image[:side, 0], tile.image[side - 1, :side], tile.image[-1, :side]):
        assert (frame == tile.image[0, 0]).all()
    assert (tile.image[side:-side] == 255).all()
    assert (tile.image[:, side:-side] == 255).all()


@pytest.mark.parametrize("count", [1, 2, 3, 4])
def test_a_tile_is_drawn_without_blending(count):
    from covid_core.charts.figures import Block
    from covid_core.ui.figure_layers import Excerpt, maps_tile

    maps = np.random.default_rng(0).normal(size=(7, 7, count)).astype(np.float32)
    tile = maps_tile(Excerpt(layer_info(9, (7, 7, count)), tuple(range(count)), maps))
    figure = np.asarray(draw_figure([Block("A", [[tile]])]))
    top = GAP + 3 * LINE
    place = figure[top : top + TILE, GAP : GAP + TILE]
    height, width = tile.image.shape[:2]
    assert width == TILE
    start = (TILE - height) // 2
    np.testing.assert_array_equal(place[start : start + height], tile.image)


# ---- figure 7 ----


def test_both_slices_share_the_scale_that_the_caption_names(open_page, probe, drawn):
    slices = ("Generated COVID 1", "Generated non-COVID 1")
    app = open_page("figures", figure=SLICES, positive=slices[0], negative=slices[1])
    assert app.get("image")
    blocks, caption = drawn[-1]
    assert [block.title for block in blocks] == [
        "EfficientNetB0, positive slice: Generated COVID 1",
        "EfficientNetB0, negative slice: Generated non-COVID 1",
    ]
    rows = [tiles_of(block) for block in blocks]
    assert [len(row) for row in rows] == [4, 4]
    count = len(probe.layers)
    opening, middle, late = numbers = [number_of(tile) for tile in rows[0][1:]]
    assert opening < count / 3 < middle < 2 * count / 3 < late
    assert [number_of(tile) for tile in rows[1][1:]] == numbers
    for place, number in enumerate(numbers, start=1):
        maps = [probe(name, number)[..., 0] for name in slices]
        low, high = min(one.min() for one in maps), max(one.max() for one in maps)
        assert f"layer {number}, channel 1: {low:.3g} to {high:.3g}" in " ".join(caption)
        for row, values in zip(rows, maps, strict=True):
            np.testing.assert_array_equal(row[place].image[2:-2, 2:-2], enlarged(values, low, high, TILE - 4))
            assert row[place].lines[:2] == [
                f"Channel 1 of {probe.layers[number - 1].shape[-1]}",
                f"Mean {values.mean(dtype=np.float64):.3g}",
            ]
    assert "the first channel of each layer" in caption[0]


@pytest.mark.parametrize("label", ["The highest mean", "The largest difference"])
def test_the_channel_is_chosen_over_both_slices(open_page, probe, drawn, label):
    slices = ("Generated COVID 1", "Generated non-COVID 1")
    open_page("figures", figure=SLICES, positive=slices[0], negative=slices[1], pair_channel=label)
    blocks, caption = drawn[-1]
    for tile in tiles_of(blocks[0])[1:]:
        one, other = (probe(name, number_of(tile)).astype(np.float64) for name in slices)
        values = (one + other if label == "The highest mean" else np.abs(one - other)).mean(axis=(0, 1))
        shown = int(tile.lines[0].split()[1]) - 1
        assert values[shown] == pytest.approx(values.max(), rel=1e-5)
    assert ("by choice" in caption[0]) == (label == "The largest difference")


def test_layers_are_picked_and_stand_in_the_address(open_page, trained, drawn):
    app = open_page("figures", figure=SLICES)
    pickers = [app.selectbox(key=key) for key in ("opening", "middle", "late")]
    assert [picker.label for picker in pickers] == ["Opening layer", "Middle layer", "Late layer"]
    assert not any(" global_pooling" in option or " probabilities" in option for option in pickers[0].options)
    pickers[2].select(pickers[2].options[0]).run()
    assert not app.exception
    assert tiles_of(drawn[-1][0][0])[3].heading == pickers[2].options[0]
    again = open_page("figures", figure=SLICES, late=pickers[2].options[0], opening="9999 nowhere")
    assert again.selectbox(key="late").value == pickers[2].options[0]
    assert again.selectbox(key="opening").value == pickers[0].value


def test_without_weights_three_places_stay_empty(open_page, places, drawn):
    app = open_page("figures", figure=SLICES)
    assert "ResNet101V2 has no trained weights" in app.info[0].value
    blocks, _ = drawn[-1]
    for block in blocks:
        _, *empty = tiles_of(block)
        assert [tile.heading for tile in empty] == ["Opening layer", "Middle layer", "Late layer"]
        assert all(tile.image is None for tile in empty)
    assert not [box for box in app.selectbox if box.key == "opening"]


def test_a_channel_that_is_the_same_everywhere_is_said_to_be():
    from covid_core.ui.figure_layers import Excerpt, pair_tiles

    tiles = pair_tiles(Excerpt(layer_info(9, (5, 5, 30)), (4,), np.full((5, 5, 2), 3, np.float32)))
    for tile in tiles:
        assert list(tile.lines) == ["Channel 5 of 30", "Mean 3", "Constant, drawn black"]
        assert not tile.image[2:-2, 2:-2].any()


def test_the_file_is_the_figure_with_its_caption(open_page, trained, drawn):
    app = open_page("figures", figure=STRIP)
    blocks, caption = drawn[-1]
    figure = draw_figure(blocks, caption)
    assert isinstance(figure, Image.Image)
    assert any(f"{figure.width} × {figure.height} pixels. A channel that is bright" in one.value for one in app.caption)
    assert "not a medical device" in caption[-1]
