"""Chart of an audit: rows of ``data.audit.tables`` -> altair chart."""

from __future__ import annotations

import altair as alt
import pandas as pd

from covid_core.charts import FAMILY_COLOURS, INK

SPLIT_COLOURS = {"by slice": FAMILY_COLOURS["DenseNet"], "by patient": FAMILY_COLOURS["EfficientNet"]}


def told_from(rows: pd.DataFrame) -> alt.LayerChart:
    """How well the label is told from each cue under both splits, with intervals, beside a line at chance.

    Args:
        rows: Columns ``label`` (cue and classifier; in the order to draw), ``split`` (out of ``SPLIT_COLOURS``),
            ``value``, ``low``, ``high``.
    """
    y = alt.Y(
        "label:N",
        sort=list(dict.fromkeys(rows["label"])),
        title=None,
        axis=alt.Axis(labelLimit=320, ticks=False, domain=False, labelOverlap=False, labelPadding=8),
    )
    splits = [name for name in SPLIT_COLOURS if name in set(rows["split"])]
    colour = alt.Color(
        "split:N",
        title="Split",
        scale=alt.Scale(domain=splits, range=[SPLIT_COLOURS[name] for name in splits]),
        legend=alt.Legend(orient="top"),
    )
    tooltip = [
        alt.Tooltip("label:N", title="Cue"),
        alt.Tooltip("split:N", title="Split"),
        alt.Tooltip("value:Q", title="Balanced accuracy", format=".3f"),
        alt.Tooltip("low:Q", title="95 % from", format=".3f"),
        alt.Tooltip("high:Q", title="95 % to", format=".3f"),
    ]
    scale = alt.Scale(domain=[min(0.4, float(rows["low"].min())), 1], nice=False, zero=False)
    axis = alt.Axis(format=".1f", tickCount=6)
    base = alt.Chart(rows).encode(y=y, yOffset=alt.YOffset("split:N", sort=splits), color=colour, tooltip=tooltip)
    title = "Balanced accuracy"
    intervals = base.mark_rule(strokeWidth=2.5).encode(
        x=alt.X("low:Q", title=title, scale=scale, axis=axis), x2="high:Q"
    )
    points = base.mark_point(filled=True, size=70, opacity=1).encode(
        x=alt.X("value:Q", title=title, scale=scale, axis=axis)
    )
    chance = (
        alt.Chart(pd.DataFrame({"chance": [0.5]}))
        .mark_rule(color=INK, strokeDash=[4, 3])
        .encode(x=alt.X("chance:Q", title=title, scale=scale, axis=axis))  # else its axis would begin at 0 for all
    )
    return alt.layer(chance, intervals, points).properties(height=alt.Step(15))
