"""Choosing a slice: a generated sample, or the reader's own upload, which lives in their session only."""

from __future__ import annotations

import hashlib
from collections import Counter
from dataclasses import dataclass

import numpy as np
import streamlit as st

from covid_core.data.phantom import sample_slices
from covid_core.data.slices import MAX_BYTES, Slice, read_slice
from covid_core.errors import SliceError
from covid_core.ui.choices import choose
from covid_core.ui.errors import error_box, plain

UPLOADED = "Uploaded slice"
SAMPLE_SIZE = 380

_SLICE = "uploaded_slice"
_REMOVED = "removed_slice"
_WITH_UPLOAD = "slice_or_upload"
_REFUSAL = "upload_refusal"


@dataclass(frozen=True, eq=False)
class ChosenSlice:
    """What the reader looks at.

    Args:
        pixels: float32 ``(H, W)``, grey values 0-255.
        title: A caption.
        uploaded: Whether it is the reader's own; generated otherwise.
        digest: SHA-256 of shape and pixels, hex: names it in the session's caches.
    """

    pixels: np.ndarray
    title: str
    uploaded: bool
    digest: str


def pick_slice() -> ChosenSlice:
    """Draw the picker and return the slice that is chosen.

    A file that cannot be read leaves everything as it was: a message says why, and the slice chosen before stays.
    """
    drawn = samples()
    upload: Slice | None = st.session_state.get(_SLICE)
    if upload:
        # the upload is this session's alone: what is chosen while there is one does not go into the address
        name = choose(st.selectbox, "Slice", [*drawn, UPLOADED], _WITH_UPLOAD, bind=None)
    else:
        name = choose(st.selectbox, "Slice", list(drawn), "slice")
    if name == UPLOADED and upload:
        chosen = as_chosen(upload.pixels, upload.name or UPLOADED, uploaded=True)
    else:
        chosen = as_chosen(drawn[name].astype(np.float32), "Drawn by this software, nobody's scan", uploaded=False)
    st.caption(plain(chosen.title))
    st.file_uploader(
        "Upload a slice (PNG, JPEG or TIFF)",
        type=["png", "jpg", "jpeg", "tif", "tiff"],
        key="upload",
        on_change=_take_upload,
        max_upload_size=MAX_BYTES // 2**20,
    )
    if upload and st.session_state["upload"] is None:
        # after a visit to another page the uploader is empty, and has no cross to remove the slice with
        st.button("Remove the uploaded slice", key="remove_upload", on_click=_forget_upload)
    if _REFUSAL in st.session_state:
        error_box(st.session_state[_REFUSAL])
        if chosen.uploaded:
            st.caption(f"{plain(chosen.title)}, accepted before, is still shown.")
    if chosen.uploaded and upload:
        for warning in upload.warnings:
            st.warning(plain(warning), icon=":material/warning:")
    return chosen


def _take_upload() -> None:
    """Read the file at once, so that a refused one never replaces what was there.

    A file dropped over another one arrives as a removal and then as a file: the slice that was removed last is kept
    aside, and comes back if the file that follows is refused.
    """
    file = st.session_state["upload"]
    refused = st.session_state.pop(_REFUSAL, None)
    if file is None:
        if refused is None:  # taking a refused file away leaves the slice that was accepted before it
            _forget_upload()
        return
    try:
        st.session_state[_SLICE] = read_slice(file.getvalue(), file.name)
    except SliceError as refusal:
        st.session_state[_REFUSAL] = refusal
        if _REMOVED not in st.session_state:
            return
        st.session_state[_SLICE] = st.session_state[_REMOVED]
    st.session_state.pop(_REMOVED, None)
    st.session_state[_WITH_UPLOAD] = UPLOADED


def _forget_upload() -> None:
    if _SLICE in st.session_state:
        st.session_state[_REMOVED] = st.session_state.pop(_SLICE)


@st.cache_data(max_entries=1, show_spinner="Drawing the sample slices …")
def samples() -> dict[str, np.ndarray]:
    """The generated slices: name -> uint8 ``(SAMPLE_SIZE, SAMPLE_SIZE)``."""
    seen: Counter[str] = Counter()
    named = {}
    for sample in sample_slices(SAMPLE_SIZE):
        seen[sample.label] += 1
        named[f"Generated {sample.label} {seen[sample.label]}"] = sample.pixels
    return named


def as_chosen(pixels: np.ndarray, title: str, uploaded: bool) -> ChosenSlice:
    """A slice with its digest.

    Args:
        pixels: float32 ``(H, W)``, grey values 0-255.
        title: A caption.
        uploaded: Whether it is the reader's own.
    """
    digest = hashlib.sha256(repr(pixels.shape).encode() + np.ascontiguousarray(pixels).tobytes()).hexdigest()
    return ChosenSlice(pixels, title, uploaded, digest)
