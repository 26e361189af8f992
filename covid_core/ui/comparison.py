"""Comparisons as a page loads them, once for each state of the store; imports no deep-learning library."""

from __future__ import annotations

import json
from collections.abc import Sequence

import pandas as pd
import streamlit as st

from covid_core.results.leaderboard import folds_a_round
from covid_core.results.pairs import Pair, compare_pairs, compare_predictions
from covid_core.results.patients import known_patients
from covid_core.results.store import ResultsStore
from covid_core.settings import Settings
from covid_core.ui.results import results_store
from covid_core.ui.tables import experiment_labels

PUBLISHED = "Published, the study"
"""The study's rows, among the experiments that a page offers."""


def experiments_by_folds() -> tuple[dict[str, str], pd.DataFrame]:
    """Experiments with a finished fold, and these folds.

    Returns:
        Name for people -> id, those with most folds first, and ``ResultsStore.folds``.

    Raises:
        StoreError: The store cannot be read.
    """
    store = results_store()
    experiments, folds = _read(store, Settings.from_environment().store_url, store.revision())
    counts = folds["experiment"].value_counts()
    known = experiments[experiments["id"].isin(counts.index)]
    known = known.assign(folds=known["id"].map(counts)).sort_values("folds", ascending=False, kind="stable")
    return experiment_labels(known), folds


def comparisons(
    experiment: str, pairs: Sequence[Pair], metric: str, region: float
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """``pairs.compare_pairs`` and ``pairs.compare_predictions`` of one experiment.

    Raises:
        StoreError: The store or a file of patients cannot be read, or two networks saw other slices.
    """
    store, settings = results_store(), Settings.from_environment()
    digest = store.experiments().set_index("id")["dataset_digest"][experiment]
    patients = known_patients(settings.results_folder).get(digest)
    url, revision = settings.store_url, store.revision()
    by_folds = _by_folds(store, url, revision, experiment, tuple(pairs), metric, region)
    return by_folds, _by_slices(store, url, revision, experiment, tuple(pairs), metric, patients)


@st.cache_data(max_entries=4, show_spinner=False)
def _read(_store: ResultsStore, url: str, revision: int) -> tuple[pd.DataFrame, pd.DataFrame]:
    return _store.experiments(), _store.folds()


@st.cache_data(max_entries=64, show_spinner=False)
def _by_folds(
    _store: ResultsStore, url: str, revision: int, experiment: str, pairs: tuple[Pair, ...], metric: str, region: float
) -> pd.DataFrame:
    folds = _store.folds(experiment)
    return compare_pairs(folds, pairs, metric, 1 / folds_a_round(json.loads(folds["protocol"].iloc[0])), region)


@st.cache_data(max_entries=64, show_spinner="Comparing slice by slice …")
def _by_slices(
    _store: ResultsStore,
    url: str,
    revision: int,
    experiment: str,
    pairs: tuple[Pair, ...],
    metric: str,
    patients: dict[str, str] | None,
) -> pd.DataFrame:
    return compare_predictions(lambda model: _store.predictions(experiment, model), pairs, metric, patients)
