"""Receptive fields against gradients: the pixels that a place really depends on; and where blocks end."""

from __future__ import annotations

import keras
import numpy as np
import pytest
import tensorflow as tf

from covid_core.explain.activations import ActivationProbe
from covid_core.explain.graph import FlatGraph
from covid_core.explain.receptive_field import receptive_fields
from covid_core.models.build import build_model

SIZE = 41
layers = keras.layers


def convolution(kernel, **settings):
    return layers.Conv2D(2, kernel, kernel_initializer="ones", use_bias=False, **settings)


def chain(*steps, size=SIZE):
    slices = keras.Input((size, size, 1))
    x = slices
    for step in steps:
        x = step(x)
    return keras.Model(slices, x)


def branched():
    """Two paths of different reach and one stride, added, beside a third that is put next to them."""
    slices = keras.Input((SIZE, SIZE, 1))
    x = convolution(3, strides=2, padding="same")(slices)
    near = convolution(1)(x)
    far = convolution((1, 7), padding="same")(x)
    x = layers.Concatenate()([layers.Add()([near, far]), layers.AveragePooling2D(3, strides=1, padding="same")(x)])
    return keras.Model(slices, convolution(3, padding="same", dilation_rate=2)(x))


NETWORKS = {
    "valid": lambda: chain(convolution(3), convolution(5)),
    "strides": lambda: chain(convolution(7, strides=2, padding="same"), convolution(3, strides=2, padding="same")),
    "even sizes": lambda: chain(convolution(2, strides=2), convolution(4, padding="same"), size=40),
    "pooling": lambda: chain(convolution(3, padding="same"), layers.AveragePooling2D(2), convolution(3)),
    "padding": lambda: chain(layers.ZeroPadding2D(((2, 1), (3, 0))), convolution(5, strides=2), convolution(3)),
    "dilation": lambda: chain(convolution(3, dilation_rate=3, padding="same"), convolution(3, strides=3)),
    "depthwise": lambda: chain(
        layers.DepthwiseConv2D(5, depthwise_initializer="ones", strides=2, padding="same"),
        layers.SeparableConv2D(2, 3, depthwise_initializer="ones", pointwise_initializer="ones"),
    ),
    "branches": branched,
}


def pixels_seen(model, place):
    """bool ``(H, W)``: where the gradient of one place is not zero. Weights are positive, so nothing cancels."""
    slices = tf.Variable(np.ones((1, *model.input_shape[1:]), np.float32))
    with tf.GradientTape() as tape:
        value = tf.reduce_sum(model(slices)[0, place[0], place[1]])
    return tape.gradient(value, slices).numpy()[0, ..., 0] != 0


@pytest.mark.parametrize("name", NETWORKS)
def test_the_box_is_the_one_that_gradients_reach(name):
    model = NETWORKS[name]()
    field = receptive_fields(FlatGraph(model))[-1]
    assert field.bounded
    rows, columns = model.output_shape[1:3]
    for place in ((0, 0), (rows // 2, columns // 2), (rows - 1, columns - 1)):
        seen = pixels_seen(model, place)
        for axis, at, number in ((field.rows, place[0], 1), (field.columns, place[1], 0)):
            first = axis.first + at * axis.stride
            wanted = np.zeros(len(seen), bool)
            wanted[max(first, 0) : max(first + axis.size, 0)] = True
            np.testing.assert_array_equal(seen.any(axis=number), wanted)


def test_squeeze_and_excitation_lets_every_place_see_the_whole_slice():
    slices = keras.Input((16, 16, 1))
    x = convolution(3, padding="same")(slices)
    gate = layers.Reshape((1, 1, 2))(layers.GlobalAveragePooling2D()(x))
    gate = layers.Conv2D(2, 1, activation="sigmoid")(gate)
    model = keras.Model(slices, layers.Multiply()([x, gate]))
    fields = receptive_fields(FlatGraph(model))
    assert not fields[-1].bounded
    assert (fields[-1].rows.size, fields[-1].columns.size) == (3, 3)
    assert pixels_seen(model, (8, 8)).all()


def test_vectors_have_no_field():
    model = chain(convolution(3), layers.GlobalAveragePooling2D(), layers.Dense(2))
    assert receptive_fields(FlatGraph(model))[-2:] == [None, None]


def test_cut_points_are_where_one_tensor_holds_everything():
    slices = keras.Input((8, 8, 1), name="slice")
    x = convolution(3, padding="same", name="entry")(slices)
    y = convolution(3, padding="same", name="inside")(x)
    x = layers.Add(name="joined")([x, y])
    x = layers.ReLU(name="rectified")(x)
    graph = FlatGraph(keras.Model(slices, x))
    assert [graph.operations[cut].name for cut in graph.cut_points()] == ["slice", "entry", "joined", "rectified"]
    assert [graph.operations[at].name for at in graph.readers(graph.position("entry"))] == ["inside", "joined"]


@pytest.mark.parametrize(
    ("name", "first", "last", "count"),
    [
        ("VGG16", "block1_pool", "block5_pool", 5),
        ("ResNet50", "conv1_relu", "conv5_block3_out", 18),
        ("EfficientNetB0", "stem_activation", "top_activation", 18),
    ],
)
def test_blocks_end_where_their_names_say(name, first, last, count):
    ends = [layer for layer in ActivationProbe(build_model(name, (64, 64, 1))).layers if layer.ends_block]
    assert [ends[0].name, ends[-1].name] == [first, last]
    assert len(ends) == count
    strides = [layer.field.rows.stride for layer in ends]
    assert strides == sorted(strides)
    assert strides[-1] == 32
