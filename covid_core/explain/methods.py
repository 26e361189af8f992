"""Maps by other methods, through tf-keras-vis, behind the one interface that Grad-CAM's maps have here as well.

tf-keras-vis 0.8.7 runs with Keras 3; three of its habits are worked around here, none of its code is changed:

- It clones a network to take the softmax off. Here it gets a view of the network that ends before the softmax layer,
  and the score is computed from there: nothing is copied, nothing stays behind, and changed weights count at once.
- Its SmoothGrad draws from NumPy's global state. Here the noise is drawn outside, from a seed.
- Its Score-CAM takes a softmax of whatever ``predict`` gives, draws a progress bar for each slice, and holds a masked
  slice for every channel. Here ``predict`` gives logits silently, and the channels are limited (Faster Score-CAM).
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any, Protocol

import keras
import numpy as np
import tensorflow as tf
from tf_keras_vis.gradcam_plus_plus import GradcamPlusPlus
from tf_keras_vis.saliency import Saliency
from tf_keras_vis.scorecam import Scorecam

from covid_core.errors import ModelError
from covid_core.explain.forward import most_slices
from covid_core.explain.gradcam import GradCam
from covid_core.explain.graph import FlatGraph, check_slices
from covid_core.explain.method_names import METHODS, SCORECAM_CHANNELS

BATCH_SIZE = 16
SMOOTHGRAD_SAMPLES = 8
SMOOTHGRAD_NOISE = 0.15


class Method(Protocol):
    """Raw maps of a network."""

    def __call__(self, slices: np.ndarray, class_index: int) -> np.ndarray:
        """Maps of a batch.

        Args:
            slices: Float or uint8 grey values 0-255 ``(N, H, W, 1)``.
            class_index: The class that the maps explain.

        Returns:
            float32 ``(N, h, w)``, >= 0, not normalised; all zero where nothing speaks for the class.

        Raises:
            ModelError: Slices of another shape or range or with NaN, an unknown class, or a network that gives NaN.
        """
        ...


def make_method(
    name: str, model: keras.Model, layer: str | None = None, seed: int = 0, cam: GradCam | None = None
) -> Method:
    """A method of ``METHODS``, ready to be called.

    Args:
        name: Its name.
        model: Flat functional network as ``build_model`` makes it, with a dense softmax at its end.
        layer: Layer whose activations the maps are made of; by default the one that enters the last global pooling.
            Saliency knows none: its maps have the size of the slice.
        seed: Of the noise of SmoothGrad.
        cam: Grad-CAM of this model and layer where there is one already, to save the tracing.

    Raises:
        ModelError: Unknown method or layer, or a network without softmax.
    """
    if name not in METHODS:
        raise ModelError(f"Expected one of the methods {', '.join(METHODS)}. Received: '{name}'.")
    cam = GradCam(model, layer) if cam is None else cam
    if name == "gradcam":
        return lambda slices, class_index: cam(slices, class_index)[0]
    makers = {"gradcam++": GradCamPlusPlusMaps, "scorecam": ScoreCamMaps}
    if name in makers:
        return makers[name](model, cam.layer)
    return SmoothGradMaps(model, seed=seed)


class _ViewMaps(ABC):
    """What the three methods share: the view, the checks, one batch after the other."""

    one_by_one = False

    def __init__(self, model: keras.Model):
        self._model = model
        graph, shape = FlatGraph(model), tuple(model.input_shape)
        self._batch_size = 1 if self.one_by_one else most_slices(graph, shape, BATCH_SIZE, gradient=True)
        self._dense = model.layers[-1]
        if not (isinstance(self._dense, keras.layers.Dense) and self._dense.activation is keras.activations.softmax):
            raise ModelError(
                f"Expected a network that ends in a dense softmax layer. Received: '{self._dense.name}', "
                f"{type(self._dense).__name__}."
            )
        self._view = _View(
            *(model.inputs, self._dense.input),
            dense=self._dense,
            most=most_slices(graph, shape, BATCH_SIZE),
            name="before_softmax",
        )

    def __call__(self, slices: np.ndarray, class_index: int) -> np.ndarray:
        batch = check_slices(slices, tuple(self._model.input_shape))
        classes = self._model.output_shape[-1]
        if not 0 <= class_index < classes:
            raise ModelError(f"Expected a class index from 0 to {classes - 1}. Received: {class_index}.")
        parts = [
            self._maps(batch[start : start + self._batch_size], class_index)
            for start in range(0, len(batch), self._batch_size)
        ]
        maps = np.concatenate(parts).astype(np.float32)
        if not np.isfinite(maps).all():
            raise ModelError(
                "Expected finite maps. Received: NaN or infinite values from the network, whose weights are probably "
                "damaged; load or train it again."
            )
        return np.maximum(maps, 0)

    @abstractmethod
    def _maps(self, batch: np.ndarray, class_index: int) -> np.ndarray:
        """Maps ``(N, h, w)`` of a batch that was checked."""


class GradCamPlusPlusMaps(_ViewMaps):
    """Grad-CAM++ (Chattopadhay et al. 2018) with Y = exp(S), S the log-odds of the class.

    The whole map carries the factor exp(S), which overflows float32 for a certain network. It is divided out: the score
    is S minus its own value, which has the gradient of S.

    Args:
        model: As for ``make_method``.
        layer: Name of a layer with output ``(N, h, w, channels)``.
    """

    def __init__(self, model: keras.Model, layer: str):
        super().__init__(model)
        self._layer = layer
        self._visualiser = GradcamPlusPlus(self._view)

    def _maps(self, batch: np.ndarray, class_index: int) -> np.ndarray:
        def without_value(features: Any) -> tf.Tensor:
            score = log_odds(self._view.logits(features), class_index)
            return score - tf.stop_gradient(score)

        maps = self._visualiser(
            without_value,
            tf.constant(batch),
            penultimate_layer=self._layer,
            seek_penultimate_conv_layer=False,
            expand_cam=False,
            normalize_cam=False,
        )
        return np.asarray(maps)


class ScoreCamMaps(_ViewMaps):
    """Score-CAM (Wang et al. 2020), gradient-free: each channel weighs as much as the probability of the slice that is
    masked by it.

    As in tf-keras-vis, the probability itself is the weight, without a softmax over the channels.

    Args:
        model: As for ``make_method``.
        layer: Name of a layer with output ``(N, h, w, channels)``.
        channels: Channels with the largest deviation that are tried, all of them costing a forward pass each.
    """

    one_by_one = True  # the strongest channels are each slice's own

    def __init__(self, model: keras.Model, layer: str, channels: int = SCORECAM_CHANNELS):
        super().__init__(model)
        self._layer = layer
        self._channels = min(channels, model.get_layer(layer).output.shape[-1])
        self._visualiser = Scorecam(self._view)

    def _maps(self, batch: np.ndarray, class_index: int) -> np.ndarray:
        maps = self._visualiser(
            lambda probabilities: tf.gather(probabilities, class_index, axis=-1),
            tf.constant(batch),
            penultimate_layer=self._layer,
            seek_penultimate_conv_layer=False,
            max_N=self._channels,
            expand_cam=False,
            normalize_cam=False,
        )
        return np.asarray(maps)


class SmoothGradMaps(_ViewMaps):
    """Saliency with SmoothGrad (Smilkov et al. 2017): mean size of the score's gradient at noisy copies of the slice.

    Args:
        model: As for ``make_method``.
        samples: Noisy copies of each slice.
        noise: Standard deviation of the noise, as a share of the slice's range of grey values.
        seed: Of the noise; the same slices get the same maps.
    """

    def __init__(
        self,
        model: keras.Model,
        samples: int = SMOOTHGRAD_SAMPLES,
        noise: float = SMOOTHGRAD_NOISE,
        seed: int = 0,
    ):
        super().__init__(model)
        self._samples = samples
        self._noise = noise
        self._seed = seed
        self._visualiser = Saliency(_CompiledLogits(self._view))

    def _maps(self, batch: np.ndarray, class_index: int) -> np.ndarray:
        # One stream for each slice: its map does not depend on its neighbours in the batch.
        streams = [np.random.default_rng(self._seed) for _ in batch]
        deviation = self._noise * np.ptp(batch, axis=(1, 2, 3))
        total = np.zeros(batch.shape[:3])
        for _ in range(self._samples):
            noise = np.stack(
                [rng.normal(0, sigma, batch.shape[1:]) for rng, sigma in zip(streams, deviation, strict=True)]
            )
            noisy = tf.constant((batch + noise).astype(np.float32))
            total += np.asarray(
                self._visualiser(lambda logits: log_odds(logits, class_index), noisy, normalize_map=False)
            )
        return total / self._samples


class _View(keras.Model):
    """The network up to the features that enter its softmax layer; shares its layers, holds no weights of its own."""

    def __init__(self, inputs: Any, outputs: Any, dense: keras.layers.Dense, most: int, **settings: Any):
        super().__init__(inputs=inputs, outputs=outputs, **settings)
        # Hidden in a tuple from Keras, which would count it among the view's own layers.
        self._head = (dense,)
        self._most = most
        self.compiled = tf.function(
            lambda slices: self.logits(self(slices, training=False)),
            input_signature=[tf.TensorSpec(self.input_shape, tf.float32)],  # one trace for every batch size
            autograph=False,
        )

    def logits(self, features: Any) -> tf.Tensor:
        """float32 ``(N, classes)``: what the softmax would be taken of."""
        (dense,) = self._head
        features = tf.cast(features[0] if isinstance(features, list | tuple) else features, tf.float32)
        logits = tf.matmul(features, tf.cast(tf.convert_to_tensor(dense.kernel), tf.float32))
        return logits + tf.cast(tf.convert_to_tensor(dense.bias), tf.float32) if dense.use_bias else logits

    def predict(self, x: Any, batch_size: int | None = None, **_: Any) -> np.ndarray:
        """Logits, for Score-CAM, which takes their softmax itself."""
        slices = np.asarray(x[0] if isinstance(x, list | tuple) else x, np.float32)
        size = self._most
        return np.concatenate(
            [self.compiled(tf.constant(slices[start : start + size])).numpy() for start in range(0, len(slices), size)]
        )


class _CompiledLogits:
    """As much of a model as Saliency asks for, compiled: layer by layer the gradient takes several times as long."""

    def __init__(self, view: _View):
        self.inputs = view.inputs
        self.outputs = view.outputs
        self._compiled = view.compiled

    def __call__(self, slices: list[tf.Tensor], training: bool = False) -> tf.Tensor:
        return self._compiled(slices[0])


def log_odds(logits: tf.Tensor, class_index: int) -> tf.Tensor:
    """Log-odds of the class, z_c - logsumexp(z of the others).

    Args:
        logits: Float ``(N, classes)``.
        class_index: The class.

    Returns:
        Float ``(N,)``.
    """
    is_class = tf.range(logits.shape[-1]) == class_index
    class_logit = tf.reduce_sum(tf.where(is_class, logits, 0.0), axis=-1)
    return class_logit - tf.reduce_logsumexp(tf.where(is_class, -np.inf, logits), axis=-1)
