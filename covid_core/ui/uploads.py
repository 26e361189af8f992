"""The reader's own files, which live in their session only: the uploader, and what was made of its files."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import streamlit as st

from covid_core.data.places import PICTURES
from covid_core.data.series import (
    MAX_FILE_BYTES,
    MAX_SERIES_PIXELS,
    MAX_SLICES,
    Found,
    NamedFile,
    Refusal,
    Series,
    arrange,
    read_files,
    told,
)
from covid_core.errors import SliceError
from covid_core.ui.chosen import ChosenSeries, chosen_series
from covid_core.ui.errors import error_box

MOST_SLICES = MAX_SLICES
MOST_PIXELS = MAX_SERIES_PIXELS

_UPLOADS = "uploaded_slices"
_IN_UPLOADER = "files_in_uploader"
_READ = "files_read"
_REFUSALS = "upload_refusals"
_ACCEPTED = "files_accepted"
_NEW = "new_upload"


@dataclass(frozen=True, eq=False)
class Uploads:
    """What the reader's files gave.

    Args:
        found: All slices; ``source`` is Streamlit's name for the file, Hounsfield units are int16.
        notes: What was left out of a series, by its key.
        series: The same slices in order, by series.
        chosen: The series as pages use them.
    """

    found: tuple[Found, ...]
    notes: Mapping[str, tuple[str, ...]]
    series: tuple[Series, ...]
    chosen: tuple[ChosenSeries, ...]


def uploads() -> Uploads | None:
    """What this session has uploaded; None where nothing of it is a slice."""
    return st.session_state.get(_UPLOADS)


def newly_uploaded() -> tuple[str, int] | None:
    """Series and position of the slice to show after an upload; told once."""
    return st.session_state.pop(_NEW, None)


def draw_uploader() -> bool:
    """The uploader, the way to forget what is there, and a message for what was refused.

    Returns:
        Whether the last files were all refused, so that what is there is from before.
    """
    files = st.file_uploader(
        "Upload slices: pictures, DICOM, NIfTI or a ZIP file",
        accept_multiple_files=True,
        key="upload",
        on_change=_take,
        max_upload_size=MAX_FILE_BYTES // 2**20,
        help="PNG, JPEG or TIFF pictures; DICOM files, one, several, or all of a folder; a ZIP file of them; a NIfTI "
        "volume (.nii, .nii.gz). Slices of one scan make a series, ordered by their place in the body, pictures by "
        "their names. Files stay in the memory of this session and are gone when it ends; of DICOM tags only those "
        "that the picture needs are read.",
    )
    # what stands in the uploader now; after a visit to another page nothing does, though the slices are still here
    st.session_state[_IN_UPLOADER] = {file.file_id for file in files}
    if uploads() and not files:
        st.button("Remove the uploaded slices", key="remove_upload", on_click=_forget)
    refusals: list[Refusal] = st.session_state.get(_REFUSALS, [])
    for text in told(refusals):
        error_box(SliceError(text))
    return bool(refusals) and not st.session_state.get(_ACCEPTED, False)


def _take() -> None:
    """Read the files at once, so that a refused one never replaces what was there."""
    files = st.session_state["upload"]
    before = uploads() or Uploads((), {}, (), ())
    in_uploader: set[str] = st.session_state.get(_IN_UPLOADER, set())
    read: set[str] = st.session_state.setdefault(_READ, set())
    here = {file.file_id for file in files}
    # slices from before a visit to another page are no longer in the uploader: new ones join them
    kept = [one for one in before.found if one.source in here or one.source not in in_uploader]
    new = [NamedFile(file.name, file.getvalue, file.file_id) for file in files if file.file_id not in read]
    reading = read_files(
        new,
        most_slices=MOST_SLICES - len(kept),
        most_pixels=MOST_PIXELS - sum(one.slice.pixels.size for one in kept),
    )
    # what was refused is not read again, the reader has seen why; what only found no room may find it later
    read |= {file.source for file in new} - {one.source for one in reading.refusals if one.for_want_of_room}
    st.session_state[_REFUSALS], st.session_state[_ACCEPTED] = list(reading.refusals), bool(reading.found)
    found = (*kept, *(_compact(one) for one in reading.found))
    if not found:
        st.session_state.pop(_UPLOADS, None)
        return
    keys = {one.place.series for one in found}
    notes = {
        key: (*before.notes.get(key, ()), *reading.notes.get(key, ()))
        for key in keys
        if key in before.notes or key in reading.notes
    }
    series = arrange(found, notes)
    chosen = tuple(
        chosen_series([one.pixels for one in each.slices], [one.hounsfield for one in each.slices]) for each in series
    )
    st.session_state[_UPLOADS] = Uploads(found, notes, series, chosen)
    st.session_state[_NEW] = _first_look(series, {file.source for file in new})


def _compact(one: Found) -> Found:
    """Hounsfield units as int16: they are for looking only, and take half the memory."""
    if one.slice.hounsfield is None:
        return one
    units = np.clip(np.rint(one.slice.hounsfield), -(2**15), 2**15 - 1).astype(np.int16)
    return replace(one, slice=replace(one.slice, hounsfield=units))


def _first_look(series: Sequence[Series], new: set[str]) -> tuple[str, int] | None:
    """Series and position to show: the first new picture, or the middle of a new scan, where the lungs are largest."""
    for one in series:
        positions = [index for index, found in enumerate(one.found) if found.source in new]
        if positions:
            return one.key, positions[0 if one.key == PICTURES else len(positions) // 2]
    return None


def _forget() -> None:
    for key in (_UPLOADS, _REFUSALS, _NEW):
        st.session_state.pop(key, None)
