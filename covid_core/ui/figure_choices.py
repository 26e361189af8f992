"""What a figure of heat maps is drawn from: its networks and its two slices; imports no deep-learning library."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import streamlit as st

from covid_core.data.phantom import NEGATIVE, POSITIVE
from covid_core.explain.map_pairs import trained_pairs
from covid_core.models import zoo
from covid_core.models.library import Card
from covid_core.ui.choices import choose
from covid_core.ui.networks import ChosenNetwork
from covid_core.ui.slices import ChosenSlice, as_chosen, samples, upload_slices


def pick_two_slices() -> tuple[ChosenSlice, ChosenSlice]:
    """Draw the pickers of a positive and a negative slice, and return both.

    Samples and the reader's own slices can take either place: what class an uploaded slice is of is the reader's word.
    """
    with st.expander("Use your own slices", key="own_slices"):
        own = upload_slices()
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
