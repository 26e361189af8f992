"""A heat map that can be read: the picture, with grey value and heat under the pointer."""

from __future__ import annotations

import base64

import altair as alt
import cv2
import numpy as np
import pandas as pd

CELLS = 48
"""Cells along the longer side: fine enough to point at a vessel, few enough to draw at once."""


def readable_map(
    picture: np.ndarray,
    grey: np.ndarray,
    heat: np.ndarray,
    width: int = 480,
    value: str = "Heat, 0–1",
    value_format: str = ".3f",
) -> alt.LayerChart:
    """A picture under a grid of invisible cells that tell their place, grey value and heat.

    Args:
        picture: uint8 RGB ``(H, W, 3)``, e.g. an overlay.
        grey: ``(H, W)``, grey values 0-255.
        heat: float ``(H, W)``, in 0-1 or another unit that ``value`` names.
        width: Of the chart in pixels; its height keeps the picture's shape.
        value: What the tooltip calls the heat.
        value_format: How it is written, as D3 formats numbers.

    Returns:
        Chart whose tooltip shows column and row of a cell's centre and the cell's mean grey value and heat.
    """
    rows, columns = grey.shape
    height = round(width * rows / columns)
    image, x_scale, y_scale = picture_layer(picture, (rows, columns), width, height)
    pointed = alt.selection_point(name="pointed", on="pointerover", clear="pointerout", nearest=False, empty=False)
    cells = (
        alt.Chart(_cells(grey, heat))
        .mark_rect(fill="white", fillOpacity=0, stroke="white")
        .encode(
            x=alt.X("left:Q", scale=x_scale),
            x2="right:Q",
            y=alt.Y("top:Q", scale=y_scale),
            y2="bottom:Q",
            strokeWidth=alt.condition(pointed, alt.value(1.5), alt.value(0)),
            tooltip=[
                alt.Tooltip("column:Q", title="Column", format=".0f"),
                alt.Tooltip("row:Q", title="Row", format=".0f"),
                alt.Tooltip("grey:Q", title="Grey value, 0–255", format=".0f"),
                alt.Tooltip("heat:Q", title=value, format=value_format),
            ],
        )
        .add_params(pointed)
    )
    return (
        alt.layer(image, cells).properties(width=width, height=height, padding=NO_PADDING).configure_view(stroke=None)
    )


# Streamlit puts room below a chart unless each side is named, and takes it from a picture of fixed height
NO_PADDING = {"left": 0, "top": 0, "right": 0, "bottom": 0}


def picture_layer(
    picture: np.ndarray, extent: tuple[int, int], width: int, height: int
) -> tuple[alt.Chart, alt.Scale, alt.Scale]:
    """A picture as the lowest layer of a chart, and the scales that other layers share with it.

    Args:
        picture: uint8 grey ``(H, W)`` or RGB ``(H, W, 3)``.
        extent: Rows and columns that the axes count, rows from the top.
        width: Of the chart in pixels.
        height: The same.

    Returns:
        The layer, the scale of x and the scale of y.
    """
    rows, columns = extent
    channels = picture if picture.ndim == 2 else cv2.cvtColor(picture, cv2.COLOR_RGB2BGR)
    encoded, data = cv2.imencode(".png", channels)
    assert encoded, "OpenCV encodes every uint8 picture"
    url = "data:image/png;base64," + base64.b64encode(data.tobytes()).decode()
    x_scale = alt.Scale(domain=[0, columns], nice=False)
    y_scale = alt.Scale(domain=[rows, 0], nice=False)
    layer = (
        alt.Chart(pd.DataFrame({"x": [columns / 2], "y": [rows / 2], "url": [url]}))
        .mark_image(width=width, height=height, aspect=False)
        .encode(
            x=alt.X("x:Q", scale=x_scale, axis=None),
            y=alt.Y("y:Q", scale=y_scale, axis=None),
            url="url:N",
        )
    )
    return layer, x_scale, y_scale


def _cells(grey: np.ndarray, heat: np.ndarray) -> pd.DataFrame:
    """One row a cell: its edges and centre in pixels, and the means over its pixels."""
    rows, columns = grey.shape
    cell = max(1, max(rows, columns) / CELLS)
    down, across = max(1, round(rows / cell)), max(1, round(columns / cell))
    means = [
        cv2.resize(np.asarray(one, np.float32), (across, down), interpolation=cv2.INTER_AREA) for one in (grey, heat)
    ]
    top, left = (one.ravel() for one in np.mgrid[:down, :across])
    frame = pd.DataFrame(
        {
            "left": left * columns / across,
            "right": (left + 1) * columns / across,
            "top": top * rows / down,
            "bottom": (top + 1) * rows / down,
            "grey": means[0].ravel().round(2),
            "heat": [float(f"{one:.4g}") for one in means[1].ravel()],
        }
    )
    return frame.assign(column=(frame["left"] + frame["right"]) / 2, row=(frame["top"] + frame["bottom"]) / 2)
