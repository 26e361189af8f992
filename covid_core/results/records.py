"""What an experiment, a trained fold and a study of maps are, as plain records between those who make and keep them."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass, field
from typing import Any

import numpy as np


@dataclass(frozen=True)
class Experiment:
    """The identity that folds are comparable under.

    Backend, precision and hardware are facts of a fold, not part of it; neither are the chosen networks or the
    number of rounds, so that a campaign can grow.

    Args:
        dataset: Short name of the data set, for people.
        dataset_digest: SHA-256 over the source files and labels, hex.
        transform: How a source file became the array, e.g. ``{"size": 380, "interpolation": "area"}``.
        protocol: ``Protocol.identity()``: JSON-ready values.
        split: ``"slice"`` or ``"group"``.
    """

    dataset: str
    dataset_digest: str
    transform: dict[str, Any]
    protocol: dict[str, Any]
    split: str = "slice"

    @property
    def id(self) -> str:
        """First 16 hex digits of the SHA-256 of the canonical JSON of all fields but the name."""
        identity = [self.dataset_digest, self.transform, self.protocol, self.split]
        return hashlib.sha256(json.dumps(identity, sort_keys=True).encode()).hexdigest()[:16]


@dataclass(frozen=True)
class Predictions:
    """Test predictions of one fold.

    Args:
        slices: Paths relative to the data set's root, ``N`` of them.
        labels: int8 ``(N,)``; 1 is the positive class, 0 every other.
        probabilities: float32 ``(N,)`` in 0-1: the positive class's.
    """

    slices: tuple[str, ...]
    labels: np.ndarray
    probabilities: np.ndarray


@dataclass(frozen=True)
class FoldResult:
    """One network trained and tested on one fold, or the record of its failure.

    Args:
        experiment: ``Experiment.id``.
        model: Name from the zoo.
        round: Round of the repeated cross-validation, from 1.
        fold: Fold within the round, from 1.
        status: ``"done"`` or ``"failed"``.
        seed: Seed of weights, shuffling and augmentation of this fold.
        counts: ``(tp, fp, tn, fn)`` at probability 0.5 or above; zeros when failed.
        auc: Area under the ROC curve, NaN when failed or when the test fold holds one class only.
        predictions: None when failed.
        history: Learning curve: metric name -> one number an epoch.
        seconds: Training and testing time of this fold, without building and tracing.
        images_per_second: Training slices a second over the fold's epochs.
        facts: backend, device, precision, versions: strings, recorded but not part of the identity.
        finished: ISO 8601 time in UTC.
        error: Traceback when failed.
    """

    experiment: str
    model: str
    round: int
    fold: int
    status: str
    seed: int
    finished: str
    counts: tuple[int, int, int, int] = (0, 0, 0, 0)
    auc: float = float("nan")
    predictions: Predictions | None = None
    history: dict[str, list[float]] = field(default_factory=dict)
    seconds: float = 0.0
    images_per_second: float = 0.0
    facts: dict[str, str] = field(default_factory=dict)
    error: str | None = None

    @property
    def key(self) -> tuple[str, str, int, int]:
        """What the store keeps once: experiment, model, round, fold."""
        return (self.experiment, self.model, self.round, self.fold)


@dataclass(frozen=True)
class Study:
    """The identity that measures of single slices belong together under.

    Args:
        kind: What is measured, e.g. ``"mask-statistic"``; short, fit for a query.
        dataset: Short name of the data set, for people.
        dataset_digest: SHA-256 over the source files and labels, hex.
        transform: How a source file became the array, e.g. ``{"size": 128, "interpolation": "area"}``.
        networks: Network -> what its weights are: JSON-ready, e.g. checksum, experiment, round and fold of its card,
            or the seed of random weights.
        settings: Everything else that decides what comes out: JSON-ready values.
        finished: ISO 8601 time in UTC; None as long as slices are missing. Not part of the identity.
    """

    kind: str
    dataset: str
    dataset_digest: str
    transform: dict[str, Any]
    networks: dict[str, Any]
    settings: dict[str, Any]
    finished: str | None = None

    @property
    def id(self) -> str:
        """First 16 hex digits of the SHA-256 of the canonical JSON of all fields but name and time."""
        identity = [self.kind, self.dataset_digest, self.transform, self.networks, self.settings]
        return hashlib.sha256(json.dumps(identity, sort_keys=True).encode()).hexdigest()[:16]
