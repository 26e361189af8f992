"""The channel means of any layers of a network over many slices, within a bound on memory."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

import keras
import numpy as np

from covid_core.explain.activations import ActivationProbe, LayerInfo
from covid_core.explain.forward import BATCH_SIZE, most_slices
from covid_core.explain.graph import FlatGraph, check_slices

GROUP_BYTES = 2**29
"""Half a gigabyte: of the means that are gathered before they are used. All layers of a large network at once would
take gigabytes for a thousand slices."""


class PooledChannels:
    """Means over all places of a layer's maps, one number a channel; the vector itself of a layer that gives vectors.

    Layers run one after the other and each tensor is let go after its last reader, as in ``ActivationProbe``.

    Args:
        model: Flat functional network with one spatial input of grey values 0-255 (all scaling inside). Weights that
            are set later are used from then on.

    Raises:
        ModelError: The network is not flat.
    """

    def __init__(self, model: keras.Model):
        self._graph = FlatGraph(model)
        self._input_shape = tuple(model.input_shape)
        self._batch_size = most_slices(self._graph, self._input_shape, BATCH_SIZE)
        self.layers: tuple[LayerInfo, ...] = ActivationProbe(model).layers

    def means(self, slices: np.ndarray, layers: Sequence[LayerInfo]) -> dict[int, np.ndarray]:
        """Features of the slices in one pass, which ends at the last of the layers.

        Args:
            slices: Grey values 0-255, float or uint8, ``(N, H, W, 1)``, at the network's size.
            layers: Out of ``self.layers``.

        Returns:
            Layer number -> float32 ``(N, channels)``; sums are taken in float64.

        Raises:
            ModelError: Slices that do not fit the network.
        """
        numbers = {self._graph.position(layer.name): layer.number for layer in layers}
        found = {layer.number: np.empty((len(slices), layer.shape[-1]), np.float32) for layer in layers}

        def keep(start: int, position: int, output: object) -> None:
            if position in numbers:
                maps = keras.ops.convert_to_numpy(output)
                places = tuple(range(1, maps.ndim - 1))
                found[numbers[position]][start : start + len(maps)] = maps.mean(axis=places, dtype=np.float64)

        for start in range(0, len(slices), self._batch_size):
            part = check_slices(slices[start : start + self._batch_size], self._input_shape)
            batch = keras.ops.convert_to_tensor(part)
            keep(start, self._graph.input, batch)
            self._graph.run({self._graph.input: batch}, [], visit=partial(keep, start), passing=list(numbers))
        return found


def groups(layers: Sequence[LayerInfo], slices: int, most_bytes: int = GROUP_BYTES) -> list[list[LayerInfo]]:
    """Layers in order, cut into groups whose means fit into ``most_bytes``; a layer that does not stands alone.

    Args:
        layers: As ``PooledChannels.layers``.
        slices: Number of slices.
        most_bytes: Of float32 means.
    """
    found: list[list[LayerInfo]] = []
    filled = 0
    for layer in layers:
        needed = 4 * slices * layer.shape[-1]
        if not found or filled + needed > most_bytes:
            found.append([])
            filled = 0
        found[-1].append(layer)
        filled += needed
    return found
