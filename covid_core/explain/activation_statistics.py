"""Numbers that sum up activation maps: how strong, how varied, how many channels say nothing, which differ most."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd

from covid_core.errors import ModelError
from covid_core.explain.activations import ActivationProbe, LayerInfo

# Of the largest value of the layer: what float32 sums leave where exact arithmetic would give the same number twice.
SAME_VALUE = 1e-6


@dataclass(frozen=True, eq=False)
class ChannelStatistics:
    """Each channel of one layer on one slice.

    Args:
        mean: float64 ``(c,)``, over places.
        variance: float64 ``(c,)``, over places (divided by their number).
        low: float32 ``(c,)``, the smallest value.
        high: float32 ``(c,)``, the largest value.
        dead: bool ``(c,)``: the channel has the same value everywhere, so it says nothing about this slice. Of a layer
            behind a ReLU it is zero there. False of maps of a single place, where it means nothing.
        single: Whether the maps have a single place.
    """

    mean: np.ndarray
    variance: np.ndarray
    low: np.ndarray
    high: np.ndarray
    dead: np.ndarray
    single: bool


def channel_statistics(maps: np.ndarray) -> ChannelStatistics:
    """Sums up the maps of a layer.

    Args:
        maps: Float ``(h, w, c)``.

    Raises:
        ModelError: Another shape.
    """
    maps = np.asarray(maps)
    if maps.ndim != 3:
        raise ModelError(f"Expected maps of shape (h, w, c). Received: {maps.shape}.")
    places = maps.reshape(-1, maps.shape[-1])
    low, high = places.min(axis=0), places.max(axis=0)
    single = len(places) == 1
    largest = max(abs(float(low.min())), abs(float(high.max())))
    dead = np.zeros(maps.shape[-1], bool) if single else high - low <= SAME_VALUE * largest
    mean = places.mean(axis=0, dtype=np.float64)
    centred = places - mean.astype(places.dtype)
    variance = np.einsum("ij,ij->j", centred, centred, dtype=np.float64) / len(places)
    return ChannelStatistics(mean, variance, low, high, dead, single)


def channel_difference(maps: np.ndarray, other: np.ndarray) -> np.ndarray:
    """How much each channel of a layer differs between two slices.

    Args:
        maps: Float ``(h, w, c)``.
        other: The same layer's maps of the other slice, of the same shape.

    Returns:
        float64 ``(c,)``: the mean over places of the absolute difference.

    Raises:
        ModelError: The shapes differ.
    """
    if maps.ndim != 3 or other.shape != maps.shape:
        raise ModelError(f"Expected maps (h, w, c) of one layer of two slices. Received: {maps.shape}, {other.shape}.")
    return np.abs(maps - other).mean(axis=(0, 1), dtype=np.float64)


def channel_order(statistics: ChannelStatistics, by: str, difference: np.ndarray | None = None) -> np.ndarray:
    """Channels of a layer in the order in which they are shown.

    Args:
        statistics: Of the layer.
        by: ``"index"``, or ``"mean"``, ``"variance"`` or ``"difference"``, largest first; equal ones keep the order of
            their index.
        difference: As ``channel_difference`` gives it, for the last.

    Returns:
        int64 ``(c,)``.

    Raises:
        ModelError: An unknown order, or no difference to sort by.
    """
    values = {
        "index": -np.arange(len(statistics.mean)),
        "mean": statistics.mean,
        "variance": statistics.variance,
        "difference": difference,
    }
    value = values.get(by)
    if value is None:
        raise ModelError(
            f"Expected one of the orders {', '.join(values)}, the last with differences. Received: '{by}'."
        )
    return np.argsort(-value, kind="stable")


def statistics_over_depth(probe: ActivationProbe, slice_: np.ndarray) -> pd.DataFrame:
    """Every layer with maps, in one pass.

    Args:
        probe: Of the network.
        slice_: As ``ActivationProbe.maps`` takes it.

    Returns:
        ``number``, ``name``, ``kind``, ``mean`` and ``variance`` (over places and channels), ``channels``, ``dead``
        (number of them) and ``dead_share``; the last two are NaN of layers whose maps have a single place.
    """
    rows = []

    def look(layer: LayerInfo, maps: np.ndarray) -> None:
        channels = channel_statistics(maps)
        dead = np.nan if channels.single else int(channels.dead.sum())
        # all channels have the same number of places: variance within channels plus variance between them
        variance = channels.variance.mean() + channels.mean.var()
        rows.append(
            {
                "number": layer.number,
                "name": layer.name,
                "kind": layer.kind,
                "mean": channels.mean.mean(),
                "variance": variance,
                "channels": maps.shape[-1],
                "dead": dead,
                "dead_share": dead / maps.shape[-1],
            }
        )

    probe.visit(slice_, look, [layer.number for layer in probe.layers if layer.is_spatial])
    return pd.DataFrame(rows)
