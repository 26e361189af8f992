"""A layer's output on a page: maps as a grid of channels, a vector as bars. Importing this module starts TensorFlow."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import streamlit as st

from covid_core import charts
from covid_core.explain.activations import LayerInfo, channel_grid
from covid_core.ui.choices import choose, tick

COLUMNS = {"4": 2, "16": 4, "64": 8}
"""Channels at once -> tiles in a row; the study shows four."""

GRID_PIXELS = 560


def draw_maps(maps: np.ndarray) -> None:
    """Draw the channels of a layer, a page of them at a time.

    Args:
        maps: float32 ``(h, w, c)``.
    """
    with st.container(horizontal=True, vertical_alignment="bottom", gap="medium"):
        shown = choose(st.segmented_control, "Channels at once", list(COLUMNS), "channels", default="4", required=True)
        own_scale = tick("Each channel on its own scale", True, "own_scale")
    channels, count = maps.shape[-1], int(shown)
    pages = -(-channels // count)
    page = st.pagination(pages, key="page", bind="query-params") if pages > 1 else 1
    first = (min(page, pages) - 1) * count
    visible = list(range(first, min(first + count, channels)))
    columns = min(COLUMNS[shown], len(visible))
    tile = GRID_PIXELS // COLUMNS[shown]
    with st.container(width=tile * columns):  # narrower where the window is; an image of that width would reach out
        st.image(
            channel_grid(maps, visible, own_scale, columns, tile),
            caption=f"Channels {visible[0] + 1} to {visible[-1] + 1} of {channels}, row by row",
            width="stretch",
        )
    st.caption(
        "Black is each channel's smallest value and white its largest."
        if own_scale
        else f"All channels on one scale: black {maps.min():.3g}, white {maps.max():.3g}."
    )


def draw_vector(values: np.ndarray, layer: LayerInfo, classes: Sequence[str] | None) -> None:
    """Draw a layer that gives one number a unit.

    Args:
        values: float32 ``(c,)``.
        layer: The layer.
        classes: Names of its units if it is the network's output, else None.
    """
    if classes:
        chart = charts.vector_bars(values, classes, "Probability", domain=(0, 1))
    else:
        chart = charts.vector_bars(values, [str(unit) for unit in range(1, len(values) + 1)], "Activation")
    st.altair_chart(chart, key="vector", alt=f"Bars of the {len(values)} values of layer {layer.name}")
    st.caption("This layer gives one number a unit instead of maps.")
