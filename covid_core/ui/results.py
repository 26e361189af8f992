"""The results store as the pages read it; imports no deep-learning library."""

from __future__ import annotations

import pandas as pd
import streamlit as st

from covid_core import charts
from covid_core.results.exchange import open_store
from covid_core.results.leaderboard import leaderboard
from covid_core.results.patients import known_patients
from covid_core.results.split_gap import split_gaps
from covid_core.results.store import ResultsStore
from covid_core.settings import Settings


def results_store() -> ResultsStore:
    """The store of this installation, with the shipped measurements in it; opened once a server.

    Raises:
        StoreError: It cannot be opened.
    """
    settings = Settings.from_environment()
    return _opened(settings.store_url, str(settings.results_folder))


def leaderboard_rows(method: str) -> pd.DataFrame:
    """``results.leaderboard.leaderboard``, computed once for each state of the store.

    Args:
        method: One of ``intervals.METHODS``.

    Raises:
        StoreError: The store or a file of patients cannot be read.
    """
    store, settings = results_store(), Settings.from_environment()
    patients = known_patients(settings.results_folder) if method == "groups" else {}
    return _rows(store, settings.store_url, store.revision(), method, patients)


def split_rows(method: str) -> pd.DataFrame:
    """``results.split_gap.split_gaps`` of ``leaderboard_rows``, computed once like them.

    Args:
        method: One of ``intervals.METHODS``.

    Raises:
        StoreError: As for ``leaderboard_rows``.
    """
    rows, store = leaderboard_rows(method), results_store()
    return _gaps(store, Settings.from_environment().store_url, store.revision(), method, rows)


@st.cache_data(max_entries=64, show_spinner=False)
def score_chart(rows: pd.DataFrame, metric: str, title: str, reference: tuple[float, str] | None) -> dict:
    """``charts.score_bars`` for ``st.vega_lite_chart``, made once for the same rows."""
    return charts.unvalidated(charts.score_bars(rows, metric, title, reference))


@st.cache_resource(max_entries=4, show_spinner=False)
def _opened(url: str, results_folder: str) -> ResultsStore:
    return open_store(url, results_folder)


@st.cache_data(max_entries=16, show_spinner=False)
def _rows(
    _store: ResultsStore, url: str, revision: int, method: str, patients: dict[str, dict[str, str]]
) -> pd.DataFrame:
    return leaderboard(_store, method, patients)


@st.cache_data(max_entries=16, show_spinner=False)
def _gaps(_store: ResultsStore, url: str, revision: int, method: str, _rows: pd.DataFrame) -> pd.DataFrame:
    return split_gaps(_rows, _store.experiments())
