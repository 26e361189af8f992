"""Training slices as the batches of an epoch."""

from __future__ import annotations

import keras
import numpy as np


class Batches(keras.utils.PyDataset):
    """Whole batches of training slices in a new order each epoch; a short last batch would upset batch statistics.

    Args:
        pixels: uint8 ``(N, size, size, 1)``: the whole data set, memory-mapped or not.
        labels: int ``(N,)``, class positions.
        positions: Of the training slices.
        batch_size: Slices a step.
        seed: The order of an epoch follows from it and the epoch's number alone.
        epochs_done: Epochs to pass over.
    """

    def __init__(
        self,
        pixels: np.ndarray,
        labels: np.ndarray,
        positions: np.ndarray,
        batch_size: int,
        seed: int,
        epochs_done: int = 0,
    ):
        super().__init__()
        self.batch_size = min(batch_size, len(positions))
        self._pixels = pixels
        self._labels = labels
        self._positions = positions
        self._rng = np.random.default_rng(seed)
        for _ in range(epochs_done + 1):
            self._order = self._rng.permutation(positions)

    def __len__(self) -> int:
        return len(self._positions) // self.batch_size

    def __getitem__(self, index: int) -> tuple[np.ndarray, np.ndarray]:
        batch = np.sort(self._order[index * self.batch_size : (index + 1) * self.batch_size])
        return np.asarray(self._pixels[batch]), self._labels[batch].astype(np.int32)

    def on_epoch_end(self) -> None:
        """The order of the next epoch."""
        self._order = self._rng.permutation(self._positions)
