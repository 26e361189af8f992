"""Grad-CAM (Selvaraju et al. 2017) of a flat network: one compiled forward pass, gradient through the head only."""

from __future__ import annotations

from dataclasses import dataclass, replace

import keras
import numpy as np
import tensorflow as tf

from covid_core.errors import ModelError
from covid_core.explain.graph import FlatGraph, check_slices

SCORES = ("margin", "probability", "logit")
MEMORY_BOUND = 2**29  # bytes: half a gigabyte beside the weights


@dataclass(frozen=True)
class CamMaps:
    """Raw Grad-CAM maps of a batch, and what they are maps of.

    Args:
        maps: float32 ``(N, h, w)``, >= 0, not normalised; h and w are those of the layer.
        probabilities: float32 ``(N, classes)``.
        margins: float32 ``(N,)``: log-odds of the class, z_c - logsumexp(z of the others), from the logits z.
        score: The score whose gradient weighs the channels: ``"margin"``, ``"probability"`` or ``"logit"``.
        layer: Name of the layer.
        class_index: The class.
    """

    maps: np.ndarray
    probabilities: np.ndarray
    margins: np.ndarray
    score: str
    layer: str
    class_index: int

    def of(self, position: int) -> CamMaps:
        """The same of one slice, as a batch of one."""
        one = slice(position, position + 1)
        return replace(self, maps=self.maps[one], probabilities=self.probabilities[one], margins=self.margins[one])

    @property
    def probability_slope(self) -> np.ndarray:
        """float64 ``(N,)``: p(1 - p) of the class, the factor from a margin map to a probability map."""
        return _probability_slope(self.margins)


class GradCam:
    """Grad-CAM of one network at one layer; built once, called often, from several threads if need be.

    The weight of channel k for class c is the spatial mean of dY/dA^k, A^k the channel's activation map and Y the
    score; the map is ReLU(sum over k of weight times A^k).

    Scores:

    - ``"margin"`` (default): log-odds of the class, z_c - logsumexp(z of the others), taken before the softmax.
    - ``"probability"``: the class probability p, as in Grad-CAM's use for COVID-19 networks (Garg et al. 2020). Its
      gradient is p(1 - p) times the margin's, so both maps are equal once normalised; but the raw probability map
      shrinks with saturation and is all zero in float32 when the margin is beyond about +-100.
    - ``"logit"``: z_c alone.

    The network runs in inference mode, and its weights may be changed between calls. The function is traced once,
    at the first call, for every batch size.

    Args:
        model: Flat functional network with one spatial input of grey values 0-255 (all scaling inside) and a softmax
            output ``(N, classes)``.
        layer: Name of a layer with output ``(N, h, w, channels)``; by default the one that enters the last global
            pooling.
        score: One of the three above.

    Raises:
        ModelError: No such layer, a layer without spatial maps, a network without softmax, an unknown score.
    """

    def __init__(self, model: keras.Model, layer: str | None = None, score: str = "margin"):
        if score not in SCORES:
            raise ModelError(f"Expected one of the scores {', '.join(SCORES)}. Received: '{score}'.")
        self._graph = FlatGraph(model)
        self._position = _pooled_position(self._graph) if layer is None else self._graph.position(layer)
        chosen = self._graph.operations[self._position]
        if len(chosen.output.shape) != 4:
            raise ModelError(
                f"Expected a layer with maps (N, h, w, channels). Received: '{chosen.name}' with output "
                f"{tuple(chosen.output.shape)}. Choose a layer before the global pooling."
            )
        self._input_shape = tuple(model.input_shape)
        self._logits_position, self._logits_dense = _logits_source(self._graph)
        self._bypass = self._graph.bypass(self._position, self._logits_position)
        own_size = self._input_shape[1:]
        self._slice_bytes = None if None in own_size else self._bytes_of_a_slice(own_size)
        self.layer: str = chosen.name
        self.score = score
        self.classes = int(model.output_shape[-1])
        self._compiled = tf.function(
            self._maps,
            input_signature=[tf.TensorSpec(self._input_shape, tf.float32), tf.TensorSpec((), tf.int32)],
            autograph=False,
        )

    def __call__(
        self, slices: np.ndarray, class_index: int = 1, memory_bound: int = MEMORY_BOUND
    ) -> tuple[np.ndarray, np.ndarray]:
        """Maps and probabilities of a batch; ``explain`` gives the same with everything that belongs to them.

        Args:
            slices: Float or uint8 grey values 0-255 ``(N, H, W, 1)``.
            class_index: The class that the maps explain; 1 is COVID.
            memory_bound: Bytes that the activations standing in memory at once may take (weights and what a single
                layer needs while it computes come on top). As many slices as fit go through the network in one pass,
                at least one. The result does not depend on it.

        Returns:
            Maps float32 ``(N, h, w)``, >= 0, not normalised; all zero where no channel speaks for the class.
            Probabilities float32 ``(N, classes)``.

        Raises:
            ModelError: Slices of another shape or range or with NaN, an unknown class, or a network that gives NaN.
        """
        result = self.explain(slices, class_index, memory_bound)
        return result.maps, result.probabilities

    def explain(self, slices: np.ndarray, class_index: int = 1, memory_bound: int = MEMORY_BOUND) -> CamMaps:
        """The same as calling the object, as a record with score, layer, class and margins."""
        batch = check_slices(slices, self._input_shape)
        if not 0 <= class_index < self.classes:
            raise ModelError(f"Expected a class index from 0 to {self.classes - 1}. Received: {class_index}.")
        step = self.slices_in_a_pass(memory_bound, batch.shape[1:])
        index = tf.constant(int(class_index), tf.int32)
        compiled = self._compiled.get_concrete_function()
        passes = [
            [part.numpy() for part in compiled(tf.constant(batch[start : start + step]), index)]
            for start in range(0, len(batch), step)
        ]
        maps, probabilities, margins = (np.concatenate(parts) for parts in zip(*passes, strict=True))
        if not (np.isfinite(probabilities).all() and np.isfinite(maps).all()):
            raise ModelError(
                "Expected finite probabilities and maps. Received: NaN or infinite values from the network, whose "
                "weights are probably damaged; load or train it again."
            )
        if self.score == "probability":
            maps = (maps * _probability_slope(margins)[:, None, None]).astype(np.float32)
        return CamMaps(maps, probabilities, margins, self.score, self.layer, int(class_index))

    def slices_in_a_pass(self, memory_bound: int, slice_shape: tuple[int, ...] | None = None) -> int:
        """Slices that go through the network at once under a bound on memory; at least one.

        Args:
            memory_bound: Bytes, 1 or more.
            slice_shape: ``(H, W, 1)``, for a network that takes any size; by default the network's own.

        Raises:
            ModelError: A bound below one byte.
        """
        if memory_bound < 1:
            raise ModelError(f"Expected a memory bound of 1 byte or more. Received: {memory_bound}.")
        of_a_slice = self._slice_bytes if self._slice_bytes else self._bytes_of_a_slice(slice_shape)
        return max(1, memory_bound // of_a_slice)

    def trace(self) -> None:
        """Builds the compiled function without running the network; the first call does so by itself otherwise."""
        # Calling the tf.function itself would log retracing warnings as soon as several networks are explained.
        self._compiled.get_concrete_function()

    def warm_up(self) -> None:
        """Traces and runs the network once on a black slice, so that the next call is fast."""
        size = tuple(64 if length is None else length for length in self._input_shape[1:])
        self(np.zeros((1, *size), np.float32), class_index=0)

    def _bytes_of_a_slice(self, slice_shape: tuple[int, ...]) -> int:
        """What stands in memory at the worst moment, for one slice.

        On the way to the layer that is the largest set of activations that are live at once. Behind it everything
        counts twice: the gradient needs each activation, and has a tensor of the same shape for it.
        """
        cut = [self._position, *self._bypass]
        to_the_layer = self._graph.peak_bytes([self._graph.input], cut, slice_shape)
        behind_it = 2 * self._graph.peak_bytes(cut, [self._logits_position], slice_shape, keep=True)
        return max(to_the_layer, behind_it)

    def _maps(self, slices: tf.Tensor, class_index: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
        cut = [self._position, *self._bypass]
        values = dict(zip(cut, self._graph.run({self._graph.input: slices}, cut), strict=True))
        activation = values[self._position]
        with tf.GradientTape(watch_accessed_variables=False) as tape:
            # Only the chosen layer is watched: what passes beside it counts as constant.
            tape.watch(activation)
            logits = self._logits(values)
            is_class = tf.range(self.classes) == class_index
            class_logit = tf.reduce_sum(tf.where(is_class, logits, 0.0), axis=-1)
            others = tf.reduce_logsumexp(tf.where(is_class, -np.inf, logits), axis=-1)
            margin = class_logit - others
            score = class_logit if self.score == "logit" else margin
        gradient = tf.cast(tape.gradient(score, activation), tf.float32)  # (N, h, w, channels)
        weights = tf.reduce_mean(gradient, axis=(1, 2))  # (N, channels)
        maps = tf.nn.relu(tf.einsum("nhwk,nk->nhw", tf.cast(activation, tf.float32), weights))
        return maps, tf.nn.softmax(logits), margin

    def _logits(self, values: dict[int, tf.Tensor]) -> tf.Tensor:
        (before,) = self._graph.run(values, [self._logits_position])
        dense = self._logits_dense
        if dense is not None:
            before = tf.matmul(tf.cast(before, tf.float32), tf.cast(tf.convert_to_tensor(dense.kernel), tf.float32))
            if dense.use_bias:
                before += tf.cast(tf.convert_to_tensor(dense.bias), tf.float32)
        return tf.cast(before, tf.float32)


def _pooled_position(graph: FlatGraph) -> int:
    """Position that enters the last global average pooling (squeeze-and-excitation blocks hold earlier ones)."""
    for position in reversed(range(len(graph.operations))):
        if isinstance(graph.operations[position], keras.layers.GlobalAveragePooling2D):
            return graph.sources(position)[0]
    raise ModelError("Expected a network with a GlobalAveragePooling2D layer. Received: none; name the layer yourself.")


def _logits_source(graph: FlatGraph) -> tuple[int, keras.layers.Dense | None]:
    """Where the logits come from: a position, and the Dense to apply to it without its softmax (or None)."""
    last = graph.operations[graph.output]
    softmax = isinstance(last, keras.layers.Softmax) or getattr(last, "activation", None) is keras.activations.softmax
    if not softmax or last.output.shape[-1] < 2 or len(last.output.shape) != 2:
        raise ModelError(
            f"Expected a network that ends in a softmax over two classes or more. Received: {type(last).__name__} "
            f"'{last.name}' with output {tuple(last.output.shape)}."
        )
    (before,) = graph.sources(graph.output)
    return before, last if isinstance(last, keras.layers.Dense) else None


def _probability_slope(margins: np.ndarray) -> np.ndarray:
    """p(1 - p) in float64 from the log-odds: exp(-|m|) / (1 + exp(-|m|))^2, which does not round 1 - p to zero."""
    small = np.exp(-np.abs(margins.astype(np.float64)))
    return small / (1.0 + small) ** 2
