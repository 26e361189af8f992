"""Charts of studies of heat maps: frames of ``results.map_studies`` -> altair charts."""

from __future__ import annotations

import altair as alt
import pandas as pd

from covid_core.charts import FAMILY_COLOURS, INK, OTHER

BASE, MODIFIED = FAMILY_COLOURS["EfficientNet"], FAMILY_COLOURS["DenseNet"]
_CLASS_COLOURS = {"positive": FAMILY_COLOURS["Inception"], "other": OTHER}
_ROW = 26


def intensity_dumbbells(table: pd.DataFrame, title: str) -> alt.LayerChart:
    """Mean of the base and of the modified network, joined by a line; published means hollow, measured ones filled.

    Args:
        table: Columns ``label`` (unique), ``source`` (``"published"`` or ``"measured"``), ``base``, ``modified``.
        title: What the means are of.
    """
    order = table["label"].tolist()
    y = alt.Y("label:N", sort=order, title=None, axis=_names())
    long = table.melt(["label", "source"], ["base", "modified"], "network", "mean").dropna()
    colour = alt.Color(
        "network:N",
        title=None,
        scale=alt.Scale(domain=["base", "modified"], range=[BASE, MODIFIED]),
        legend=alt.Legend(orient="bottom"),
    )
    x = alt.X("mean:Q", title=title, scale=alt.Scale(zero=False, padding=14))
    tooltip = [
        alt.Tooltip("label:N", title="Pair"),
        alt.Tooltip("network:N", title="Network"),
        alt.Tooltip("mean:Q", title=title, format=".4f"),
    ]
    lines = alt.Chart(table).mark_rule(color=OTHER).encode(x=alt.X("base:Q", title=title), x2="modified:Q", y=y)
    points = alt.Chart(long).encode(x=x, y=y, color=colour, tooltip=tooltip)
    filled = points.transform_filter(alt.datum.source == "measured").mark_point(size=90, filled=True, opacity=1)
    hollow = points.transform_filter(alt.datum.source == "published").mark_point(
        size=80, filled=False, strokeWidth=2, opacity=1
    )
    return alt.layer(lines, hollow, filled).properties(height=alt.Step(_ROW))


def differences(table: pd.DataFrame, title: str) -> alt.LayerChart:
    """Differences with their intervals beside a line at zero.

    Args:
        table: Columns ``label`` (unique), ``source``, ``difference``, ``low``, ``high``; without an interval the point
            stands alone.
        title: What is subtracted from what.
    """
    y = alt.Y("label:N", sort=table["label"].tolist(), title=None, axis=_names())
    x = alt.X("difference:Q", title=title, scale=alt.Scale(padding=14))
    tooltip = [
        alt.Tooltip("label:N", title="Row"),
        alt.Tooltip("difference:Q", title="Difference", format=".4f"),
        alt.Tooltip("low:Q", title="95 % from", format=".4f"),
        alt.Tooltip("high:Q", title="95 % to", format=".4f"),
    ]
    zero = alt.Chart(pd.DataFrame({"zero": [0.0]})).mark_rule(color=INK, strokeDash=[4, 3]).encode(x="zero:Q")
    base = alt.Chart(table.loc[table["difference"].notna()])
    bars = (
        base.transform_filter("isValid(datum.low) && isValid(datum.high)")
        .mark_rule(color=BASE, strokeWidth=2)
        .encode(x=alt.X("low:Q", title=title), x2="high:Q", y=y, tooltip=tooltip)
    )
    points = base.encode(x=x, y=y, tooltip=tooltip)
    filled = points.transform_filter(alt.datum.source == "measured").mark_point(
        size=80, filled=True, color=BASE, opacity=1
    )
    hollow = points.transform_filter(alt.datum.source == "published").mark_point(
        size=80, filled=False, strokeWidth=2, color=OTHER, opacity=1
    )
    return alt.layer(zero, bars, hollow, filled).properties(height=alt.Step(_ROW))


def spread_boxes(quantiles: pd.DataFrame, title: str, positive: str) -> alt.LayerChart:
    """How a measure is distributed over the slices of each class: 5 to 95 % as a line, quartiles as a box.

    Args:
        quantiles: Columns ``network``, ``positive`` (bool), ``q05``, ``q25``, ``q50``, ``q75``, ``q95``.
        title: Name of the measure.
        positive: Name of the positive class.
    """
    names = {True: positive, False: f"not {positive}" if positive else "other"}
    rows = quantiles.assign(group=quantiles["positive"].map(names))
    groups = [names[True], names[False]]
    y = alt.Y("network:N", sort=rows["network"].unique().tolist(), title=None, axis=_names())
    offset = alt.YOffset("group:N", sort=groups)
    colour = alt.Color(
        "group:N",
        title=None,
        sort=groups,
        scale=alt.Scale(domain=groups, range=list(_CLASS_COLOURS.values())),
        legend=alt.Legend(orient="bottom"),
    )
    tooltip = [
        alt.Tooltip("network:N", title="Network"),
        alt.Tooltip("group:N", title="Slices"),
        alt.Tooltip("q50:Q", title="Median", format=".4f"),
        alt.Tooltip("q25:Q", title="Lower quartile", format=".4f"),
        alt.Tooltip("q75:Q", title="Upper quartile", format=".4f"),
    ]
    base = alt.Chart(rows).encode(y=y, yOffset=offset, tooltip=tooltip)
    whiskers = base.mark_rule().encode(x=alt.X("q05:Q", title=title), x2="q95:Q", color=colour)
    boxes = base.mark_bar(size=11).encode(x=alt.X("q25:Q", title=title), x2="q75:Q", color=colour)
    medians = base.mark_tick(color="white", thickness=2, size=11).encode(x=alt.X("q50:Q", title=title))
    return alt.layer(whiskers, boxes, medians).properties(height=alt.Step(17))


def agreements(table: pd.DataFrame, title: str) -> alt.LayerChart:
    """Agreement of the two maps of a pair beside its controls, with intervals.

    Args:
        table: Columns ``backbone``, ``what`` (the measure and its controls, for people), ``mean``, ``low``, ``high``.
        title: Name of the measure.
    """
    what = table["what"].unique().tolist()
    y = alt.Y("backbone:N", sort=table["backbone"].unique().tolist(), title=None, axis=_names())
    colour = alt.Color(
        "what:N",
        title=None,
        sort=what,
        scale=alt.Scale(domain=what, range=[BASE, MODIFIED, OTHER][: len(what)]),
        legend=alt.Legend(orient="bottom", labelLimit=260, columns=1),
    )
    tooltip = [
        alt.Tooltip("backbone:N", title="Backbone"),
        alt.Tooltip("what:N", title="Maps"),
        alt.Tooltip("mean:Q", title=title, format=".4f"),
        alt.Tooltip("low:Q", title="95 % from", format=".4f"),
        alt.Tooltip("high:Q", title="95 % to", format=".4f"),
    ]
    base = alt.Chart(table).encode(y=y, yOffset=alt.YOffset("what:N", sort=what), color=colour, tooltip=tooltip)
    low = min(0.0, float(table["low"].min())) if table["low"].notna().any() else 0.0
    scale = alt.Scale(domain=[low, 1])
    bars = base.transform_filter("isValid(datum.low) && isValid(datum.high)").mark_rule(strokeWidth=2)
    points = base.mark_point(size=70, filled=True, opacity=1).encode(x=alt.X("mean:Q", title=title, scale=scale))
    return alt.layer(bars.encode(x=alt.X("low:Q", title=title, scale=scale), x2="high:Q"), points).properties(
        height=alt.Step(17)
    )


def _names() -> alt.Axis:
    return alt.Axis(labelLimit=300, labelOverlap=False, labelFlush=False, ticks=False, domain=False)
