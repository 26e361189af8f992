"""What all layers of a network make of a slice, as curves over its depth. Importing this module starts TensorFlow."""

from __future__ import annotations

import numpy as np
import pandas as pd
import streamlit as st

from covid_core.charts.activations import DEPTH_TITLES, depth_curve
from covid_core.explain.activations import LayerInfo
from covid_core.ui import inference
from covid_core.ui.chosen import ChosenSlice
from covid_core.ui.networks import ChosenNetwork


def draw_depth(network: ChosenNetwork, layer: LayerInfo, chosen: ChosenSlice, other: ChosenSlice | None) -> None:
    """Draw the curves, of a second slice too where there is one.

    Args:
        network: The network.
        layer: Marked in the curves.
        chosen: The slice on the page.
        other: The slice beside it.
    """
    slices = [chosen] if other is None or other.digest == chosen.digest else [chosen, other]
    frame = pd.concat(
        [inference.statistics_over_depth(network, one).assign(slices=one.name) for one in slices], ignore_index=True
    )
    frame["deviation"] = np.sqrt(frame["variance"])
    # grey values of the input would press the curves of all other layers flat
    drawn = frame[frame["kind"] != "InputLayer"]
    for value, title in DEPTH_TITLES.items():
        chart = depth_curve(drawn, value, layer.number, "slices")
        st.altair_chart(chart, key=f"depth_{value}", alt=f"{title} over the layers of {network.spec.name}")
    st.caption(
        "Over all places and channels of each layer that gives maps, but for the input; the dashed line marks the "
        "chosen layer. A channel is dead on a slice if it has one value everywhere; a layer of single places has no "
        "share. The first two axes are linear near zero and logarithmic beyond."
    )
    st.download_button(
        "Download as CSV",
        frame.to_csv(index=False),
        file_name=f"{network.spec.name}-layers.csv",
        mime="text/csv",
        key="depth_csv",
        icon=":material/download:",
        on_click="ignore",
    )
