"""Computes the maps of a pair over many slices and writes their measures. Importing this module starts TensorFlow."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import keras
import numpy as np
import pandas as pd

from covid_core.data.sources import Dataset
from covid_core.errors import StudyError
from covid_core.explain.comparison import CONTROLS, agreement_with_another_slice, compare_maps
from covid_core.explain.gradcam import GradCam
from covid_core.explain.heatmap import normalise, resize_heat
from covid_core.explain.map_pairs import MapPair, StudySettings
from covid_core.models.build import build_model
from covid_core.models.library import load_network
from covid_core.results.store import ResultsStore

METHOD = "gradcam"


def measure_pair(
    pair: MapPair,
    study_id: str,
    dataset: Dataset,
    pixels: np.ndarray,
    positions: np.ndarray,
    settings: StudySettings,
    store: ResultsStore,
) -> Iterator[int]:
    """Measure the slices that the store does not have yet, a batch at a time, each written in one transaction.

    Batches always hold the same slices, so a study that was stopped goes on to the same numbers, digit by digit.

    Args:
        pair: The networks.
        study_id: Of the study in the store.
        dataset: Names and classes of the slices.
        pixels: uint8 ``(N, size, size, 1)`` of the whole data set.
        positions: Slices to measure, in order.
        settings: What to measure.
        store: Where the measures go.

    Yields:
        Slices measured so far, those of earlier runs included; first before the first batch.

    Raises:
        StudyError: The classes of networks and data set do not fit.
        LibraryError: Weights that are missing or damaged.
        ModelError: A network that gives NaN.
    """
    known = store.measured_slices(study_id, pair.subject, METHOD)
    batches = [
        positions[start : start + settings.batch_size] for start in range(0, len(positions), settings.batch_size)
    ]
    left = [batch for batch in batches if not known.issuperset(dataset.paths[position] for position in batch)]
    done = len(positions) - sum(map(len, left))
    yield done
    if not left:
        return
    networks = _networks(pair, len(dataset.classes))
    targets = _targets(pair, dataset, settings)
    cams = [GradCam(network) for network in networks]
    for batch in left:
        maps, probabilities = zip(*(_maps(cam, pixels[batch], targets[batch]) for cam in cams), strict=True)
        rows = _measures(maps, dataset.labels[batch], pair.size, settings)
        for variant, predicted in zip(("base", "modified"), probabilities, strict=True):
            for row, probability in zip(rows, predicted[:, -1], strict=True):  # the positive class is the last
                row[f"{variant}_probability"] = float(probability)
        store.add_measures(study_id, _frame(pair, dataset, batch, rows))
        done += len(batch)
        yield done


def _networks(pair: MapPair, classes: int) -> list[keras.Model]:
    if pair.trained:
        return [load_network(card) for card in pair.weights]
    networks = []
    for name in pair.names:
        keras.utils.set_random_seed(pair.weights.seed)
        networks.append(build_model(name, (pair.size, pair.size, 1), classes))
    return networks


def _targets(pair: MapPair, dataset: Dataset, settings: StudySettings) -> np.ndarray:
    """Index of the network's class that each slice's map explains, int64 ``(N,)``."""
    classes = pair.weights[0].classes if pair.trained else dataset.classes
    if settings.target == "positive":
        return np.full(len(dataset), len(classes) - 1)
    if set(dataset.classes) != set(classes):
        raise StudyError(
            f"Expected the classes of the networks ({', '.join(classes)}) for maps of each slice's own class. "
            f"Received: {', '.join(dataset.classes)}. Take the positive class for all, --target positive."
        )
    index = np.array([classes.index(name) for name in dataset.classes])
    return index[dataset.labels]


def _maps(cam: GradCam, slices: np.ndarray, targets: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Raw maps float32 ``(n, h, w)`` and probabilities ``(n, classes)``, each slice explained for its own target."""
    parts = {}
    for target in np.unique(targets):
        chosen = np.flatnonzero(targets == target)
        maps, probabilities = cam(slices[chosen], int(target))
        parts |= {position: (maps[at], probabilities[at]) for at, position in enumerate(chosen)}
    return tuple(np.stack(values) for values in zip(*(parts[at] for at in range(len(slices))), strict=True))


def _measures(
    maps: Sequence[np.ndarray], labels: np.ndarray, size: int, settings: StudySettings
) -> list[dict[str, float]]:
    base, modified = (resize_heat(normalise(raw), (size, size)) for raw in maps)
    rows = [compare_maps(*heats, settings.threshold_on) for heats in zip(base, modified, strict=True)]
    for row, heat, other in zip(rows, base, _others(labels), strict=True):
        if other is None:
            row |= dict.fromkeys(CONTROLS, float("nan"))
        else:
            row |= agreement_with_another_slice(heat, modified[other])
    return rows


def _others(labels: np.ndarray) -> list[int | None]:
    """For each slice the next one of its class, and the first one for the last; None where it is the only one.

    Of its class: maps of different classes differ for that reason alone, which would be no control.
    """
    others: list[int | None] = [None] * len(labels)
    for label in np.unique(labels):
        members = np.flatnonzero(labels == label)
        if len(members) > 1:
            for member, other in zip(members, np.roll(members, -1), strict=True):
                others[member] = int(other)
    return others


def _frame(pair: MapPair, dataset: Dataset, batch: np.ndarray, rows: list[dict[str, float]]) -> pd.DataFrame:
    labels = dataset.binary_labels
    long = [
        (dataset.paths[position], int(labels[position]), measure, value)
        for position, row in zip(batch, rows, strict=True)
        for measure, value in row.items()
    ]
    frame = pd.DataFrame(long, columns=["slice", "label", "measure", "value"])
    return frame.assign(subject=pair.subject, method=METHOD)
