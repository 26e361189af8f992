"""Choosing a slice: of generated samples, or of the reader's own uploads, which live in their session only."""

from __future__ import annotations

from collections import Counter

import numpy as np
import streamlit as st

from covid_core.data.phantom import patient_slices, sample_slices
from covid_core.data.places import PICTURES
from covid_core.data.series import Series
from covid_core.ui.choices import choose
from covid_core.ui.chosen import ChosenSeries, ChosenSlice, as_chosen, chosen_series
from covid_core.ui.errors import plain
from covid_core.ui.uploads import Uploads, draw_uploader, newly_uploaded, uploads

UPLOADED = "Uploaded slice"
GENERATED_SERIES = "Generated series"
NO_SECOND = "No second slice"
SAMPLE_SIZE = 380
SERIES_LENGTH = 12
SERIES_PATIENT = 8

_WITH_UPLOAD = "slice_or_upload"
_SERIES = "upload_series"
_POSITION = "slice_number"


def pick_slice() -> ChosenSlice:
    """Draw the picker and return the slice that is chosen.

    Slices of one scan make a series with a slider to pick from it; of several scans one is chosen first. A file that
    cannot be read leaves everything as it was: a message says why, and what was chosen before stays.
    """
    own = uploads()
    names = [*samples(), GENERATED_SERIES]
    if own:
        new = newly_uploaded()
        if new:
            st.session_state[_WITH_UPLOAD], st.session_state[_SERIES], st.session_state[_POSITION] = (
                UPLOADED,
                new[0],
                new[1] + 1,
            )
        # the upload is this session's alone: what is chosen while there is one does not go into the address
        name = choose(st.selectbox, "Slice", [*names, UPLOADED], _WITH_UPLOAD, bind=None)
    else:
        name = choose(st.selectbox, "Slice", names, "slice")
    chosen, told = _picked(name, own, _SERIES, _POSITION)
    st.caption(plain(chosen.title))
    from_before = draw_uploader()
    if from_before and chosen.uploaded:
        st.caption(f"{plain(chosen.title)}, accepted before, is still shown.")
    for warning in told:
        st.warning(plain(warning), icon=":material/warning:")
    return chosen


def pick_second_slice() -> ChosenSlice | None:
    """Draw the picker of a slice to stand beside the first, out of the same ones; None for no second slice."""
    own = uploads()
    names = [NO_SECOND, *samples(), GENERATED_SERIES]
    if own:
        name = choose(st.selectbox, "Second slice", [*names, UPLOADED], "second_or_upload", bind=None)
    else:
        name = choose(st.selectbox, "Second slice", names, "second")
    return None if name == NO_SECOND else _picked(name, own, "second_series", "second_number")[0]


def upload_slices() -> dict[str, ChosenSlice]:
    """Draw the uploader, and return the reader's own slices, each under a name of its own.

    What was uploaded on one page is there on the others too.
    """
    draw_uploader()
    seen: Counter[str] = Counter()
    told: dict[str, list[str]] = {}
    slices = {}
    own = uploads()
    for series in own.series if own else ():
        for position, one in enumerate(series.slices):
            title = _title(series, position)
            seen[title] += 1
            name = title if seen[title] == 1 else f"{title} ({seen[title]})"
            slices[name] = as_chosen(one.pixels, name, uploaded=True)
            for warning in one.warnings:
                told.setdefault(warning, []).append(name)
        for warning in series.warnings:
            told.setdefault(warning, []).append(series.title)
    for warning, names in told.items():
        more = f" and {len(names) - 1} more" if len(names) > 1 else ""
        st.warning(plain(f"{names[0]}{more}: {warning}"), icon=":material/warning:")
    return slices


def _picked(name: str, own: Uploads | None, series_key: str, key: str) -> tuple[ChosenSlice, tuple[str, ...]]:
    """The slice called ``name``, or one of a series by widgets under two keys, and what has to be said of it."""
    if name == UPLOADED and own is not None:
        return _picked_upload(own, series_key, key)
    series = _generated_series() if name == GENERATED_SERIES else chosen_series([samples()[name]])
    position = _pick_position(len(series.pixels), key) if len(series.pixels) > 1 else 0
    if len(series.pixels) > 1:
        name = f"{name}, slice {position + 1}"
    return ChosenSlice("Drawn by this software, nobody's scan", name, False, series, position), ()


def _picked_upload(own: Uploads, series_key: str, key: str) -> tuple[ChosenSlice, tuple[str, ...]]:
    titles = {series.key: series.title for series in own.series}
    chosen_key = own.series[0].key
    if len(titles) > 1:
        # names of files are this session's alone: they do not go into the address
        chosen_key = choose(st.selectbox, "Series", list(titles), series_key, bind=None, format_func=titles.get)
    index = list(titles).index(chosen_key)
    series = own.series[index]
    position = _pick_position(len(series.found), key) if len(series.found) > 1 else 0
    one = series.slices[position]
    title = _title(series, position)
    return ChosenSlice(title, title, True, own.chosen[index], position), (*series.warnings, *one.warnings)


def _title(series: Series, position: int) -> str:
    name = series.slices[position].name or UPLOADED
    if series.key == PICTURES or len(series.found) == 1:
        return name
    return f"{name}, slice {position + 1} of {len(series.found)}"


def _pick_position(count: int, key: str) -> int:
    """The slider over a series; a position beyond a shorter series falls back to its middle."""
    if not 1 <= st.session_state.get(key, 0) <= count:
        st.session_state[key] = (count + 1) // 2
    return st.slider(f"Slice of {count}", 1, count, key=key) - 1


@st.cache_data(max_entries=1, show_spinner="Drawing the sample slices …")
def samples() -> dict[str, np.ndarray]:
    """The generated slices: name -> uint8 ``(SAMPLE_SIZE, SAMPLE_SIZE)``."""
    seen: Counter[str] = Counter()
    named = {}
    for sample in sample_slices(SAMPLE_SIZE):
        seen[sample.label] += 1
        named[f"Generated {sample.label} {seen[sample.label]}"] = sample.pixels
    return named


@st.cache_data(max_entries=1, show_spinner="Drawing the sample series …")
def _generated_series() -> ChosenSeries:
    scan = patient_slices(SERIES_PATIENT, True, SERIES_LENGTH, SAMPLE_SIZE)
    return chosen_series([one.pixels for one in scan])
