"""A layer's output on a page: maps as a grid of channels, a vector as bars. Importing this module starts TensorFlow."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial

import altair as alt
import numpy as np
import pandas as pd
import streamlit as st
from streamlit.delta_generator import DeltaGenerator

from covid_core import charts
from covid_core.charts.activations import CLICKED, channel_tiles
from covid_core.explain.activation_statistics import ChannelStatistics
from covid_core.explain.activations import LayerInfo, channel_grid
from covid_core.explain.heatmap import colour
from covid_core.ui.choices import choose, tick

COLUMNS = {"4": 2, "16": 4, "64": 8}
"""Channels at once -> tiles in a row; the study shows four."""

ORDERS = {
    "Number": "index",
    "Mean, largest first": "mean",
    "Variance, largest first": "variance",
    "Difference between the slices, largest first": "difference",
}
GRID_PIXELS = 464  # two grids stand side by side on a screen of 1366 pixels, and one fits a narrow window
GAP = 2
GREYS = colour(np.linspace(0, 1, 17, dtype=np.float32)[None], "grey")[0]


@dataclass(frozen=True)
class GridChoices:
    """How channels are shown.

    Args:
        at_once: Number of channels.
        columns: Tiles in a row.
        own_scale: Whether each channel goes from its own minimum to its own maximum, or all from the layer's.
        order: Out of ``channel_order``'s.
    """

    at_once: int
    columns: int
    own_scale: bool
    order: str


def choose_grid(two_slices: bool = False, own_scale: bool = True) -> GridChoices:
    """Draw the controls of a grid.

    Args:
        two_slices: Whether channels can be sorted by the difference between two slices.
        own_scale: Where the toggle of the scale stands at first.
    """
    orders = [name for name, order in ORDERS.items() if two_slices or order != "difference"]
    with st.container(horizontal=True, vertical_alignment="bottom", gap="medium"):
        at_once = choose(
            st.segmented_control, "Channels at once", list(COLUMNS), "channels", default="4", required=True
        )
        order = choose(st.selectbox, "Sorted by", orders, "sorted_by", width=300)
        own = tick("Each channel on its own scale", own_scale, "own_scale" if own_scale else "own_scale_of_two")
    return GridChoices(int(at_once), COLUMNS[at_once], own, ORDERS[order])


def pick_page(count: int, grid: GridChoices) -> slice:
    """Draw the pages of ``count`` channels and return which of them, in their order, stand on the chosen one."""
    pages = -(-count // grid.at_once)
    page = st.pagination(pages, key="page", bind="query-params") if pages > 1 else 1
    first = (min(page, pages) - 1) * grid.at_once
    return slice(first, first + grid.at_once)


def panes(count: int) -> list[DeltaGenerator]:
    """Places as wide as a grid, side by side where there is room, else one under the other."""
    with st.container(horizontal=True, gap="large"):
        return [st.container(width=GRID_PIXELS) for _ in range(count)]


def grid_chart(
    maps: np.ndarray,
    statistics: ChannelStatistics,
    channels: Sequence[int],
    grid: GridChoices,
    scale: tuple[float, float],
    clickable: bool = True,
) -> alt.LayerChart:
    """Channels of a layer as tiles.

    Args:
        maps: float32 ``(h, w, c)``.
        statistics: Of these maps.
        channels: Which, from 0.
        grid: How they are shown.
        scale: Black and white, where all channels share a scale.
        clickable: Whether a click opens a channel.
    """
    columns = min(grid.columns, len(channels))
    tile = (GRID_PIXELS + GAP) // grid.columns - GAP
    picture = channel_grid(maps, channels, grid.own_scale, columns, tile, GAP, scale)
    channels = np.asarray(channels)
    tiles = pd.DataFrame(
        {
            "channel": channels + 1,
            "mean": statistics.mean[channels],
            "deviation": np.sqrt(statistics.variance[channels]),
            "note": ["dead on this slice" if dead else "varies over the slice" for dead in statistics.dead[channels]],
        }
    )
    return channel_tiles(picture, tiles, columns, GAP, picture.shape[1], clickable)


def draw_grid(chart: alt.LayerChart, channels: Sequence[int], key: str, clickable: bool = True) -> None:
    """Draw the tiles; a click on one puts its number into the widget ``channel``.

    Args:
        chart: As ``grid_chart`` gives it.
        channels: Which it shows, from 0.
        key: Tells this grid from every other.
        clickable: As the chart is.
    """
    st.altair_chart(
        chart,
        key=key,
        width="content",
        on_select=partial(_open_clicked, key) if clickable else "ignore",
        selection_mode=CLICKED if clickable else None,
        alt=f"Channels {', '.join(str(channel + 1) for channel in channels)} as grey pictures",
    )


def draw_scale(grid: GridChoices, low: float, high: float, of: str = "the layer") -> None:
    """Draw the bar that says what black and white mean.

    Args:
        grid: How channels are shown.
        low: Black, where all channels share a scale.
        high: White.
        of: What the shared scale covers.
    """
    if grid.own_scale or not high > low:
        bar = charts.colour_bar(GREYS, "Between each channel's own smallest (0) and largest (1) activation")
    else:
        bar = charts.colour_bar(GREYS, f"Activation; one scale for all channels of {of}", (low, high), ".3~g")
    with st.container(width=GRID_PIXELS):
        st.altair_chart(bar, key="grey_bar")


def layer_scale(*statistics: ChannelStatistics) -> tuple[float, float]:
    """Smallest and largest value of a layer, over the given slices."""
    return min(float(one.low.min()) for one in statistics), max(float(one.high.max()) for one in statistics)


def channels_text(channels: Sequence[int], count: int, grid: GridChoices) -> str:
    """Which channels out of ``count`` a grid shows, in a sentence."""
    if grid.order == "index":
        return f"Channels {channels[0] + 1} to {channels[-1] + 1} of {count}, row by row"
    return (
        f"Channels {', '.join(str(channel + 1) for channel in channels[:16])}{' …' * (len(channels) > 16)} of {count}"
    )


def dead_text(statistics: ChannelStatistics) -> str:
    """How many channels of a layer say nothing about the slice."""
    if statistics.single:
        return "Its maps have a single place: one number a channel."
    dead = statistics.dead
    return f"{dead.sum()} of {len(dead)} channels ({dead.mean():.0%}) are dead on this slice: one value everywhere."


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
    st.altair_chart(chart, key=f"vector-{layer.number}", alt=f"Bars of the {len(values)} values of layer {layer.name}")
    st.caption("This layer gives one number a unit instead of maps.")


def _open_clicked(key: str) -> None:
    """A click on a tile opens its channel; a click beside the tiles changes nothing."""
    clicked = st.session_state[key].selection.get(CLICKED, [])
    if clicked:
        st.session_state["channel"] = int(clicked[0]["channel"])
