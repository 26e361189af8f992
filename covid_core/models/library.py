"""Trained networks on disk: a card (JSON) and weights (NumPy arrays) for each.

    <folder>/<network>/<name>.json      what was trained, how, on what, and how it did on its held-out fold
    <folder>/<network>/<name>.npz       its weights, in the order of ``keras.Model.weights``

The weights are plain arrays, read with ``allow_pickle=False``: loading a network never runs code from a file.
Listing cards imports no Keras.
"""

from __future__ import annotations

import hashlib
import io
import json
import os
from collections.abc import Iterable
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from covid_core.errors import LibraryError, ModelError
from covid_core.models import zoo

if TYPE_CHECKING:
    import keras

FORMAT = 1
HALF_PRECISION_TOLERANCE = 0.005


@dataclass(frozen=True)
class Card:
    """What is known about one trained network.

    Args:
        model: Name from the zoo.
        weights: File name of the weights, beside the card.
        sha256: Checksum of that file, hex.
        weights_dtype: Of the kernels, ``"float16"`` or ``"float32"``; vectors are always float32.
        probability_shift: Largest change of a held-out probability by storing the weights at that precision.
        input_size: Side of the square slices in pixels.
        interpolation: How slices are resized to it, see ``resize_slice``.
        classes: Class names; the positive class is the last.
        dataset: Name of the data set.
        dataset_digest: Its SHA-256, hex.
        experiment: Id of the experiment in the results store.
        protocol: The protocol's values.
        round: Round of the cross-validation, from 1.
        fold: The fold that was held out, from 1.
        counts: ``(tp, fp, tn, fn)`` on the held-out fold.
        scores: The five metrics on it.
        auc: Area under its ROC curve.
        date: When training ended, ISO 8601, UTC.
        command: The command that trains it again.
        facts: backend, device, precision, versions.
        path: The card's own file; not part of the JSON.
    """

    model: str
    weights: str
    sha256: str
    weights_dtype: str
    probability_shift: float
    input_size: int
    interpolation: str
    classes: tuple[str, ...]
    dataset: str
    dataset_digest: str
    experiment: str
    protocol: dict[str, Any]
    round: int
    fold: int
    counts: tuple[int, int, int, int]
    scores: dict[str, float]
    auc: float
    date: str
    command: str
    facts: dict[str, str]
    path: Path

    @property
    def provenance(self) -> dict[str, Any]:
        """What tells these weights from all others, JSON-ready: checksum, experiment, round and fold."""
        return {"sha256": self.sha256, "experiment": self.experiment, "round": self.round, "fold": self.fold}

    @property
    def key(self) -> str:
        """Short unique text for pickers and URLs: ``<network>/<name>``."""
        return f"{self.path.parent.name}/{self.path.stem}"

    @property
    def weights_path(self) -> Path:
        """Where the weights lie."""
        return self.path.with_name(self.weights)


def list_networks(folders: Iterable[str | Path]) -> dict[str, list[Card]]:
    """Cards of all trained networks below ``folders``, by network, in the zoo's order.

    The first folder goes first; within a folder by round, fold and name. Weights are not read or verified here.

    Raises:
        LibraryError: A card that is not readable.
    """
    found: dict[str, list[Card]] = {}
    for folder in folders:
        cards = [_read_card(path) for path in sorted(Path(folder).glob("*/*.json"))]
        for card in sorted(cards, key=lambda card: (card.round, card.fold, card.key)):
            found.setdefault(card.model, []).append(card)
    return {name: found[name] for name in zoo.ALL if name in found}


def load_network(card: Card) -> keras.Model:
    """The network of a card, with its weights, in float32.

    Raises:
        LibraryError: Weights that are missing, do not have the card's checksum, or do not fit the network.
    """
    from covid_core.models.build import build_model  # takes seconds: only who loads a network pays

    try:
        data = card.weights_path.read_bytes()
    except OSError as error:
        raise LibraryError(
            f"Expected the weights of {card.key} at {card.weights_path}. Received: {error.strerror}. "
            f"Restore the file, or train it again: {card.command}"
        ) from error
    digest = hashlib.sha256(data).hexdigest()
    if digest != card.sha256:
        raise LibraryError(
            f"Expected weights with the SHA-256 {card.sha256[:12]}… for {card.key}. Received: {digest[:12]}…: the file "
            f"is damaged or was exchanged. Restore it, or train it again: {card.command}"
        )
    network = build_model(card.model, (card.input_size, card.input_size, 1), len(card.classes))
    try:
        with np.load(io.BytesIO(data), allow_pickle=False) as arrays:
            weights = [arrays[name].astype(np.float32) for name in sorted(arrays.files)]
        network.set_weights(weights)
    except (ValueError, OSError, KeyError) as error:
        raise LibraryError(f"Expected weights that fit {card.model}. Received: {card.weights}: {error}") from error
    return network


@dataclass(frozen=True)
class PackedNetwork:
    """A trained network as the two files that will hold it, on its way to a library's folder.

    Args:
        card: Its card; the path is relative to the folder.
        weights: Content of the weights' file.
    """

    card: Card
    weights: bytes


def save_network(
    network: keras.Model, folder: str | Path, name: str, held_out: np.ndarray, facts_of_card: dict[str, Any]
) -> Card:
    """``pack_network``, then ``store_network``."""
    return store_network(pack_network(network, name, held_out, facts_of_card), folder)


def pack_network(network: keras.Model, name: str, held_out: np.ndarray, facts_of_card: dict[str, Any]) -> PackedNetwork:
    """A network's weights, as float16 if that leaves its probabilities as they are, and its card.

    Args:
        network: A flat model as ``build_model`` makes it.
        name: Name of the files.
        held_out: uint8 ``(N, size, size, 1)``: slices on which the rounded weights are compared with the exact ones.
        facts_of_card: The fields of ``Card`` that are not computed here.

    Returns:
        Plain bytes that can be written here or on another machine.
    """
    exact = network.get_weights()
    half = [_half(array) for array in exact]
    before = network.predict(held_out, verbose=0)
    network.set_weights([array.astype(np.float32) for array in half])
    shift = float(np.abs(network.predict(held_out, verbose=0) - before).max())
    network.set_weights(exact)
    fits = shift <= HALF_PRECISION_TOLERANCE
    stored = half if fits else exact
    buffer = io.BytesIO()
    np.savez_compressed(buffer, **{f"{number:04d}": array for number, array in enumerate(stored)})
    data = buffer.getvalue()
    card = Card(
        model=network.name,
        weights=f"{name}.npz",
        sha256=hashlib.sha256(data).hexdigest(),
        weights_dtype="float16" if fits else "float32",
        probability_shift=shift if fits else 0.0,
        path=Path(network.name) / f"{name}.json",
        **facts_of_card,
    )
    return PackedNetwork(card, data)


def store_network(packed: PackedNetwork, folder: str | Path) -> Card:
    """Writes a packed network into a library's folder.

    Returns:
        The card as written. The card is written last, so a card stands for a complete network.

    Raises:
        LibraryError: The disk is full or not writable.
    """
    card = replace(packed.card, path=Path(folder) / packed.card.path)
    values = {"format": FORMAT} | {key: value for key, value in asdict(card).items() if key != "path"}
    try:
        card.path.parent.mkdir(parents=True, exist_ok=True)
        _write_whole(card.weights_path, packed.weights)
        _write_whole(card.path, (json.dumps(values, indent=2) + "\n").encode())
    except OSError as error:
        raise LibraryError(
            f"Expected to write {card.path.parent}. Received: {error.strerror}. Nothing else is lost."
        ) from error
    return card


def _half(array: np.ndarray) -> np.ndarray:
    """Kernels as float16. Biases and batch statistics, 2 % of a network, stay float32: measured on EfficientNetB0,
    rounding them moved probabilities three times as far as rounding all kernels did (0.0090 against 0.0032)."""
    fits = np.abs(array).max(initial=0) <= np.finfo(np.float16).max
    return array.astype(np.float16) if array.ndim > 1 and fits else array


def _write_whole(path: Path, data: bytes) -> None:
    """The whole content under its name or nothing, whenever the process is killed."""
    partial = path.with_name(f".{path.name}.{os.getpid()}.partial")
    try:
        with partial.open("wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)


def _read_card(path: Path) -> Card:
    try:
        values = json.loads(path.read_text("utf-8"))
        form = values.pop("format")
        if form != FORMAT:
            raise LibraryError(
                f"Expected a card of format {FORMAT}. Received: {path} of format {form}. Update this software."
            )
        zoo.get(values["model"])
        if Path(values["weights"]).name != values["weights"]:
            raise LibraryError(
                f"Expected a plain file name for the weights. Received: {values['weights']!r} in {path}."
            )
        return Card(**values | {"classes": tuple(values["classes"]), "counts": tuple(values["counts"]), "path": path})
    except (OSError, ValueError, TypeError, KeyError, AttributeError, ModelError) as error:
        raise LibraryError(
            f"Expected a network's card. Received: {path}: {type(error).__name__}: {error}. Remove or restore it."
        ) from error
