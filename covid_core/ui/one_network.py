"""One network's answers and measures as its page loads them, once for each state of the store."""

from __future__ import annotations

from dataclasses import dataclass

import streamlit as st

from covid_core.results.network_answers import (
    NetworkAnswers,
    NetworkMeasures,
    external_answers,
    fold_answers,
    measured,
)
from covid_core.results.patients import known_patients
from covid_core.results.store import ResultsStore
from covid_core.settings import Settings
from covid_core.ui.comparison import experiments_by_folds
from covid_core.ui.external import tests_by_data
from covid_core.ui.results import results_store
from covid_core.ui.tables import in_zoo_order


@dataclass(frozen=True)
class Asked:
    """Whose answers the page is about.

    Args:
        model: Name of the network.
        place: Id of the experiment, or of the external test.
        elsewhere: Whether it is an external test.
        sha256: Checksum of the weights of an external test; empty otherwise.
    """

    model: str
    place: str
    elsewhere: bool = False
    sha256: str = ""


def sources() -> dict[str, dict[str, Asked]]:
    """Results with answers of single slices, by a name for people, and the networks of each by theirs.

    Raises:
        StoreError: The store cannot be read.
    """
    experiments, folds = experiments_by_folds()
    found = {}
    for label, experiment in experiments.items():
        models = in_zoo_order(folds.loc[folds["experiment"] == experiment, "model"])
        found[label] = {model: Asked(model, experiment) for model in models}
    for label, table in tests_by_data().items():
        found[f"External test: {label}"] = {
            row.label: Asked(row.network, row.study, True, row.sha256) for row in table.itertuples()
        }
    return found


def answers_of(asked: Asked) -> NetworkAnswers:
    """What the network said; without rows where the store has no predictions of it.

    Raises:
        StoreError: The store or a file of patients cannot be read.
    """
    store, settings = results_store(), Settings.from_environment()
    patients = {} if asked.elsewhere else known_patients(settings.results_folder)
    revision = store.studies_revision() if asked.elsewhere else store.revision()
    return _answers(store, settings.store_url, revision, asked.model, asked.place, asked.elsewhere, patients)


def measures_of(asked: Asked, answers: NetworkAnswers, method: str) -> NetworkMeasures:
    """``network_answers.measured``, kept for each network and method.

    Args:
        asked: Whose answers they are.
        answers: As ``answers_of`` gives them, at least one.
        method: One of ``resampling.METHODS``.
    """
    store, url = results_store(), Settings.from_environment().store_url
    revision = store.studies_revision() if asked.elsewhere else store.revision()
    return _measures(answers, url, revision, asked.model, asked.place, answers.patients, method)


@st.cache_data(max_entries=16, show_spinner=False)
def _answers(
    _store: ResultsStore,
    url: str,
    revision: int,
    model: str,
    place: str,
    elsewhere: bool,
    patients: dict[str, dict[str, str]],
) -> NetworkAnswers:
    return external_answers(_store, place) if elsewhere else fold_answers(_store, place, model, patients)


@st.cache_data(max_entries=32, show_spinner="Measuring …")
def _measures(
    _answers: NetworkAnswers, url: str, revision: int, model: str, place: str, patients: bool, method: str
) -> NetworkMeasures:
    return measured(_answers, method)
