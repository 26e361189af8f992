"""A fold in flight on disk: whatever kills a long fold costs its epochs since the last backup, not all of them."""

from __future__ import annotations

import contextlib
import json
import logging
import os
import time
import zipfile
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import keras
import numpy as np

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Progress:
    """How far a fold came.

    Args:
        history: One list a curve, with a value for each finished epoch.
        training_seconds: Time in training steps.
        seconds: Time in the whole fold.
    """

    history: dict[str, list[float]]
    training_seconds: float
    seconds: float


class Backup:
    """One file that holds a fold's variables and progress, written whole or not at all.

    Keras' own ``BackupAndRestore`` writes weights and epoch number one after the other (a kill between them repeats an
    epoch on top of itself) and leaves out the generators of dropout and augmentation and the learning curve; a fold
    continued from here equals one that was never interrupted.

    Args:
        file: Where it lies (``.npz``).
        every_seconds: Least time between two backups; short epochs are not worth one each.
    """

    def __init__(self, file: Path, every_seconds: float = 60.0):
        self.file = file
        self._every_seconds = every_seconds
        self._last = time.monotonic()

    def restore(self, variables: list[keras.Variable], curves: Iterable[str]) -> Progress | None:
        """Assign what was saved.

        Args:
            variables: In the order in which they were saved.
            curves: Names that the history must have.

        Returns:
            None, and nothing assigned, if there is no backup or it does not fit; a damaged one is as good as none.
        """
        if not self.file.is_file():
            return None
        try:
            with np.load(self.file, allow_pickle=False) as saved:
                values = [saved[f"v{number}"] for number in range(len(variables))]
                progress = Progress(**json.loads(str(saved["progress"])))
        except (OSError, EOFError, ValueError, KeyError, TypeError, zipfile.BadZipFile) as error:
            logger.warning("starting the fold again, its backup cannot be read: %s: %s", self.file, error)
            return None
        shapes = [tuple(variable.shape) for variable in variables]
        if [value.shape for value in values] != shapes or set(progress.history) != set(curves):
            logger.warning("starting the fold again, its backup is of another training: %s", self.file)
            return None
        for variable, value in zip(variables, values, strict=True):
            variable.assign(value)
        return progress

    def save(self, variables: list[keras.Variable], progress: Progress) -> None:
        """Write variables and progress if the last backup is old enough; a full disk costs the backup, not the fold."""
        if time.monotonic() - self._last < self._every_seconds:
            return
        partial = self.file.with_suffix(f".{os.getpid()}.partial")
        arrays: dict[str, Any] = {f"v{n}": keras.ops.convert_to_numpy(value) for n, value in enumerate(variables)}
        try:
            self.file.parent.mkdir(parents=True, exist_ok=True)
            with partial.open("wb") as target:
                np.savez(target, progress=json.dumps(vars(progress)), **arrays)
            partial.replace(self.file)
        except OSError as error:
            logger.warning("the fold goes on without a backup: %s", error)
            with contextlib.suppress(OSError):
                partial.unlink()
        self._last = time.monotonic()

    def remove(self) -> None:
        """There is nothing worth continuing."""
        with contextlib.suppress(OSError):
            self.file.unlink()


class BackupEpochs(keras.callbacks.Callback):
    """Saves after each epoch.

    Args:
        backup: Where to.
        variables: What makes up the state of the training.
        progress: Gives the state of the curve.
    """

    def __init__(self, backup: Backup, variables: list[keras.Variable], progress: Callable[[], Progress]):
        super().__init__()
        self._backup = backup
        self._variables = variables
        self._progress = progress

    def on_epoch_end(self, epoch: int, logs: dict | None = None) -> None:
        """Every curve value of the epoch is in by now: this callback runs after the one that records them."""
        # not a part of an epoch, and nobody wants to continue a training that diverged
        if not self.model.stop_training and np.isfinite(logs["loss"]):
            self._backup.save(self._variables, self._progress())
