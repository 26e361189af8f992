"""Likeness of maps against SciPy and scikit-image, and weights drawn anew."""

from __future__ import annotations

import keras
import numpy as np
import pytest
from scipy.stats import spearmanr
from skimage.metrics import structural_similarity
from tiny import bright_or_dark, tiny_network

from covid_core.explain.agreement import rank_correlation, similarity, stability
from covid_core.explain.gradcam import GradCam
from covid_core.explain.randomisation import randomise


@pytest.fixture
def maps():
    rng = np.random.default_rng(0)
    return np.maximum(rng.normal(size=(2, 5, 6, 7)), 0)  # two networks, five slices, with ties at zero


def test_rank_correlation_equals_scipys(maps):
    expected = [spearmanr(one.ravel(), other.ravel()).statistic for one, other in zip(*maps, strict=True)]
    np.testing.assert_allclose(rank_correlation(*maps), expected)
    np.testing.assert_allclose(rank_correlation(maps[0] ** 3, np.exp(maps[1])), expected)
    np.testing.assert_allclose(rank_correlation(maps[0], -maps[0]), -1)
    assert np.isnan(rank_correlation(maps[0], np.ones_like(maps[0]))).all()


def test_similarity_equals_scikit_images_at_its_own_size():
    rng = np.random.default_rng(1)
    one, other = rng.random((2, 3, 64, 64)).astype(np.float32)
    one, other = (of / of.max(axis=(1, 2), keepdims=True) for of in (one, other))
    expected = [structural_similarity(a, b, data_range=1.0) for a, b in zip(one, other, strict=True)]
    np.testing.assert_allclose(similarity(one, other), expected, rtol=1e-5)
    np.testing.assert_allclose(similarity(one, 7 * one), 1)
    assert np.isnan(similarity(one, 0 * one)).all()


def test_stability_by_hand(maps):
    found = stability([maps[0], maps[1], 2 * maps[0]])
    heats = [of / of.max(axis=(1, 2), keepdims=True) for of in (maps[0], maps[1], maps[0])]
    np.testing.assert_allclose(found.mean, np.mean(heats, axis=0), rtol=1e-5)
    np.testing.assert_allclose(found.deviation, np.std(heats, axis=0, ddof=1), atol=1e-6)
    # of three pairs one is equal, two are the same two networks
    np.testing.assert_allclose(found.rank_correlation, (1 + 2 * rank_correlation(*maps)) / 3, rtol=1e-5)


def test_an_empty_map_leaves_its_pairs_out(maps):
    empty = maps[0].copy()
    empty[2] = 0
    found = stability([maps[0], maps[0], empty]).rank_correlation
    np.testing.assert_allclose(found, 1)
    assert np.isnan(stability([empty, empty]).rank_correlation[2])


@pytest.mark.parametrize("wrong", [[np.ones((1, 2, 2))], [np.ones((1, 2, 2)), np.ones((1, 3, 2))]])
def test_one_network_or_other_shapes_are_refused(wrong):
    with pytest.raises(ValueError, match="two networks or more"):
        stability(wrong)


def weights_of(model):
    return {weight.path: keras.ops.convert_to_numpy(weight).copy() for weight in model.weights}


def changed(before, after):
    return {path.split("/")[0] for path in before if not np.array_equal(before[path], after[path])}


def trained():
    """Nothing is as it was drawn, the biases and batch statistics included."""
    model = tiny_network("trained")
    rng = np.random.default_rng(3)
    for weight in model.weights:
        weight.assign(rng.uniform(0.5, 1.5, weight.shape))
    return model


def test_all_weights_are_drawn_anew_and_a_seed_repeats_them():
    model, other = trained(), trained()
    before = weights_of(model)
    assert randomise(model, seed=1) == ["probabilities", "bn", "conv"]
    assert changed(before, weights_of(model)) == {"probabilities", "bn", "conv"}
    randomise(other, seed=1)
    for path, value in weights_of(other).items():
        np.testing.assert_array_equal(value, weights_of(model)[path])
    once = weights_of(model)
    randomise(model, seed=2)
    assert {"probabilities", "conv"} <= changed(once, weights_of(model))


def test_neither_kerass_global_seed_nor_numpys_is_touched():
    model = trained()
    keras.utils.set_random_seed(5)
    expected = keras.random.normal((3,)), np.random.random()
    keras.utils.set_random_seed(5)
    randomise(model, seed=1)
    found = keras.random.normal((3,)), np.random.random()
    np.testing.assert_array_equal(expected[0], found[0])
    assert expected[1] == found[1]


def test_the_map_of_a_trained_network_changes_with_its_weights():
    """The sanity check itself: the map depends on what was learned."""
    slices, labels = bright_or_dark()
    model = tiny_network("trained")
    model.compile(keras.optimizers.Adam(0.02), "sparse_categorical_crossentropy")
    model.fit(slices, labels, epochs=3, verbose=0)
    cam = GradCam(model)
    before, _ = cam(slices[:8].astype(np.float32))
    correlations = []
    for seed in range(1, 6):
        randomise(model, seed)
        after, _ = cam(slices[:8].astype(np.float32))
        correlations += list(rank_correlation(before, after))
    assert np.nanmean(correlations) < 0.9
