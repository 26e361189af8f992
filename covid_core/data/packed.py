"""Packs a data set into one file of limited size, for machines that training visits with little luggage.

    python -m covid_core.data.packed DATASET OUTPUT.zip

Slices are resized as for training and compressed as WebP: without loss if that fits the limit, else at the best quality
that does. The same data set, size, limit and libraries give the same bytes. ``data.packfile`` reads the file.
"""

from __future__ import annotations

import argparse
import io
import json
import os
import sys
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image, features
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from covid_core.archive import write_archive
from covid_core.data.cache import decoded
from covid_core.data.dataset import load_dataset
from covid_core.data.packfile import (
    CODEC,
    FORMAT,
    LOSSLESS,
    MANIFEST,
    MAX_BYTES,
    MAX_SLICES,
    decode_webp,
    load_packed,
    member_name,
    pixel_digest,
)
from covid_core.data.sources import Dataset, file_digest
from covid_core.errors import CovidCoreError, DatasetError
from covid_core.settings import Settings

LIMIT_MIB = 45.0
EXIT_USAGE = 2

_METHOD = 4  # of WebP's 0-6: 6 takes three times as long for 3 % fewer bytes, less than a step of quality
_BLOCK = 64  # slices between two looks at the size

Observe = Callable[[str, int, int], None]


@dataclass(frozen=True)
class PackSummary:
    """What packing has kept and lost.

    Args:
        slices: How many.
        quality: WebP quality, 0-100, or ``"lossless"``.
        bytes: Size of the file.
        mean_error: Mean absolute difference of a packed from the resized grey value, 0-255.
        max_error: Largest such difference.
        psnr: Peak signal-to-noise ratio over all pixels in dB, ``10 log10(255² / mean squared error)``; infinite
            without loss.
    """

    slices: int
    quality: int | str
    bytes: int
    mean_error: float
    max_error: int
    psnr: float


def pack_dataset(
    dataset: Dataset,
    output: str | Path,
    size: int,
    interpolation: str,
    cache_folder: str | Path,
    limit_bytes: int = int(LIMIT_MIB * 2**20),
    observe: Observe | None = None,
) -> PackSummary:
    """Writes ``output``; it appears whole, read back and checked, or not at all.

    Args:
        dataset: Slices on disk, not packed yet.
        output: The file, ``.zip``.
        size: Side of the square slices in pixels.
        interpolation: See ``slices.resize_slice``.
        cache_folder: For the resized slices, see ``cache.decoded``; training on the unpacked data set uses them too.
        limit_bytes: Largest size of the file.
        observe: Called with (what is being done, slices done, slices in all).

    Raises:
        DatasetError: Slices that cannot be read, no quality that fits, or a place that cannot be written.
    """
    output, observe = Path(output), observe or (lambda stage, done, total: None)
    _check_request(dataset, output, limit_bytes)
    pixels = decoded(dataset, size, interpolation, cache_folder, lambda done, total: observe("decode", done, total))
    manifest = {
        "format": FORMAT,
        "name": dataset.name,
        "size": size,
        "interpolation": interpolation,
        "codec": CODEC,
        "quality": 100,
        "slices": [
            {
                "path": path,
                "label": dataset.classes[label],
                "patient": patient,
                "source": file_digest(dataset.root / path),
                "pixels": "0" * 64,
            }
            for path, label, patient in zip(
                dataset.paths, dataset.labels, dataset.groups or [""] * len(dataset), strict=True
            )
        ],
    }
    frame = len(_container(manifest, [b""] * len(dataset))) + len(LOSSLESS)
    quality, members = _best_that_fits(pixels[..., 0], limit_bytes - frame, observe)
    errors = _Errors()
    for number, data in enumerate(members):
        grey = decode_webp(data)
        errors.add(grey, pixels[number, :, :, 0])
        manifest["slices"][number]["pixels"] = pixel_digest(grey)
        observe("check", number + 1, len(members))
    whole = _container(manifest | {"quality": quality}, members)
    _write(output, whole, dataset)
    return PackSummary(len(members), quality, len(whole), errors.mean, errors.largest, errors.psnr)


def _check_request(dataset: Dataset, output: Path, limit_bytes: int) -> None:
    if not features.check("webp"):
        raise DatasetError("Expected a Pillow that reads and writes WebP. This one does not: pip install pillow.")
    if dataset.packing is not None:
        raise DatasetError(f"Expected the source slices. Received: {dataset.root}, packed already. Name their folder.")
    if output.suffix.lower() != ".zip":
        raise DatasetError(f"Expected an output that ends in .zip. Received: {output}.")
    if len(dataset) > MAX_SLICES:
        raise DatasetError(f"Expected at most {MAX_SLICES:,} slices in a file. Received: {len(dataset):,}.")
    if not 0 < limit_bytes <= MAX_BYTES:
        raise DatasetError(f"Expected a limit above 0 and up to {MAX_BYTES >> 20} MiB. Received: {limit_bytes} bytes.")


def _best_that_fits(pixels: np.ndarray, budget: int, observe: Observe) -> tuple[int | str, list[bytes]]:
    """Quality and encoded slices: lossless, or the highest quality within ``budget`` bytes, found by bisection."""
    members = _encode(pixels, LOSSLESS, budget, observe)
    if members is not None:
        return LOSSLESS, members
    best, low, high = None, 0, 100
    while low <= high:
        quality = (low + high + 1) // 2
        members = _encode(pixels, quality, budget, observe)
        if members is None:
            high = quality - 1
        else:
            best, low = (quality, members), quality + 1
    if best is None:
        raise DatasetError(
            f"Expected slices of {pixels.shape[1]} px to fit the limit. {len(pixels)} of them do not at any WebP "
            f"quality. Allow more, --limit-mib, or make them smaller, --size."
        )
    return best


def _encode(pixels: np.ndarray, quality: int | str, budget: int, observe: Observe) -> list[bytes] | None:
    """All slices at one quality, or None as soon as they take more than ``budget`` bytes."""
    stage = quality if quality == LOSSLESS else f"quality {quality}"
    options = {"lossless": True} if quality == LOSSLESS else {"quality": quality}

    def encode(grey: np.ndarray) -> bytes:
        buffer = io.BytesIO()
        Image.fromarray(grey).save(buffer, "WEBP", method=_METHOD, **options)
        return buffer.getvalue()

    members: list[bytes] = []
    with ThreadPoolExecutor() as pool:
        for start in range(0, len(pixels), _BLOCK):
            members += pool.map(encode, np.asarray(pixels[start : start + _BLOCK]))
            budget -= sum(map(len, members[start:]))
            if budget < 0:
                return None
            observe(stage, len(members), len(pixels))
    return members


class _Errors:
    """Sums of differences over slices."""

    def __init__(self) -> None:
        self.largest = 0
        self._count = self._absolute = self._squared = 0

    def add(self, packed: np.ndarray, exact: np.ndarray) -> None:
        difference = np.abs(packed.astype(np.int64) - exact)
        self.largest = max(self.largest, int(difference.max()))
        self._count += difference.size
        self._absolute += int(difference.sum())
        self._squared += int(np.square(difference).sum())

    @property
    def mean(self) -> float:
        return self._absolute / self._count

    @property
    def psnr(self) -> float:
        return float(10 * np.log10(255**2 * self._count / self._squared)) if self._squared else float("inf")


def _container(manifest: dict, members: list[bytes]) -> bytes:
    buffer = io.BytesIO()
    text = json.dumps(manifest, separators=(",", ":"))
    slices = ((member_name(number), data) for number, data in enumerate(members))
    write_archive(buffer, [(MANIFEST, text.encode()), *slices])
    return buffer.getvalue()


def _write(output: Path, whole: bytes, dataset: Dataset) -> None:
    partial = output.with_name(f".{output.stem}.{os.getpid()}.partial{output.suffix}")
    try:
        output.parent.mkdir(parents=True, exist_ok=True)
        try:
            partial.write_bytes(whole)
            if load_packed(partial, dataset.classes[-1]).digest != dataset.digest:
                raise DatasetError(
                    f"Expected {dataset.root} to stay as it is. Its files changed meanwhile. Pack it again."
                )
            partial.replace(output)
        finally:
            partial.unlink(missing_ok=True)
    except OSError as error:
        raise DatasetError(f"Expected to write {output}. Received: {error.strerror}. Name another place.") from error


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs the command line and returns its exit code: 0 packed, 2 refused."""
    from covid_core.training.protocol import Protocol  # defaults live there; only the command stands above training

    protocol, settings = Protocol(), Settings.from_environment()
    flags = argparse.ArgumentParser(prog="python -m covid_core.data.packed", description=__doc__.split("\n\n")[0])
    flags.add_argument("dataset", type=Path, help="folder of class folders, or CSV with path, label and patient")
    flags.add_argument("output", type=Path, help="the file to write, .zip")
    flags.add_argument("--size", type=int, default=protocol.size, help="side in pixels (default: %(default)s)")
    flags.add_argument("--limit-mib", type=float, default=LIMIT_MIB, help="largest file in MiB (default: %(default)g)")
    flags.add_argument("--positive", default="COVID", help="name of the positive class (default: %(default)s)")
    flags.add_argument("--patients", type=Path, help="CSV with path and patient, for a folder")
    options = flags.parse_args(arguments)
    console = Console(soft_wrap=True)
    try:
        dataset = load_dataset(options.dataset, options.positive, options.patients)
        columns = (TextColumn("{task.description:<12}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
        with Progress(*columns, console=console) as progress:
            bars: dict[str, int] = {}

            def observe(stage: str, done: int, total: int) -> None:
                if stage not in bars:
                    bars[stage] = progress.add_task(stage, total=total)
                progress.update(bars[stage], completed=done)

            limit = int(options.limit_mib * 2**20)
            summary = pack_dataset(
                *(dataset, options.output, options.size, protocol.interpolation, settings.cache_folder, limit, observe)
            )
    except CovidCoreError as error:
        console.print(f"[bold red]Refused:[/] {error}", highlight=False)
        return EXIT_USAGE
    console.print(f"Data set    {dataset.name}: {summary.slices} slices, digest {dataset.digest[:16]}")
    console.print(f"Packed      {options.size} px, WebP {_words(summary.quality)}, {summary.bytes / 2**20:.2f} MiB")
    console.print(
        f"Error       mean {summary.mean_error:.3f}, largest {summary.max_error} of 255 grey values, "
        f"PSNR {summary.psnr:.1f} dB"
    )
    console.print(f"Written to  {options.output}")
    return 0


def _words(quality: int | str) -> str:
    return quality if quality == LOSSLESS else f"quality {quality}"


if __name__ == "__main__":
    sys.exit(main())
