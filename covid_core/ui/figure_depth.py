"""The study's figures 6 and 7: what layers of one network make of a slice, or of two; no deep-learning library."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

import streamlit as st

from covid_core.charts.figures import Block
from covid_core.models.library import Card
from covid_core.ui.background import start_tensorflow
from covid_core.ui.choices import choose
from covid_core.ui.errors import shown_errors
from covid_core.ui.figure_choices import (
    FIRST,
    MOST_DIFFERENT,
    SLOW_TO_BUILD,
    STRIP_NETWORK,
    STRONGEST,
    Plan,
    pick_layer_network,
    pick_two_slices,
)
from covid_core.ui.networks import ChosenNetwork, offer_random, untrained_notice
from covid_core.ui.slices import pick_slice

if TYPE_CHECKING:
    from covid_core.explain.activations import LayerInfo

FOUR = {"The first four": FIRST, "The four with the highest mean": STRONGEST}
ONE = {"The first": FIRST, "The highest mean": STRONGEST, "The largest difference": MOST_DIFFERENT}
DEPTHS = {"Opening layer": "opening", "Middle layer": "middle", "Late layer": "late"}
"""Label to query parameter."""

NOTE = "A channel that is bright at a place has not found a lesion: it responds to a pattern, whatever that is."


def strip_plan(trained: dict[str, list[Card]]) -> Plan:
    """Draw the choices of figure 6: eight layers of one network on one slice.

    Args:
        trained: As ``networks.trained_networks`` gives it.
    """
    slice_column, network_column = st.columns(2, gap="large")
    with slice_column:
        chosen = pick_slice()
    with network_column:
        network = pick_layer_network(trained)
        if network.spec.name != STRIP_NETWORK and STRIP_NETWORK not in trained:
            st.caption(
                f"The study draws this figure from {STRIP_NETWORK}, which is not trained here: this is "
                f"{network.spec.name} instead."
            )
        label = choose(
            st.segmented_control, "Channels", list(FOUR), "strip_channels", default=next(iter(FOUR)), required=True
        )
        drawn = _has_weights(network)

    def draw(say: Callable[[str], None]) -> tuple[list[Block], list[str]]:
        from covid_core.ui import figure_layers  # starts TensorFlow

        if not drawn:
            return figure_layers.empty_strip(network, chosen)
        return figure_layers.strip(network, chosen, FOUR[label], say)

    return Plan("layers", [chosen], draw, NOTE)


def slices_plan(trained: dict[str, list[Card]]) -> Plan:
    """Draw the choices of figure 7: a positive and a negative slice at three layers of one network.

    Which layers can be picked is known once the network is loaded; the page says that it is being loaded.

    Args:
        trained: As ``networks.trained_networks`` gives it.
    """
    slices = pick_two_slices()
    network_column, channel_column = st.columns(2)
    with network_column:
        network = pick_layer_network(trained)
    with channel_column:
        label = choose(
            st.segmented_control,
            "Channel of each layer",
            list(ONE),
            "pair_channel",
            default=next(iter(ONE)),
            required=True,
        )
    drawn = _has_weights(network)
    layers = _pick_layers(network) if drawn else []

    def draw(say: Callable[[str], None]) -> tuple[list[Block], list[str]]:
        from covid_core.ui import figure_layers  # starts TensorFlow

        if not drawn:
            return figure_layers.empty_pair(network, slices, list(DEPTHS))
        return figure_layers.two_slices(network, slices, layers, ONE[label], say)

    return Plan("slices", slices, draw, NOTE)


def _pick_layers(network: ChosenNetwork) -> Sequence[LayerInfo]:
    """Draw the pickers of three layers; of the layers with maps, the first choice is the middle of each third."""
    with shown_errors(), st.container():
        start_tensorflow()
        from covid_core.ui import figure_layers, inference

        layers = figure_layers.map_layers(inference.layers_of(network))
    labels = [f"{layer.number} {layer.name}" for layer in layers]
    first = figure_layers.spread(layers, len(DEPTHS))
    chosen = []
    for column, (title, key), default in zip(st.columns(len(DEPTHS)), DEPTHS.items(), first, strict=True):
        with column:
            label = choose(st.selectbox, title, labels, key, index=layers.index(default))
        chosen.append(layers[labels.index(label)])
    return chosen


def _has_weights(network: ChosenNetwork) -> bool:
    """Whether there is something to draw: trained weights, or random ones if the reader wants them."""
    if network.card:
        return True
    untrained_notice(network.spec)
    return offer_random("Draw it with random weights, to look at the layout only", "random_layers", SLOW_TO_BUILD)
