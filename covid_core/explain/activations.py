"""What every layer of a network makes of a slice: the layer list, the maps of a layer, and pictures of them."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass

import keras
import numpy as np

from covid_core.errors import ModelError
from covid_core.explain.graph import FlatGraph, check_slices
from covid_core.explain.receptive_field import POINTWISE, ReceptiveField, receptive_fields
from covid_core.models.build import SCALING_LAYER

# "conv2_block1_out" and "conv2_block1_1_relu" lie in block "conv2_block1", "block2a_project_bn" in "block2a"
_BLOCK = re.compile(r"(conv\d+_block\d+|block\d+_\d+|block\d+[a-z]?|conv\d+|pool\d+|stem|top|post)_")


@dataclass(frozen=True)
class LayerInfo:
    """One layer of a network.

    Args:
        number: From 1 in the order of ``model.layers``; the InputLayer is 1, the grey scaling has no number.
        name: Name of the layer.
        kind: Its class, for example ``"Conv2D"``.
        shape: Output shape without the batch axis: ``(h, w, c)`` or ``(c,)``.
        parameters: Number of its weights, trainable or not.
        field: What one place of its maps can see of the slice; None where that is not defined.
        ends_block: Whether its output is all that a block of the network hands on.
    """

    number: int
    name: str
    kind: str
    shape: tuple[int | None, ...]
    parameters: int
    field: ReceptiveField | None = None
    ends_block: bool = False

    @property
    def is_spatial(self) -> bool:
        """True if the layer gives maps, False if it gives a vector."""
        return len(self.shape) == 3


class ActivationProbe:
    """Activations of any layer of a network; holds no slice and no map, and may be used from several threads.

    Layers run one after the other without tracing a function: the first look at a layer costs as much as any other,
    and each tensor is let go after its last reader, so that a large network never stands in memory whole.

    Args:
        model: Flat functional network with one spatial input of grey values 0-255 (all scaling inside).

    Raises:
        ModelError: The network is not flat.
    """

    def __init__(self, model: keras.Model):
        self._graph = FlatGraph(model)
        self._input_shape = tuple(model.input_shape)
        # The scaling layer is ours, in front of the backbone: counting it would shift the published layer numbers.
        counted = [position for position, layer in enumerate(self._graph.operations) if layer.name != SCALING_LAYER]
        self._position = dict(enumerate(counted, start=1))
        self._number = {position: number for number, position in self._position.items()}
        self._cuts = tuple(self._number[position] for position in self._graph.cut_points() if position in self._number)
        fields, ends = receptive_fields(self._graph), _block_ends(self._graph)
        self.layers: tuple[LayerInfo, ...] = tuple(
            _layer_info(number, self._graph.operations[position], fields[position], position in ends)
            for number, position in self._position.items()
        )

    def layer(self, which: int | str) -> LayerInfo:
        """The layer with this number or name.

        Raises:
            ModelError: There is none.
        """
        if isinstance(which, str):
            position = self._graph.position(which)
            if position not in self._number:
                raise ModelError(f"Expected a layer of the backbone or head. Received: '{which}', our input scaling.")
            return self.layers[self._number[position] - 1]
        if which not in self._position:
            raise ModelError(f"Expected a layer number from 1 to {len(self.layers)}. Received: {which}.")
        return self.layers[which - 1]

    def starts(self, number: int) -> tuple[int, ...]:
        """Numbers of the layers in front of a layer where a pass to it can begin, the nearest first.

        All that goes on from each of them is its own output.

        Raises:
            ModelError: No such layer.
        """
        layer = self.layer(number)
        return tuple(cut for cut in reversed(self._cuts) if cut < layer.number)

    def maps(self, slice_: np.ndarray, number: int | str) -> np.ndarray:
        """Activation maps of one layer.

        Args:
            slice_: One slice of grey values 0-255, float or uint8, ``(H, W)`` or ``(H, W, 1)``, at the network's size.
            number: Number or name of the layer.

        Returns:
            float32 ``(h, w, c)``, or ``(c,)`` of a layer that gives a vector.

        Raises:
            ModelError: No such layer, or a slice that does not fit the network.
        """
        position = self._position[self.layer(number).number]
        (output,) = self._graph.run({self._graph.input: self._batch(slice_)}, [position])
        return _as_array(output)

    def visit(
        self,
        slice_: np.ndarray,
        look: Callable[[LayerInfo, np.ndarray], None],
        numbers: Collection[int] | None = None,
        known: Mapping[int, np.ndarray] | None = None,
    ) -> None:
        """Shows layers' maps to ``look`` in one pass, one layer at a time, so that memory stays bounded.

        Args:
            slice_: As for ``maps``.
            look: Called with layer and maps, in the order of the numbers; what it does not keep is let go.
            numbers: Of the layers to show; all by default. Layers behind the last of them do not run.
            known: Number of a layer -> its maps of this very slice, from a pass before. Layers that only lead to it
                do not run again, and it is not shown; out of ``starts`` of a wanted layer, nothing in front of it runs.

        Raises:
            ModelError: No such layer, or a slice that does not fit the network.
        """
        wanted = {
            self._position[self.layer(number).number] for number in (self._position if numbers is None else numbers)
        }
        batch = self._batch(slice_)

        def show(position: int, output: object) -> None:
            if position in wanted:
                look(self.layers[self._number[position] - 1], _as_array(output))

        values = {self._graph.input: batch}
        for number, maps in (known or {}).items():
            position = self._position[self.layer(number).number]
            values[position] = keras.ops.convert_to_tensor(maps[None], self._graph.operations[position].output.dtype)
        show(self._graph.input, batch)
        self._graph.run(values, [], visit=show, passing=sorted(wanted))

    def _batch(self, slice_: np.ndarray) -> object:
        array = np.asarray(slice_)
        if array.ndim == 2:
            array = array[..., None]
        return keras.ops.convert_to_tensor(check_slices(array[None], self._input_shape))


def to_grey(map_: np.ndarray, low: float | None = None, high: float | None = None) -> np.ndarray:
    """One activation map as a grey picture.

    Args:
        map_: Float ``(h, w)`` or any other shape, in any range.
        low: Value drawn black; the map's minimum by default.
        high: Value drawn white; the map's maximum by default.

    Returns:
        uint8 of the same shape: linear from ``low`` to ``high``, clipped. A map without contrast (``high`` not above
        ``low``) is black; NaN is black.
    """
    values = np.asarray(map_, np.float64)
    finite = values[np.isfinite(values)]
    if finite.size == 0:
        return np.zeros(values.shape, np.uint8)
    low = float(finite.min()) if low is None else low
    high = float(finite.max()) if high is None else high
    if not high > low:
        return np.zeros(values.shape, np.uint8)
    scaled = np.nan_to_num((values - low) / (high - low), nan=0.0, posinf=1.0, neginf=0.0)
    return np.round(255 * np.clip(scaled, 0, 1)).astype(np.uint8)


def channel_grid(
    maps: np.ndarray,
    channels: Sequence[int],
    per_channel: bool = True,
    columns: int | None = None,
    tile: int | None = None,
    gap: int = 2,
    scale: tuple[float, float] | None = None,
) -> np.ndarray:
    """Channels of a layer side by side as one grey picture.

    Args:
        maps: Float ``(h, w, c)``.
        channels: Channels to draw, from 0, row by row in this order.
        per_channel: Each channel from its own minimum (black) to its own maximum (white); False: one scale from the
            minimum to the maximum of the whole layer, so that brightness compares across channels.
        columns: Tiles in a row; by default as near to a square grid as can be.
        tile: Height of a tile in pixels; by default the map's own. Pixels are repeated, not blended, so that the
            layer's true resolution can be seen.
        gap: White pixels between tiles.
        scale: Values drawn black and white, in place of the layer's ends; only where channels share a scale.

    Returns:
        uint8 ``(rows * h + (rows - 1) * gap, columns * w + (columns - 1) * gap)``; places left over are white.

    Raises:
        ModelError: Maps without three axes, no channel, or a channel that the layer does not have.
    """
    maps = np.asarray(maps)
    if maps.ndim != 3:
        raise ModelError(f"Expected maps of shape (h, w, c). Received: {maps.shape}; draw a vector as bars instead.")
    unknown = [channel for channel in channels if not 0 <= channel < maps.shape[-1]]
    if unknown or len(channels) == 0:
        raise ModelError(f"Expected channels from 0 to {maps.shape[-1] - 1}, at least one. Received: {list(channels)}.")
    if per_channel:
        lows, highs = (ends[list(channels)] for ends in _finite_ends(maps))
    else:
        lows, highs = ([end] * len(channels) for end in scale or (float(np.nanmin(maps)), float(np.nanmax(maps))))
    height, width = maps.shape[:2]
    tile_size = (height, width) if tile is None else (tile, max(1, round(tile * width / height)))
    # Nearest neighbour by index: the row and column of the map that each pixel of the tile shows.
    rows_of_map = np.arange(tile_size[0]) * height // tile_size[0]
    columns_of_map = np.arange(tile_size[1]) * width // tile_size[1]
    # taken before it is scaled: a large map has many more pixels than its tile
    shown = maps[np.ix_(rows_of_map, columns_of_map, channels)]

    columns = int(np.ceil(np.sqrt(len(channels)))) if columns is None else columns
    rows = -(-len(channels) // columns)
    grid = np.full((rows * (tile_size[0] + gap) - gap, columns * (tile_size[1] + gap) - gap), 255, np.uint8)
    for place, (low, high) in enumerate(zip(lows, highs, strict=True)):
        top = place // columns * (tile_size[0] + gap)
        left = place % columns * (tile_size[1] + gap)
        grid[top : top + tile_size[0], left : left + tile_size[1]] = to_grey(shown[..., place], low, high)
    return grid


def _finite_ends(maps: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Smallest and largest finite value of each channel of ``(h, w, c)``; infinite where a channel has none."""
    places = maps.reshape(-1, maps.shape[-1])
    finite = np.isfinite(places)
    if finite.all():
        return places.min(axis=0), places.max(axis=0)
    return np.where(finite, places, np.inf).min(axis=0), np.where(finite, places, -np.inf).max(axis=0)


def _layer_info(number: int, layer: keras.layers.Layer, field: ReceptiveField | None, ends_block: bool) -> LayerInfo:
    shape = tuple(layer.output.shape)[1:]
    return LayerInfo(number, layer.name, type(layer).__name__, shape, int(layer.count_params()), field, ends_block)


def _block_ends(graph: FlatGraph) -> set[int]:
    """Positions of the last layer of each block: where all that goes on is one tensor of maps.

    Several such layers in a row belong to one block if their names say so; without a block's name a layer counts
    unless a normalisation, activation or padding follows it.
    """
    ends: dict[str, int] = {}
    for position in graph.cut_points():
        layer = graph.operations[position]
        if position == graph.input or len(layer.output.shape) != 4:
            continue
        named = _BLOCK.match(layer.name)
        followers = [graph.operations[reader] for reader in graph.readers(position)]
        inside = len(followers) == 1 and isinstance(followers[0], (*POINTWISE, keras.layers.ZeroPadding2D))
        if named:
            ends[named[1]] = position
        elif not inside:
            ends[layer.name] = position
    return set(ends.values())


def _as_array(output: object) -> np.ndarray:
    return keras.ops.convert_to_numpy(output)[0].astype(np.float32)
