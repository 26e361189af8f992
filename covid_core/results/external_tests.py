"""Trained networks on slices of another source: their scores there, beside those on their own held-out fold.

A study of ``KIND`` holds one network. In the store's terms its *subject* is the network and its *method* is
``METHOD``; each slice has the measure ``PROBABILITY``, and ``PATIENT`` where patients are known.
"""

from __future__ import annotations

import json
import math

import numpy as np
import pandas as pd

from covid_core.data.sources import Dataset
from covid_core.errors import StudyError
from covid_core.models.library import Card
from covid_core.results.bootstrap import bootstrap_change, bootstrap_scores, draw_groups, group_counts
from covid_core.results.metrics import METRICS, auc
from covid_core.results.records import Study
from covid_core.results.store import ResultsStore

KIND = "external-test"
METHOD = "softmax"

PROBABILITY = "probability"
"""The positive class's, in 0-1."""

PATIENT = "patient"
"""A number for each patient, from 0."""

COLUMNS = [
    *("study", "network", "sha256", "experiment", "round", "fold", "size", "own_dataset", "split", "dataset"),
    *("finished", "slices", "positives", "patients", "prevalence", "majority", "own_slices", "auc_own", "auc"),
    *(
        f"{metric}{part}"
        for metric in METRICS
        for part in ("_own", "_own_low", "_own_high", "", "_low", "_high", "_change", "_change_low", "_change_high")
    ),
]


def study_of(card: Card, dataset: Dataset) -> Study:
    """The record that one network's test on ``dataset`` stands under.

    Raises:
        StudyError: The network was trained on this data set, or for another positive class.
    """
    if card.dataset_digest == dataset.digest:
        raise StudyError(
            f"Expected slices from elsewhere. Received: {dataset.name}, the data set that {card.key} was trained on. "
            "Its cross-validation is the test on these slices; name another data set."
        )
    positive, known = dataset.classes[-1], card.classes[-1]
    if positive.lower() != known.lower():
        raise StudyError(
            f"Expected the positive class {known!r}, as {card.key} was trained. Received: {positive!r}. "
            "Name the class, --positive, and its folder alike."
        )
    return Study(
        kind=KIND,
        dataset=dataset.name,
        dataset_digest=dataset.digest,
        transform=dataset.transform(card.input_size, card.interpolation),
        networks={card.model: card.provenance | {"dataset": card.dataset}},
        settings={
            "version": 1,
            "own_counts": list(card.counts),
            "own_auc": None if math.isnan(card.auc) else card.auc,
            "split": card.protocol.get("split"),
            "patients": dataset.groups is not None,
        },
    )


def measures_of(card: Card, dataset: Dataset, probabilities: np.ndarray) -> pd.DataFrame:
    """A network's answers, as ``ResultsStore.add_measures`` takes them.

    Args:
        card: The network.
        dataset: ``N`` slices.
        probabilities: ``(N,)`` of the positive class.
    """
    values = {PROBABILITY: np.asarray(probabilities, np.float64)}
    if dataset.groups is not None:
        values[PATIENT] = pd.factorize(np.asarray(dataset.groups, dtype=object))[0].astype(np.float64)
    wide = pd.DataFrame({"slice": dataset.paths, "label": dataset.binary_labels, **values})
    long = wide.melt(["slice", "label"], list(values), "measure", "value")
    return long.assign(subject=card.model, method=METHOD)


def answers(store: ResultsStore, study_id: str) -> pd.DataFrame:
    """``slice``, ``label`` (0 or 1), ``probability`` and ``patient`` (whole number; NaN where not known)."""
    rows = store.measures(study_id)
    wide = rows.pivot(index=["slice", "label"], columns="measure", values="value")
    return wide.reindex(columns=[PROBABILITY, PATIENT]).reset_index().rename_axis(columns=None)


def external_table(store: ResultsStore) -> pd.DataFrame:
    """One row a finished external test, by data set, then in the order of networks and folds.

    Intervals of scores on the other source come from drawing its patients again, or its slices where patients are not
    known; those of the own fold from drawing its slices; changes from drawing both, independently. They say how far
    other slices of the same two sources could move the scores of these weights; not what a third source would give.

    Returns:
        ``study`` (id), ``network``, ``sha256``, ``experiment``, ``round`` and ``fold`` of its weights, ``size``
        (pixels), ``own_dataset``, ``split`` (that made the own fold), ``dataset``, ``finished``, ``slices``,
        ``positives``, ``patients`` (missing where not known), ``prevalence``, ``majority`` (accuracy of always naming
        the larger class), ``own_slices``, ``auc_own`` and ``auc``; for each of ``METRICS`` the score on the own fold
        ``_own`` with ``_own_low`` and ``_own_high``, the score on the other source with ``_low`` and ``_high``, and
        ``_change``, other minus own, with its interval. NaN where a score is not defined.
    """
    studies = store.studies(KIND).dropna(subset="finished")
    rows = [_row(store, study) for study in studies.itertuples()]
    table = pd.DataFrame(rows, columns=COLUMNS)
    whole = dict.fromkeys(("round", "fold", "size", "slices", "positives", "patients", "own_slices"), "Int64")
    return table.astype(whole).sort_values(["dataset", "network", "round", "fold"], ignore_index=True)


def _row(store: ResultsStore, study) -> dict[str, object]:
    ((network, weights),) = json.loads(study.networks).items()
    settings = json.loads(study.settings)
    told = answers(store, study.id)
    labels, probabilities = told["label"].to_numpy(), told[PROBABILITY].to_numpy()
    patients = told[PATIENT] if settings.get("patients") else told["slice"]
    counts = group_counts(labels, probabilities, pd.factorize(patients)[0])
    own_counts = np.repeat(np.eye(4, dtype=np.int64), settings["own_counts"], axis=0)  # one row a slice
    weights_own, weights_there = draw_groups(len(own_counts), seed=0), draw_groups(len(counts), seed=1)
    own, there = bootstrap_scores(own_counts, weights_own), bootstrap_scores(counts, weights_there)
    change = bootstrap_change(own_counts, weights_own, counts, weights_there)
    prevalence = float(labels.mean())
    row = {
        "study": study.id,
        "network": network,
        **{name: weights.get(name) for name in ("sha256", "experiment", "round", "fold")},
        "size": json.loads(study.transform).get("size"),
        "own_dataset": weights.get("dataset"),
        "split": settings.get("split"),
        "dataset": study.dataset,
        "finished": study.finished,
        "slices": len(told),
        "positives": int(labels.sum()),
        "patients": len(counts) if settings.get("patients") else None,
        "prevalence": prevalence,
        "majority": max(prevalence, 1 - prevalence),
        "own_slices": len(own_counts),
        "auc_own": settings.get("own_auc"),
        "auc": auc(labels, probabilities),
    }
    for metric in METRICS:
        for name, interval in (("_own", own[metric]), ("", there[metric]), ("_change", change[metric])):
            row |= dict(zip((metric + name, f"{metric}{name}_low", f"{metric}{name}_high"), interval, strict=True))
    return row
