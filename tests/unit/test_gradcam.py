"""Grad-CAM against finite differences in float64, against tf-keras-vis, and at its edges."""

from __future__ import annotations

import threading
import weakref
from types import SimpleNamespace

import keras
import numpy as np
import pytest
import tensorflow as tf

from covid_core.errors import ModelError
from covid_core.explain import heatmap
from covid_core.explain.gradcam import SCORES, GradCam
from covid_core.models import build, zoo

SIZE = 14
CUT_POINTS = ("entry", "top")
INSIDE_BLOCKS = ("branch", "joined", "scaled")


def tiny_network(classes=2, dtype="float32", bump_at=None, activation="softmax", modified=False):
    """Residual block, squeeze-and-excitation block, batch normalisation, dropout; optionally a bump on one layer.

    ``bump_at`` adds a second input to the named layer's output, which makes finite differences at that layer
    possible without cutting the network.
    """
    layers, extra = keras.layers, []

    def tap(x, name):
        if name != bump_at:
            return x
        extra.append(keras.Input(x.shape[1:], dtype=dtype, name="bump"))
        return layers.Add(dtype=dtype)([x, extra[0]])

    slices = keras.Input((SIZE, SIZE, 1), dtype=dtype, name="slice")
    x = layers.Rescaling(1 / 127.5, offset=-1.0, dtype=dtype, name="grey_scaling")(slices)
    x = layers.Conv2D(5, 3, strides=2, padding="same", activation="swish", dtype=dtype, name="entry")(x)
    x = shortcut = tap(x, "entry")
    x = tap(layers.Conv2D(5, 3, padding="same", activation="swish", dtype=dtype, name="branch")(x), "branch")
    x = layers.BatchNormalization(dtype=dtype, name="normalised")(x)
    x = tap(layers.Add(dtype=dtype, name="joined")([x, shortcut]), "joined")
    squeeze = layers.GlobalAveragePooling2D(keepdims=True, dtype=dtype, name="squeeze")(x)
    squeeze = layers.Conv2D(5, 1, activation="sigmoid", dtype=dtype, name="excite")(squeeze)
    x = tap(layers.Multiply(dtype=dtype, name="scaled")([x, squeeze]), "scaled")
    x = layers.Concatenate(dtype=dtype, name="dense_block")([x, shortcut])
    x = tap(layers.Conv2D(7, 3, activation="swish", dtype=dtype, name="top")(x), "top")
    x = layers.GlobalAveragePooling2D(dtype=dtype, name="global_pooling")(x)
    if modified:
        x = layers.Dense(16, activation="swish", dtype=dtype, name="head")(x)
        x = layers.Dropout(0.5, dtype=dtype, name="head_dropout")(x)
    x = layers.Dense(classes, activation=activation, dtype=dtype, name="probabilities")(x)
    return keras.Model([slices, *extra] if extra else slices, x)


def randomise(model, seed=0, scale=0.5):
    """Weights far from their initial values, so that biases and moving statistics matter; variances positive."""
    rng = np.random.default_rng(seed)
    for weight in model.weights:
        values = rng.normal(0, scale, weight.shape)
        weight.assign(np.abs(values) + 0.5 if "variance" in weight.path else values)
    return model


def grey_slices(count=3, size=SIZE, seed=1):
    return np.random.default_rng(seed).uniform(0, 255, (count, size, size, 1)).astype(np.float32)


def relative_error(got, expected):
    return float(np.abs(got - expected).max() / np.abs(expected).max())


def score_of(logits, class_index, score):
    """float64 (N,) from float64 logits (N, classes)."""
    if score == "logit":
        return logits[:, class_index]
    if score == "probability":
        exponentials = np.exp(logits - logits.max(axis=1, keepdims=True))
        return exponentials[:, class_index] / exponentials.sum(axis=1)
    others = np.delete(logits, class_index, axis=1)
    return logits[:, class_index] - np.log(np.exp(others).sum(axis=1))


def finite_difference_maps(model, layer, slices, class_index, modified):
    """Score -> maps by Grad-CAM's definition in float64.

    The spatial mean of dY/dA^k is the slope of Y along a bump of the whole channel k, divided by h * w.
    """
    reference = tiny_network(model.output_shape[-1], "float64", layer, None, modified)
    reference.set_weights(model.get_weights())
    slices = slices.astype(np.float64)
    activation = keras.Model(reference.input[0], reference.get_layer(layer).output)(slices).numpy()
    height, width, channels = activation.shape[1:]
    weights = {score: np.empty((len(slices), channels)) for score in SCORES}
    for channel in range(channels):
        bump = np.zeros_like(activation)
        bump[..., channel] = step = 1e-5
        up, down = (reference([slices, sign * bump]).numpy() for sign in (1, -1))
        for score in SCORES:
            difference = score_of(up, class_index, score) - score_of(down, class_index, score)
            weights[score][:, channel] = difference / (2 * step) / (height * width)
    return {
        score: np.maximum((activation * of_score[:, None, None, :]).sum(axis=-1), 0)
        for score, of_score in weights.items()
    }


@pytest.mark.parametrize(
    ("layer", "classes", "class_index", "modified"),
    [
        ("top", 2, 1, False),
        ("top", 2, 0, True),
        ("entry", 3, 2, True),
        ("branch", 2, 0, True),
        ("branch", 3, 1, False),
        ("joined", 2, 1, False),
        ("scaled", 3, 0, True),
    ],
)
def test_maps_equal_finite_differences(layer, classes, class_index, modified):
    model = randomise(tiny_network(classes, modified=modified), seed=classes)
    slices = grey_slices()
    expected = finite_difference_maps(model, layer, slices, class_index, modified)
    for score in SCORES:
        maps, _ = GradCam(model, layer, score)(slices, class_index)
        assert expected[score].max() > 0
        assert relative_error(maps, expected[score]) < 1e-4


def test_layers_inside_a_block_are_told_from_cut_points():
    model = tiny_network()
    assert all(GradCam(model, layer)._bypass == [] for layer in CUT_POINTS)
    assert all(GradCam(model, layer)._bypass != [] for layer in INSIDE_BLOCKS)


def test_default_layer_enters_the_last_pooling_and_not_the_squeeze():
    assert GradCam(tiny_network()).layer == "top"


def test_probabilities_are_the_networks_and_shapes_are_the_layers():
    model = randomise(tiny_network(3))
    maps, probabilities = GradCam(model)(grey_slices(), class_index=2)
    assert maps.shape == (3, *model.get_layer("top").output.shape[1:3])
    assert maps.dtype == probabilities.dtype == np.float32
    assert maps.min() >= 0
    np.testing.assert_allclose(probabilities, model(grey_slices(), training=False), atol=1e-6)


def test_the_result_depends_neither_on_batching_nor_on_dtype_and_is_traced_once():
    model = randomise(tiny_network())
    cam = GradCam(model)
    slices = grey_slices(5).round()
    maps, probabilities = cam(slices)
    for same_maps, same_probabilities in (
        cam(slices, memory_bound=2 * cam._slice_bytes),
        cam(slices, memory_bound=1),
        cam(slices.astype(np.uint8)),
        [np.concatenate(parts) for parts in zip(*(cam(one[None]) for one in slices), strict=True)],
    ):
        np.testing.assert_allclose(same_maps, maps, rtol=1e-4, atol=1e-6 * maps.max())
        np.testing.assert_allclose(same_probabilities, probabilities, atol=1e-6)
    cam(slices, class_index=0)
    assert cam._compiled.experimental_get_tracing_count() == 1


def test_as_many_slices_go_at_once_as_the_memory_bound_holds():
    cam = GradCam(randomise(tiny_network()))
    run, passes = cam._compiled.get_concrete_function(), []

    def counted(slices, class_index):
        passes.append(len(slices))
        return run(slices, class_index)

    cam._compiled = SimpleNamespace(get_concrete_function=lambda: counted)
    for bound, expected in (
        (5 * cam._slice_bytes, [5]),
        (5 * cam._slice_bytes - 1, [4, 1]),
        (2 * cam._slice_bytes, [2, 2, 1]),
        (1, [1, 1, 1, 1, 1]),  # a slice that does not fit goes alone
    ):
        passes.clear()
        cam(grey_slices(5), memory_bound=bound)
        assert passes == expected


def live_bytes(graph, values, targets):
    """The most bytes that tensors of ``graph.run`` hold at once, by watching which of them still exist."""
    alive, peak = [], 0

    def watch(position, tensor):
        nonlocal peak
        alive.append(weakref.ref(tensor))
        peak = max(peak, sum(one().numpy().nbytes for one in alive if one() is not None))

    graph.run(values, targets, visit=watch)
    return peak


@pytest.mark.parametrize("layer", ["top", "branch", "scaled"])
def test_the_memory_of_a_slice_is_what_really_stands_in_memory(layer):
    cam = GradCam(tiny_network(), layer)
    graph, cut, shape = cam._graph, [cam._position, *cam._bypass], (SIZE, SIZE, 1)
    to_the_layer = graph.peak_bytes([graph.input], cut, shape)
    # the slice itself is gone by then: the scaling layer alone reads it
    assert to_the_layer == live_bytes(graph, {graph.input: tf.constant(grey_slices(1))}, cut)
    behind_it = graph.peak_bytes(cut, [cam._logits_position], shape, keep=True)
    if layer == "top":
        assert behind_it == 4 * (5 * 5 * 7 + 7)  # its maps and their means, float32
    assert cam._slice_bytes == max(to_the_layer, 2 * behind_it)


def test_a_network_for_any_size_counts_the_memory_of_the_slices_at_hand():
    def network(size):
        slices = keras.Input((size, size, 1))
        x = keras.layers.Conv2D(4, 3, strides=2, name="conv")(slices)
        x = keras.layers.GlobalAveragePooling2D()(x)
        return keras.Model(slices, keras.layers.Dense(2, activation="softmax")(x))

    any_size, fixed = GradCam(network(None)), GradCam(network(20))
    for bound in (10_000, 100_000):
        assert any_size.slices_in_a_pass(bound, (20, 20, 1)) == fixed.slices_in_a_pass(bound)
    assert any_size.slices_in_a_pass(100_000, (40, 40, 1)) < fixed.slices_in_a_pass(100_000)
    assert any_size(grey_slices(3, 20))[0].shape == (3, 9, 9)


def test_a_batch_of_one_keeps_its_axis():
    maps, probabilities = GradCam(randomise(tiny_network()))(grey_slices(1))
    assert maps.shape == (1, 5, 5)
    assert probabilities.shape == (1, 2)


def test_the_slice_itself_can_be_the_layer():
    """The gradient's mean over the slice is then the slope along its brightness, in float64 by finite differences."""
    model = randomise(tiny_network(), seed=2)
    reference = tiny_network(dtype="float64")
    reference.set_weights(model.get_weights())
    slices = grey_slices(4)
    up, down = (
        score_of(np.log(reference(slices.astype(np.float64) + sign * 1e-4).numpy()), 1, "margin") for sign in (1, -1)
    )
    slope = (up - down) / 2e-4 / SIZE**2
    assert np.abs(slope).max() > 0
    cam = GradCam(model, "slice")
    for class_index, sign in ((1, 1), (0, -1)):  # what speaks for one of two classes speaks against the other
        expected = np.maximum(sign * slope[:, None, None] * slices[..., 0], 0)
        maps, _ = cam(slices, class_index)
        np.testing.assert_allclose(maps, expected, rtol=1e-3, atol=1e-3 * np.abs(slope).max() * 255)


def test_the_record_says_what_it_is_and_leads_from_margin_to_probability():
    model = randomise(tiny_network())
    margin, probability = (GradCam(model, score=score).explain(grey_slices()) for score in ("margin", "probability"))
    assert (margin.score, margin.layer, margin.class_index) == ("margin", "top", 1)
    assert probability.score == "probability"
    p = margin.probabilities[:, 1].astype(np.float64)
    np.testing.assert_allclose(margin.margins, np.log(p / (1 - p)), rtol=1e-3, atol=1e-4)
    np.testing.assert_allclose(margin.probability_slope, p * (1 - p), rtol=1e-3)
    np.testing.assert_allclose(probability.maps, margin.maps * margin.probability_slope[:, None, None], rtol=1e-5)


def scale_logits(model, factor):
    last = model.get_layer("probabilities")
    last.set_weights([factor * weight for weight in last.get_weights()])
    return model


def test_saturated_probability_keeps_its_map():
    """p rounds to 1 in float32 at a log-odds of 17, where p(1 - p) computed from p is zero."""
    model = randomise(tiny_network())
    slices = grey_slices(1)
    before = GradCam(model).explain(slices)
    certain = int(before.probabilities[0].argmax())
    before = GradCam(model).explain(slices, certain)
    assert before.maps.max() > 0
    factor = 40 / before.margins[0]
    scale_logits(model, factor)
    maps, probabilities = GradCam(model, score="probability")(slices, certain)
    assert probabilities[0, certain] == np.float32(1)
    np.testing.assert_allclose(maps, before.maps * factor * np.exp(-40.0), rtol=1e-3)
    np.testing.assert_allclose(heatmap.normalise(maps), heatmap.normalise(before.maps), atol=1e-4)


def test_beyond_float32_the_margin_map_remains_and_the_raw_probability_map_is_zero():
    model = randomise(tiny_network())
    before = GradCam(model).explain(grey_slices())
    scale_logits(model, 1000 / np.abs(before.margins).min())
    margin, probability = (GradCam(model, score=score).explain(grey_slices()) for score in ("margin", "probability"))
    assert np.abs(margin.margins).min() > 900
    np.testing.assert_allclose(heatmap.normalise(margin.maps), heatmap.normalise(before.maps), atol=1e-4)
    assert before.maps.max() > 0
    assert not probability.maps.any()
    assert np.isfinite(margin.maps).all()


def test_a_head_that_ignores_the_layer_gives_an_all_zero_map():
    model = scale_logits(randomise(tiny_network()), 0.0)
    maps, probabilities = GradCam(model)(grey_slices())
    assert not maps.any()
    np.testing.assert_allclose(probabilities, 0.5)


def test_maps_follow_the_weights_and_survive_saving(tmp_path):
    model = randomise(tiny_network())
    cam = GradCam(model)
    first, _ = cam(grey_slices())
    randomise(model, seed=7)
    second, _ = cam(grey_slices())
    assert relative_error(second, first) > 0.01
    model.save(tmp_path / "network.keras")
    again, _ = GradCam(keras.models.load_model(tmp_path / "network.keras"))(grey_slices())
    np.testing.assert_allclose(again, second, rtol=1e-5)


def test_building_leaves_the_network_as_it_was():
    model = tiny_network()
    nodes = [len(layer._inbound_nodes) for layer in model.layers]
    for layer in (*CUT_POINTS, *INSIDE_BLOCKS):
        GradCam(model, layer)(grey_slices(1))
    assert [len(layer._inbound_nodes) for layer in model.layers] == nodes


def test_one_object_serves_many_threads_from_the_first_call_on():
    model = randomise(tiny_network())
    batches = [grey_slices(2, seed=seed) for seed in range(8)]
    expected = [GradCam(model)(batch, seed % 2) for seed, batch in enumerate(batches)]
    cam, start, results = GradCam(model), threading.Barrier(len(batches)), [None] * len(batches)

    def work(number):
        start.wait()
        for _ in range(5):
            results[number] = cam(batches[number], number % 2)

    threads = [threading.Thread(target=work, args=(number,)) for number in range(len(batches))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for got, want in zip(results, expected, strict=True):
        np.testing.assert_allclose(got[0], want[0], rtol=1e-4, atol=1e-7)
        np.testing.assert_allclose(got[1], want[1], atol=1e-6)
    assert cam._compiled.experimental_get_tracing_count() == 1


def test_a_softmax_layer_of_its_own_is_understood():
    model = randomise(tiny_network(activation=None))
    split = keras.Model(model.input, keras.layers.Softmax()(model.output))
    fused = tiny_network()
    fused.set_weights(model.get_weights())
    for ours, theirs in zip(GradCam(split)(grey_slices()), GradCam(fused)(grey_slices()), strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-4, atol=1e-6)


def with_value(value):
    slices = grey_slices()
    slices[1, 2, 3, 0] = value
    return slices


@pytest.mark.parametrize(
    ("slices", "message"),
    [
        (with_value(np.nan), "finite"),
        (with_value(np.inf), "finite"),
        (with_value(-1000), "0-255"),
        (with_value(4000), "0-255"),
        (grey_slices()[0], r"\(N, 14, 14, 1\).*\(14, 14, 1\)"),
        (grey_slices()[..., 0], r"Received: shape \(3, 14, 14\)"),
        (grey_slices(size=16), r"Received: shape \(3, 16, 16, 1\)"),
        (grey_slices().repeat(3, axis=-1), r"Received: shape \(3, 14, 14, 3\)"),
        (grey_slices(0), "N at least 1"),
        (grey_slices().astype(str), "dtype"),
        (grey_slices() > 9, "dtype bool"),
    ],
)
def test_slices_that_do_not_fit_are_refused(slices, message):
    with pytest.raises(ModelError, match=message):
        GradCam(tiny_network())(slices)


def test_what_does_not_exist_is_refused():
    model = tiny_network()
    with pytest.raises(ModelError, match=r"'joinde'.*joined"):
        GradCam(model, "joinde")
    with pytest.raises(ModelError, match="before the global pooling"):
        GradCam(model, "global_pooling")
    with pytest.raises(ModelError, match="margin, probability, logit"):
        GradCam(model, score="loss")
    for class_index in (-1, 2):
        with pytest.raises(ModelError, match=f"0 to 1. Received: {class_index}"):
            GradCam(model)(grey_slices(), class_index)
    with pytest.raises(ModelError, match="memory bound of 1 byte"):
        GradCam(model)(grey_slices(), memory_bound=0)


def test_networks_of_another_build_are_refused():
    layers = keras.layers
    with pytest.raises(ModelError, match="softmax"):
        GradCam(tiny_network(activation="sigmoid"))
    with pytest.raises(ModelError, match="softmax"):
        GradCam(tiny_network(classes=1))
    slices = keras.Input((8, 8, 1))
    flat = layers.Dense(2, activation="softmax")(layers.Flatten()(slices))
    with pytest.raises(ModelError, match="GlobalAveragePooling2D"):
        GradCam(keras.Model(slices, flat))
    with pytest.raises(ModelError, match="bare operation"):
        GradCam(keras.Model(slices, layers.Dense(2, activation="softmax")(layers.Flatten()(slices / 2.0))))
    twice = layers.Conv2D(1, 3, padding="same")
    pooled = layers.GlobalAveragePooling2D()(twice(twice(slices)))
    with pytest.raises(ModelError, match="called once"):
        GradCam(keras.Model(slices, layers.Dense(2, activation="softmax")(pooled)))


def test_damaged_weights_are_an_error_and_not_an_empty_map():
    model = randomise(tiny_network())
    entry = model.get_layer("entry")
    entry.set_weights([np.full_like(weight, np.nan) for weight in entry.get_weights()])
    with pytest.raises(ModelError, match="damaged"):
        GradCam(model)(grey_slices())


def visualiser_maps(model, layer, slices, class_index, score):
    """Raw maps of tf-keras-vis."""
    from tf_keras_vis.gradcam import Gradcam
    from tf_keras_vis.utils.model_modifiers import ReplaceToLinear
    from tf_keras_vis.utils.scores import CategoricalScore

    modifier = ReplaceToLinear() if score == "logit" else None
    maps = Gradcam(model, model_modifier=modifier, clone=True)(
        CategoricalScore(class_index),
        seed_input=slices,
        penultimate_layer=layer,
        seek_penultimate_conv_layer=False,
        expand_cam=False,
        normalize_cam=False,
    )
    return np.asarray(maps)


def assert_equals_tf_keras_vis(name, size, layers=(None,), scores=("probability", "logit")):
    keras.utils.set_random_seed(3)
    model = build.build_model(name, (size, size, 1))
    slices = grey_slices(2, size)
    for layer in layers:
        for score in scores:
            cam = GradCam(model, layer, score)
            assert layer is not None or cam.layer == zoo.get(name).cam_layer
            compared = []
            for class_index in (0, 1):
                maps, _ = cam(slices, class_index)
                expected = visualiser_maps(model, cam.layer, slices, class_index, score)
                # An untrained network may find nothing for one of the classes: then both maps are zero.
                assert expected.any() == maps.any()
                if expected.any():
                    compared.append(relative_error(maps, expected))
            assert compared
            assert max(compared) <= 1e-4


@pytest.mark.parametrize("name", ["Modified-EfficientNetB0", "Residual-VGG16", "VGG16"])
def test_equals_tf_keras_vis(name):
    assert_equals_tf_keras_vis(name, 64)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "layers"),
    [
        ("EfficientNetB0", (None, "block3a_expand_activation", "block4b_add")),
        ("Modified-VGG16", (None, "block3_conv2")),
        ("ResNet50V2", (None, "conv4_block2_2_relu")),
        ("Modified-ResNet50V2", (None,)),
        ("DenseNet121", (None, "conv4_block3_1_relu")),
        ("Modified-DenseNet121", (None,)),
        ("Xception", (None, "block6_sepconv3")),
        ("Modified-Xception", (None,)),
    ],
)
def test_equals_tf_keras_vis_in_every_family(name, layers):
    assert_equals_tf_keras_vis(name, 96, layers, scores=("probability",))


def test_one_slice_of_a_batch_is_the_batch_of_that_slice():
    cam = GradCam(tiny_network())
    slices = np.random.default_rng(3).uniform(0, 255, (3, SIZE, SIZE, 1)).astype(np.float32)
    batch = cam.explain(slices)
    for position in range(3):
        one, alone = batch.of(position), cam.explain(slices[position : position + 1])
        np.testing.assert_allclose(one.maps, alone.maps, atol=1e-6)
        np.testing.assert_allclose(one.probabilities, alone.probabilities, atol=1e-6)
        np.testing.assert_allclose(one.margins, alone.margins, atol=1e-5)
        assert (one.layer, one.score, one.class_index) == (batch.layer, batch.score, batch.class_index)
