"""A network's ``Familiarity`` on disk, beside its card: ``<network>/<name>.familiarity.npz``.

Plain NumPy arrays, read with ``allow_pickle=False``, and a record (JSON, as bytes) of what they were made from: the
weights' SHA-256, and the SHA-256 of the values themselves. A file that does not fit its network or has changed since it
was written is refused, and is never taken for no file.
"""

from __future__ import annotations

import hashlib
import io
import json
import os
import zipfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from covid_core.errors import LibraryError
from covid_core.models.familiarity import Familiarity
from covid_core.models.library import Card

FORMAT = 1
MOST_BYTES = 8 * 2**20
COMMAND = "python -m covid_core.explain.familiarity --dataset FOLDER"
ARRAYS = ("means", "components", "variances")


@dataclass(frozen=True)
class Provenance:
    """What a familiarity was measured on.

    Args:
        training: Number of slices that the network was trained on.
        held_out: Number of slices of its fold, which set the limit.
        percentile: Share of those within the limit, in percent.
        dataset_digest: SHA-256 of the data set, hex.
    """

    training: int
    held_out: int
    percentile: float
    dataset_digest: str


def path_of(card: Card) -> Path:
    """Where the file of a network stands or would stand."""
    return card.path.with_name(f"{card.path.stem}.familiarity.npz")


def save_familiarity(card: Card, familiarity: Familiarity, provenance: Provenance) -> Path:
    """Write the file of a network, whole or not at all.

    Returns:
        Its path.

    Raises:
        LibraryError: The folder cannot be written.
    """
    arrays = {name: np.ascontiguousarray(getattr(familiarity, name), np.float32) for name in ARRAYS}
    rest, limit = float(familiarity.rest), float(familiarity.limit)
    record = {
        "format": FORMAT,
        "weights": card.sha256,
        "values": _digest(arrays, rest, limit),
        "rest": rest,
        "limit": limit,
        "provenance": vars(provenance),
    }
    buffer = io.BytesIO()
    np.savez_compressed(buffer, record=np.frombuffer(json.dumps(record).encode(), np.uint8), **arrays)
    path = path_of(card)
    partial = path.with_name(f".{path.name}.{os.getpid()}.partial")
    try:
        partial.write_bytes(buffer.getvalue())
        partial.replace(path)
    except OSError as error:
        raise LibraryError(f"Expected to write {path}. Received: {error.strerror}.") from error
    finally:
        partial.unlink(missing_ok=True)
    return path


def load_familiarity(card: Card) -> tuple[Familiarity, Provenance] | None:
    """The file of a network; None where it has none.

    Raises:
        LibraryError: The file is damaged, was changed, or belongs to other weights.
    """
    path = path_of(card)
    try:
        if not path.is_file():
            return None
        if path.stat().st_size > MOST_BYTES:
            raise ValueError(f"more than {MOST_BYTES / 2**20:.0f} MiB")
        with np.load(path, allow_pickle=False) as file:
            record = json.loads(file["record"].tobytes())
            arrays = {name: file[name] for name in ARRAYS}
        if record["format"] != FORMAT:
            raise ValueError(f"format {record['format']}, this software reads {FORMAT}")
        if record["weights"] != card.sha256:
            raise ValueError("it belongs to other weights")
        rest, limit = float(record["rest"]), float(record["limit"])
        if record["values"] != _digest(arrays, rest, limit):
            raise ValueError("its values are not those that were written")
        found = Familiarity(**arrays, rest=rest, limit=limit)
        _check(found)
        return found, Provenance(**record["provenance"])
    except (OSError, ValueError, KeyError, TypeError, EOFError, zipfile.BadZipFile) as error:
        raise LibraryError(
            f"Expected what is known of the training slices of {card.key} at {path}. Received: {error}. "
            f"Restore the file, delete it, or measure again: {COMMAND}"
        ) from error


def _check(found: Familiarity) -> None:
    classes, features = found.means.shape
    kept = len(found.components)
    fits = found.components.shape == (kept, features) and found.variances.shape == (kept,) and classes > 0
    if not fits or not (found.variances > 0).all() or not (found.rest > 0 and np.isfinite(found.limit)):
        raise ValueError("its arrays do not fit each other")


def _digest(arrays: dict[str, np.ndarray], rest: float, limit: float) -> str:
    digest = hashlib.sha256(f"{rest!r} {limit!r} ".encode())
    for name in ARRAYS:
        digest.update(f"{name} {arrays[name].dtype.str} {arrays[name].shape} ".encode())
        digest.update(arrays[name].tobytes())
    return digest.hexdigest()
