"""Which part of a slice one place of a layer's maps can see, and how far apart neighbouring places look."""

from __future__ import annotations

from dataclasses import dataclass, replace

import keras

from covid_core.explain.graph import FlatGraph

layers = keras.layers

POINTWISE = (
    *(layers.Activation, layers.ReLU, layers.LeakyReLU, layers.BatchNormalization, layers.Normalization),
    *(layers.Rescaling, layers.Dropout, layers.SpatialDropout2D, layers.GaussianNoise),
)
"""Layers whose output at a place depends on the input at that place alone."""

_WINDOWS = (layers.Conv2D, layers.DepthwiseConv2D, layers.SeparableConv2D, layers.MaxPooling2D, layers.AveragePooling2D)


@dataclass(frozen=True)
class Axis:
    """What place 0 sees along one axis of the slice, and where the next place looks.

    Args:
        first: First pixel; negative where it begins in the padding.
        size: Number of pixels.
        stride: Pixels from one place to the next.
    """

    first: int
    size: int
    stride: int

    def _union(self, other: Axis) -> Axis:
        first = min(self.first, other.first)
        return Axis(first, max(self.first + self.size, other.first + other.size) - first, self.stride)


@dataclass(frozen=True)
class ReceptiveField:
    """The smallest box of pixels that holds all that place (0, 0) can depend on; others lie strides away.

    It is counted with the padding, and may be larger than the slice. Pixels near its rim weigh little.

    Args:
        rows: Down the slice.
        columns: Across it.
        bounded: False where a global pooling beside the path (squeeze and excitation) lets every place depend on the
            whole slice; the box is then that of the path without it.
    """

    rows: Axis
    columns: Axis
    bounded: bool = True


def receptive_fields(graph: FlatGraph) -> list[ReceptiveField | None]:
    """Receptive field of each operation by position, by the recursion of Araujo et al. 2019, with offsets.

    Args:
        graph: A flat network.

    Returns:
        None of layers without places (vectors, and maps that come from one), and where a layer is none of those that
        the rule is known for.
    """
    fields: list[ReceptiveField | None] = []
    for position, operation in enumerate(graph.operations):
        if position == graph.input:
            fields.append(ReceptiveField(Axis(0, 1, 1), Axis(0, 1, 1)))
            continue
        sources = [fields[source] for source in graph.sources(position)]
        fields.append(_field(operation, sources))
    return fields


def _field(operation: keras.layers.Layer, sources: list[ReceptiveField | None]) -> ReceptiveField | None:
    if len(operation.output.shape) != 4:
        return None
    if len(sources) > 1:
        return _merged(sources)
    (source,) = sources
    if source is None or isinstance(operation, POINTWISE):
        return source
    if isinstance(operation, layers.ZeroPadding2D):
        (top, _), (left, _) = operation.padding
        return replace(source, rows=_moved(source.rows, -top), columns=_moved(source.columns, -left))
    if isinstance(operation, _WINDOWS):
        rows, columns = (
            _windowed(axis, operation, number) for number, axis in enumerate((source.rows, source.columns))
        )
        return replace(source, rows=rows, columns=columns)
    return None


def _merged(sources: list[ReceptiveField | None]) -> ReceptiveField | None:
    """Of what is added, multiplied or put side by side: the box around all of them."""
    known = [source for source in sources if source is not None]
    if len({(source.rows.stride, source.columns.stride) for source in known}) != 1:
        return None
    rows, columns = known[0].rows, known[0].columns
    for other in known[1:]:
        rows, columns = rows._union(other.rows), columns._union(other.columns)
    return ReceptiveField(rows, columns, len(known) == len(sources) and all(source.bounded for source in known))


def _moved(axis: Axis, places: int) -> Axis:
    return replace(axis, first=axis.first + places * axis.stride)


def _windowed(axis: Axis, operation: keras.layers.Layer, number: int) -> Axis:
    """After a window that slides along the axis: ``number`` 0 for rows, 1 for columns."""
    window = getattr(operation, "kernel_size", None) or operation.pool_size
    dilation = getattr(operation, "dilation_rate", (1, 1))[number]
    reach = (window[number] - 1) * dilation + 1
    stride = operation.strides[number]
    before = 0
    if operation.padding == "same":
        # as the libraries pad: an odd pixel goes behind
        length, places = operation.input.shape[1 + number], operation.output.shape[1 + number]
        before = (reach - 1) // 2 if length is None else max((places - 1) * stride + reach - length, 0) // 2
    moved = _moved(axis, -before)
    return Axis(moved.first, axis.size + (reach - 1) * axis.stride, axis.stride * stride)
