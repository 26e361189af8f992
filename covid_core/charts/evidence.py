"""Charts of what maps have to show: frames of ``explain.verdict`` -> altair charts."""

from __future__ import annotations

import altair as alt
import pandas as pd

from covid_core.charts import FAMILY_COLOURS, INK

CONTROL_COLOURS = {
    "random maps": FAMILY_COLOURS["EfficientNet"],
    "a Gaussian in the middle": FAMILY_COLOURS["DenseNet"],
}


def gains(rows: pd.DataFrame, title: str) -> alt.LayerChart:
    """How much better each map is than its controls, with intervals, beside a line at zero.

    Args:
        rows: Columns ``label`` (a map; in the order to draw), ``control`` (out of ``CONTROL_COLOURS``), ``gain``,
            ``low``, ``high``; without an interval the point stands alone.
        title: What the gain is of.
    """
    order = list(dict.fromkeys(rows["label"]))
    y = alt.Y(
        "label:N",
        sort=order,
        title=None,
        axis=alt.Axis(labelLimit=420, ticks=False, domain=False, labelOverlap=False, labelPadding=8),
    )
    # two controls share a row: one above its middle, one below
    offset = alt.YOffset("control:N", sort=list(CONTROL_COLOURS))
    colour = alt.Color(
        "control:N",
        title="Better than",
        scale=alt.Scale(domain=list(CONTROL_COLOURS), range=list(CONTROL_COLOURS.values())),
        legend=alt.Legend(orient="top", labelLimit=240),
    )
    tooltip = [
        alt.Tooltip("label:N", title="Map"),
        alt.Tooltip("control:N", title="Control"),
        alt.Tooltip("gain:Q", title="Gain", format="+.4f"),
        alt.Tooltip("low:Q", title="95 % from", format="+.4f"),
        alt.Tooltip("high:Q", title="95 % to", format="+.4f"),
    ]
    base = alt.Chart(rows.loc[rows["gain"].notna()]).encode(y=y, yOffset=offset, color=colour, tooltip=tooltip)
    scale = alt.Scale(padding=12)
    axis = alt.Axis(format="+.2f", grid=True)
    intervals = (
        base.transform_filter("isValid(datum.low) && isValid(datum.high)")
        .mark_rule(strokeWidth=2.5)
        .encode(x=alt.X("low:Q", title=title, scale=scale, axis=axis), x2="high:Q")
    )
    points = base.mark_point(filled=True, size=70, opacity=1).encode(
        x=alt.X("gain:Q", title=title, scale=scale, axis=axis)
    )
    zero = alt.Chart(pd.DataFrame({"zero": [0.0]})).mark_rule(color=INK, strokeDash=[4, 3]).encode(x="zero:Q")
    return alt.layer(zero, intervals, points).properties(height=alt.Step(17))
