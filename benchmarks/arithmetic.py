"""How much arithmetic a network's step takes, and how much the device does at most."""

from __future__ import annotations

import time

import keras
import numpy as np

from covid_core.training.devices import gpus


def forward_flops(model: keras.Model) -> int:
    """Multiplications and additions of one slice's way through the convolutions and dense layers of a network.

    What costs memory traffic rather than arithmetic (normalisation, activation, pooling, addition) is left out, as is
    usual; a training step takes about three times as much, once forward and twice backward.

    Args:
        model: Flat functional network of fixed input size.
    """
    return 2 * sum(_multiplications(layer) for layer in model.layers)


def _multiplications(layer: keras.Layer) -> int:
    layers = keras.layers
    if isinstance(layer, layers.SeparableConv2D):
        height, width, _ = layer.output.shape[1:]
        return height * width * sum(int(np.prod(kernel.shape)) for kernel in _kernels(layer))
    if isinstance(layer, layers.Conv2D | layers.DepthwiseConv2D):
        height, width, _ = layer.output.shape[1:]
        return height * width * int(np.prod(layer.kernel.shape))
    if isinstance(layer, layers.Dense):
        return int(np.prod(layer.kernel.shape))
    return 0


def _kernels(layer: keras.layers.SeparableConv2D) -> tuple[keras.Variable, keras.Variable]:
    return layer.depthwise_kernel, layer.pointwise_kernel


def matrix_peak(precision: str) -> float:
    """Measured FLOP/s of a large matrix product, the most that the device gives to any network.

    Args:
        precision: A Keras dtype policy name; the product is in its compute type.
    """
    side = 8192 if gpus() else 2048
    kind = keras.dtype_policies.get(precision).compute_dtype
    values = np.random.default_rng(0).standard_normal((side, side), np.float32) / np.float32(side)
    matrix = keras.ops.cast(keras.ops.convert_to_tensor(values), kind)
    best = float("inf")
    for _ in range(5):
        started = time.perf_counter()
        product = matrix
        for _ in range(4):
            product = keras.ops.matmul(product, matrix)
        keras.ops.convert_to_numpy(product[:1, :1])  # waits for a device that works in the background
        best = min(best, time.perf_counter() - started)
    return 4 * 2 * side**3 / best
