"""The textbook way to feed a network: each slice read, resized and augmented in Python when its batch is due."""

from __future__ import annotations

import cv2
import keras
import numpy as np

from covid_core.data.augmentation import Augmentation
from covid_core.data.slices import read_slice, resize_slice
from covid_core.data.sources import Dataset


class FileByFile(keras.utils.PyDataset):
    """Batches of augmented slices, made file by file.

    Args:
        dataset: The data set.
        positions: Of the slices of an epoch.
        size: Side of the square slices in pixels.
        batch_size: Slices a step.
        augmentation: The same kinds and strengths as on the device.
    """

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
