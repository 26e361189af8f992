"""Speed of a training step: with augmentation, on a fixed batch without it, and the textbook way.

    python -m benchmarks.training                                        # five networks, 128 px, batch 16
    KERAS_BACKEND=jax python -m benchmarks.training --size 380 --batch-size 32 --precision mixed_bfloat16

One table from one run. Each network is measured in turn, the ways interleaved in ``--repeats`` rounds, and the median
is shown: machines drift, ratios of one run do not. The textbook way reads, resizes and augments file by file in Python
and feeds ``fit``, as most tutorials do; the slices are the phantom's, written as PNG to a temporary folder.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import cv2
import keras
import numpy as np
from rich.console import Console
from rich.table import Table

from covid_core.data.augmentation import Augmentation
from covid_core.data.cache import decoded
from covid_core.data.dataset import load_dataset
from covid_core.data.phantom import write_dataset
from covid_core.data.slices import read_slice, resize_slice
from covid_core.data.sources import Dataset
from covid_core.training.batches import Batches
from covid_core.training.devices import default_precision, facts
from covid_core.training.fold import FoldTrainer
from covid_core.training.protocol import PRECISIONS, Protocol

NETWORKS = ("EfficientNetB0", "ResNet50", "DenseNet121", "Xception", "VGG16")
NOTHING = Augmentation(rotation=0, shear=0, skew=0, flip=False, noise=0)


def main() -> None:
    """Measures and prints."""
    flags = argparse.ArgumentParser(description="Speed of a training step.")
    flags.add_argument("--networks", nargs="+", default=NETWORKS)
    flags.add_argument("--size", type=int, default=128)
    flags.add_argument("--batch-size", type=int, default=16)
    flags.add_argument("--steps", type=int, default=6, help="steps in one timing")
    flags.add_argument("--repeats", type=int, default=3)
    flags.add_argument("--precision", choices=PRECISIONS, default=default_precision())
    options = flags.parse_args()
    console = Console(soft_wrap=True)
    described = ", ".join(facts(options.precision).values())
    console.print(f"{options.size} px, batch {options.batch_size}, {options.steps} steps a timing: {described}")
    table = Table("network", "step", "images/s", "step / fixed batch", "textbook step", "textbook / step", box=None)
    with tempfile.TemporaryDirectory() as folder:
        count = options.steps * options.batch_size
        # neighbouring slices of one patient look alike, which is of no matter to a clock
        root = write_dataset(Path(folder) / "slices", patients=4, slices_per_patient=-(-count // 4), size=512)
        dataset = load_dataset(root)
        pixels = decoded(dataset, options.size, "area", Path(folder) / "cache")
        for name in options.networks:
            ways = _ways(name, options, dataset, pixels)
            seconds = _medians(ways, options.repeats)
            step, fixed, textbook = (value / options.steps for value in seconds)
            table.add_row(
                name,
                f"{step * 1000:.0f} ms",
                f"{options.batch_size / step:.1f}",
                f"{step / fixed:.2f}",
                f"{textbook * 1000:.0f} ms",
                f"{textbook / step:.2f}",
            )
            console.print(f"done {name}", style="dim")
    console.print(table)


def _ways(name: str, options: argparse.Namespace, dataset: Dataset, pixels: np.ndarray) -> list[Callable[[], Any]]:
    """The three things to time, each warm: traced, compiled, memory allotted."""
    protocol = Protocol(size=options.size, batch_size=options.batch_size)
    count = options.steps * options.batch_size
    positions = np.arange(count)
    augmented = FoldTrainer(name, protocol, len(dataset.classes), count, options.precision)
    plain = FoldTrainer(name, replace(protocol, augmentation=NOTHING), len(dataset.classes), count, options.precision)
    own = Batches(pixels, dataset.labels, positions, options.batch_size, seed=0)
    still = _FixedBatch(np.asarray(pixels[: options.batch_size]), dataset.labels[: options.batch_size], options.steps)
    textbook = _FileByFile(dataset, positions, options.size, options.batch_size, protocol.augmentation)
    pairs = [(augmented, own), (plain, still), (plain, textbook)]
    return [partial(trainer.trainer.fit, data, shuffle=False, verbose=0) for trainer, data in pairs]


def _medians(ways: list[Callable[[], Any]], repeats: int) -> list[float]:
    for way in ways:
        way()
    times: list[list[float]] = [[] for _ in ways]
    for _ in range(repeats):
        for way, taken in zip(ways, times, strict=True):
            started = time.perf_counter()
            way()
            taken.append(time.perf_counter() - started)
    return [statistics.median(taken) for taken in times]


class _FixedBatch(keras.utils.PyDataset):
    """The same batch over and over: what a step costs when input costs nothing."""

    def __init__(self, pixels: np.ndarray, labels: np.ndarray, steps: int):
        super().__init__()
        self._batch = (pixels, labels.astype(np.int32))
        self._steps = steps

    def __len__(self) -> int:
        return self._steps

    def __getitem__(self, index: int) -> tuple[np.ndarray, np.ndarray]:
        return self._batch


class _FileByFile(keras.utils.PyDataset):
    """Reads, resizes and augments each slice in Python when its batch is due."""

    def __init__(self, dataset: Dataset, positions: np.ndarray, size: int, batch_size: int, augmentation: Augmentation):
        super().__init__()
        self._dataset = dataset
        self._positions = positions
        self._size = size
        self._batch_size = batch_size
        self._augmentation = augmentation
        self._rng = np.random.default_rng(0)

    def __len__(self) -> int:
        return len(self._positions) // self._batch_size

    def __getitem__(self, index: int) -> tuple[np.ndarray, np.ndarray]:
        batch = self._positions[index * self._batch_size : (index + 1) * self._batch_size]
        slices = [self._augmented(read_slice(self._dataset.root / self._dataset.paths[n]).pixels) for n in batch]
        return np.stack(slices)[..., None], self._dataset.labels[batch].astype(np.int32)

    def _augmented(self, pixels: np.ndarray) -> np.ndarray:
        grey = resize_slice(pixels, self._size, "area").astype(np.float32)
        kind, rng, size = self._augmentation, self._rng, self._size
        turn = cv2.getRotationMatrix2D((size / 2, size / 2), rng.uniform(-kind.rotation, kind.rotation), 1.0)
        turn[0, 1] += np.tan(rng.uniform(-kind.shear, kind.shear))
        grey = cv2.warpAffine(grey, turn, (size, size))
        corners = np.float32([[0, 0], [size, 0], [size, size], [0, size]])
        moved = corners + rng.uniform(-kind.skew, kind.skew, (4, 2)).astype(np.float32) * size
        grey = cv2.warpPerspective(grey, cv2.getPerspectiveTransform(corners, moved), (size, size))
        if kind.flip and rng.random() < 0.5:
            grey = grey[:, ::-1]
        return np.clip(grey + rng.normal(0, kind.noise * 255, grey.shape), 0, 255).astype(np.uint8)


if __name__ == "__main__":
    main()
