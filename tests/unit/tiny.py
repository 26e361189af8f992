"""A network that trains in a second, and slices that it can learn, for tests of what surrounds a network."""

from __future__ import annotations

import numpy as np


def tiny_network(name, input_shape=(32, 32, 1), classes=2, dropout=0.3):
    """Stands in for ``build_model``: flat, with scaling, batch statistics, dropout, and the head of every network."""
    import keras

    inputs = keras.Input(input_shape, name="slice")
    x = keras.layers.Rescaling(1 / 127.5, offset=-1.0, name="grey_scaling")(inputs)
    x = keras.layers.Conv2D(8, 3, strides=2, padding="same", name="conv")(x)
    x = keras.layers.BatchNormalization(momentum=0.8, name="bn")(x)
    x = keras.layers.ReLU(name="relu")(x)
    x = keras.layers.GlobalAveragePooling2D(name="global_pooling")(x)
    x = keras.layers.Dropout(dropout, name="head_dropout")(x)
    outputs = keras.layers.Dense(classes, activation="softmax", dtype="float32", name="probabilities")(x)
    return keras.Model(inputs, outputs, name=name)


def bright_or_dark(number=48, size=32, seed=0):
    """uint8 slices ``(N, size, size, 1)`` and labels ``(N,)``: class 1 is brighter, so even a tiny network learns."""
    rng = np.random.default_rng(seed)
    labels = np.arange(number) % 2
    grey = rng.integers(0, 90, (number, size, size, 1)) + 120 * labels[:, None, None, None]
    return grey.astype(np.uint8), labels
