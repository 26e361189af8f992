"""What the networks of other folds say about the same slice: how much a probability depends on the training slices."""

from __future__ import annotations

from collections.abc import Sequence

import pandas as pd
import streamlit as st

from covid_core.models.library import Card
from covid_core.ui import inference
from covid_core.ui.choices import tick
from covid_core.ui.networks import ChosenNetwork
from covid_core.ui.slices import ChosenSlice
from covid_core.ui.tables import probability_text


def draw_fold_spread(network: ChosenNetwork, cards: Sequence[Card], chosen: ChosenSlice, class_index: int) -> None:
    """Draw a switch and, once it is on, the probability by each fold's network of the same experiment.

    Nothing is drawn where there is one fold only.

    Args:
        network: The network on the page.
        cards: Trained weights of the same architecture.
        chosen: The slice.
        class_index: The class whose probability is shown.
    """
    folds = [card for card in cards if network.card and card.experiment == network.card.experiment]
    if len(folds) < 2:
        return
    name = network.classes[class_index]
    if not tick(f"Ask the networks of all {len(folds)} folds", False, "fold_spread"):
        return
    with st.spinner("Asking the networks of the other folds …"):
        values = inference.fold_probabilities(folds, chosen)[:, class_index]
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
    st.caption(
        "The same architecture trained on different parts of one data set. Folds that agree can still be wrong "
        "together; folds that differ say that a single probability should not be trusted."
    )
