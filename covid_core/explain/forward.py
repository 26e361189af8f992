"""A compiled forward pass: what a network says to a batch of slices, and nothing else."""

from __future__ import annotations

import keras
import numpy as np
import tensorflow as tf

from covid_core.explain.gradcam import MEMORY_BOUND
from covid_core.explain.graph import FlatGraph, check_slices

BATCH_SIZE = 32


class Forward:
    """Probabilities of a network in inference mode; built once, called often, from several threads if need be.

    ``model.predict`` would draw progress bars and trace again for each batch size.

    Args:
        model: Flat functional network with one spatial input of grey values 0-255 (all scaling inside).

    Raises:
        ModelError: The network is not flat.
    """

    def __init__(self, model: keras.Model):
        self._graph = FlatGraph(model)
        self._input_shape = tuple(model.input_shape)
        self._batch_size = most_slices(self._graph, self._input_shape, BATCH_SIZE)
        self._compiled = tf.function(
            lambda slices: self._graph.run({self._graph.input: slices}, [self._graph.output])[0],
            input_signature=[tf.TensorSpec(self._input_shape, tf.float32)],
            autograph=False,
        )

    def __call__(self, slices: np.ndarray, batch_size: int | None = None) -> np.ndarray:
        """Probabilities of a batch.

        Args:
            slices: Float or uint8 grey values 0-255 ``(N, H, W, 1)``.
            batch_size: Slices in one pass; by default as many as ``MEMORY_BOUND`` allows, at most ``BATCH_SIZE``.

        Returns:
            float32 ``(N, classes)``.

        Raises:
            ModelError: Slices of another shape or range or with NaN.
        """
        batch = check_slices(slices, self._input_shape)
        # Calling the tf.function itself would log retracing warnings as soon as several networks are in use.
        compiled = self._compiled.get_concrete_function()
        batch_size = batch_size or self._batch_size
        parts = [
            compiled(tf.constant(batch[start : start + batch_size])).numpy()
            for start in range(0, len(batch), batch_size)
        ]
        return np.concatenate(parts).astype(np.float32)


def most_slices(graph: FlatGraph, input_shape: tuple[int | None, ...], most: int, gradient: bool = False) -> int:
    """Slices that may go through a network at once: as many as ``MEMORY_BOUND`` allows, from 1 to ``most``.

    Args:
        graph: The network.
        input_shape: ``model.input_shape``.
        most: Upper bound.
        gradient: Whether a gradient back to the slice is taken: it needs each activation, and a tensor of the same
            shape for it.
    """
    size = tuple(128 if length is None else length for length in input_shape[1:])
    of_a_slice = graph.peak_bytes([graph.input], [graph.output], size, keep=gradient) * (2 if gradient else 1)
    return max(1, min(most, MEMORY_BOUND // of_a_slice))
