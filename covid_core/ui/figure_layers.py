"""Activation maps for figures, as tiles. Importing this module starts TensorFlow, which takes seconds."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import streamlit as st

from covid_core.charts.figures import TILE, Block, Tile, bars
from covid_core.explain.activation_statistics import channel_difference, channel_order, channel_statistics
from covid_core.explain.activations import LayerInfo, channel_grid
from covid_core.models.zoo import ModelSpec
from covid_core.ui import inference
from covid_core.ui.chosen import ChosenSlice
from covid_core.ui.figure_choices import FIRST, MOST_DIFFERENT, STRIP_LAYERS, STRIP_NETWORK, STRONGEST, slice_name
from covid_core.ui.figure_maps import Observe, empty_tile, slice_tile
from covid_core.ui.networks import ChosenNetwork
from covid_core.ui.tables import probability_text

STRIP_CHANNELS = 4
GAP, RIM, FRAME = 8, 2, (107, 122, 132)  # pixels between channels and of the frame around each, and its colour
TILES_A_ROW = 4

CHOSEN_FOUR = {
    FIRST: "the first four of each layer",
    STRONGEST: "the four of each layer with the highest mean on this slice, the highest first",
}
CHOSEN_ONE = {
    FIRST: "the first channel of each layer",
    STRONGEST: "the channel of each layer with the highest mean over both slices",
    MOST_DIFFERENT: "the channel of each layer that differs most between the slices (mean absolute difference over "
    "places), so that they differ here is by choice",
}


@dataclass(frozen=True, eq=False)
class Excerpt:
    """A few channels of one layer.

    Args:
        layer: The layer.
        channels: Which, from 0; none of a layer that gives a vector.
        maps: float32 ``(h, w, len(channels))``, or the vector ``(c,)``.
    """

    layer: LayerInfo
    channels: tuple[int, ...]
    maps: np.ndarray


def strip_layers(spec: ModelSpec, layers: Sequence[LayerInfo]) -> list[LayerInfo]:
    """Eight layers of a network: the study's where it has them, else spread evenly; the last is the softmax.

    Args:
        spec: The network.
        layers: All of its layers, as ``inference.layers_of`` gives them.
    """
    *earlier, _ = STRIP_LAYERS
    if spec.backbone == STRIP_NETWORK:
        return [*(layers[number - 1] for number in earlier), layers[-1]]
    return [*spread(map_layers(layers), len(earlier)), layers[-1]]


def map_layers(layers: Sequence[LayerInfo]) -> list[LayerInfo]:
    """Those whose maps have more than one place, without the slice itself."""
    names = set(inference.cam_layers(tuple(layers)))
    return [layer for layer in layers if layer.name in names]


def spread(layers: Sequence[LayerInfo], count: int) -> list[LayerInfo]:
    """The middles of ``count`` equal parts of ``layers``."""
    return [layers[(2 * part + 1) * len(layers) // (2 * count)] for part in range(count)]


def strip(network: ChosenNetwork, chosen: ChosenSlice, which: str, say: Observe) -> tuple[list[Block], list[str]]:
    """Eight layers of one network on one slice.

    Args:
        network: The network; without a card it gets random weights.
        chosen: The slice.
        which: ``FIRST`` or ``STRONGEST``: the channels to draw.
        say: Told what is being computed.

    Returns:
        Blocks of a figure, and its caption.
    """
    say(network.spec.name)
    layers = strip_layers(network.spec, inference.layers_of(network))
    numbers = tuple(layer.number for layer in layers)
    excerpts = _strip(network, network.key, chosen, chosen.digest, layers, numbers, which)
    tiles = [
        maps_tile(excerpt) if excerpt.layer.is_spatial else probability_tile(excerpt, network.classes)
        for excerpt in excerpts
    ]
    return [_strip_block(_named(network), chosen, tiles)], [
        _origin(network.spec),
        f"Channels: {CHOSEN_FOUR[which]}; row by row, their numbers below. Each from its own smallest value (black) to "
        "its largest (white). Pixels are repeated, not blended.",
        "The last layer gives a probability for each class: bars from 0 to 1.",
    ]


def empty_strip(network: ChosenNetwork, chosen: ChosenSlice) -> tuple[list[Block], list[str]]:
    """The same with free places, for a network without weights."""
    known = network.spec.name == STRIP_NETWORK
    headings = [
        f"{number} {name}" if known else f"Layer {place} of {len(STRIP_LAYERS)}"
        for place, (number, name) in enumerate(STRIP_LAYERS.items(), start=1)
    ]
    return [_strip_block(network.spec.name, chosen, [empty_tile(heading) for heading in headings])], []


def maps_tile(excerpt: Excerpt) -> Tile:
    """Up to four channels of a layer, two in a row, each on its own scale."""
    layer, count = excerpt.layer, len(excerpt.channels)
    columns = min(2, count)
    side = (TILE - (columns - 1) * GAP) // columns - 2 * RIM
    picture = _side_by_side([channel_grid(excerpt.maps, [place], tile=side) for place in range(count)], columns)
    height, width, channels = layer.shape
    lines = [
        f"{height} x {width}, {channels} channels",  # the figure's font has plain letters only
        f"No. {', '.join(str(channel + 1) for channel in excerpt.channels)}",
    ]
    flat = sum(not np.ptp(excerpt.maps[..., place]) > 0 for place in range(count))
    if flat:
        lines.append(f"{flat} constant, drawn black")
    return Tile(picture, _heading(layer), lines)


def probability_tile(excerpt: Excerpt, classes: Sequence[str]) -> Tile:
    """The output of a network."""
    values = [float(value) for value in excerpt.maps]
    lines = [f"P({name}) {probability_text(value)}" for name, value in zip(classes, values, strict=True)]
    return Tile(bars(values, classes), _heading(excerpt.layer), lines)


def two_slices(
    network: ChosenNetwork,
    slices: tuple[ChosenSlice, ChosenSlice],
    layers: Sequence[LayerInfo],
    which: str,
    say: Observe,
) -> tuple[list[Block], list[str]]:
    """A positive slice above a negative one, the same channel of each layer on one scale for both.

    Args:
        network: The network.
        slices: The positive and the negative one.
        layers: What to draw, in this order; all of them give maps.
        which: ``FIRST``, ``STRONGEST`` or ``MOST_DIFFERENT``: the channel to draw.
        say: Told what is being computed.

    Returns:
        Blocks of a figure, and its caption.
    """
    say(network.spec.name)
    digests, numbers = tuple(one.digest for one in slices), tuple(layer.number for layer in layers)
    excerpts = _pairs(network, network.key, slices, digests, layers, numbers, which)
    scales = "; ".join(map(_scale_text, excerpts))
    return _pair_blocks(_named(network), slices, [pair_tiles(excerpt) for excerpt in excerpts]), [
        f"Channels: {CHOSEN_ONE[which]}. Network, layers and channels are this figure's, not the study's.",
        "One scale for both slices in each layer, from black, the smallest value of either map, to white, the largest: "
        f"{scales}. Pixels are repeated, not blended.",
    ]


def empty_pair(
    network: ChosenNetwork, slices: tuple[ChosenSlice, ChosenSlice], depths: Sequence[str]
) -> tuple[list[Block], list[str]]:
    """The same with free places, for a network without weights."""
    tiles = [(empty_tile(depth), empty_tile(depth)) for depth in depths]
    return _pair_blocks(network.spec.name, slices, tiles), []


def pair_tiles(excerpt: Excerpt) -> tuple[Tile, Tile]:
    """One channel on two slices.

    Args:
        excerpt: Maps ``(h, w, 2)``: the channel on the one slice and on the other.
    """
    low, high = shared_scale(excerpt)
    (channel,) = excerpt.channels
    tiles = []
    for place in range(2):
        lines = [
            f"Channel {channel + 1} of {excerpt.layer.shape[-1]}",
            f"Mean {_number(float(excerpt.maps[..., place].mean(dtype=np.float64)))}",
        ]
        if not high > low:
            lines.append("Constant, drawn black")
        # both maps are given, one is drawn: that is how they share a scale
        picture = channel_grid(excerpt.maps, [place], per_channel=False, tile=TILE - 2 * RIM)
        tiles.append(Tile(_framed(picture), _heading(excerpt.layer), lines))
    return tiles[0], tiles[1]


def shared_scale(excerpt: Excerpt) -> tuple[float, float]:
    """Smallest and largest value over all of its maps."""
    return float(excerpt.maps.min()), float(excerpt.maps.max())


# As maps of slices everywhere: in the session's own cache, by digest. Only what is drawn is kept.
@st.cache_data(scope="session", max_entries=8, show_spinner=False)
def _strip(
    _network: ChosenNetwork,
    network_key: str,
    _chosen: ChosenSlice,
    digest: str,
    _layers: Sequence[LayerInfo],
    numbers: tuple[int, ...],
    which: str,
) -> list[Excerpt]:
    found = inference.maps_of_layers(_network, _chosen, numbers)
    excerpts = []
    for layer in _layers:
        maps = found[layer.number]
        if not layer.is_spatial:
            excerpts.append(Excerpt(layer, (), maps))
            continue
        order = "index" if which == FIRST else "mean"
        channels = tuple(channel_order(channel_statistics(maps), order)[:STRIP_CHANNELS].tolist())
        excerpts.append(Excerpt(layer, channels, maps[..., list(channels)]))
    return excerpts


@st.cache_data(scope="session", max_entries=8, show_spinner=False)
def _pairs(
    _network: ChosenNetwork,
    network_key: str,
    _slices: tuple[ChosenSlice, ChosenSlice],
    digests: tuple[str, ...],
    _layers: Sequence[LayerInfo],
    numbers: tuple[int, ...],
    which: str,
) -> list[Excerpt]:
    found = [inference.maps_of_layers(_network, one, numbers) for one in _slices]
    excerpts = []
    for layer in _layers:
        one, other = (of[layer.number] for of in found)
        channel = 0
        if which == STRONGEST:
            channel = int(channel_order(channel_statistics(one + other), "mean")[0])
        elif which == MOST_DIFFERENT:
            channel = int(channel_difference(one, other).argmax())
        excerpts.append(Excerpt(layer, (channel,), np.stack([one[..., channel], other[..., channel]], axis=-1)))
    return excerpts


def _strip_block(name: str, chosen: ChosenSlice, tiles: Sequence[Tile]) -> Block:
    """Rows of tiles beside the slice."""
    rows = [list(tiles[start : start + TILES_A_ROW]) for start in range(0, len(tiles), TILES_A_ROW)]
    beside: list[Tile | None] = [slice_tile(chosen), *[None] * (len(rows) - 1)]
    return Block(f"{name}: {slice_name(chosen)}", [[first, *row] for first, row in zip(beside, rows, strict=True)])


def _pair_blocks(name: str, slices: tuple[ChosenSlice, ChosenSlice], tiles: Sequence[tuple[Tile, Tile]]) -> list[Block]:
    """A block for each slice: the slice, then its tile of each layer."""
    return [
        Block(f"{name}, {label} slice: {slice_name(one)}", [[slice_tile(one), *(pair[place] for pair in tiles)]])
        for place, (label, one) in enumerate(zip(("positive", "negative"), slices, strict=True))
    ]


def _named(network: ChosenNetwork) -> str:
    return network.spec.name if network.card else f"{network.spec.name}, random weights"


def _origin(spec: ModelSpec) -> str:
    """Where the eight layers come from, in words."""
    if spec.name == STRIP_NETWORK:
        return f"The study's eight layers of {STRIP_NETWORK}, with its numbers."
    if spec.backbone == STRIP_NETWORK:
        return f"The study's layers of {STRIP_NETWORK}, with its numbers, and the output of {spec.name}."
    return (
        f"The study shows eight layers of {STRIP_NETWORK}. These are seven spread evenly over the layers of "
        f"{spec.name} that give maps, and its output, numbered in the same way."
    )


def _scale_text(excerpt: Excerpt) -> str:
    low, high = shared_scale(excerpt)
    (channel,) = excerpt.channels
    return f"layer {excerpt.layer.number}, channel {channel + 1}: {_number(low)} to {_number(high)}"


def _heading(layer: LayerInfo) -> str:
    return f"{layer.number} {layer.name}"


def _number(value: float) -> str:
    return f"{value:.3g}"


def _side_by_side(pictures: Sequence[np.ndarray], columns: int) -> np.ndarray:
    """Grey pictures of one size in rows, each in its frame, on white; uint8 RGB."""
    framed = [_framed(picture) for picture in pictures]
    height, width, _ = framed[0].shape
    rows = -(-len(framed) // columns)
    whole = np.full((rows * (height + GAP) - GAP, columns * (width + GAP) - GAP, 3), 255, np.uint8)
    for place, picture in enumerate(framed):
        row, column = divmod(place, columns)
        top, left = row * (height + GAP), column * (width + GAP)
        whole[top : top + height, left : left + width] = picture
    return whole


def _framed(grey: np.ndarray) -> np.ndarray:
    """A grey picture in a frame: what is white at its rim does not run into the paper. uint8 RGB."""
    height, width = grey.shape
    framed = np.full((height + 2 * RIM, width + 2 * RIM, 3), FRAME, np.uint8)
    framed[RIM:-RIM, RIM:-RIM] = grey[..., None]
    return framed
