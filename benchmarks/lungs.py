"""How well lung masks fit: Dice against drawn masks.

    python -m benchmarks.lungs                                     # generated slices
    python -m benchmarks.lungs --pictures ct --masks lungs         # two folders with the same file names

Beside ``covid_core.data.lungs`` stands a plain Otsu threshold with the largest regions off the border, for scale.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable, Iterable
from pathlib import Path

import numpy as np
from rich.console import Console
from rich.table import Table
from scipy import ndimage
from skimage import filters, measure, segmentation

from covid_core.data.lungs import dice, find_lungs
from covid_core.data.phantom import patient_slices
from covid_core.data.slices import read_slice

Pair = tuple[str, np.ndarray, np.ndarray]


def main() -> None:
    """Measures and prints."""
    flags = argparse.ArgumentParser(description="Dice of lung masks.")
    flags.add_argument("--pictures", type=Path, help="folder of slices; generated ones where it is left out")
    flags.add_argument("--masks", type=Path, help="folder of lung masks under the same names, 0 and 255")
    flags.add_argument("--patients", type=int, default=24, help="generated patients, four slices each")
    flags.add_argument("--worst", type=int, default=5, help="names to print")
    options = flags.parse_args()
    if (options.pictures is None) != (options.masks is None):
        flags.error("expected --pictures and --masks together")
    pairs = list(_of_folders(options.pictures, options.masks) if options.pictures else _generated(options.patients))
    console = Console(soft_wrap=True)
    table = Table(
        "way", "slices", "mean Dice", "median", "10th percentile", "least", "not found", "ms a slice", box=None
    )
    ways: dict[str, Callable[[np.ndarray], np.ndarray]] = {
        "Otsu": _otsu,
        "data.lungs": lambda pixels: find_lungs(pixels).mask,
    }
    for way, mask_of in ways.items():
        started = time.perf_counter()
        masks = [mask_of(pixels) for _, pixels, _ in pairs]
        seconds = time.perf_counter() - started
        scores = np.array([dice(mask, truth) for mask, (_, _, truth) in zip(masks, pairs, strict=True)])
        table.add_row(
            way,
            str(len(pairs)),
            *(f"{value:.4f}" for value in (scores.mean(), np.median(scores), np.percentile(scores, 10), scores.min())),
            str(sum(not mask.any() for mask in masks)),
            f"{1000 * seconds / len(pairs):.0f}",
        )
    console.print(table)
    worst = ", ".join(f"{pairs[at][0]} {scores[at]:.3f}" for at in np.argsort(scores)[: options.worst])
    console.print(f"Worst of the last: {worst}")


def _of_folders(pictures: Path, masks: Path) -> Iterable[Pair]:
    for file in sorted(pictures.iterdir()):
        yield file.name, read_slice(file).pixels, read_slice(masks / file.name).pixels > 127


def _generated(patients: int) -> Iterable[Pair]:
    for number in range(patients):
        for one in patient_slices(number, number % 2 == 0, slices=4):
            yield f"{one.patient} at {one.position:.2f}", one.pixels, one.lungs


def _otsu(pixels: np.ndarray) -> np.ndarray:
    labels = measure.label(segmentation.clear_border(pixels < filters.threshold_otsu(pixels)))
    mask = np.zeros(pixels.shape, bool)
    for region in sorted(measure.regionprops(labels), key=lambda region: -region.area)[:2]:
        if region.area > 0.01 * pixels.size:
            mask |= ndimage.binary_fill_holes(ndimage.binary_closing(labels == region.label, iterations=3))
    return mask


if __name__ == "__main__":
    main()
