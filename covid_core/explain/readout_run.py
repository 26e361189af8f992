"""The read-outs of all layers of one network: what is done, what is left. Importing this module starts TensorFlow."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence, Set
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from covid_core.errors import ModelError
from covid_core.explain.activations import LayerInfo
from covid_core.explain.pooled_channels import GROUP_BYTES, PooledChannels, groups
from covid_core.explain.randomisation import randomise
from covid_core.explain.readout import RANDOM_SEED, ReadoutSlices, read_out
from covid_core.models.library import Card, load_network
from covid_core.results.readouts import LABEL, RANDOM, WEIGHTS, layer_key

CHUNK = 32
"""Slices between two steps."""


@dataclass(frozen=True)
class Step:
    """Something that was done.

    Args:
        text: What, for people.
        total: Layers times kinds of weights, those done before included.
        measures: Of one layer, as ``ResultsStore.add_measures`` takes them; None while slices go through the network.
    """

    text: str
    total: int
    measures: pd.DataFrame | None = None


def read_network(
    card: Card,
    pixels: np.ndarray,
    labels: np.ndarray,
    slices: ReadoutSlices,
    known: Mapping[str, Set[int]],
    load: Callable[[Card], Any] = load_network,
    most_bytes: int = GROUP_BYTES,
) -> Iterator[Step]:
    """Read out every layer of a trained network, then every layer of the same network with random weights.

    Random weights are drawn by each layer's own initialiser; their batch normalisation has the statistics that it is
    born with, mean 0 and variance 1.

    Args:
        card: The trained weights.
        pixels: uint8 ``(N, size, size, 1)`` of the whole data set.
        labels: ``(N,)``: 1 for the positive class, 0 for every other.
        slices: What to fit and to score on.
        known: Of ``WEIGHTS`` -> numbers of the layers that are done.
        load: Card to network; the library's way by default.
        most_bytes: See ``pooled_channels.groups``.

    Yields:
        First that the network is loaded; a layer's measures are complete when they are yielded, and may be the last.

    Raises:
        LibraryError: Weights that are missing or damaged.
        ModelError: A network that gives NaN or infinite values.
    """
    model = load(card)  # a copy of its own: its weights are drawn anew below
    channels = PooledChannels(model)
    total = len(channels.layers) * len(WEIGHTS)
    positions, fitted = np.concatenate([slices.fit, slices.held_out]), len(slices.fit)
    names = fresh_names(channels.layers)
    yield Step("loaded", total)
    for weights in WEIGHTS:
        missing = [layer for layer in channels.layers if layer.number not in known[weights]]
        if weights == RANDOM and missing:
            randomise(model, RANDOM_SEED)
        for group in groups(missing, len(positions), most_bytes):
            features = {layer.number: np.empty((len(positions), layer.shape[-1]), np.float32) for layer in group}
            for start in range(0, len(positions), CHUNK):
                chunk = positions[start : start + CHUNK]
                for number, means in channels.means(pixels[chunk], group).items():
                    features[number][start : start + len(chunk)] = means
                yield Step(f"{weights} weights, slice {start + len(chunk)} of {len(positions)}", total)
            for layer in group:
                means = features.pop(layer.number)
                _check_finite(means, layer, weights, card)
                found = read_out(means[:fitted], labels[slices.fit], means[fitted:], labels[slices.held_out])
                found |= {"channels": float(means.shape[1]), "layers": float(len(channels.layers))}
                measures = _measures(card.model, weights, layer_key(layer.number, names[layer.number]), found)
                yield Step(f"{weights} weights, layer {layer.number} of {len(channels.layers)}", total, measures)


def fresh_names(layers: Sequence[LayerInfo]) -> dict[int, str]:
    """Number -> name of each layer as in a process that has built nothing before.

    Keras counts the layers that nobody named over all networks of a process: ``normalization`` of the first
    EfficientNet is ``normalization_1`` in the second. What is stored must not depend on that.

    Args:
        layers: All layers of a network.
    """
    counted: dict[int, tuple[str, int]] = {}
    for layer in layers:
        found = re.fullmatch(r"(.+?)(?:_(\d+))?", layer.name)
        if found and found[1].replace("_", "") == layer.kind.lower():
            counted[layer.number] = found[1], int(found[2] or 0)
    first = {name: min(count for other, count in counted.values() if other == name) for name, _ in counted.values()}
    names = {layer.number: layer.name for layer in layers}
    for number, (name, count) in counted.items():
        names[number] = name if count == first[name] else f"{name}_{count - first[name]}"
    return names


def _check_finite(means: np.ndarray, layer: LayerInfo, weights: str, card: Card) -> None:
    if not np.isfinite(means).all():
        raise ModelError(
            f"Expected finite activations. Received: NaN or infinite ones in layer {layer.number} ({layer.name}) of "
            f"{card.model} with {weights} weights. Leave this network out, --networks."
        )


def _measures(network: str, weights: str, layer: str, values: dict[str, float]) -> pd.DataFrame:
    frame = pd.DataFrame({"measure": list(values), "value": list(values.values())})
    return frame.assign(subject=network, method=weights, slice=layer, label=LABEL)
