"""Patients in place of slices: the mean probability of a patient's slices, as one prediction."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pandas as pd

from covid_core.results.bootstrap import groups_of

MEANING = (
    "a patient's probability is the mean over its slices, and counts as positive from 0.5 on; its label "
    "is that of most of its slices, positive in a draw."
)
"""For people."""

_KEY = ["experiment", "model", "round", "fold", "slice"]
COLUMNS = [*_KEY, "label", "probability", "mixed", "folds"]


def patient_predictions(predictions: pd.DataFrame, patients: Mapping[str, str], folds: int) -> pd.DataFrame:
    """One prediction for each patient and fold, or for each patient and round.

    Where folds keep patients together, a fold tests whole patients. Where they do not, as in a split by slice, a
    patient's slices are tested by several networks of a round; the round is then pooled: a patient's probability is
    the mean over all its tested slices, each judged by the network that was not trained on it, though that network has
    seen other slices of the same patient. Rounds that are not whole are left out as soon as one is.

    Args:
        predictions: Of one experiment, as ``ResultsStore.predictions`` gives them.
        patients: Path of a slice -> its patient.
        folds: Folds of a whole round.

    Returns:
        ``experiment``, ``model``, ``round``, ``fold`` (0 where rounds are pooled), ``slice`` (the patient's number,
        from 0), ``label`` (1 where at least half of the slices are positive), ``probability`` (float64), ``mixed``
        (whether slices have both labels), ``folds`` (behind the prediction's fold: more than 1 where rounds are
        pooled), sorted by these columns.

    Raises:
        StoreError: A slice has no patient.
    """
    frame = pd.DataFrame(
        {
            "experiment": predictions["experiment"].astype("category"),
            "model": predictions["model"].astype("category"),
            "round": predictions["round"],
            "fold": predictions["fold"],
            "slice": groups_of(predictions["slice"], patients),
            "label": predictions["label"].astype(np.int64),
            "probability": predictions["probability"].astype(np.float64),
        }
    )
    frame["folds"] = 1
    if folds_are_pooled(frame):
        frame = _whole_rounds(frame, folds)
        frame["folds"], frame["fold"] = _folds_of_round(frame), 0
    cases = frame.groupby(_KEY, observed=True, sort=True)
    found = cases[["label", "probability"]].mean().assign(folds=cases["folds"].first()).reset_index()
    positive = found["label"]
    return found.assign(label=(positive >= 0.5).astype(np.int8), mixed=(positive > 0) & (positive < 1))[COLUMNS]


def folds_are_pooled(cases: pd.DataFrame) -> bool:
    """Whether a case (``slice``) stands in two folds of one network's round."""
    places = cases[["model", "round", "slice", "fold"]].drop_duplicates()
    return bool(places.duplicated(["model", "round", "slice"]).any())


def _folds_of_round(frame: pd.DataFrame) -> pd.Series:
    return frame.groupby(["model", "round"], observed=True)["fold"].transform("nunique")


def _whole_rounds(frame: pd.DataFrame, folds: int) -> pd.DataFrame:
    """Of each network the rounds with all ``folds``, or everything where there is none."""
    whole = _folds_of_round(frame) == folds
    has_whole = whole.groupby(frame["model"], observed=True).transform("any")
    return frame[whole | ~has_whole].copy()
