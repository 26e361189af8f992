"""What the networks of other folds make of the same slice: how much an answer depends on the training slices."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd
import streamlit as st

from covid_core.explain.agreement import stability
from covid_core.explain.heatmap import overlay, resize_heat
from covid_core.models.library import Card
from covid_core.ui import inference
from covid_core.ui.choices import tick
from covid_core.ui.chosen import ChosenSlice
from covid_core.ui.networks import ChosenNetwork
from covid_core.ui.tables import probability_text

OPACITY = 0.6


def draw_fold_spread(
    network: ChosenNetwork, cards: Sequence[Card], chosen: ChosenSlice, layer: str, class_index: int
) -> None:
    """Draw a switch and, once it is on, probabilities and maps of all folds' networks of the same experiment.

    Nothing is drawn where there is one fold only.

    Args:
        network: The network on the page.
        cards: Trained weights of the same architecture.
        chosen: The slice.
        layer: Grad-CAM's layer.
        class_index: The class whose probability and maps are shown.
    """
    folds = [card for card in cards if network.card and card.experiment == network.card.experiment]
    if len(folds) < 2 or not tick(f"Ask the networks of all {len(folds)} folds", False, "fold_spread"):
        return
    name = network.classes[class_index]
    with st.spinner("Asking the networks of the other folds; each takes some seconds …"):
        results = inference.explain_folds(network, folds, chosen, layer, class_index)
    values = np.array([result.probabilities[0, class_index] for result in results])
    column, table = st.columns([1, 2])
    column.metric(f"Probability of {name}, mean over folds", probability_text(values.mean()), border=True)
    column.caption(f"From {probability_text(values.min())} to {probability_text(values.max())}.")
    table.dataframe(
        pd.DataFrame(
            {
                "Fold": [f"round {card.round}, fold {card.fold}" for card in folds],
                f"Probability of {name}": [probability_text(value) for value in values],
            }
        ),
        hide_index=True,
        width="stretch",
    )
    found = stability([result.maps for result in results])
    titles = ("Mean of the folds' maps", "Standard deviation of the folds' maps")
    for column, title, heat in zip(st.columns(3), titles, (found.mean, found.deviation), strict=False):
        picture = overlay(chosen.pixels, resize_heat(heat[0], chosen.pixels.shape), OPACITY)
        column.image(picture, caption=f"{title}, {name}", width="stretch")
    correlation = found.rank_correlation[0]
    st.caption(
        "The same architecture trained on different parts of one data set. Both pictures are on the scale of a single "
        "map, 0 to 1. "
        + ("" if np.isnan(correlation) else f"Mean rank correlation of two folds' maps: {correlation:+.2f}. ")
        + "Folds that agree can still be wrong together; folds that differ say that a single answer should not be "
        "trusted."
    )
