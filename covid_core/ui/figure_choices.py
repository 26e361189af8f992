"""What figures are drawn from: networks and slices; imports no deep-learning library."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from types import MappingProxyType

import numpy as np
import streamlit as st

from covid_core.charts.figures import Block
from covid_core.data.phantom import NEGATIVE, POSITIVE
from covid_core.explain.map_pairs import trained_pairs
from covid_core.models import zoo
from covid_core.models.library import Card
from covid_core.ui.choices import choose
from covid_core.ui.chosen import ChosenSlice, as_chosen
from covid_core.ui.networks import ChosenNetwork
from covid_core.ui.slices import samples, upload_slices

STRIP_NETWORK = "ResNet101V2"

STRIP_LAYERS = MappingProxyType(
    {
        17: "conv2_block1_out",
        63: "conv3_block2_out",
        109: "conv4_block2_out",
        166: "conv4_block8_preact_relu",
        219: "conv4_block12_out",
        263: "conv4_block16_out",
        307: "conv4_block20_out",
        379: "probabilities",
    }
)
"""The layers of ``STRIP_NETWORK`` in figure 6 of the study: number to name here."""

SLOW_TO_BUILD = "Building a large network takes half a minute."

FIRST, STRONGEST, MOST_DIFFERENT = "first", "strongest", "most different"
"""Ways to choose channels: by number, by mean, by what differs between two slices."""


@dataclass(frozen=True)
class Plan:
    """A figure whose choices are made.

    Args:
        name: Of its file.
        slices: What it is drawn from.
        draw: Computes its blocks and its caption. Starts TensorFlow; calls what it is given with the name of each
            network before it is asked.
        note: What else has to be said under it.
    """

    name: str
    slices: Sequence[ChosenSlice]
    draw: Callable[[Callable[[str], None]], tuple[list[Block], list[str]]]
    note: str


def slice_name(chosen: ChosenSlice) -> str:
    """What a figure calls a slice: a file's name is the reader's own, and the figure may be handed on."""
    return "uploaded" if chosen.uploaded else chosen.name


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


def pick_layer_network(trained: dict[str, list[Card]]) -> ChosenNetwork:
    """Draw the picker of the network whose layers are drawn, and return it with the first of its trained folds.

    The first choice is ``STRIP_NETWORK``, or the first trained network where that is not trained and another is.

    Args:
        trained: As ``networks.trained_networks`` gives it.
    """
    names = [name for name in zoo.ALL if name in trained] + [name for name in zoo.ALL if name not in trained]
    first = names[0] if trained and STRIP_NETWORK not in trained else STRIP_NETWORK
    name = choose(st.selectbox, "Network", names, "layer_network", index=names.index(first))
    (network,) = single_networks([name], trained)
    return network


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
