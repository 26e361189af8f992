"""Random changes of training slices, as Keras layers: on the device, on whole batches, inside the training step."""

from __future__ import annotations

import keras

from covid_core.data.augmentation import Augmentation


def augment(x: keras.KerasTensor, augmentation: Augmentation) -> keras.KerasTensor:
    """Adds the layers that ``augmentation`` asks for; each is the identity outside training.

    Args:
        x: Symbolic float32 ``(N, H, W, 1)``, grey values 0-255.
        augmentation: Kinds and strengths.

    Returns:
        Symbolic float32 ``(N, H, W, 1)``, grey values 0-255; what moves in from outside the slice is black.
    """
    layers = keras.layers
    outside = {"fill_mode": "constant", "fill_value": 0.0}
    if augmentation.flip:
        x = layers.RandomFlip("horizontal")(x)
    if augmentation.rotation:
        x = layers.RandomRotation(augmentation.rotation / 360, **outside)(x)
    if augmentation.shear:
        x = layers.RandomShear(augmentation.shear, augmentation.shear, **outside)(x)
    if augmentation.skew:
        x = layers.RandomPerspective(factor=1.0, scale=augmentation.skew, fill_value=0.0)(x)
    if augmentation.noise:
        # the layer takes a standard deviation of at most 1; dividing by a power of two loses no bit outside training
        x = layers.Rescaling(1 / 256)(x)
        x = layers.GaussianNoise(augmentation.noise * 255 / 256)(x)
        x = layers.Rescaling(256.0)(x)
    return x
