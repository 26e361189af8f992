"""A compiled forward pass: what a network says to a batch of slices, and nothing else."""

from __future__ import annotations

import keras
import numpy as np
import tensorflow as tf

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
        self._compiled = tf.function(
            lambda slices: self._graph.run({self._graph.input: slices}, [self._graph.output])[0],
            input_signature=[tf.TensorSpec(self._input_shape, tf.float32)],
            autograph=False,
        )

    def __call__(self, slices: np.ndarray, batch_size: int = BATCH_SIZE) -> np.ndarray:
        """Probabilities of a batch.

        Args:
            slices: Float or uint8 grey values 0-255 ``(N, H, W, 1)``.
            batch_size: Slices in one pass, which bounds memory.

        Returns:
            float32 ``(N, classes)``.

        Raises:
            ModelError: Slices of another shape or range or with NaN.
        """
        batch = check_slices(slices, self._input_shape)
        # Calling the tf.function itself would log retracing warnings as soon as several networks are in use.
        compiled = self._compiled.get_concrete_function()
        parts = [
            compiled(tf.constant(batch[start : start + batch_size])).numpy()
            for start in range(0, len(batch), batch_size)
        ]
        return np.concatenate(parts).astype(np.float32)
