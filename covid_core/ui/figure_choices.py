"""What a figure of heat maps is drawn from: its networks and its two slices; imports no deep-learning library."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

import numpy as np
import streamlit as st

from covid_core.data.phantom import NEGATIVE, POSITIVE
from covid_core.data.slices import MAX_BYTES, read_slice
from covid_core.errors import SliceError
from covid_core.explain.map_pairs import trained_pairs
from covid_core.models import zoo
from covid_core.models.library import Card
from covid_core.ui.choices import choose
from covid_core.ui.errors import error_box, plain
from covid_core.ui.networks import ChosenNetwork
from covid_core.ui.slices import ChosenSlice, as_chosen, samples

MOST_UPLOADS = 12


def pick_two_slices() -> tuple[ChosenSlice, ChosenSlice]:
    """Draw the pickers of a positive and a negative slice, and return both.

    Samples and the reader's own slices can take either place: what class an uploaded slice is of is the reader's word.
    """
    own = _uploads()
    drawn = {name: as_chosen(pixels.astype(np.float32), name, uploaded=False) for name, pixels in samples().items()}
    slices = drawn | own
    chosen = []
    for column, key, label in zip(st.columns(2), (POSITIVE, NEGATIVE), ("Positive", "Negative"), strict=True):
        first = next(name for name in drawn if name.startswith(f"Generated {key} "))
        with column:
            names = list(slices)
            index = names.index(first)
            if own:  # names of files are this session's alone: they do not go into the address
                name = choose(st.selectbox, f"{label} slice", names, f"{label.lower()}_or_own", index=index, bind=None)
            else:
                name = choose(st.selectbox, f"{label} slice", names, label.lower(), index=index)
            chosen.append(slices[name])
    return chosen[0], chosen[1]


def single_networks(names: Sequence[str], trained: dict[str, list[Card]]) -> list[ChosenNetwork]:
    """Each network with the first of its trained folds, or without weights."""
    return [ChosenNetwork(zoo.get(name), next(iter(trained.get(name, [])), None)) for name in names]


def network_pairs(
    backbones: Sequence[str], trained: dict[str, list[Card]]
) -> list[tuple[ChosenNetwork, ChosenNetwork]]:
    """Base and modified network of each backbone, trained on the same fold, or both without weights."""
    known = {pair.backbone: pair.weights for pair in trained_pairs(trained, backbones)}
    return [
        (
            ChosenNetwork(zoo.get(name), known[name][0] if name in known else None),
            ChosenNetwork(zoo.get(f"Modified-{name}"), known[name][1] if name in known else None),
        )
        for name in backbones
    ]


def _uploads() -> dict[str, ChosenSlice]:
    """Name -> the reader's own slice; a file that cannot be read is named and left out."""
    with st.expander("Use your own slices", key="own_slices"):
        files = st.file_uploader(
            f"PNG, JPEG or TIFF, up to {MOST_UPLOADS}",
            type=["png", "jpg", "jpeg", "tif", "tiff"],
            key="figure_upload",
            accept_multiple_files=True,
            max_upload_size=MAX_BYTES // 2**20,
        )
        seen: Counter[str] = Counter()
        slices = {}
        for file in files[:MOST_UPLOADS]:
            try:
                read = read_slice(file.getvalue(), file.name)
            except SliceError as refusal:
                error_box(refusal)
                continue
            seen[file.name] += 1
            name = file.name if seen[file.name] == 1 else f"{file.name} ({seen[file.name]})"
            slices[name] = as_chosen(read.pixels, name, uploaded=True)
            for warning in read.warnings:
                st.warning(plain(f"{name}: {warning}"), icon=":material/warning:")
        if len(files) > MOST_UPLOADS:
            st.warning(f"Only the first {MOST_UPLOADS} files are taken.", icon=":material/warning:")
    return slices
