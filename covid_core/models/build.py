"""ModelSpec -> flat keras.Model, all scaling inside."""

from __future__ import annotations

import keras

from covid_core.errors import ModelError
from covid_core.models import zoo

SCALING_LAYER = "grey_scaling"
DROPOUT = 0.3
HEAD_WIDTHS = (128, 64, 32)


def build_model(
    name: str,
    input_shape: tuple[int, int, int] = (380, 380, 1),
    classes: int = 2,
    dropout: float = DROPOUT,
) -> keras.Model:
    """A network of the zoo with random weights.

    The model is flat: the backbone's layers are its own layers, so that Grad-CAM and the activation pages reach each
    of them. Grey values are scaled inside, by the backbone itself (EfficientNet) or by the layer ``grey_scaling`` to
    -1…1; the study's layer numbers do not count that layer.

    Heads, after the global average pooling with its F channels, and what they weigh with two classes:

    - base: the softmax alone; 2F + 2 weights.
    - modified: dense layers of 128, 64 and 32 units with a dropout after the first; 128F + 10,530 weights.
    - residual: the same widths and dropout, with batch normalisation and skip connections; 256F + 21,442 weights, of
      which 448 are moving statistics. The study only names these two as future work on the modified head, against
      fading gradients. Their arrangement is this project's: each block adds ReLU(BatchNorm(Dense(x))) to a linear
      projection of x.

    Args:
        name: A name from ``zoo.ALL``.
        input_shape: Height, width and channels (1) of the slices; 32 pixels or more, some backbones need 75.
        classes: Number of softmax outputs; the last one is the positive class.
        dropout: Rate of the dropout in the modified and residual heads. The study does not state its own.

    Returns:
        Model from float or uint8 grey values 0-255 ``(N, H, W, 1)`` to float32 probabilities ``(N, classes)``.

    Raises:
        ModelError: Unknown name, or a shape that the backbone cannot take.
    """
    spec = zoo.get(name)
    if len(input_shape) != 3 or input_shape[-1] != 1:
        raise ModelError(f"Expected an input shape (height, width, 1). Received: input_shape={input_shape}.")
    if classes < 2:
        raise ModelError(f"Expected two classes or more. Received: classes={classes}.")
    inputs = keras.Input(input_shape, name="slice")
    x = inputs if spec.scales_itself else keras.layers.Rescaling(1 / 127.5, offset=-1.0, name=SCALING_LAYER)(inputs)
    backbone_builder = getattr(keras.applications, spec.backbone)
    try:
        backbone = backbone_builder(include_top=False, weights=None, input_tensor=x)
    except ValueError as error:
        raise ModelError(f"{spec.backbone} cannot take slices of shape {input_shape}: {error}") from error
    x = keras.layers.GlobalAveragePooling2D(name="global_pooling")(backbone.output)
    if spec.variant != "base":
        block = _residual_block if spec.variant == "residual" else _dense_block
        first, *others = HEAD_WIDTHS
        x = block(x, first)
        x = keras.layers.Dropout(dropout, name="head_dropout")(x)
        for units in others:
            x = block(x, units)
    # softmax in float32 whatever the precision policy: in bfloat16 a probability near 1 has steps of 0.004
    outputs = keras.layers.Dense(classes, activation="softmax", dtype="float32", name="probabilities")(x)
    return keras.Model(inputs, outputs, name=name)


def _dense_block(x: keras.KerasTensor, units: int) -> keras.KerasTensor:
    return keras.layers.Dense(units, activation="relu", name=f"head_dense_{units}")(x)


def _residual_block(x: keras.KerasTensor, units: int) -> keras.KerasTensor:
    """ReLU(BatchNorm(Dense(x))) + projection of x: a linear way to the softmax stays open where the ReLUs are silent.

    The ReLU stands inside the branch: with one dense layer a block, a sum before the ReLU would be a single linear map.
    Every block changes the width, so every skip is a projection. Biases are left to the batch normalisation, and for
    the skip to the softmax.
    """
    branch = keras.layers.Dense(units, use_bias=False, name=f"head_dense_{units}")(x)
    branch = keras.layers.BatchNormalization(name=f"head_norm_{units}")(branch)
    branch = keras.layers.ReLU(name=f"head_relu_{units}")(branch)
    skip = keras.layers.Dense(units, use_bias=False, name=f"head_skip_{units}")(x)
    return keras.layers.Add(name=f"head_add_{units}")([branch, skip])
