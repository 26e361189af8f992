"""The search for an exciting picture: known filters, their known optimum, and what it leaves behind."""

from __future__ import annotations

import keras
import numpy as np
import pytest

from covid_core.errors import ModelError
from covid_core.explain.activations import ActivationProbe
from covid_core.explain.excitation import STEPS, find_excitation
from covid_core.models.build import SCALING_LAYER

SIZE = 32
BRIGHT, EDGES, DEAD, STRONG_EDGES = range(4)
EDGE = np.array([1.0, 0.0, -1.0])[:, None] * np.ones((1, 3))  # bright above, dark below
MOST_EDGES = 3.0
"""Mean over places of the rectified ``EDGE``: at most 6 where white lies over black, every other place."""


@pytest.fixture(scope="module")
def network():
    """A convolution of four known filters, rectified, pooled; and units that look for a checkerboard of four fields."""
    layers = keras.layers
    slices = keras.Input((SIZE, SIZE, 1), name="slice")
    scaled = layers.Rescaling(1 / 127.5, offset=-1.0, name=SCALING_LAYER)(slices)
    maps = layers.Conv2D(4, 3, padding="same", name="conv")(scaled)
    rectified = layers.ReLU(name="relu")(maps)
    pooled = layers.GlobalAveragePooling2D(name="global_pooling")(rectified)
    fields = layers.Dense(1, name="fields")(layers.Flatten(name="flat")(scaled))
    joined = layers.Concatenate(name="joined")([pooled, fields])
    model = keras.Model(slices, layers.Dense(2, activation="softmax", name="probabilities")(joined))
    kernel = np.stack([np.full((3, 3), 1 / 9), EDGE, 0 * EDGE, EDGE], axis=-1)[:, :, None]
    model.get_layer("conv").set_weights([kernel, np.array([0.0, 0.0, -1.0, -2.0])])
    model.get_layer("fields").set_weights([checkerboard().reshape(-1, 1) / SIZE**2, np.zeros(1)])
    # the second class has the fields against it
    output = np.zeros((5, 2))
    output[4] = [20.0, -20.0]
    model.get_layer("probabilities").set_weights([output, np.zeros(2)])
    return model


def checkerboard():
    half = np.arange(SIZE) // (SIZE // 2)
    return np.where((half[:, None] + half) % 2, -1.0, 1.0)


@pytest.fixture(scope="module")
def search(network):
    """Searches with the defaults, each once."""
    known = {}

    def search_(layer, channel):
        if (layer, channel) not in known:
            known[layer, channel] = find_excitation(network, layer, channel)
        return known[layer, channel]

    return search_


def activation(network, pictures, layer, channel):
    """float64 ``(N,)``: mean over places, by a plain sub-model."""
    maps = keras.Model(network.input, network.get_layer(layer).output)(pictures[..., None], training=False).numpy()
    return maps[..., channel].reshape(len(pictures), -1).mean(axis=1, dtype=np.float64)


def correlation(one, other):
    return np.corrcoef(one.ravel(), other.ravel())[0, 1]


@pytest.mark.parametrize(
    ("layer", "channel"),
    [
        *(("relu", BRIGHT), ("relu", EDGES), ("relu", STRONG_EDGES), ("conv", BRIGHT)),
        *(("fields", 0), ("probabilities", 0), ("probabilities", 1)),
    ],
)
def test_it_excites_more_than_a_hundred_random_pictures(network, search, layer, channel):
    found = search(layer, channel)
    assert found.found
    assert (found.picture.dtype, found.picture.shape, found.steps) == (np.uint8, (SIZE, SIZE), STEPS)
    random = np.random.default_rng(5).integers(0, 256, (100, SIZE, SIZE)).astype(np.float32)
    (of_picture,) = activation(network, found.picture[None], layer, channel)
    assert of_picture > activation(network, random, layer, channel).max()
    assert of_picture > found.before.mean
    assert found.after.mean == pytest.approx(of_picture, rel=1e-4)


def test_a_channel_that_is_the_mean_wants_white(search):
    for layer in ("conv", "relu"):
        assert search(layer, BRIGHT).picture.min() > 250


def test_an_edge_filter_wants_the_stripes_that_fit_it(search):
    """Two bright rows, two dark ones: every other pair of rows is an edge of the right kind."""
    found = search("relu", EDGES)
    assert found.after.mean > 0.7 * MOST_EDGES
    grey = found.picture.astype(float)
    assert np.abs(grey[2:] - grey[:-2]).mean() > 0.75 * 255, "white two rows above black, and black above white"
    power = (np.abs(np.fft.rfft(grey - grey.mean(), axis=0)) ** 2).sum(axis=1)
    four_rows = SIZE // 4  # cycles over the picture; stripes that bend and end spread around it
    assert power[four_rows - 2 : four_rows + 3].sum() > 0.6 * power.sum()
    down, across = (np.abs(np.diff(grey, axis=axis)).mean() for axis in (0, 1))
    assert down > 3 * across


def test_what_an_edge_filter_finds_does_not_cancel_before_it_is_rectified(search):
    found = search("conv", EDGES)
    assert found.after.positive > 0.7 * MOST_EDGES
    assert abs(found.after.mean) < 0.1 * found.after.positive


def test_a_unit_wants_its_template(search):
    assert correlation(search("fields", 0).picture, checkerboard()) > 0.8
    assert correlation(search("probabilities", 0).picture, checkerboard()) > 0.8
    assert correlation(search("probabilities", 1).picture, -checkerboard()) > 0.8


def test_a_certain_probability_still_has_a_gradient(network):
    sure = keras.models.clone_model(network)
    sure.set_weights(network.get_weights())
    output = sure.get_layer("probabilities")
    output.set_weights([1e3 * output.get_weights()[0], np.array([500.0, -500.0])])  # p is 1 in float32 at the start
    found = find_excitation(sure, "probabilities", 0)
    assert found.before.mean == found.after.mean == 1.0
    assert found.after.score > found.before.score > 100
    assert correlation(found.picture, checkerboard()) > 0.8


def test_a_dead_channel_is_stated(search):
    for layer in ("relu", "global_pooling"):
        dead = search(layer, DEAD)
        assert not dead.found
        assert (dead.steps, dead.before.mean, dead.after.mean) == (0, 0.0, 0.0)
        assert dead.tried > 10


def test_a_channel_below_zero_everywhere_is_led_upwards(network):
    low = keras.models.clone_model(network)
    low.set_weights(network.get_weights())
    kernel, bias = low.get_layer("conv").get_weights()
    low.get_layer("conv").set_weights([kernel, bias - 50])
    found = find_excitation(low, "conv", BRIGHT)
    assert found.found
    assert found.picture.min() > 250
    assert found.after.mean < -48
    assert found.after.positive == 0


def test_the_answer_is_the_probes(network, search):
    found = search("relu", EDGES)
    maps = ActivationProbe(network).maps(found.picture, "relu")
    assert found.after.mean == pytest.approx(maps[..., EDGES].mean(), rel=1e-5)
    assert found.after.positive == found.after.mean


def test_the_same_seed_finds_the_same_picture_and_numpys_own_stays(network):
    np.random.seed(3)
    expected = np.random.random()
    np.random.seed(3)
    one, again, other = (find_excitation(network, "relu", EDGES, steps=15, seed=seed) for seed in (0, 0, 1))
    assert np.random.random() == expected
    np.testing.assert_array_equal(again.picture, one.picture)
    assert (other.picture != one.picture).mean() > 0.1


def test_nothing_stays_behind(network):
    def traces():
        return [(len(layer._inbound_nodes), len(layer._outbound_nodes)) for layer in network.layers]

    before, weights = traces(), network.get_weights()
    find_excitation(network, "relu", EDGES, steps=2)
    find_excitation(network, "probabilities", 1, steps=2)
    assert traces() == before
    for weight, kept in zip(network.get_weights(), weights, strict=True):
        np.testing.assert_array_equal(weight, kept)


def test_layers_behind_the_chosen_one_do_not_run(network):
    broken = keras.models.clone_model(network)
    broken.set_weights(network.get_weights())
    output = broken.get_layer("probabilities")
    output.set_weights([np.full_like(weight, np.nan) for weight in output.get_weights()])
    assert find_excitation(broken, "relu", EDGES, steps=1).after.mean > 0
    with pytest.raises(ModelError, match="NaN"):
        find_excitation(broken, "probabilities", 0)


def test_each_step_is_told_and_the_search_can_be_given_up(network):
    told = []
    find_excitation(network, "relu", EDGES, steps=3, on_step=told.append)
    assert told == [1, 2, 3]
    told.clear()
    assert find_excitation(network, "relu", EDGES, on_step=told.append, cancelled=lambda: len(told) == 2) is None
    assert told == [1, 2]
    told.clear()
    assert find_excitation(network, "relu", EDGES, on_step=told.append, cancelled=lambda: True) is None
    assert told == []


@pytest.mark.parametrize(
    ("layer", "channel", "steps"),
    [("rely", 0, 9), ("slice", 0, 9), (SCALING_LAYER, 0, 9), ("relu", 4, 9), ("relu", -1, 9), ("relu", 0, 0)],
)
def test_what_cannot_be_excited_is_refused(network, layer, channel, steps):
    with pytest.raises(ModelError, match="Expected"):
        find_excitation(network, layer, channel, steps)


def test_a_network_for_any_size_gets_a_picture_too():
    slices = keras.Input((None, None, 1), name="slice")
    maps = keras.layers.Conv2D(2, 3, padding="same", name="conv")(slices)
    model = keras.Model(slices, maps)
    found = find_excitation(model, "conv", 1, steps=1)
    assert found.picture.ndim == 2
    assert min(found.picture.shape) >= 32
