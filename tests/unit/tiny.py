"""A network that trains in a second, and slices that it can learn, for tests of what surrounds a network."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from covid_core.data.sources import Dataset

CARD_FACTS = {
    "input_size": 32,
    "interpolation": "area",
    "classes": ("dark", "bright"),
    "dataset": "test",
    "dataset_digest": "d" * 64,
    "experiment": "e" * 16,
    "protocol": {"epochs": 1},
    "round": 1,
    "fold": 1,
    "counts": (5, 1, 4, 2),
    "scores": {"accuracy": 0.75},
    "auc": 0.8,
    "date": "2026-01-01T00:00:00+00:00",
    "command": "python train_all.py --networks VGG16",
    "facts": {"backend": "tensorflow"},
}
"""What stands on the card of a network that was trained on them."""


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


def bright_or_dark_dataset(root: Path, labels: np.ndarray, groups: tuple[str, ...] | None = None) -> Dataset:
    """The slices of ``bright_or_dark`` as a data set whose files nobody reads."""
    return Dataset(
        name="bright or dark",
        root=root,
        paths=tuple(f"{number}.png" for number in range(len(labels))),
        labels=labels,
        classes=("dark", "bright"),
        groups=groups,
        digest="d" * 64,
        warnings=(),
    )
