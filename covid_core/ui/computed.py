"""Rows that the leaderboard computes when asked: what can be asked for, and what came of it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import streamlit as st

from covid_core.results import patient_level
from covid_core.results.ensembles import MEANINGS, WAYS, Ensemble
from covid_core.results.patients import FILE, GROUPS_FILE, Grouping, known_groupings
from covid_core.results.store import ResultsStore
from covid_core.settings import Settings
from covid_core.ui.choices import choose, tick
from covid_core.ui.errors import plain
from covid_core.ui.results import results_store

if TYPE_CHECKING:
    from covid_core.results.computed import Computed

WAY_OF = {label: way for way, label in WAYS.items()}
MOST_REASONS = 3


@dataclass(frozen=True)
class Asked:
    """What a reader wants to see beside the stored rows.

    Args:
        pairs: Ways of ``ensembles.WAYS`` to join base and modified network of every backbone.
        ensembles: Networks of the reader's choice, joined.
        by_patient: Everything judged by patient as well.
    """

    pairs: tuple[str, ...] = ()
    ensembles: tuple[Ensemble, ...] = ()
    by_patient: bool = False

    def __bool__(self) -> bool:
        return bool(self.pairs or self.ensembles or self.by_patient)


def choose_computed(networks: Sequence[str]) -> Asked:
    """Let the reader ask; nothing is asked for by default.

    Args:
        networks: Names to choose members from, in the order to show.
    """
    with st.popover("Ensembles and patients", icon=":material/join:", width=240):
        pairs = choose(
            st.pills, "Base and modified network of each backbone", list(WAY_OF), "pair", selection_mode="multi"
        )
        members = choose(st.multiselect, "Networks of your choice", list(networks), "member", placeholder="Two or more")
        way = next(iter(WAY_OF))
        if len(members) > 1:
            way = choose(st.segmented_control, "These are", list(WAY_OF), "joined", default=way, required=True)
        by_patient = tick("Judge by patient as well", False, "patient")
        st.caption("Computed from stored probabilities; nothing is trained again.")
    chosen = tuple(name for name in networks if name in members)
    ensembles = (Ensemble(chosen, WAY_OF[way]),) if len(chosen) > 1 else ()
    return Asked(tuple(WAY_OF[label] for label in pairs or ()), ensembles, by_patient)


def computed_rows(method: str, asked: Asked) -> Computed:
    """``results.computed.computed_rows``, once for each state of the store and of the tables of patients.

    Args:
        method: One of ``intervals.METHODS``.
        asked: What to compute.

    Raises:
        StoreError: The store or a table of patients cannot be read.
    """
    store, settings = results_store(), Settings.from_environment()
    tables = _tables(settings.results_folder)
    groupings = _groupings(str(settings.results_folder), tables)
    request = (asked.pairs, asked.ensembles, asked.by_patient)
    return _computed(store, settings.store_url, store.revision(), method, *request, groupings, tables)


def draw_remarks(asked: Asked, computed: Computed) -> None:
    """Say what the rows mean, what to know about them, and what could not be computed."""
    ways = {*asked.pairs, *(ensemble.way for ensemble in asked.ensembles)}
    lines = [f"**{WAYS[way]}**: {MEANINGS[way]}" for way in WAYS if way in ways]
    if asked.by_patient:
        lines.append(" ".join([f"**By patient**: {patient_level.MEANING}", *map(plain, computed.remarks)]))
    st.caption("\n".join(f"- {line}" for line in lines))
    if computed.refused:
        more = len(computed.refused) - MOST_REASONS
        reasons = [plain(reason) for reason in computed.refused[:MOST_REASONS]]
        st.info("\n\n".join(reasons + [f"And {more} more like these."] * (more > 0)), icon=":material/info:")


def _tables(results_folder: Path) -> tuple[tuple[str, int, int], ...]:
    """What tells one state of the tables of patients from another, without reading them."""
    files = sorted(file for name in (FILE, GROUPS_FILE) for file in results_folder.rglob(name))
    return tuple((str(file), file.stat().st_mtime_ns, file.stat().st_size) for file in files)


@st.cache_resource(max_entries=4, show_spinner=False)
def _groupings(results_folder: str, tables: tuple[tuple[str, int, int], ...]) -> dict[str, Grouping]:
    return known_groupings(results_folder)


@st.cache_data(max_entries=16, show_spinner="Computing from stored probabilities …")
def _computed(
    _store: ResultsStore,
    url: str,
    revision: int,
    method: str,
    pairs: tuple[str, ...],
    ensembles: tuple[Ensemble, ...],
    by_patient: bool,
    _groupings: dict[str, Grouping],
    tables: tuple[tuple[str, int, int], ...],
) -> Computed:
    # scipy.stats, behind comparisons, takes a second to import: not for readers who ask for nothing
    from covid_core.results.computed import Request, computed_rows

    return computed_rows(_store, Request(pairs, ensembles, by_patient), method, _groupings)
