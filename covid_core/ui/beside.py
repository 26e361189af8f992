"""A second slice beside the first: the same network, class and layer, the same colours."""

from __future__ import annotations

import streamlit as st

from covid_core.explain.heatmap import normalise, overlay, resize_heat
from covid_core.ui import inference
from covid_core.ui.admission import admitted
from covid_core.ui.chosen import ChosenSlice
from covid_core.ui.errors import plain
from covid_core.ui.networks import ChosenNetwork
from covid_core.ui.slices import pick_second_slice
from covid_core.ui.tables import probability_text


def draw_beside(network: ChosenNetwork, chosen: ChosenSlice, layer: str, class_index: int, opacity: float) -> None:
    """Draw the picker of a second slice and, once there is one, both overlays side by side.

    Args:
        network: The network on the page.
        chosen: The slice on the page.
        layer: Grad-CAM's layer.
        class_index: The class that the maps explain.
        opacity: Of the heat over the slices, 0-1.
    """
    st.subheader("Two slices side by side", anchor=False)
    other = pick_second_slice()
    if other is None:
        st.caption("Choose a second slice to compare where the maps of both lie.")
        return
    if not admitted(other, network):
        return
    class_name = network.classes[class_index]
    strengths = []
    for column, one in zip(st.columns(2), (chosen, other), strict=True):
        result = inference.explain(network, one, layer, class_index)
        heat = resize_heat(normalise(result.maps[0]), one.pixels.shape)
        strengths.append(float(result.maps[0].max()))
        text = (
            f"{plain(one.name)} · probability of {class_name} {probability_text(result.probabilities[0][class_index])}"
        )
        column.image(overlay(one.pixels, heat, opacity), caption=text, width="stretch")
        if not heat.any():
            column.info(f"The map is empty: nowhere does evidence for {class_name} outweigh that against it.")
    st.caption(
        "Each map is divided by its own maximum, so the colours compare places within a slice and not strengths "
        f"between slices: before the division the maxima are {strengths[0]:.3g} and {strengths[1]:.3g}, in log-odds."
    )
