"""A visit to a layer, computed from the nearest one in front of it that is kept. Importing this starts TensorFlow."""

from __future__ import annotations

import math
from collections.abc import Hashable

import numpy as np

from covid_core.explain.activations import ActivationProbe, LayerInfo
from covid_core.ui.map_cache import MapCache

START_SHARE = 1 / 16
"""Of the cache: what the maps that a pass may begin at may take, lest they push out what was looked at."""


def maps_of_layer(
    probe: ActivationProbe, cache: MapCache, slice_key: tuple[Hashable, ...], pixels: np.ndarray, number: int
) -> np.ndarray:
    """What a layer makes of a slice, and a start for the layers behind it put into the cache.

    Whoever walks through a network layer by layer thus pays for a block a step, not for all in front of it.

    Args:
        probe: Of the network.
        cache: Where maps are kept, by ``(*slice_key, number)``.
        slice_key: Tells network and slice from all others.
        pixels: The slice as the network sees it, grey values 0-255 ``(H, W)``.
        number: Of the layer.

    Returns:
        float32 ``(h, w, c)``, or ``(c,)`` of a layer that gives a vector; read-only.

    Raises:
        ModelError: No such layer, or a slice that does not fit the network.
    """

    def make() -> np.ndarray:
        starts = [one for one in probe.starts(number) if _bytes(probe.layer(one)) <= START_SHARE * cache.most_bytes]
        kept = ({start: maps} for start in starts if (maps := cache.find((*slice_key, start))) is not None)
        known = next(kept, {})
        found: dict[int, np.ndarray] = {}
        probe.visit(pixels, lambda layer, maps: found.update({layer.number: maps}), {number, *starts[:1]}, known)
        if starts and starts[0] not in known:
            cache.get((*slice_key, starts[0]), lambda: found[starts[0]])
        return found[number]

    return cache.get((*slice_key, number), make)


def _bytes(layer: LayerInfo) -> int:
    return 4 * math.prod(layer.shape)
