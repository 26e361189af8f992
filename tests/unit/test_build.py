import numpy as np
import pytest

from covid_core.errors import ModelError
from covid_core.models import zoo
from covid_core.results.published import published_rows

keras = pytest.importorskip("keras")
from covid_core.models.build import SCALING_LAYER, build_model  # noqa: E402

BACKBONES = [spec.name for spec in zoo.MODELS.values() if spec.variant == "base"]


def published_layers(model):
    """Layers as the study numbers them: from 1, the input first, our scaling layer left out."""
    return [layer for layer in model.layers if layer.name != SCALING_LAYER]


@pytest.mark.parametrize("name", ["EfficientNetB0", "Modified-VGG16", "ResNet50V2"])
def test_probabilities_of_float_and_of_uint8_slices_are_the_same(name):
    model = build_model(name, (64, 64, 1))
    slices = np.random.default_rng(0).integers(0, 256, (3, 64, 64, 1), dtype=np.uint8)
    from_bytes = np.asarray(model(slices))
    from_floats = np.asarray(model(slices.astype(np.float32)))
    assert from_bytes.dtype == np.float32
    assert from_bytes.shape == (3, 2)
    np.testing.assert_allclose(from_bytes.sum(axis=1), 1, atol=1e-6)
    np.testing.assert_array_equal(from_bytes, from_floats)


def test_modified_head_is_the_published_one():
    model = build_model("Modified-EfficientNetB0", (64, 64, 1))
    head = [layer for layer in model.layers if layer.name.startswith(("global", "head", "prob"))]
    assert [type(layer).__name__ for layer in head] == [
        "GlobalAveragePooling2D",
        "Dense",
        "Dropout",
        "Dense",
        "Dense",
        "Dense",
    ]
    assert [layer.units for layer in head if hasattr(layer, "units")] == [128, 64, 32, 2]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"name": "ResNet18"}, "ResNet"),
        ({"name": "VGG16", "input_shape": (64, 64, 3)}, "height, width, 1"),
        ({"name": "VGG16", "classes": 1}, "two classes"),
        ({"name": "InceptionV3", "input_shape": (48, 48, 1)}, "InceptionV3 cannot take"),
    ],
)
def test_what_cannot_be_built_is_refused_with_a_reason(arguments, message):
    with pytest.raises(ModelError, match=message):
        build_model(**arguments)


@pytest.mark.slow
@pytest.mark.parametrize("backbone", BACKBONES)
def test_every_backbone_at_380_pixels(backbone):
    """Parameter counts of both variants agree with the published ones, and Grad-CAM's layer feeds the pooling."""
    published = published_rows().set_index("model")["parameters_millions"]
    for name in (backbone, f"Modified-{backbone}"):
        model = build_model(name)
        assert model.output_shape == (None, 2)
        assert abs(model.count_params() / 1e6 - published[name]) < 0.1, name
        pooling = model.get_layer("global_pooling")
        assert model.get_layer(zoo.get(name).cam_layer).output is pooling.input
        assert not any(isinstance(layer, keras.Model) for layer in model.layers)
        keras.backend.clear_session()


@pytest.mark.slow
@pytest.mark.parametrize("backbone", BACKBONES)
def test_every_backbone_builds_at_96_pixels(backbone):
    model = build_model(backbone, (96, 96, 1))
    assert model.input_shape == (None, 96, 96, 1)
    keras.backend.clear_session()


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "numbers"),
    [
        (
            "ResNet101V2",
            {
                1: "slice",
                17: "conv2_block1_out",
                63: "conv3_block2_out",
                109: "conv4_block2_out",
                166: "conv4_block8_preact_relu",
                219: "conv4_block12_out",
                263: "conv4_block16_out",
                307: "conv4_block20_out",
                379: "probabilities",
            },
        ),
        ("Xception", {54: "block6_sepconv3", 119: "block13_sepconv1_bn"}),
    ],
)
def test_layer_numbers_of_the_study_hit_the_named_layers(name, numbers):
    layers = published_layers(build_model(name, (96, 96, 1)))
    assert {number: layers[number - 1].name for number in numbers} == numbers
