"""ModelSpec -> flat keras.Model, all scaling inside."""

from __future__ import annotations

import keras

from covid_core.errors import ModelError
from covid_core.models import zoo

SCALING_LAYER = "grey_scaling"
DROPOUT = 0.3


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

    Args:
        name: A name from ``zoo.MODELS``.
        input_shape: Height, width and channels (1) of the slices; 32 pixels or more, some backbones need 75.
        classes: Number of softmax outputs; the last one is the positive class.
        dropout: Rate of the dropout in the modified head. The study does not state its own.

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
    if spec.variant == "modified":
        x = keras.layers.Dense(128, activation="relu", name="head_dense_128")(x)
        x = keras.layers.Dropout(dropout, name="head_dropout")(x)
        x = keras.layers.Dense(64, activation="relu", name="head_dense_64")(x)
        x = keras.layers.Dense(32, activation="relu", name="head_dense_32")(x)
    # softmax in float32 whatever the precision policy: in bfloat16 a probability near 1 has steps of 0.004
    outputs = keras.layers.Dense(classes, activation="softmax", dtype="float32", name="probabilities")(x)
    return keras.Model(inputs, outputs, name=name)
