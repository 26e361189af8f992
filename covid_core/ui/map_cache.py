"""Activation maps that were looked at, kept up to a number of bytes."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable, Hashable

import numpy as np


class MapCache:
    """Arrays by key; those used least recently go first once there are too many bytes. For several threads.

    Args:
        most_bytes: Of all arrays together. A larger single array is handed on and not kept.
        lock: Held while an array is made: of threads that want the same one at once, one makes it.
    """

    def __init__(self, most_bytes: int, lock: threading.RLock):
        self.most_bytes = most_bytes
        self._making = lock
        self._keeping = threading.Lock()
        self._arrays: OrderedDict[Hashable, np.ndarray] = OrderedDict()

    @property
    def bytes(self) -> int:
        """What is kept now."""
        with self._keeping:
            return sum(array.nbytes for array in self._arrays.values())

    def get(self, key: Hashable, make: Callable[[], np.ndarray]) -> np.ndarray:
        """The array of ``key``, made where it is not kept; read-only, since others may hold it too."""
        found = self.find(key)
        if found is not None:
            return found
        with self._making:
            found = self.find(key)  # another thread may have made it meanwhile
            if found is None:
                found = make()
                found.flags.writeable = False
                self._keep(key, found)
        return found

    def find(self, key: Hashable) -> np.ndarray | None:
        """The array of ``key`` if it is kept; it then counts as used."""
        with self._keeping:
            if key in self._arrays:
                self._arrays.move_to_end(key)
            return self._arrays.get(key)

    def _keep(self, key: Hashable, array: np.ndarray) -> None:
        if array.nbytes > self.most_bytes:
            return
        with self._keeping:
            self._arrays[key] = array
            total = sum(one.nbytes for one in self._arrays.values())
            while total > self.most_bytes:
                _, oldest = self._arrays.popitem(last=False)
                total -= oldest.nbytes
