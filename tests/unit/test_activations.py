"""The activation probe against plain Keras sub-models, the paper's layer numbers, and channel pictures."""

from __future__ import annotations

import threading
import weakref

import keras
import numpy as np
import pytest

from covid_core.errors import ModelError
from covid_core.explain.activations import ActivationProbe, channel_grid, to_grey
from covid_core.explain.graph import FlatGraph
from covid_core.models import build, zoo
from covid_core.ui.figure_choices import STRIP_LAYERS, STRIP_NETWORK
from covid_core.ui.map_cache import MapCache
from covid_core.ui.visits import maps_of_layer

SIZE = 32


@pytest.fixture(scope="module")
def network():
    """Small, with our scaling layer, a residual block, normalisation, dropout, and weights away from their start."""
    layers = keras.layers
    slices = keras.Input((SIZE, SIZE, 1), name="slice")
    x = layers.Rescaling(1 / 127.5, offset=-1.0, name=build.SCALING_LAYER)(slices)
    x = shortcut = layers.Conv2D(6, 3, strides=2, padding="same", name="entry")(x)
    x = layers.BatchNormalization(name="normalised")(x)
    x = layers.Dropout(0.5, name="dropped")(x)
    x = layers.Add(name="joined")([x, shortcut])
    x = layers.ReLU(name="rectified")(x)
    x = layers.GlobalAveragePooling2D(name="global_pooling")(x)
    model = keras.Model(slices, layers.Dense(2, activation="softmax", name="probabilities")(x))
    rng = np.random.default_rng(0)
    model.set_weights([rng.uniform(0.2, 1.5, weight.shape) for weight in model.get_weights()])
    return model


def one_slice(size=SIZE, seed=0):
    return np.random.default_rng(seed).uniform(0, 255, (size, size)).astype(np.float32)


def plain_maps(model, name, pixels):
    return keras.Model(model.input, model.get_layer(name).output)(pixels[None, ..., None], training=False).numpy()[0]


def test_layers_are_numbered_without_our_scaling(network):
    probe = ActivationProbe(network)
    assert [layer.number for layer in probe.layers] == list(range(1, 9))
    assert [layer.name for layer in probe.layers] == [
        "slice", "entry", "normalised", "dropped", "joined", "rectified", "global_pooling", "probabilities",
    ]  # fmt: skip
    entry = probe.layer(2)
    assert (entry.kind, entry.shape, entry.parameters, entry.is_spatial) == ("Conv2D", (16, 16, 6), 60, True)
    assert (probe.layers[0].kind, probe.layers[0].shape) == ("InputLayer", (SIZE, SIZE, 1))
    assert (probe.layers[-1].shape, probe.layers[-1].is_spatial) == ((2,), False)
    assert probe.layer("entry") == entry
    assert sum(layer.parameters for layer in probe.layers) == network.count_params()


def test_maps_equal_a_plain_sub_model_exactly(network):
    probe, pixels = ActivationProbe(network), one_slice()
    for layer in probe.layers[1:]:
        maps = probe.maps(pixels, layer.number)
        assert maps.dtype == np.float32
        assert maps.shape == layer.shape
        np.testing.assert_array_equal(maps, plain_maps(network, layer.name, pixels))
        np.testing.assert_array_equal(maps, probe.maps(pixels, layer.name))
    np.testing.assert_array_equal(probe.maps(pixels, 1)[..., 0], pixels)


def test_maps_equal_the_compiled_prediction_closely(network):
    pixels = one_slice()
    expected = network.predict(pixels[None, ..., None], verbose=0)[0]
    np.testing.assert_allclose(ActivationProbe(network).maps(pixels, 8), expected, atol=1e-6)


def test_one_pass_over_all_layers_gives_the_same_maps_in_order(network):
    probe, pixels, seen = ActivationProbe(network), one_slice(), []
    probe.visit(pixels, lambda layer, maps: seen.append((layer, maps)))
    assert [layer for layer, _ in seen] == list(probe.layers)
    for layer, maps in seen:
        np.testing.assert_array_equal(maps, probe.maps(pixels, layer.number))


def test_a_pass_over_chosen_layers_shows_those_and_runs_no_further(network, monkeypatch):
    probe, pixels, seen = ActivationProbe(network), one_slice(), {}
    calls = []
    last = network.get_layer("rectified")
    monkeypatch.setattr(type(last), "call", lambda self, x: calls.append(self.name) or x)
    probe.visit(pixels, lambda layer, maps: seen.update({layer.name: maps}), [3, 1, 2])
    assert list(seen) == ["slice", "entry", "normalised"]
    assert not calls
    for name, maps in seen.items():
        np.testing.assert_array_equal(maps, probe.maps(pixels, name))
    with pytest.raises(ModelError, match="layer number"):
        probe.visit(pixels, lambda layer, maps: None, [99])


def test_a_pass_from_maps_that_are_known_gives_the_same_and_runs_nothing_in_front(network, monkeypatch):
    probe, pixels = ActivationProbe(network), one_slice()
    assert probe.starts(7) == (6, 5, 2, 1)  # the shortcut leaves no single tensor between entry and the sum
    assert probe.starts(4) == (2, 1)
    expected = {number: probe.maps(pixels, number) for number in range(1, 9)}
    calls = []
    entry = network.get_layer("entry")
    monkeypatch.setattr(entry, "call", lambda x: calls.append(x) or pytest.fail("entry ran again"))
    for number in range(3, 9):
        for start in probe.starts(number)[:-1]:
            seen = {}
            probe.visit(pixels, lambda layer, maps, seen=seen: seen.update({layer.number: maps}), [number],
                        {start: expected[start]})  # fmt: skip
            assert list(seen) == [number]
            np.testing.assert_array_equal(seen[number], expected[number])


def test_a_walk_runs_each_layer_once_and_a_jump_starts_at_what_is_kept(network, monkeypatch):
    probe, pixels, cache = ActivationProbe(network), one_slice(), MapCache(2**20, threading.RLock())
    expected = {number: probe.maps(pixels, number) for number in range(1, 9)}
    ran = []
    for layer in network.layers:
        call = layer.call
        monkeypatch.setattr(
            layer, "call", lambda *x, call=call, name=layer.name, **more: (ran.append(name), call(*x, **more))[1]
        )
    for number in (2, 5, 6, 7, 8):
        maps = maps_of_layer(probe, cache, ("slice",), pixels, number)
        np.testing.assert_array_equal(maps, expected[number])
    assert sorted(ran) == sorted(set(ran)), "a layer ran twice"
    ran.clear()
    np.testing.assert_array_equal(maps_of_layer(probe, cache, ("slice",), pixels, 3), expected[3])
    assert ran == ["normalised"]
    maps_of_layer(probe, cache, ("slice",), pixels, 8)
    assert ran == ["normalised"], "kept maps were computed again"
    other = one_slice(seed=1)
    np.testing.assert_array_equal(maps_of_layer(probe, cache, ("other",), other, 3), probe.maps(other, 3))


def test_maps_too_large_for_a_start_are_not_kept_beside_those_that_were_looked_at(network):
    probe, cache = ActivationProbe(network), MapCache(16 * 16 * 6 * 4, threading.RLock())  # one layer fills it
    maps_of_layer(probe, cache, (), one_slice(), 6)
    assert cache.find((6,)) is not None
    assert cache.find((5,)) is None


def test_tensors_are_let_go_after_their_last_reader(network):
    """At any time only the new output, what it was made from and the open shortcut are alive."""
    graph, references, alive = FlatGraph(network), [], []

    def look(position, tensor):
        references.append(weakref.ref(tensor))
        # By identity: dropout at rest hands on the very tensor that it was given.
        alive.append(len({id(reference()) for reference in references if reference() is not None}))

    graph.run({graph.input: keras.ops.convert_to_tensor(one_slice()[None, ..., None])}, [graph.output], visit=look)
    assert len(alive) == len(network.layers) - 1
    assert max(alive) <= 3


def test_slices_may_be_bytes_and_may_have_a_channel_axis(network):
    probe, pixels = ActivationProbe(network), one_slice().round()
    expected = probe.maps(pixels, 2)
    np.testing.assert_array_equal(probe.maps(pixels.astype(np.uint8), 2), expected)
    np.testing.assert_array_equal(probe.maps(pixels[..., None], 2), expected)


def test_probe_follows_the_weights_and_keeps_the_network_as_it_was(network):
    copy = keras.models.clone_model(network)
    copy.set_weights(network.get_weights())
    probe, pixels = ActivationProbe(copy), one_slice()
    nodes = [len(layer._inbound_nodes) for layer in copy.layers]
    before = probe.maps(pixels, 2)
    copy.get_layer("entry").set_weights([2 * weight for weight in copy.get_layer("entry").get_weights()])
    np.testing.assert_allclose(probe.maps(pixels, 2), 2 * before, rtol=1e-5)
    assert [len(layer._inbound_nodes) for layer in copy.layers] == nodes


def test_many_threads_see_their_own_slice(network):
    probe = ActivationProbe(network)
    slices = [one_slice(seed=seed) for seed in range(8)]
    expected = [[probe.maps(pixels, number) for number in range(1, 9)] for pixels in slices]
    results, start = [None] * len(slices), threading.Barrier(len(slices))

    def work(index):
        start.wait()
        results[index] = [probe.maps(slices[index], number) for number in range(1, 9)]

    threads = [threading.Thread(target=work, args=(index,)) for index in range(len(slices))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for got, want in zip(results, expected, strict=True):
        for one, other in zip(got, want, strict=True):
            np.testing.assert_array_equal(one, other)


@pytest.mark.parametrize("which", [0, 9, -1, "entri", build.SCALING_LAYER])
def test_unknown_layers_are_refused(network, which):
    with pytest.raises(ModelError, match=r"Expected .*layer"):
        ActivationProbe(network).maps(one_slice(), which)


@pytest.mark.parametrize(
    "pixels", [one_slice(16), np.full((SIZE, SIZE), np.nan), one_slice()[None, ..., None], one_slice() * 100]
)
def test_slices_that_do_not_fit_are_refused(network, pixels):
    with pytest.raises(ModelError, match="Expected"):
        ActivationProbe(network).maps(pixels, 2)


def test_to_grey_runs_from_minimum_to_maximum():
    values = np.array([[-2.0, 0.0], [1.0, 2.0]])
    np.testing.assert_array_equal(to_grey(values), [[0, 128], [191, 255]])
    np.testing.assert_array_equal(to_grey(values, low=0, high=1), [[0, 0], [255, 255]])
    assert to_grey(values).dtype == np.uint8


@pytest.mark.parametrize("flat", [np.zeros((3, 3)), np.full((3, 3), 7.0), np.full((3, 3), np.nan), np.zeros((0, 3))])
def test_a_map_without_contrast_is_black(flat):
    assert not to_grey(flat).any()
    assert to_grey(flat).shape == flat.shape


def test_a_broken_pixel_does_not_hide_the_others():
    np.testing.assert_array_equal(to_grey(np.array([0.0, np.nan, np.inf, 1.0])), [0, 0, 255, 255])


def test_channel_grid_places_tiles_row_by_row():
    maps = np.random.default_rng(0).normal(size=(4, 6, 5))
    grid = channel_grid(maps, [3, 0, 4], columns=2, gap=1)
    assert grid.shape == (4 * 2 + 1, 6 * 2 + 1)
    assert grid.dtype == np.uint8
    np.testing.assert_array_equal(grid[:4, :6], to_grey(maps[..., 3]))
    np.testing.assert_array_equal(grid[:4, 7:], to_grey(maps[..., 0]))
    np.testing.assert_array_equal(grid[5:, :6], to_grey(maps[..., 4]))
    assert (grid[4] == 255).all()
    assert (grid[5:, 6:] == 255).all()


def test_channel_grid_scales_by_channel_or_by_layer():
    maps = np.zeros((2, 2, 3))
    maps[0, 0] = [1, 10, 100]
    alone, together = (channel_grid(maps, [0, 1, 2], per_channel, columns=3, gap=0)[0, ::2] for per_channel in (1, 0))
    assert alone.tolist() == [255, 255, 255]
    assert together.tolist() == [3, 26, 255]


def test_a_large_map_is_scaled_by_all_of_its_pixels_and_broken_ones_hide_nothing():
    maps = np.random.default_rng(0).normal(size=(40, 40, 3)).astype(np.float32)
    maps[1, 1] = 9, np.nan, -np.inf  # outside the pixels that a tile of 10 shows
    grid = channel_grid(maps, [2, 0, 1], columns=3, tile=10, gap=0)
    for place, channel in enumerate([2, 0, 1]):
        np.testing.assert_array_equal(grid[:, 10 * place : 10 * place + 10], to_grey(maps[..., channel])[::4, ::4])


def test_channel_grid_enlarges_without_blending():
    maps = np.random.default_rng(0).normal(size=(3, 3, 1))
    grid = channel_grid(maps, [0], tile=9)
    np.testing.assert_array_equal(grid, to_grey(maps[..., 0]).repeat(3, axis=0).repeat(3, axis=1))
    assert channel_grid(np.zeros((12, 24, 1)), [0], tile=50).shape == (50, 100)


@pytest.mark.parametrize(
    ("maps", "channels"), [(np.zeros((2, 2, 3)), [3]), (np.zeros((2, 2, 3)), []), (np.zeros(3), [0])]
)
def test_channel_grid_refuses(maps, channels):
    with pytest.raises(ModelError, match="Expected"):
        channel_grid(maps, channels)


BACKBONES = [name for name, spec in zoo.MODELS.items() if spec.variant == "base"]
PAPER_NUMBERS = {
    STRIP_NETWORK: STRIP_LAYERS,
    "Xception": {54: "block6_sepconv3", 119: "block13_sepconv1_bn"},
}


@pytest.mark.slow
@pytest.mark.parametrize("name", PAPER_NUMBERS)
def test_numbers_and_maps_are_the_papers(name):
    size = 96
    model, pixels = build.build_model(name, (size, size, 1)), one_slice(size)
    probe = ActivationProbe(model)
    for number, layer in PAPER_NUMBERS[name].items():
        assert probe.layer(number).name == layer
        np.testing.assert_array_equal(probe.maps(pixels, number), plain_maps(model, layer, pixels))


@pytest.mark.slow
@pytest.mark.parametrize("name", [*BACKBONES, "Modified-DenseNet121", "Residual-ResNet50"])
def test_every_listed_layer_gives_maps_of_the_listed_shape(name):
    probe = ActivationProbe(build.build_model(name, (96, 96, 1)))
    shapes = []
    probe.visit(one_slice(96), lambda layer, maps: shapes.append((layer.shape, maps.shape)))
    assert len(shapes) == len(probe.layers)
    assert all(listed == got for listed, got in shapes)
    ends = [layer for layer in probe.layers if layer.ends_block]
    assert len(ends) >= 5
    assert all(layer.field is not None for layer in ends), "the rule knows every layer on the path"
    assert max(layer.field.rows.stride for layer in ends) == 32
