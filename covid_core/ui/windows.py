"""The slice on a page, in a window of the reader's choice: for looking only, a network sees what it always sees."""

from __future__ import annotations

from types import MappingProxyType

import numpy as np
import streamlit as st

from covid_core.data.window import BONE, LUNG, MEDIASTINUM, Window, to_grey
from covid_core.ui.chosen import ChosenSlice

PRESETS = MappingProxyType({"Lung": LUNG, "Mediastinum": MEDIASTINUM, "Bone": BONE})
LEVELS = (-1000, 1000)
WIDTHS = (10, 4000)

_PRESET, _LEVEL, _WIDTH = "look_preset", "look_level", "look_width"


@st.fragment
def draw_slice(chosen: ChosenSlice) -> None:
    """Draw the slice; where it has Hounsfield units, sliders choose which of them are shown.

    The sliders change this picture alone. They are a part of the page that runs by itself: nothing else is drawn again.
    """
    place = st.container()
    if not chosen.uploaded or chosen.hounsfield is None:
        place.image(np.clip(np.rint(chosen.pixels), 0, 255).astype(np.uint8), caption="Slice", width="stretch")
        if chosen.uploaded:
            st.caption("This slice has no Hounsfield units, so it has no window to choose: it is shown as it was read.")
        return
    window = _pick_window()
    grey = np.rint(to_grey(chosen.hounsfield, window)).astype(np.uint8)
    place.image(grey, caption="Slice", width="stretch")
    st.caption(
        "Level and width are for looking only. They change this picture and nothing else: networks, maps and overlays "
        f"always get the lung window, level {_units(LUNG.level)} and width {_units(LUNG.width)} HU."
    )


def _pick_window() -> Window:
    st.session_state.setdefault(_LEVEL, round(LUNG.level))
    st.session_state.setdefault(_WIDTH, round(LUNG.width))
    st.segmented_control("Window", list(PRESETS), key=_PRESET, default="Lung", on_change=_take_preset)
    level = st.slider("Level, HU", *LEVELS, key=_LEVEL, step=10, on_change=_leave_preset)
    width = st.slider("Width, HU", *WIDTHS, key=_WIDTH, step=10, on_change=_leave_preset)
    return Window(level, width)


def _take_preset() -> None:
    window = PRESETS.get(st.session_state[_PRESET])
    if window:
        st.session_state[_LEVEL], st.session_state[_WIDTH] = round(window.level), round(window.width)


def _leave_preset() -> None:
    here = Window(st.session_state[_LEVEL], st.session_state[_WIDTH])
    st.session_state[_PRESET] = next((name for name, window in PRESETS.items() if window == here), None)


def _units(value: float) -> str:
    return f"{value:g}".replace("-", "−")
