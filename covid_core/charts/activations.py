"""Charts of activations: the channels of a layer to click on, and what the layers do over the depth of a network."""

from __future__ import annotations

import altair as alt
import numpy as np
import pandas as pd

from covid_core.charts import FAMILY_COLOURS, INK
from covid_core.charts.maps import NO_PADDING, picture_layer

CLICKED = "channel"
"""Name of the grid's selection: what Streamlit gives back has the clicked channel's number under it."""

DEPTH_TITLES = {
    "mean": "Mean activation",
    "deviation": "Standard deviation",
    "dead_share": "Dead channels, share",
}


def channel_tiles(
    picture: np.ndarray, channels: pd.DataFrame, columns: int, gap: int, width: int, clickable: bool = True
) -> alt.LayerChart:
    """A grid of channels that tells what stands under the pointer, and which channel was clicked.

    Args:
        picture: uint8 ``(H, W)``, as ``explain.activations.channel_grid`` draws it.
        channels: One row a tile, row by row: ``channel`` (from 1), ``mean``, ``deviation`` and ``note``.
        columns: Tiles in a row.
        gap: Pixels of the picture between tiles.
        width: Of the chart in pixels.
        clickable: Whether a click means anything.

    Returns:
        Chart, with a point selection ``CLICKED`` over ``channel`` where it is clickable.
    """
    rows = -(-len(channels) // columns)
    height, across = picture.shape
    tile_height, tile_width = (height + gap) / rows - gap, (across + gap) / columns - gap
    place = np.arange(len(channels))
    cells = channels.assign(
        left=place % columns * (tile_width + gap),
        top=place // columns * (tile_height + gap),
    )
    cells = cells.assign(right=cells["left"] + tile_width, bottom=cells["top"] + tile_height)
    shown_height = round(width * height / across)
    image, x_scale, y_scale = picture_layer(picture, (height, across), width, shown_height)
    pointed = alt.selection_point(name="pointed", on="pointerover", clear="pointerout", empty=False)
    clicked = alt.selection_point(name=CLICKED, fields=["channel"], on="click", empty=False)
    frames = (
        alt.Chart(cells)
        .mark_rect(
            fill="white", fillOpacity=0, stroke=FAMILY_COLOURS["DenseNet"], cursor="pointer" if clickable else "default"
        )
        .encode(
            x=alt.X("left:Q", scale=x_scale),
            x2="right:Q",
            y=alt.Y("top:Q", scale=y_scale),
            y2="bottom:Q",
            strokeWidth=alt.condition(pointed | clicked if clickable else pointed, alt.value(3), alt.value(0)),
            tooltip=[
                alt.Tooltip("channel:Q", title="Channel", format=".0f"),
                alt.Tooltip("mean:Q", title="Mean", format=".3g"),
                alt.Tooltip("deviation:Q", title="Standard deviation", format=".3g"),
                alt.Tooltip("note:N", title="Note"),
            ],
        )
        .add_params(pointed, *([clicked] if clickable else []))
    )
    chart = alt.layer(image, frames).properties(width=width, height=shown_height, padding=NO_PADDING)
    return chart.configure_view(stroke=None)


def depth_curve(frame: pd.DataFrame, value: str, number: int, slices: str) -> alt.LayerChart:
    """One quantity of every layer, from the input to the output.

    Args:
        frame: Columns ``number``, ``name``, ``kind``, ``mean``, ``deviation``, ``channels``, ``dead``,
            ``dead_share``.
        value: Out of ``DEPTH_TITLES``.
        number: Of the layer to mark.
        slices: Column that tells curves apart.
    """
    names = list(dict.fromkeys(frame[slices]))
    first, last = value == next(iter(DEPTH_TITLES)), value == list(DEPTH_TITLES)[-1]
    palette = [FAMILY_COLOURS["EfficientNet"], FAMILY_COLOURS["DenseNet"]][: len(names)]
    share = value == "dead_share"
    # shares keep their whole range; the others run over orders of magnitude, and means may be negative
    scale = alt.Scale(domain=[0, 1]) if share else alt.Scale(type="symlog", constant=0.1)
    base = alt.Chart(frame.loc[frame[value].notna()]).encode(
        x=alt.X(
            "number:Q",
            title="Layer, numbered as in the study" if last else None,
            scale=alt.Scale(domain=[1, int(frame["number"].max())], nice=False),
            axis=alt.Axis(format="d", tickMinStep=1),
        ),
        # the same room for labels in each chart, so that layers stand below each other
        y=alt.Y(
            f"{value}:Q",
            title=DEPTH_TITLES[value],
            scale=scale,
            axis=alt.Axis(tickCount=4, format=".0%" if share else ".3~g", minExtent=52, maxExtent=52),
        ),
        color=alt.Color(
            f"{slices}:N",
            scale=alt.Scale(domain=names, range=palette),
            legend=alt.Legend(orient="top", title=None, labelLimit=300) if first and len(names) > 1 else None,
        ),
        tooltip=[
            alt.Tooltip("number:Q", title="Layer"),
            alt.Tooltip("name:N", title="Name"),
            alt.Tooltip("kind:N", title="Kind"),
            alt.Tooltip(f"{slices}:N", title="Slice"),
            alt.Tooltip("mean:Q", title="Mean", format=".3g"),
            alt.Tooltip("deviation:Q", title="Standard deviation", format=".3g"),
            alt.Tooltip("dead:Q", title="Dead channels"),
            alt.Tooltip("channels:Q", title="Channels"),
        ],
    )
    here = alt.Chart(pd.DataFrame({"number": [number]})).mark_rule(color=INK, strokeDash=[4, 3]).encode(x="number:Q")
    return alt.layer(
        here, base.mark_line(strokeWidth=1, opacity=0.5), base.mark_point(size=14, filled=True, opacity=1)
    ).properties(height=230)
