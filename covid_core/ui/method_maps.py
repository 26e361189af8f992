"""Maps of one slice by every method, computed in the background and kept in the session. Imports TensorFlow."""

from __future__ import annotations

from functools import partial

import cv2
import keras
import numpy as np
import streamlit as st

from covid_core.data.slices import resize_slice
from covid_core.explain.agreement import rank_correlation
from covid_core.explain.method_names import METHODS
from covid_core.ui.admission import check_picture
from covid_core.ui.background import Job
from covid_core.ui.chosen import ChosenSlice
from covid_core.ui.inference import model_of
from covid_core.ui.networks import ChosenNetwork
from covid_core.ui.workbench import Shelf, shelf, turn

_JOB = "method_maps_job"


def job(network: ChosenNetwork, chosen: ChosenSlice, class_index: int) -> Job[dict[str, np.ndarray]]:
    """The session's work on this slice; the last one is kept, and one that failed is begun anew.

    Args:
        network: With a card.
        chosen: The slice.
        class_index: The class that the maps explain.

    Returns:
        Method to its raw map float32 ``(h, w)``.

    Raises:
        SliceError: The slice is refused by its picture.
    """
    check_picture(chosen)
    key = (network.key, chosen.digest, class_index)
    known = st.session_state.get(_JOB)
    if known is None or known[0] != key or known[1].failed:
        title = f"Asking {network.spec.name} in {len(METHODS)} ways"
        known = (key, Job(title, partial(_maps, shelf(), model_of(network), network, chosen, class_index), turn()))
        st.session_state[_JOB] = known
    return known[1]


def forget() -> None:
    """Let the next call of ``job`` begin anew."""
    st.session_state.pop(_JOB, None)


def agreement(raw: dict[str, np.ndarray]) -> dict[str, dict[str, str]]:
    """Rank correlation of each pair of maps, as texts in a table, at the resolution of the coarsest.

    Args:
        raw: As ``job`` gives it.
    """
    height, width = min((one.shape for one in raw.values()), key=lambda shape: shape[0] * shape[1])
    small = {name: cv2.resize(one, (width, height), interpolation=cv2.INTER_AREA) for name, one in raw.items()}
    table: dict[str, dict[str, str]] = {}
    for name, one in small.items():
        values = {other: rank_correlation(one[None], of[None])[0] for other, of in small.items()}
        table[METHODS[name]] = {
            METHODS[other]: "—" if np.isnan(value) else f"{value:+.2f}" for other, value in values.items()
        }
    return table


def _maps(
    shelf: Shelf, model: keras.Model, network: ChosenNetwork, chosen: ChosenSlice, class_index: int
) -> dict[str, np.ndarray]:
    bench = shelf.get(network, model)
    seen = resize_slice(chosen.pixels, network.input_size, network.interpolation)
    return {name: bench.maps(name, seen, class_index) for name in METHODS}
