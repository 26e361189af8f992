import numpy as np
import pytest

from covid_core.errors import ModelError
from covid_core.models import zoo
from covid_core.results.published import published_rows
from covid_core.training.protocol import Protocol

keras = pytest.importorskip("keras")
from covid_core.models.build import build_model  # noqa: E402

BACKBONES = [spec.name for spec in zoo.MODELS.values() if spec.variant == "base"]


@pytest.mark.parametrize("name", ["EfficientNetB0", "Modified-VGG16", "Residual-VGG16", "ResNet50V2"])
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
    assert sum(layer.count_params() for layer in head) == 128 * 1280 + 10_530


RESIDUAL_HEAD = [
    *("global_pooling", "head_dense_128", "head_norm_128", "head_relu_128", "head_skip_128", "head_add_128"),
    *("head_dropout", "head_dense_64", "head_norm_64", "head_relu_64", "head_skip_64", "head_add_64"),
    *("head_dense_32", "head_norm_32", "head_relu_32", "head_skip_32", "head_add_32", "probabilities"),
]


def check_residual(base, model, classes=2):
    """Head, parameter counts and Grad-CAM's layer of a residual network, against its base network's."""
    features = model.get_layer("global_pooling").output.shape[-1]
    # three blocks of a dense layer and a projection without biases and a normalisation; the softmax with its biases
    kernels = 2 * (128 * features + 64 * 128 + 32 * 64)
    moving = trained = 2 * (128 + 64 + 32)
    head = kernels + trained + moving + (32 + 1) * classes
    assert model.count_params() - base.count_params() == head - (features + 1) * classes
    assert classes != 2 or head == 256 * features + 21_442
    untrained = [sum(int(np.prod(weight.shape)) for weight in one.non_trainable_weights) for one in (base, model)]
    assert untrained[1] - untrained[0] == moving
    assert model.output_shape == (None, classes)
    pooling = model.get_layer("global_pooling")
    assert model.get_layer(zoo.get(model.name).cam_layer).output is pooling.input
    assert not any(isinstance(layer, keras.Model) for layer in model.layers)
    backbone = {layer.name for layer in base.layers[1:-2]}  # but for input, pooling and softmax
    assert {layer.name for layer in model.layers[1:]} - backbone == set(RESIDUAL_HEAD)
    keras.backend.clear_session()


def test_residual_head_has_the_documented_layers_and_weights():
    base, residual = (build_model(name, (96, 96, 1), 3) for name in ("VGG16", "Residual-VGG16"))
    check_residual(base, residual, 3)


def one_step(name, precision="float32", prepare=lambda model: None):
    """Gradients of one step of a batch, by layer, found from what plain gradient descent at rate 1 changes."""
    previous = keras.config.dtype_policy()
    keras.config.set_dtype_policy(precision)
    try:
        keras.utils.set_random_seed(1)
        model = build_model(name, (64, 64, 1))
    finally:
        keras.config.set_dtype_policy(previous)
    prepare(model)
    before = {variable.path: keras.ops.convert_to_numpy(variable) for variable in model.trainable_variables}
    model.compile(keras.optimizers.SGD(1.0), loss="sparse_categorical_crossentropy", jit_compile=False)
    slices = np.random.default_rng(0).integers(0, 256, (8, 64, 64, 1), dtype=np.uint8)
    loss = model.train_on_batch(slices, np.arange(8) % 2)
    assert np.isfinite(loss)
    changes = {
        variable.path: before[variable.path] - keras.ops.convert_to_numpy(variable)
        for variable in model.trainable_variables
    }
    assert all(np.isfinite(change).all() for change in changes.values())
    return model, {path.split("/")[0]: change for path, change in changes.items() if path.endswith("kernel")}


def small_backbone(include_top, weights, input_tensor):
    """One convolution in place of a backbone: what a head does can be seen within a second."""
    maps = keras.layers.Conv2D(8, 3, strides=4, activation="relu", name="stem_conv")(input_tensor)
    return keras.Model(keras.utils.get_source_inputs(input_tensor), maps)


HEAD_KERNELS = [f"head_{kind}_{units}" for units in (128, 64, 32) for kind in ("dense", "skip")]


def test_gradients_reach_the_backbone_through_the_residual_head():
    _, changes = one_step("Residual-VGG16")
    for layer in (*HEAD_KERNELS, "block1_conv1"):
        assert np.abs(changes[layer]).max() > 0, layer


def test_residual_head_trains_in_bfloat16_and_gives_float32_probabilities(monkeypatch):
    monkeypatch.setattr(keras.applications, "VGG16", small_backbone)
    model, changes = one_step("Residual-VGG16", "mixed_bfloat16")
    assert model.get_layer("head_add_32").compute_dtype == "bfloat16"
    for layer in (*HEAD_KERNELS, "stem_conv"):
        assert np.abs(changes[layer]).max() > 0, layer
    probabilities = np.asarray(model(np.full((1, 64, 64, 1), 90, np.uint8)))
    assert probabilities.dtype == np.float32
    np.testing.assert_allclose(probabilities.sum(), 1, atol=1e-6)


def test_skip_connections_carry_gradients_past_silent_layers(monkeypatch):
    """The remedy at work: with each ReLU of the head at zero the modified head is dead, and the residual one learns."""
    monkeypatch.setattr(keras.applications, "VGG16", small_backbone)

    def silence(model):
        for layer in model.layers:
            if layer.name.startswith("head_norm"):
                layer.beta.assign(layer.beta - 1000)
            elif layer.name.startswith("head_dense") and layer.use_bias:
                layer.bias.assign(layer.bias - 1000)

    _, dead = one_step("Modified-VGG16", prepare=silence)
    assert not dead["head_dense_128"].any()
    assert not dead["stem_conv"].any()
    _, alive = one_step("Residual-VGG16", prepare=silence)
    assert not alive["head_dense_128"].any()
    for layer in ("head_skip_128", "head_skip_64", "head_skip_32", "stem_conv"):
        assert np.abs(alive[layer]).max() > 0, layer


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
    """Parameter counts of both variants agree with the published ones, the residual one has its head, Grad-CAM's layer
    feeds the pooling, and the activations of a training step stay within the memory that the protocol's batch sizes are
    chosen for."""
    published = published_rows().set_index("model")["parameters_millions"]
    protocol = Protocol()
    models = {}
    for name in (backbone, f"Modified-{backbone}"):
        keras.backend.clear_session()  # layers that Keras names itself are then called alike in all
        model = models[name] = build_model(name)
        assert model.output_shape == (None, 2)
        assert abs(model.count_params() / 1e6 - published[name]) < 0.1, name
        pooling = model.get_layer("global_pooling")
        assert model.get_layer(zoo.get(name).cam_layer).output is pooling.input
        assert not any(isinstance(layer, keras.Model) for layer in model.layers)
        assert step_gib(model, protocol.batch_size_of(name)) < 16
        assert name not in protocol.backbone_batch_sizes or step_gib(model, protocol.batch_size) > 16
    spec = zoo.get(backbone)
    assert traits_of(models[backbone]) == {trait: getattr(spec, trait) for trait in zoo.TRAITS}
    keras.backend.clear_session()
    check_residual(models[backbone], build_model(f"Residual-{backbone}"))


def traits_of(model):
    """The traits of the zoo, read off the graph."""
    ancestors, residual, dense, inception = {}, False, False, False
    for layer in model.layers:
        parents = {tensor._keras_history.operation for node in layer._inbound_nodes for tensor in node.input_tensors}
        ancestors[layer] = parents.union(*(ancestors[parent] for parent in parents))
        chained = any(parent in ancestors[other] for parent in parents for other in parents)
        # InceptionResNetV2 adds in a layer of its own, scaled
        residual |= type(layer).__name__ in ("Add", "CustomScaleLayer") and chained
        if isinstance(layer, keras.layers.Concatenate):
            dense, inception = dense or chained, inception or not chained
    kinds = (keras.layers.DepthwiseConv2D, keras.layers.SeparableConv2D)
    plain = [layer for layer in model.layers if type(layer) is keras.layers.Conv2D]
    separable = [layer for layer in model.layers if isinstance(layer, keras.layers.SeparableConv2D)]
    return {
        "residual_links": residual,
        "depthwise": any(isinstance(layer, kinds) for layer in model.layers),
        "pointwise": bool(separable) or any(layer.kernel_size == (1, 1) for layer in plain),
        "dense_links": dense,
        "inception_blocks": inception,
    }


def step_gib(model, batch_size):
    """Activations of one step in bfloat16: the outputs of all layers, which the backward pass reads."""
    values = sum(int(np.prod(operation.output.shape[1:])) for operation in model.operations)
    return 2 * values * batch_size / 2**30
