"""Choosing a slice: of generated samples, or of the reader's own uploads, which live in their session only."""

from __future__ import annotations

import hashlib
import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import streamlit as st

from covid_core.data.phantom import patient_slices, sample_slices
from covid_core.data.slices import MAX_BYTES, Slice, read_slice
from covid_core.errors import SliceError
from covid_core.ui.choices import choose
from covid_core.ui.errors import error_box, plain

UPLOADED = "Uploaded slice"
GENERATED_SERIES = "Generated series"
NO_SECOND = "No second slice"
SAMPLE_SIZE = 380
SERIES_LENGTH = 12
SERIES_PATIENT = 8
MOST_SLICES = 100

_UPLOADS = "uploaded_slices"
_IN_UPLOADER = "files_in_uploader"
_REFUSED = "refused_files"
_REFUSALS = "upload_refusals"
_WITH_UPLOAD = "slice_or_upload"
_POSITION = "slice_number"


@dataclass(frozen=True, eq=False)
class ChosenSeries:
    """Slices of one scan, or a single one, in their order.

    Args:
        pixels: float32 ``(H, W)`` each, grey values 0-255; sizes may differ.
        digest: SHA-256 over shapes and pixels, hex: names the series in the session's caches.
    """

    pixels: tuple[np.ndarray, ...]
    digest: str


@dataclass(frozen=True, eq=False)
class ChosenSlice:
    """What the reader looks at.

    Args:
        title: A caption.
        name: Tells it from the other slices that can be picked.
        uploaded: Whether it is the reader's own; generated otherwise.
        series: The slices that it was picked from, at least itself.
        position: Its place among them, from 0.
        is_chest: Whether it is out of a data set of chest slices, and need not be judged.
    """

    title: str
    name: str
    uploaded: bool
    series: ChosenSeries
    position: int = 0
    is_chest: bool = False

    @property
    def pixels(self) -> np.ndarray:
        """float32 ``(H, W)``, grey values 0-255."""
        return self.series.pixels[self.position]

    @property
    def digest(self) -> str:
        """SHA-256 of shape and pixels, hex."""
        return _digest([self.pixels])


@dataclass(frozen=True, eq=False)
class _Uploads:
    """The reader's files that could be read, by Streamlit's name for each, and their slices as a series."""

    slices: dict[str, Slice]
    series: ChosenSeries


def pick_slice() -> ChosenSlice:
    """Draw the picker and return the slice that is chosen.

    Several files make a series, in the order of their names, with a slider to pick from it. A file that cannot be read
    leaves everything as it was: a message says why, and what was chosen before stays.
    """
    uploads: _Uploads | None = st.session_state.get(_UPLOADS)
    names = [*samples(), GENERATED_SERIES]
    if uploads:
        # the upload is this session's alone: what is chosen while there is one does not go into the address
        name = choose(st.selectbox, "Slice", [*names, UPLOADED], _WITH_UPLOAD, bind=None)
    else:
        name = choose(st.selectbox, "Slice", names, "slice")
    chosen = _picked(name, uploads, _POSITION)
    st.caption(plain(chosen.title))
    refusals = _upload()
    if refusals and chosen.uploaded:
        st.caption(f"{plain(chosen.title)}, accepted before, is still shown.")
    if chosen.uploaded:
        for warning in list(uploads.slices.values())[chosen.position].warnings:
            st.warning(plain(warning), icon=":material/warning:")
    return chosen


def pick_second_slice() -> ChosenSlice | None:
    """Draw the picker of a slice to stand beside the first, out of the same ones; None for no second slice."""
    uploads: _Uploads | None = st.session_state.get(_UPLOADS)
    names = [NO_SECOND, *samples(), GENERATED_SERIES]
    if uploads:
        name = choose(st.selectbox, "Second slice", [*names, UPLOADED], "second_or_upload", bind=None)
    else:
        name = choose(st.selectbox, "Second slice", names, "second")
    return None if name == NO_SECOND else _picked(name, uploads, "second_number")


def upload_slices() -> dict[str, ChosenSlice]:
    """Draw the uploader, and return the reader's own slices, each under a name of its own.

    What was uploaded on one page is there on the others too.
    """
    _upload()
    uploads: _Uploads | None = st.session_state.get(_UPLOADS)
    seen: Counter[str] = Counter()
    slices = {}
    for one in uploads.slices.values() if uploads else ():
        title = one.name or UPLOADED
        seen[title] += 1
        name = title if seen[title] == 1 else f"{title} ({seen[title]})"
        slices[name] = as_chosen(one.pixels, name, uploaded=True)
        for warning in one.warnings:
            st.warning(plain(f"{name}: {warning}"), icon=":material/warning:")
    return slices


def as_chosen(pixels: np.ndarray, title: str, uploaded: bool) -> ChosenSlice:
    """A single slice as one that was chosen.

    Args:
        pixels: ``(H, W)``, grey values 0-255, of any numeric type.
        title: A caption.
        uploaded: Whether it is the reader's own.
    """
    return ChosenSlice(title, title, uploaded, chosen_series([pixels]))


def chosen_series(pixels: Sequence[np.ndarray]) -> ChosenSeries:
    """Slices as a series.

    Args:
        pixels: ``(H, W)`` each, grey values 0-255, of any numeric type.
    """
    pixels = tuple(np.asarray(one, np.float32) for one in pixels)
    return ChosenSeries(pixels, _digest(pixels))


def _picked(name: str, uploads: _Uploads | None, key: str) -> ChosenSlice:
    """The slice called ``name``, or one of a series by a slider under ``key``."""
    uploaded = name == UPLOADED and uploads is not None
    if uploaded:
        titles, series = [one.name or UPLOADED for one in uploads.slices.values()], uploads.series
    else:
        series = _generated_series() if name == GENERATED_SERIES else chosen_series([samples()[name]])
        titles = ["Drawn by this software, nobody's scan"] * len(series.pixels)
    position = _pick_position(len(series.pixels), key) if len(series.pixels) > 1 else 0
    title = titles[position]
    if uploaded:
        name = title
    elif len(series.pixels) > 1:
        name = f"{name}, slice {position + 1}"
    return ChosenSlice(title, name, uploaded, series, position)


def _pick_position(count: int, key: str) -> int:
    """The slider over a series; a position beyond a shorter series falls back to its middle."""
    if not 1 <= st.session_state.get(key, 0) <= count:
        st.session_state[key] = (count + 1) // 2
    return st.slider(f"Slice of {count}", 1, count, key=key) - 1


def _upload() -> list[SliceError]:
    """The uploader, the way to forget what is there, and a message for each file that was refused."""
    files = st.file_uploader(
        "Upload slices (PNG, JPEG or TIFF)",
        type=["png", "jpg", "jpeg", "tif", "tiff"],
        accept_multiple_files=True,
        key="upload",
        on_change=_take_uploads,
        max_upload_size=MAX_BYTES // 2**20,
        help="Several slices of one scan make a series, in the order of their names.",
    )
    # what stands in the uploader now; after a visit to another page nothing does, though the slices are still here
    st.session_state[_IN_UPLOADER] = {file.file_id for file in files}
    if st.session_state.get(_UPLOADS) and not files:
        st.button("Remove the uploaded slices", key="remove_upload", on_click=_forget_uploads)
    refusals: list[SliceError] = st.session_state.get(_REFUSALS, [])
    for refusal in refusals:
        error_box(refusal)
    return refusals


def _take_uploads() -> None:
    """Read the files at once, so that a refused one never replaces what was there."""
    files = st.session_state["upload"]
    before: _Uploads | None = st.session_state.get(_UPLOADS)
    known = before.slices if before else {}
    in_uploader: set[str] = st.session_state.get(_IN_UPLOADER, set())
    refused: set[str] = st.session_state.setdefault(_REFUSED, set())
    # slices from before a visit to another page are no longer in the uploader: new ones join them
    accepted = {file: one for file, one in known.items() if file not in in_uploader}
    refusals = []
    for file in files:
        if file.file_id in refused:
            continue  # the reader has read why
        if len(accepted) == MOST_SLICES:
            refusals.append(
                SliceError(
                    f"Expected at most {MOST_SLICES} slices. Received: more; those before {file.name} were taken."
                )
            )
            break
        try:
            accepted[file.file_id] = known.get(file.file_id) or read_slice(file.getvalue(), file.name)
        except SliceError as refusal:
            refusals.append(SliceError(f"{file.name}: {refusal}"))  # of several files, the reader sees which
            refused.add(file.file_id)
    st.session_state[_REFUSALS] = refusals
    if not accepted:
        st.session_state.pop(_UPLOADS, None)
        return
    slices = dict(sorted(accepted.items(), key=lambda item: _natural(item[1].name or "")))
    st.session_state[_UPLOADS] = _Uploads(slices, chosen_series([one.pixels for one in slices.values()]))
    new = [position for position, file in enumerate(slices) if file not in known]
    if new:
        st.session_state[_WITH_UPLOAD] = UPLOADED
        st.session_state[_POSITION] = new[0] + 1


def _forget_uploads() -> None:
    for key in (_UPLOADS, _REFUSALS):
        st.session_state.pop(key, None)


def _natural(name: str) -> list[tuple[int, str]]:
    """Key that puts slice 10 behind slice 9."""
    return [(int(part), "") if part.isdigit() else (-1, part.lower()) for part in re.split(r"([0-9]+)", name)]


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


def _digest(pixels: Sequence[np.ndarray]) -> str:
    digest = hashlib.sha256()
    for one in pixels:
        digest.update(repr(one.shape).encode() + np.ascontiguousarray(one).tobytes())
    return digest.hexdigest()
