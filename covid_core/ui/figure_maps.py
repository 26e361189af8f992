"""Heat maps for figures, as tiles. Importing this module starts TensorFlow, which takes seconds."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import numpy as np
import streamlit as st

from covid_core import charts
from covid_core.charts.figures import Block, Tile
from covid_core.explain.heatmap import normalise, overlay, resize_heat
from covid_core.explain.intensity import mask_statistic
from covid_core.ui import inference
from covid_core.ui.chosen import ChosenSlice
from covid_core.ui.networks import ChosenNetwork
from covid_core.ui.tables import probability_text

OPACITY = 0.45
TILES_A_ROW = 5

Observe = Callable[[str], None]
"""Called with a network's name before its map is computed."""


def single_block(
    title: str,
    networks: Sequence[ChosenNetwork],
    chosen: ChosenSlice,
    positive: bool,
    random: bool,
    say: Observe,
) -> Block:
    """One slice under many networks: the slice first, then a tile a network.

    Args:
        title: Of the block.
        networks: What to draw.
        chosen: The slice.
        positive: Whether the maps explain the positive class, or the first of the others.
        random: Whether networks without weights are drawn with random ones.
        say: Told what is being computed.
    """
    tiles: list[Tile | None] = [slice_tile(chosen)]
    for network in networks:
        heat = _heat(network, chosen, positive, random, say)
        if heat is None:
            tiles.append(empty_tile(network.spec.name))
            continue
        values, probability = heat
        tiles.append(
            _tile(network, overlay(chosen.pixels, values, OPACITY), [_probability(network, probability)], values)
        )
    width = TILES_A_ROW
    return Block(title, [tiles[start : start + width] for start in range(0, len(tiles), width)])


def pair_block(
    title: str,
    pairs: Sequence[tuple[ChosenNetwork, ChosenNetwork]],
    chosen: ChosenSlice,
    positive: bool,
    random: bool,
    say: Observe,
) -> Block:
    """One slice under pairs: base networks above, modified ones below, the base network's mask outlined in both.

    Args:
        title: Of the block.
        pairs: Base and modified networks.
        chosen: The slice.
        positive: As for ``single_block``.
        random: As for ``single_block``.
        say: As for ``single_block``.
    """
    rows: list[list[Tile | None]] = []
    for start in range(0, len(pairs), TILES_A_ROW):
        columns = [
            _pair_tiles(base, modified, chosen, positive, random, say)
            for base, modified in pairs[start : start + TILES_A_ROW]
        ]
        first: tuple[Tile | None, Tile | None] = (slice_tile(chosen) if start == 0 else None, None)
        rows += [list(row) for row in zip(first, *columns, strict=True)]
    return Block(title, rows)


def slice_tile(chosen: ChosenSlice) -> Tile:
    """The slice itself."""
    grey = np.clip(np.rint(chosen.pixels), 0, 255).astype(np.uint8)
    return Tile(np.repeat(grey[..., None], 3, axis=-1), "Slice")


def empty_tile(heading: str) -> Tile:
    """The place of what a network without weights would give."""
    return Tile(None, heading, note="not trained\non this machine")


def _pair_tiles(
    base: ChosenNetwork,
    modified: ChosenNetwork,
    chosen: ChosenSlice,
    positive: bool,
    random: bool,
    say: Observe,
) -> tuple[Tile, Tile]:
    heats = [_heat(network, chosen, positive, random, say) for network in (base, modified)]
    if heats[0] is None or heats[1] is None:
        return empty_tile(base.spec.name), empty_tile(modified.spec.name)
    statistic = mask_statistic(heats[0][0], heats[1][0])
    tiles = []
    for network, (values, probability), intensity in zip(
        (base, modified), heats, (statistic.base_intensity, statistic.modified_intensity), strict=True
    ):
        picture = charts.outlined(overlay(chosen.pixels, values, OPACITY), statistic.mask)
        inside = "no mask" if math.isnan(intensity) else f"Intensity in mask {intensity:.1f}"
        tiles.append(_tile(network, picture, [inside, _probability(network, probability)], values))
    return tiles[0], tiles[1]


def _tile(network: ChosenNetwork, picture: np.ndarray, lines: list[str], heat: np.ndarray) -> Tile:
    notes = ["Map is empty"] * (not heat.any()) + ["Random weights"] * (network.card is None)
    return Tile(picture, network.spec.name, [*lines, *notes])


def _probability(network: ChosenNetwork, probability: float) -> str:
    return f"P({network.classes[-1]}) {probability_text(probability)}"


def _heat(
    network: ChosenNetwork, chosen: ChosenSlice, positive: bool, random: bool, say: Observe
) -> tuple[np.ndarray, float] | None:
    """Heat float32 ``(H, W)`` in 0-1 at the size of the slice, and the probability of the positive class."""
    if network.card is None and not random:
        return None
    say(network.spec.name)
    index = len(network.classes) - 1 if positive else 0
    raw, probability = _raw(network, network.key, chosen, chosen.digest, index)
    return resize_heat(normalise(raw), chosen.pixels.shape), probability


# Small as they are, all maps of the largest figure fit; the full-size heat would not.
@st.cache_data(scope="session", max_entries=160, show_spinner=False)
def _raw(
    _network: ChosenNetwork, network_key: str, _chosen: ChosenSlice, digest: str, class_index: int
) -> tuple[np.ndarray, float]:
    result = inference.explain(_network, _chosen, _network.spec.cam_layer, class_index)
    return result.maps[0], float(result.probabilities[0, -1])
