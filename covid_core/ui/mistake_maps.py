"""Grad-CAM of slices that a network is wrong about. Importing this module starts TensorFlow."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import streamlit as st

from covid_core.explain.heatmap import normalise, overlay, resize_heat
from covid_core.models import zoo
from covid_core.ui import inference
from covid_core.ui.chosen import ChosenSlice, chosen_series
from covid_core.ui.mistakes import Mistake
from covid_core.ui.networks import ChosenNetwork

OPACITY = 0.45


def overlays(mistakes: Sequence[Mistake], class_index: int) -> tuple[dict[str, np.ndarray], dict[str, float]]:
    """Maps over the slices, each by the network that was wrong about it, at its usual layer.

    Slices of one network are asked in one batch; the maps are kept in this session.

    Args:
        mistakes: With a card each.
        class_index: Position of the class that the maps explain in the cards' classes.

    Returns:
        Path to uint8 RGB ``(H, W, 3)``, where a map that is empty leaves its slice grey; and path to the probability
        of the positive class that these weights give the slice.

    Raises:
        LibraryError: Weights that are missing or damaged.
        ModelError: A network that gives no finite numbers.
    """
    pictures, probabilities = {}, {}
    for key, card in {mistake.card.key: mistake.card for mistake in mistakes}.items():
        network = ChosenNetwork(zoo.get(card.model), card)
        own = [mistake for mistake in mistakes if mistake.card.key == key]
        series = chosen_series([mistake.pixels for mistake in own])
        inference.warm_up(network, network.spec.cam_layer)
        with st.spinner("Computing the maps …"):
            for position, mistake in enumerate(own):
                chosen = ChosenSlice(mistake.name, mistake.name, True, series, position, is_chest=True)
                result = inference.explain(network, chosen, network.spec.cam_layer, class_index)
                heat = resize_heat(normalise(result.maps[0]), mistake.pixels.shape)
                pictures[mistake.name] = overlay(mistake.pixels, heat, OPACITY)
                probabilities[mistake.name] = float(result.probabilities[0, -1])
    return pictures, probabilities
