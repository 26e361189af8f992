"""Grad-CAM++, Score-CAM and SmoothGrad: their interface, their formulas, and what they leave behind."""

from __future__ import annotations

import keras
import numpy as np
import pytest
from scipy.ndimage import zoom
from tiny import tiny_network

from covid_core.errors import ModelError
from covid_core.explain.forward import Forward, most_slices
from covid_core.explain.gradcam import MEMORY_BOUND, GradCam
from covid_core.explain.graph import FlatGraph
from covid_core.explain.heatmap import normalise
from covid_core.explain.method_names import METHODS, PIXEL_METHODS
from covid_core.explain.methods import ScoreCamMaps, SmoothGradMaps, make_method

SIZE = 32


@pytest.fixture
def model():
    network = tiny_network("tiny")
    rng = np.random.default_rng(0)
    for weight in network.weights:
        values = rng.normal(0, 0.5, weight.shape)
        weight.assign(np.abs(values) + 0.5 if "variance" in weight.path else values)
    return network


@pytest.fixture
def slices():
    return np.random.default_rng(1).uniform(0, 255, (3, SIZE, SIZE, 1)).astype(np.float32)


@pytest.mark.parametrize("name", METHODS)
def test_one_interface(name, model, slices):
    maps = make_method(name, model)(slices, 1)
    assert maps.shape == (3, SIZE, SIZE) if name in PIXEL_METHODS else (3, SIZE // 2, SIZE // 2)
    assert maps.dtype == np.float32
    assert np.isfinite(maps).all()
    assert maps.min() >= 0
    assert maps.any()
    np.testing.assert_allclose(make_method(name, model)(slices.astype(np.uint8), 1).shape, maps.shape)


@pytest.mark.parametrize("name", METHODS)
def test_a_map_depends_on_its_own_slice_and_on_the_class(name, model, slices):
    method = make_method(name, model)
    maps = method(slices, 1)
    np.testing.assert_allclose(method(slices[1:2], 1), maps[1:2], rtol=1e-4, atol=1e-5 * maps.max())
    if name != "saliency":  # the size of the gradient is the same for both of two classes
        assert not np.allclose(normalise(method(slices, 0)), normalise(maps), atol=0.01)


@pytest.mark.parametrize("name", METHODS)
def test_nothing_stays_behind_and_new_weights_count_at_once(name, model, slices):
    def traces():
        return [(len(layer._inbound_nodes), len(layer._outbound_nodes)) for layer in model.layers]

    before, weights = traces(), [keras.ops.convert_to_numpy(weight).copy() for weight in model.weights]
    method = make_method(name, model)
    maps = method(slices, 1)
    assert traces() == before
    for weight, kept in zip(model.weights, weights, strict=True):
        np.testing.assert_array_equal(keras.ops.convert_to_numpy(weight), kept)
    assert model.layers[-1].activation is keras.activations.softmax
    convolution = model.get_layer("conv")
    convolution.kernel.assign(-convolution.kernel)
    assert not np.allclose(method(slices, 1), maps, atol=0.01 * maps.max())


@pytest.mark.parametrize("name", METHODS)
def test_what_does_not_fit_is_refused(name, model, slices):
    method = make_method(name, model)
    for wrong, class_index in ((slices[..., 0], 1), (slices * np.nan, 1), (slices, 2)):
        with pytest.raises(ModelError, match="Expected"):
            method(wrong, class_index)


def test_an_unknown_name_lists_the_known():
    with pytest.raises(ModelError, match=r"gradcam, gradcam\+\+, scorecam, saliency"):
        make_method("lime", tiny_network("tiny"))


def test_gradcam_plus_plus_by_its_formula(model, slices):
    """float64 NumPy: gradient of the log-odds at the last maps, weights of Chattopadhay et al. with Y = exp(S)."""
    activations = keras.Model(model.input, model.get_layer("relu").output)(slices).numpy().astype(np.float64)
    kernel = keras.ops.convert_to_numpy(model.layers[-1].kernel).astype(np.float64)
    # the head is pooling and a dense layer: the gradient is the same at every place
    places = activations.shape[1] * activations.shape[2]
    gradient = (kernel[:, 1] - kernel[:, 0]) / places
    alpha = gradient**2 / (2 * gradient**2 + activations.sum(axis=(1, 2), keepdims=True) * gradient**3)
    alpha = np.broadcast_to(alpha, activations.shape)
    alpha = alpha / alpha.sum(axis=(1, 2), keepdims=True)
    weights = (np.maximum(gradient, 0) * alpha).sum(axis=(1, 2))
    expected = np.maximum((activations * weights[:, None, None, :]).sum(axis=-1), 0)
    np.testing.assert_allclose(make_method("gradcam++", model)(slices, 1), expected, rtol=2e-3, atol=1e-5)


def test_gradcam_plus_plus_survives_a_certain_network(model, slices):
    dense = model.layers[-1]
    before = make_method("gradcam++", model)(slices, 1)
    dense.kernel.assign(500 * dense.kernel)
    assert np.abs(GradCam(model).explain(slices).margins).min() > 100
    maps = make_method("gradcam++", model)(slices, 1)
    assert np.isfinite(maps).all()
    assert maps.any() == before.any()


def test_scorecam_by_its_formula(model, slices):
    """The channels weigh as much as the probability of the slice that is masked by them."""
    activations = keras.Model(model.input, model.get_layer("relu").output)(slices[:1]).numpy()[0]
    weights = []
    for channel in range(activations.shape[-1]):
        mask = zoom(activations[..., channel], 2, order=1, mode="nearest")
        mask = (mask - mask.min()) / (np.ptp(mask) + 1e-7)
        weights.append(model(slices[:1] * mask[None, ..., None]).numpy()[0, 1])
    expected = np.maximum((activations * np.array(weights)).sum(axis=-1), 0)
    np.testing.assert_allclose(make_method("scorecam", model)(slices[:1], 1)[0], expected, rtol=1e-3)


def test_scorecam_tries_no_more_channels_than_it_may(model, slices):
    few = ScoreCamMaps(model, "relu", channels=2)(slices, 1)
    assert few.shape == (3, SIZE // 2, SIZE // 2)
    assert few.mean() < make_method("scorecam", model)(slices, 1).mean()


def test_smoothgrad_without_noise_is_the_gradient(model, slices):
    maps = SmoothGradMaps(model, samples=1, noise=0.0)(slices, 1)
    step = 0.5
    row, column = np.unravel_index(maps[0].argmax(), maps[0].shape)
    up, down = slices[:1].copy(), slices[:1].copy()
    up[0, row, column] += step
    down[0, row, column] -= step
    margins = [GradCam(model).explain(np.clip(one, 0, 255)).margins[0] for one in (up, down)]
    width = float((np.clip(up, 0, 255) - np.clip(down, 0, 255)).sum())
    assert maps[0].max() == pytest.approx(abs(margins[0] - margins[1]) / width, rel=0.05)


def test_smoothgrad_follows_its_seed_and_leaves_numpys_alone(model, slices):
    np.random.seed(3)
    expected = np.random.random()
    np.random.seed(3)
    one = SmoothGradMaps(model, seed=1)(slices, 1)
    assert np.random.random() == expected
    np.testing.assert_array_equal(one, SmoothGradMaps(model, seed=1)(slices, 1))
    assert not np.array_equal(one, SmoothGradMaps(model, seed=2)(slices, 1))


def test_the_compiled_pass_is_the_networks_own(model, slices):
    forward = Forward(model)
    np.testing.assert_allclose(forward(slices), model(slices, training=False), atol=1e-6)
    np.testing.assert_allclose(forward(slices, batch_size=2), forward(slices), atol=1e-6)
    with pytest.raises(ModelError, match="Expected"):
        forward(slices[..., 0])


def test_memory_bounds_the_batch():
    small, large = (tiny_network("tiny", (size, size, 1)) for size in (64, 2048))
    batches = [most_slices(FlatGraph(one), one.input_shape, 1000, gradient=True) for one in (small, large)]
    assert batches[0] == 1000
    # 8 channels at half the size three times, the slice twice; all of it twice, in float32
    assert batches[1] == MEMORY_BOUND // (2 * 4 * (2 * 2048**2 + 3 * 8 * 1024**2 + 8 + 8 + 2))
    assert most_slices(FlatGraph(large), large.input_shape, 1000) > batches[1]


def test_no_progress_bar_is_drawn(model, slices, capsys):
    make_method("scorecam", model)(slices, 1)
    assert capsys.readouterr().out == ""
