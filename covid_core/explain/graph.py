"""A flat Keras network as a list of operations that can be run piece by piece.

``keras.Model(layer.output, model.output)`` would cut a network too, but only where a single tensor holds everything,
and each such cut leaves clones behind in the layers of the network it was made from.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from difflib import get_close_matches
from math import prod
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from covid_core.errors import ModelError


class FlatGraph:
    """The operations of a functional model in an order in which they can run; positions start at 0.

    Layers run in inference mode: dropout and noise are off, batch normalisation uses its moving statistics.

    Args:
        model: Flat functional ``keras.Model`` with one input and one output, each of its layers called once.

    Raises:
        ModelError: The model has another shape.
    """

    def __init__(self, model: keras.Model):
        if not hasattr(model, "operations") or len(model.inputs) != 1 or len(model.outputs) != 1:
            raise ModelError(
                "Expected a flat functional keras.Model with one input and one output. "
                f"Received: {type(model).__name__} '{model.name}'. Build networks with covid_core.models.build."
            )
        self.operations: tuple[Any, ...] = tuple(model.operations)
        for operation in self.operations:
            if not isinstance(operation, keras.layers.Layer):
                raise ModelError(
                    f"Expected a model made of layers. Received: the bare operation '{operation.name}' in "
                    f"'{model.name}'. Use the layer of the same purpose (Rescaling, Add, …) instead."
                )
        self._position = {operation.name: position for position, operation in enumerate(self.operations)}
        made_by = {id(operation.output): position for position, operation in enumerate(self.operations)}
        self.input = made_by[id(model.inputs[0])]
        self.output = made_by[id(model.outputs[0])]
        # What each layer was called with, positions in place of tensors: one position, or a list of them.
        self._call: list[int | list[int] | None] = []
        for position, operation in enumerate(self.operations):
            try:
                self._call.append(None if position == self.input else _positions(operation.input, made_by))
            except KeyError:
                raise ModelError(
                    f"Expected a flat model whose layers are each called once. Received: '{model.name}', where "
                    f"'{operation.name}' reads a tensor that no layer's first call made."
                ) from None

    def position(self, name: str) -> int:
        """Position of the layer ``name``; ModelError with near names if there is none."""
        if name not in self._position:
            near = get_close_matches(name, self._position, n=3, cutoff=0.4)
            hint = f" Near names: {', '.join(near)}." if near else ""
            raise ModelError(f"Expected the name of one of {len(self._position)} layers. Received: '{name}'.{hint}")
        return self._position[name]

    def sources(self, position: int) -> tuple[int, ...]:
        """Positions whose outputs the layer reads; empty for the input."""
        call = self._call[position]
        if call is None:
            return ()
        return tuple(call) if isinstance(call, list) else (call,)

    def needed(self, targets: Iterable[int], known: Iterable[int]) -> list[int]:
        """Positions to run, in order, so that ``targets`` are there when ``known`` are given."""
        known, needed, waiting = set(known), set(), list(targets)
        while waiting:
            position = waiting.pop()
            if position in known or position in needed:
                continue
            needed.add(position)
            waiting.extend(self.sources(position))
        return sorted(needed)

    def bypass(self, position: int, target: int) -> list[int]:
        """Positions whose outputs reach ``target`` beside ``position``: empty where ``position`` is a cut point.

        Together with ``position`` they hold everything that the rest of the network reads, although none of them
        depends on ``position`` (the shortcut of a residual block, the earlier layers of a dense block).
        """
        downstream = {position}
        for later in range(position + 1, len(self.operations)):
            if downstream.intersection(self.sources(later)):
                downstream.add(later)
        run = [later for later in self.needed([target], known=[position]) if later in downstream]
        return sorted({source for later in run for source in self.sources(later)} - downstream)

    def readers(self, position: int) -> list[int]:
        """Positions of the layers that read the layer's output."""
        return [later for later in range(position + 1, len(self.operations)) if position in self.sources(later)]

    def cut_points(self) -> list[int]:
        """Positions whose output is all that later layers read of what came before: there the network is one tensor."""
        last_reader = list(range(len(self.operations)))
        for later in range(len(self.operations)):
            for source in self.sources(later):
                last_reader[source] = later
        cuts, furthest = [], 0
        for position, last in enumerate(last_reader):
            if furthest <= position:
                cuts.append(position)
            furthest = max(furthest, last)
        return cuts

    def run(
        self,
        values: dict[int, Any],
        targets: Sequence[int],
        visit: Callable[[int, Any], None] | None = None,
        passing: Sequence[int] = (),
    ) -> list[Any]:
        """Outputs of ``targets``, computed from ``values``; each tensor is let go after its last reader.

        Args:
            values: Position -> tensor with a batch axis; must hold what the targets depend on, at least the input.
            targets: Positions wanted.
            visit: Called with position and tensor of each computed layer, in order.
            passing: Positions to compute for ``visit`` alone: their tensors are let go like those of any other layer.
        """
        tensors = dict(values)
        for position, read_last in self._schedule(values, targets, passing):
            call = self._call[position]
            if call is None:
                raise ModelError(f"Expected a value for the input '{self.operations[position].name}'. Received none.")
            # No training argument: layers then fall back to inference.
            arguments = [tensors[source] for source in call] if isinstance(call, list) else tensors[call]
            tensors[position] = self.operations[position](arguments)
            if visit is not None:
                visit(position, tensors[position])
            for source in read_last:
                del tensors[source]
        return [tensors[target] for target in targets]

    def peak_bytes(
        self, known: Iterable[int], targets: Sequence[int], slice_shape: tuple[int, ...], keep: bool = False
    ) -> int:
        """Bytes of the tensors that stand in memory at once, at the worst moment of ``run`` on one slice.

        What a layer needs beside its output while it computes, and the weights, come on top.

        Args:
            known: Positions whose tensors are given.
            targets: Positions wanted.
            slice_shape: ``(H, W, 1)``.
            keep: Nothing is let go, as under a gradient tape.
        """
        sizes = self._bytes(slice_shape)
        known = list(known)
        live = peak = sum(sizes[position] for position in known)
        for position, read_last in self._schedule(known, targets):
            live += sizes[position]
            peak = max(peak, live)
            if not keep:
                live -= sum(sizes[source] for source in read_last)
        return peak

    def _schedule(
        self, known: Iterable[int], targets: Sequence[int], passing: Sequence[int] = ()
    ) -> Iterator[tuple[int, list[int]]]:
        """Positions to run, in order, each with those that nobody reads after it."""
        order = self.needed([*targets, *passing], known=known)
        readers = Counter(source for position in order for source in self.sources(position))
        readers.update(targets)  # a target has one reader more: the caller
        for position in order:
            sources = self.sources(position)
            readers.subtract(sources)
            yield position, [source for source in dict.fromkeys(sources) if not readers[source]]

    def _bytes(self, slice_shape: tuple[int, ...]) -> list[int]:
        """Bytes of each layer's output for one slice."""
        outputs: list[Any] = [operation.output for operation in self.operations]
        if None in outputs[self.input].shape[1:]:  # a network for slices of any size: its shapes follow the slice's
            for position, operation in enumerate(self.operations):
                call = self._call[position]
                if call is None:
                    outputs[position] = keras.KerasTensor((1, *slice_shape), outputs[position].dtype)
                    continue
                sources = [outputs[source] for source in call] if isinstance(call, list) else outputs[call]
                outputs[position] = operation.compute_output_spec(sources)
        return [prod(output.shape[1:]) * tf.as_dtype(output.dtype).size for output in outputs]


def same_layer(layer: str, model: keras.Model, copy: keras.Model) -> str:
    """Name in ``copy`` of what is called ``layer`` in ``model``.

    Keras numbers layers that nobody named by what their thread built before: two copies of one architecture agree in
    the places of their layers, not in all names.

    Raises:
        ValueError: ``model`` has no such layer.
    """
    return copy.layers[model.layers.index(model.get_layer(layer))].name


def check_slices(slices: np.ndarray, input_shape: tuple[int | None, ...]) -> np.ndarray:
    """A batch of slices as float32, or the reason why it does not fit the network.

    Args:
        slices: Grey values 0-255, float or integer, ``(N, H, W, 1)`` with N at least 1.
        input_shape: ``model.input_shape``: None, H, W, 1; None fits any size.

    Returns:
        float32 ``(N, H, W, 1)``.

    Raises:
        ModelError: Another shape, no numbers, NaN or infinite values, or values that are not grey 0-255.
    """
    array = np.asarray(slices)
    expected = tuple(input_shape)[1:]
    fits = array.ndim == len(expected) + 1 and all(
        want is None or want == got for want, got in zip(expected, array.shape[1:], strict=True)
    )
    if not fits or len(array) == 0:
        wanted = ", ".join("any" if size is None else str(size) for size in expected)
        raise ModelError(
            f"Expected slices of shape (N, {wanted}) with N at least 1. Received: shape {array.shape}. "
            "Resize the slice to the network's input and add the batch and channel axes."
        )
    if array.dtype.kind not in "fiu":
        raise ModelError(f"Expected slices of float or integer grey values 0-255. Received: dtype {array.dtype}.")
    batch = array.astype(np.float32)
    if not np.isfinite(batch).all():
        raise ModelError(
            "Expected finite grey values 0-255. Received: NaN or infinite values. Fill the missing pixels first."
        )
    # One grey value of slack: interpolation with a sharp kernel overshoots a little.
    low, high = float(batch.min()), float(batch.max())
    if low < -1 or high > 256:
        raise ModelError(
            f"Expected grey values 0-255. Received: {low:g} to {high:g}. Window Hounsfield units to 0-255 first."
        )
    return batch


def _positions(tensors: Any, made_by: dict[int, int]) -> int | list[int]:
    if isinstance(tensors, list | tuple):
        return [made_by[id(tensor)] for tensor in tensors]
    return made_by[id(tensors)]
