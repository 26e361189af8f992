"""A score over the depth of a network: frame of ``results.readouts`` -> altair chart."""

from __future__ import annotations

import altair as alt
import pandas as pd

from covid_core.charts import FAMILY_COLOURS, INK, OTHER, axis_start

CURVES = {"Trained": FAMILY_COLOURS["EfficientNet"], "Random weights": OTHER}
"""Name of a curve -> its colour; what training adds is the distance between the two."""

_STEP = 0.05


def readout_curves(points: pd.DataFrame, title: str, chance: tuple[float, str]) -> alt.LayerChart:
    """How well each layer separates the classes, trained against random weights.

    Args:
        points: Columns ``curve`` (out of ``CURVES``), ``number``, ``layer`` (name) and ``channels`` of the layer,
            ``score``, ``low`` and ``high``; without an interval the line stands alone. Layers without a score are left
            out.
        title: Name of the score.
        chance: What guessing reaches, and what it is called; drawn as a dashed rule.

    Returns:
        Chart from layer 1 to the last one. Scores end at 1; their axis starts below the lowest value drawn, chance
        among them, because half of it would else be empty, and says so in its title.
    """
    points = points.loc[points["score"].notna(), ["curve", "number", "layer", "channels", "score", "low", "high"]]
    value, text = chance
    start = axis_start(min([value, *points[["score", "low"]].min(skipna=True).dropna()]), _STEP)
    scale = alt.Scale(domain=[start, 1], nice=False, zero=False)
    last = int(points["number"].max()) if len(points) else 1
    x = alt.X(
        "number:Q",
        title="Layer, numbered as in the study",
        scale=alt.Scale(domain=[1, max(2, last)], nice=False),
        axis=alt.Axis(format="d", tickMinStep=1, grid=False),
    )
    axis = alt.Axis(format=".2f", tickMinStep=_STEP)
    y_title = f"{title} (axis starts at {start:.2f})" if start else title
    colour = alt.Color(
        "curve:N",
        title=None,
        scale=alt.Scale(domain=list(CURVES), range=list(CURVES.values())),
        legend=alt.Legend(orient="top", symbolOpacity=1),  # not as pale as the bands
    )
    tooltip = [
        alt.Tooltip("curve:N", title="Weights"),
        alt.Tooltip("number:Q", title="Layer", format="d"),
        alt.Tooltip("layer:N", title="Name"),
        alt.Tooltip("channels:Q", title="Channels", format="d"),
        alt.Tooltip("score:Q", title=title, format=".3f"),
    ]
    if points["low"].notna().any():
        tooltip += [
            alt.Tooltip("low:Q", title="95 % from", format=".3f"),
            alt.Tooltip("high:Q", title="95 % to", format=".3f"),
        ]
    base = alt.Chart(points).encode(x=x, color=colour)
    bands = (
        base.transform_filter("isValid(datum.low) && isValid(datum.high)")
        .mark_area(opacity=0.18)
        .encode(y=alt.Y("low:Q", title=y_title, scale=scale, axis=axis), y2="high:Q")
    )
    y = alt.Y("score:Q", title=y_title, scale=scale, axis=axis)
    lines = base.mark_line(strokeWidth=1.8).encode(y=y)
    # small enough not to cover the line, large enough for a pointer
    marks = base.mark_point(size=18, filled=True, opacity=1).encode(y=y, tooltip=tooltip)
    rule = alt.Chart(pd.DataFrame({"value": [value], "text": [f"{text} {value:.2f}"]})).encode(
        y=alt.Y("value:Q", title=y_title, scale=scale, axis=axis)
    )
    dashed = rule.mark_rule(color=INK, strokeDash=[4, 3])
    label = rule.mark_text(align="right", baseline="top", dx=-4, dy=4, color=INK).encode(
        x=alt.value("width"), text="text:N"
    )
    return alt.layer(bands, dashed, label, lines, marks).properties(height=360)
