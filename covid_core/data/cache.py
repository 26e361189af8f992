"""A data set's slices, decoded once into one array on disk that later runs map into memory."""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import numpy as np

from covid_core.data.packfile import packed_slices
from covid_core.data.slices import read_slice, resize_slice
from covid_core.data.sources import Dataset
from covid_core.errors import DatasetError, SliceError

logger = logging.getLogger(__name__)

SHOWN_FAILURES = 10


def decoded(
    dataset: Dataset,
    size: int,
    interpolation: str,
    folder: str | Path,
    observe: Callable[[int, int], None] | None = None,
) -> np.ndarray:
    """All slices as one array, mapped from ``folder``; decoded on the first call.

    Args:
        dataset: The data set; its digest and packing are part of the file's name, so a changed one is decoded anew.
        size: Side of the square slices in pixels.
        interpolation: See ``resize_slice``.
        folder: Where the array lies; made if absent.
        observe: Called with (slices done, slices in all) while decoding.

    Returns:
        Read-only uint8 ``(N, size, size, 1)``, grey values 0-255.

    Raises:
        DatasetError: Files that cannot be read, named; nothing is dropped silently. Or the data set is packed
            otherwise.
    """
    dataset.check_packing(size, interpolation)
    folder = Path(folder)
    packed = f"-packed-{dataset.packing.pixels}" if dataset.packing else ""
    target = folder / f"{dataset.digest[:16]}-{size}-{interpolation}{packed}.npy"
    shape = (len(dataset), size, size, 1)
    if target.is_file():
        try:
            array = np.load(target, mmap_mode="r", allow_pickle=False)
        except (OSError, ValueError) as error:
            logger.warning("decoding again, the cached array cannot be read: %s", error)
        else:
            if array.shape == shape and array.dtype == np.uint8:
                return array
    folder.mkdir(parents=True, exist_ok=True)
    # complete under its final name or not there at all, whenever the process is killed
    partial = target.with_suffix(f".{os.getpid()}.partial")
    try:
        _decode_into(partial, dataset, shape, interpolation, observe)
        partial.replace(target)
    finally:
        partial.unlink(missing_ok=True)
    return np.load(target, mmap_mode="r", allow_pickle=False)


def refuse_unreadable(failures: Sequence[str], total: int) -> None:
    """Refuse a data set with files that cannot be read.

    Args:
        failures: A line for each such file; nothing happens if there is none.
        total: Number of slices.

    Raises:
        DatasetError: There are failures; the first ones are named.
    """
    if failures:
        shown = "\n".join(failures[:SHOWN_FAILURES])
        more = f"\nand {len(failures) - SHOWN_FAILURES} more" if len(failures) > SHOWN_FAILURES else ""
        raise DatasetError(
            f"Expected {total} readable slices. Received: {len(failures)} that cannot be read; "
            f"repair or remove them:\n{shown}{more}"
        )


def _decode_into(
    file: Path,
    dataset: Dataset,
    shape: tuple[int, int, int, int],
    interpolation: str,
    observe: Callable[[int, int], None] | None,
) -> None:
    array = np.lib.format.open_memmap(file, mode="w+", dtype=np.uint8, shape=shape)
    failures = []

    def decode(position: int) -> str | None:
        try:
            array[position, :, :, 0] = read(position)
        except SliceError as error:
            return f"{dataset.paths[position]}: {error}"
        return None

    with _slices(dataset, shape[1], interpolation) as read, ThreadPoolExecutor() as pool:
        for done, failure in enumerate(pool.map(decode, range(len(dataset))), start=1):
            if failure:
                failures.append(failure)
            if observe:
                observe(done, len(dataset))
    refuse_unreadable(failures, len(dataset))
    array.flush()


@contextmanager
def _slices(dataset: Dataset, size: int, interpolation: str) -> Iterator[Callable[[int], np.ndarray]]:
    """A function from a position to uint8 ``(size, size)``, which raises SliceError for a slice that is damaged."""
    if dataset.packing:
        with packed_slices(dataset) as read:
            yield read
    else:
        yield lambda position: resize_slice(
            read_slice(dataset.root / dataset.paths[position]).pixels, size, interpolation
        )
