"""The networks as a table: 20 Keras backbones, each under three heads.

``MODELS`` are the study's 40: every backbone plain (``base``) and with a small dense head (``modified``). The study has
no row for the third head (``residual``: the dense head with batch normalisation and skip connections), so it stands
outside the 40, in ``ALL``.

This module imports no Keras: pickers, command-line choices and test ids read the table in microseconds.
"""

from __future__ import annotations

import difflib
from dataclasses import dataclass
from types import MappingProxyType

from covid_core.errors import ModelError

STUDY_VARIANTS = ("base", "modified")
VARIANTS = (*STUDY_VARIANTS, "residual")
FAMILIES = ("EfficientNet", "ResNet", "DenseNet", "Inception", "VGG")
TRAITS = MappingProxyType(
    {
        "residual_links": "Residual links",
        "depthwise": "Depthwise convolutions",
        "pointwise": "Pointwise convolutions",
        "dense_links": "Dense links",
        "inception_blocks": "Inception blocks",
    }
)
"""What the study asks about in architectures, as fields of ``ModelSpec`` with their names for people."""


@dataclass(frozen=True)
class ModelSpec:
    """One network.

    Args:
        name: Unique name: the backbone's for base, ``Modified-…`` and ``Residual-…`` for the others.
        backbone: Name of the architecture under the head.
        variant: One of ``VARIANTS``.
        family: One of ``FAMILIES``, as the study groups its result pages.
        cam_layer: Grad-CAM's layer: the tensor that enters the global pooling. "The last convolution" is wrong for
            several backbones, which end in normalisation, activation, addition or concatenation.
        builder: Dotted name of the Keras function that builds the backbone.
        residual_links: Blocks whose input is added to their output (ResNet, EfficientNet, Xception,
            InceptionResNetV2). Traits are the backbone's: the skips of the ``residual`` head do not count.
        depthwise: Convolutions that filter every channel by itself, alone or as the first half of a separable
            convolution (EfficientNet, Xception).
        pointwise: Convolutions of 1 × 1, which mix channels only; every backbone but VGG has them.
        dense_links: Blocks that append what they compute to their own input (DenseNet).
        inception_blocks: Parallel branches of different convolutions, joined side by side (InceptionV3,
            InceptionResNetV2). Xception is of the family in the study, but has separable convolutions in their place.
        scales_itself: True where the backbone starts with its own rescaling layers (EfficientNet).
    """

    name: str
    backbone: str
    variant: str
    family: str
    cam_layer: str
    builder: str
    residual_links: bool
    depthwise: bool
    pointwise: bool
    dense_links: bool
    inception_blocks: bool
    scales_itself: bool = False


_FAMILY_TRAITS = {
    "EfficientNet": ("residual_links", "depthwise", "pointwise"),
    "ResNet": ("residual_links", "pointwise"),
    "DenseNet": ("pointwise", "dense_links"),
    "Inception": ("pointwise", "inception_blocks"),
    "VGG": (),
}
_OWN_TRAITS = {
    "InceptionResNetV2": ("residual_links", "pointwise", "inception_blocks"),
    "Xception": ("residual_links", "depthwise", "pointwise"),
}

# backbone, family, Grad-CAM layer; in the order of the study's table
_BACKBONES = (
    ("DenseNet121", "DenseNet", "relu"),
    ("DenseNet169", "DenseNet", "relu"),
    ("DenseNet201", "DenseNet", "relu"),
    ("EfficientNetB0", "EfficientNet", "top_activation"),
    ("EfficientNetB1", "EfficientNet", "top_activation"),
    ("EfficientNetB2", "EfficientNet", "top_activation"),
    ("EfficientNetB3", "EfficientNet", "top_activation"),
    ("EfficientNetB4", "EfficientNet", "top_activation"),
    ("EfficientNetB5", "EfficientNet", "top_activation"),
    ("EfficientNetB6", "EfficientNet", "top_activation"),
    ("EfficientNetB7", "EfficientNet", "top_activation"),
    ("InceptionResNetV2", "Inception", "conv_7b_ac"),
    ("InceptionV3", "Inception", "mixed10"),
    ("ResNet101V2", "ResNet", "post_relu"),
    ("ResNet152V2", "ResNet", "post_relu"),
    ("ResNet50", "ResNet", "conv5_block3_out"),
    ("ResNet50V2", "ResNet", "post_relu"),
    ("VGG16", "VGG", "block5_pool"),
    ("VGG19", "VGG", "block5_pool"),
    ("Xception", "Inception", "block14_sepconv2_act"),
)


def _spec(backbone: str, family: str, cam_layer: str, variant: str) -> ModelSpec:
    traits = _OWN_TRAITS.get(backbone, _FAMILY_TRAITS[family])
    return ModelSpec(
        name=backbone if variant == "base" else f"{variant.capitalize()}-{backbone}",
        backbone=backbone,
        variant=variant,
        family=family,
        cam_layer=cam_layer,
        builder=f"keras.applications.{backbone}",
        scales_itself=family == "EfficientNet",
        **{trait: trait in traits for trait in TRAITS},
    )


ALL: MappingProxyType[str, ModelSpec] = MappingProxyType(
    {spec.name: spec for variant in VARIANTS for spec in (_spec(*row, variant) for row in _BACKBONES)}
)
"""Every network by name: the study's 40 first, then the 20 residual ones."""

MODELS: MappingProxyType[str, ModelSpec] = MappingProxyType(
    {name: spec for name, spec in ALL.items() if spec.variant in STUDY_VARIANTS}
)
"""The study's 40 by name, in the order of its tables."""


def get(name: str) -> ModelSpec:
    """The network called ``name``, of the study or outside it.

    Raises:
        ModelError: There is none; the message lists names that look alike.
    """
    try:
        return ALL[name]
    except KeyError:
        lower = {known.lower(): known for known in ALL}
        near = [lower[match] for match in difflib.get_close_matches(str(name).lower(), lower, n=3, cutoff=0.5)]
        hint = f"Did you mean {' or '.join(near)}?" if near else f"Known are: {', '.join(ALL)}."
        raise ModelError(f"Expected the name of one of the {len(ALL)} networks. Received: {name!r}. {hint}") from None


def partner(spec: ModelSpec) -> ModelSpec:
    """The network of the same backbone to compare with: modified for base, as in the study, and base for the others."""
    other = "modified" if spec.variant == "base" else "base"
    return next(s for s in MODELS.values() if s.backbone == spec.backbone and s.variant == other)
