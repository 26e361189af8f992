"""The picture that excites one channel of a network most, by activation maximisation through tf-keras-vis.

Gradient ascent on the grey values (Erhan et al. 2009; choices as in Olah et al. 2017, "Feature Visualization"). What is
set up here around tf-keras-vis 0.8.7, none of whose code is changed:

- It would cut the network with a second ``keras.Model``, which leaves nodes behind in the shared layers. Here it gets a
  compiled function that runs the network up to the layer: nothing is copied, and no later layer costs anything.
- It clips the picture only when it returns it, and climbs outside the grey values until then. Here each step begins
  inside them, so that the score belongs to the picture.
- Gradients of early and late layers differ by orders of magnitude, and a regulariser's weight would mean something
  else for each. Here the score's gradient is scaled to a sum of 1 over the picture before the regulariser's is added.
- Its jitter draws from NumPy's global state and moves the picture away for good. Here the shift is drawn from a seed,
  and only what the network sees is shifted.
"""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import CancelledError
from dataclasses import dataclass, replace
from itertools import product
from typing import Any

import keras
import numpy as np
import tensorflow as tf
from scipy.ndimage import gaussian_filter
from tf_keras_vis.activation_maximization import ActivationMaximization
from tf_keras_vis.activation_maximization.callbacks import Callback
from tf_keras_vis.activation_maximization.regularizers import TotalVariation2D

from covid_core.errors import ModelError
from covid_core.explain.graph import FlatGraph
from covid_core.explain.methods import log_odds
from covid_core.models.build import SCALING_LAYER

STEPS = 100

STEP_GREY = 12.0
"""Grey values that a pixel moves in the first step; the last ones are near 0, so that the picture settles. All steps
together lead from black to white and back."""

SMOOTHNESS = 0.1
"""Weight of the total variation: without it, the picture fills with single pixels that strides and poolings happen to
read. Detail stays where it excites more than about four times this share of an average pixel."""

JITTER = 4
"""Largest shift before each step, in pixels, down and across: a pattern that works at one place of the layer's grid
only does not last, and what the rim's padding favours is smeared out."""

LEAK = 0.1
"""Share of a negative activation that counts: enough to lead out of where all are negative. Did it count in full, the
mean over places would cancel what an edge filter finds, and only its answer to the rim would be left."""

LEVELS, CONTRASTS, BLURS = (64.0, 127.5, 191.0), (20.0, 60.0), (0.0, 2.0, 8.0)
"""Mean, standard deviation (grey values) and blur (pixels) of the random pictures to start from, each with each."""

FREE_SIZE = 128
"""Side of the picture for a network that takes any size."""


@dataclass(frozen=True)
class Activity:
    """How strongly a channel answers to a picture.

    Args:
        mean: Of the activation, over places; of a softmax unit its probability.
        positive: Mean of the positive part, the same where nothing is negative.
        score: What the search raises: the mean, of a negative part only ``LEAK`` times itself; of a softmax unit the
            log-odds of its class, z_c - logsumexp(z of the others).
    """

    mean: float
    positive: float
    score: float


@dataclass(frozen=True, eq=False)
class Excitation:
    """What a search found.

    Args:
        picture: uint8 ``(H, W)``: the picture, or the one that the search began with if none was better.
        before: The channel's answer to the random picture that the search began with.
        after: Its answer to ``picture``.
        found: Whether ``picture`` excites the channel more than every random picture that was tried.
        tried: Number of random pictures tried.
        steps: Steps made from the strongest of them; 0 if all of them got the same answer.
    """

    picture: np.ndarray
    before: Activity
    after: Activity
    found: bool
    tried: int
    steps: int


def find_excitation(
    model: keras.Model,
    layer: str,
    channel: int,
    steps: int = STEPS,
    seed: int = 0,
    on_step: Callable[[int], None] = lambda step: None,
    cancelled: Callable[[], bool] = lambda: False,
) -> Excitation | None:
    """Searches for a picture that excites a channel.

    What grows is ``Activity.score``. (The gradient of the log-odds does not fade where a probability is near 1.) A
    search finds one strong pattern, which depends on its start, and proves no maximum.

    The search begins at the strongest of several random pictures: a channel behind a ReLU gives no gradient where it is
    silent. The network runs in inference mode and is not changed.

    Args:
        model: Flat functional network with one spatial input of grey values 0-255 (all scaling inside).
        layer: Name of a layer with output ``(N, h, w, channels)`` or ``(N, units)``, behind the input scaling.
        channel: Channel or unit, from 0.
        steps: Steps, 1 or more.
        seed: Of the random pictures and of the jitter.
        on_step: Called with the number of steps made, after each.
        cancelled: Asked before the search and after each step: whether nobody wants to know any more.

    Returns:
        None if it was cancelled.

    Raises:
        ModelError: The network is not flat or gives NaN; no such layer or channel; the input itself.
    """
    graph = FlatGraph(model)
    position = graph.position(layer)
    _check(graph, position, channel, steps)
    if cancelled():
        return None
    ask = tf.function(
        lambda slices: _answers(graph, position, channel, slices),
        input_signature=[tf.TensorSpec(model.input_shape, tf.float32)],
        autograph=False,
    ).get_concrete_function()  # calling the tf.function itself would log warnings once several were made

    rng = np.random.default_rng(seed)
    starts = _random_pictures([FREE_SIZE if side is None else side for side in model.input_shape[1:3]], rng)
    answers = [_activity(ask, start) for start in starts]
    scores = [answer.score for answer in answers]
    best = int(np.argmax(scores))
    start, before = starts[best], answers[best]
    nothing = Excitation(start.astype(np.uint8), before, before, False, len(starts), 0)
    if min(scores) == max(scores):
        return nothing  # a constant has no gradient to follow
    try:
        found = ActivationMaximization(_Jittered(model, ask, rng))(
            lambda score: score,
            seed_input=tf.constant(start[None, ..., None]),
            input_modifiers=[lambda picture: tf.clip_by_value(picture, 0.0, 255.0)],
            regularizers=[TotalVariation2D(weight=SMOOTHNESS)],
            steps=steps,
            optimizer=keras.optimizers.Adam(keras.optimizers.schedules.CosineDecay(STEP_GREY, steps), epsilon=1e-12),
            callbacks=[_Steps(on_step, cancelled)],
        )
    except CancelledError:
        return None
    picture = np.rint(np.asarray(found)[0, ..., 0])
    after = _activity(ask, picture)
    if after.score <= before.score:
        return replace(nothing, steps=steps)
    return Excitation(picture.astype(np.uint8), before, after, True, len(starts), steps)


def _check(graph: FlatGraph, position: int, channel: int, steps: int) -> None:
    chosen = graph.operations[position]
    if position == graph.input or chosen.name == SCALING_LAYER:
        raise ModelError(
            f"Expected a layer behind the input and its scaling. Received: '{chosen.name}', which is excited most by a "
            "white slice. Choose a later layer."
        )
    shape = tuple(chosen.output.shape)
    if len(shape) not in (2, 4):
        raise ModelError(f"Expected a layer with maps or units. Received: '{chosen.name}' with output {shape}.")
    if not 0 <= channel < shape[-1]:
        raise ModelError(f"Expected a channel from 0 to {shape[-1] - 1} of '{chosen.name}'. Received: {channel}.")
    if steps < 1:
        raise ModelError(f"Expected 1 step or more. Received: {steps}.")


def _random_pictures(size: list[int], rng: np.random.Generator) -> list[np.ndarray]:
    """float32 ``(H, W)`` each, whole grey values 0-255: fine and coarse noise, faint and strong, dark and bright."""
    pictures = []
    for level, contrast, blur in product(LEVELS, CONTRASTS, BLURS):
        noise = gaussian_filter(rng.standard_normal(size), blur, mode="wrap")
        grey = level + contrast * (noise - noise.mean()) / noise.std()
        pictures.append(np.rint(np.clip(grey, 0, 255)).astype(np.float32))
    return pictures


def _activity(ask: Callable[[tf.Tensor], Any], picture: np.ndarray) -> Activity:
    """The channel's answer to a picture ``(H, W)``."""
    score, mean, positive = (float(value[0]) for value in ask(tf.constant(picture[None, ..., None], tf.float32)))
    _check_finite(score)
    return Activity(mean, positive, score)


def _check_finite(score: float) -> None:
    if not np.isfinite(score):
        raise ModelError(
            "Expected finite activations. Received: NaN or infinite values from the network, whose weights are "
            "probably damaged; load or train it again."
        )


def _answers(
    graph: FlatGraph, position: int, channel: int, slices: tf.Tensor
) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
    """Score, mean and mean of the positive part, float32 ``(N,)`` each."""
    values = {graph.input: _unit_gradient(slices)}
    chosen = graph.operations[position]
    if isinstance(chosen, keras.layers.Dense) and chosen.activation is keras.activations.softmax:
        (features,) = graph.run(values, list(graph.sources(position)))
        logits = tf.matmul(tf.cast(features, tf.float32), tf.cast(tf.convert_to_tensor(chosen.kernel), tf.float32))
        if chosen.use_bias:
            logits += tf.cast(tf.convert_to_tensor(chosen.bias), tf.float32)
        score = log_odds(logits, channel)
        probability = tf.sigmoid(score)
        return score, probability, probability
    (output,) = graph.run(values, [position])
    activation = tf.cast(output[..., channel], tf.float32)
    activation = tf.reshape(activation, (tf.shape(activation)[0], -1))  # (N, places); a unit has one place
    return (
        tf.reduce_mean(tf.nn.leaky_relu(activation, LEAK), axis=-1),
        tf.reduce_mean(activation, axis=-1),
        tf.reduce_mean(tf.nn.relu(activation), axis=-1),
    )


@tf.custom_gradient
def _unit_gradient(slices: tf.Tensor) -> tuple[tf.Tensor, Callable[[tf.Tensor], tf.Tensor]]:
    """The slices as they are; the gradient on its way back is scaled to a sum of sizes of 1 a slice, or stays zero."""

    def scaled(gradient: tf.Tensor) -> tf.Tensor:
        gradient = tf.where(tf.math.is_finite(gradient), gradient, 0.0)
        return tf.math.divide_no_nan(gradient, tf.reduce_sum(tf.abs(gradient), axis=(1, 2, 3), keepdims=True))

    return tf.identity(slices), scaled


class _Jittered:
    """As much of a model as ActivationMaximization asks for: from a picture, shifted at random, to the score."""

    layers = ()  # it would look for float16 among them

    def __init__(self, model: keras.Model, ask: Callable[[tf.Tensor], Any], rng: np.random.Generator):
        self.inputs = model.inputs
        self.outputs = model.outputs
        self._ask = ask
        self._rng = rng

    def __call__(self, slices: list[tf.Tensor], training: bool = False) -> tf.Tensor:
        shift = self._rng.integers(-JITTER, JITTER, size=2, endpoint=True)
        score, _, _ = self._ask(tf.roll(slices[0], shift, axis=(1, 2)))
        return score


class _Steps(Callback):
    """Passes each step on, and ends the search where nobody waits for it."""

    def __init__(self, on_step: Callable[[int], None], cancelled: Callable[[], bool]):
        self._on_step = on_step
        self._cancelled = cancelled

    def __call__(self, i: int, values: Any, grads: Any, scores: Any, *_: Any, **__: Any) -> None:
        _check_finite(float(scores[0][0]))
        self._on_step(i + 1)
        if self._cancelled():
            raise CancelledError  # the only way out of the library's loop
