"""Single slices of a data set as they are stored, from files or out of a packed one."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

import numpy as np

from covid_core.data.packfile import packed_slices
from covid_core.data.slices import read_slice
from covid_core.data.sources import Dataset


@contextmanager
def stored_slices(dataset: Dataset) -> Iterator[Callable[[int], np.ndarray]]:
    """A function from a position in ``dataset`` to grey values ``(H, W)``, 0-255, of the slice's own size.

    Raises:
        SliceError: A file cannot be read, from the function.
        DatasetError: A packed file is not the one that the data set was loaded from.
    """
    if dataset.packing:
        with packed_slices(dataset) as read:
            yield read
    else:
        yield lambda position: read_slice(dataset.root / dataset.paths[position]).pixels
