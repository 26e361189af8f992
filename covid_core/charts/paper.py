"""Charts of the study's figures: frames of ``results.paper_tables`` and ``results.effects`` -> altair charts."""

from __future__ import annotations

from collections.abc import Sequence

import altair as alt
import numpy as np
import pandas as pd

from covid_core.charts import FAMILY_COLOURS, INK, axis_start
from covid_core.charts.studies import BASE, MODIFIED
from covid_core.results.effects import UNITS
from covid_core.results.metrics import METRIC_LABELS, METRICS

METRIC_COLOURS = dict(zip(METRIC_LABELS.values(), ["#5b6fb5", "#0b6b78", "#7f9c3b", "#d08a2e", "#a2577f"], strict=True))
_VARIANT_COLOURS = {"base": BASE, "modified": MODIFIED, "residual": FAMILY_COLOURS["ResNet"]}
_UNIT_COLOURS = dict(zip(UNITS.values(), (BASE, MODIFIED), strict=True))
_FIGURE, _PANEL, _ROW = 330, 62, 34


def family_figure(best: pd.DataFrame, metric: str) -> alt.LayerChart:
    """Figure 2 or 3: the best network of each family in every metric, with intervals.

    Args:
        best: As ``paper_tables.family_best`` gives them, from left to right; at least one row.
        metric: The one that stands first in every group.
    """
    order = [METRIC_LABELS[name] for name in [metric, *(name for name in METRICS if name != metric)]]
    rows = _by_metric(best)
    start = axis_start(rows[["score", "low"]].min(axis=None))
    scale = alt.Scale(domain=[start, 1], zero=False, nice=False)
    title = f"Score (axis starts at {start:.2f})" if start else "Score"
    axis = alt.Axis(format=".2f", tickCount=6, tickMinStep=0.01)
    base = alt.Chart(rows).encode(
        x=alt.X(
            "backbone:N",  # the title says which head, and longer names would run into each other
            sort=best["backbone"].tolist(),
            title=None,
            scale=alt.Scale(paddingInner=0.25),
            axis=alt.Axis(labelAngle=0, labelLimit=190, labelOverlap=False, ticks=False, labelPadding=8),
        ),
        xOffset=alt.XOffset("metric:N", sort=order),
        color=alt.Color(
            "metric:N",
            title=None,
            sort=order,
            scale=alt.Scale(domain=order, range=[METRIC_COLOURS[name] for name in order]),
            legend=alt.Legend(orient="top"),
        ),
        tooltip=[
            alt.Tooltip("model:N", title="Network"),
            alt.Tooltip("metric:N", title="Metric"),
            alt.Tooltip("score:Q", title="Score", format=".4f"),
            alt.Tooltip("low:Q", title="95 % from", format=".4f"),
            alt.Tooltip("high:Q", title="95 % to", format=".4f"),
        ],
    )
    intervals = (
        base.transform_filter("isValid(datum.low) && isValid(datum.high)")
        .mark_rule(strokeWidth=2)
        .encode(y=alt.Y("low:Q", title=title, scale=scale, axis=axis), y2="high:Q")
    )
    points = base.mark_point(filled=True, size=62, opacity=1).encode(y=alt.Y("score:Q", title=title, scale=scale))
    return alt.layer(intervals, points).properties(height=_FIGURE)


def family_histograms(counts: pd.DataFrame, title: str, unit: str) -> alt.VConcatChart:
    """How the scores of each family are distributed, one panel a family on a common axis.

    Args:
        counts: As ``paper_tables.histograms`` gives them, at least one row.
        title: The metric's name for people.
        unit: What is counted, for people.
    """
    families = [family for family in FAMILY_COLOURS if family in set(counts["family"])]
    families += sorted(set(counts["family"]) - set(families))
    variants = [variant for variant in _VARIANT_COLOURS if variant in set(counts["variant"])]
    counts = counts.assign(order=counts["variant"].map({variant: at for at, variant in enumerate(variants)}))
    scale = alt.Scale(domain=[counts["from"].min(), counts["to"].max()], nice=False, zero=False)
    width = (counts["to"] - counts["from"]).iloc[0]
    edges = np.arange(counts["from"].min(), counts["to"].max() + width / 2, width).round(6).tolist()
    number_format = ".2f" if width >= 0.01 else ".3f"
    most = int(counts.groupby(["family", "from"])["count"].sum().max())
    panels = []
    for family in families:
        last = family == families[-1]
        axis = alt.Axis(
            format=number_format, values=edges, labels=last, ticks=last, labelFlush=False, labelOverlap=True
        )
        panel = (
            alt.Chart(counts[counts["family"] == family])
            .mark_bar(orient="vertical", binSpacing=1)
            .encode(
                x=alt.X("from:Q", title=title if last else None, scale=scale, axis=axis),
                x2="to:Q",
                y=alt.Y(
                    "count:Q",
                    title=None,
                    scale=alt.Scale(domain=[0, most], nice=False),
                    axis=alt.Axis(tickMinStep=1, tickCount=3, format="d", minExtent=24),
                ),
                color=alt.Color(
                    "variant:N",
                    title=None,
                    sort=variants,
                    scale=alt.Scale(domain=variants, range=[_VARIANT_COLOURS[variant] for variant in variants]),
                    legend=alt.Legend(orient="top"),
                ),
                order=alt.Order("order:Q"),
                tooltip=[
                    alt.Tooltip("family:N", title="Family"),
                    alt.Tooltip("variant:N", title="Head"),
                    alt.Tooltip("from:Q", title="From", format=".3f"),
                    alt.Tooltip("to:Q", title="to", format=".3f"),
                    alt.Tooltip("count:Q", title=unit),
                ],
            )
            .properties(height=_PANEL, title=_title(family))
        )
        panels.append(panel)
    return alt.vconcat(*panels, spacing=6).resolve_scale(color="shared")


def confusion_matrix(cells: pd.DataFrame, positive: str) -> alt.LayerChart:
    """One confusion matrix with counts and shares of each class.

    Args:
        cells: As ``paper_tables.pooled_cells`` gives them.
        positive: Name of the positive class.
    """
    rows, order = _named_cells(cells, positive)
    rows = rows.assign(
        text=[f"{row.slices}" + ("" if pd.isna(row.share) else f" ({row.share:.1%})") for row in cells.itertuples()],
    )
    base = alt.Chart(rows).encode(
        x=alt.X(
            "answer:N",
            sort=order,
            title="The network says",
            axis=alt.Axis(orient="top", labelAngle=0, ticks=False, domain=False),
        ),
        y=alt.Y("truth:N", sort=order, title="Truth", axis=alt.Axis(ticks=False, domain=False)),
        tooltip=_cell_tooltip(),
    )
    return alt.layer(
        base.mark_rect(stroke="white", strokeWidth=3).encode(color=_shares()), *_texts(base, 15)
    ).properties(height=220)


def fold_matrices(cells: pd.DataFrame, positive: str) -> alt.LayerChart:
    """Confusion matrices of all folds: one row a round, one block a fold; in a block as in ``confusion_matrix``.

    Args:
        cells: As ``paper_tables.confusion_cells`` gives them.
        positive: Name of the positive class.
    """
    rows, order = _named_cells(cells, positive)
    rows = rows.assign(text=cells["slices"].astype(str))
    base = alt.Chart(rows).encode(
        x=alt.X(
            "fold:O",
            title="Fold",
            scale=alt.Scale(paddingInner=0.12),
            axis=alt.Axis(orient="top", labelAngle=0, ticks=False, domain=False),
        ),
        xOffset=alt.XOffset("answer:N", sort=order),
        y=alt.Y("round:O", title="Round", scale=alt.Scale(paddingInner=0.12), axis=alt.Axis(ticks=False, domain=False)),
        yOffset=alt.YOffset("truth:N", sort=order),
        tooltip=[alt.Tooltip("round:O", title="Round"), alt.Tooltip("fold:O", title="Fold"), *_cell_tooltip()],
    )
    rounds = cells["round"].nunique()
    return alt.layer(base.mark_rect(stroke="white").encode(color=_shares()), *_texts(base, 12)).properties(
        height=70 * rounds + 40
    )


def effect_intervals(effects: pd.DataFrame, title: str) -> alt.LayerChart:
    """Effects with both intervals, one row an effect, beside a line at zero.

    Args:
        effects: Rows of ``effects.trait_effects`` or ``variant_effects``, at least one with an effect.
        title: What the effect is in.
    """
    known = effects[effects["effect"].notna()]
    parts = [
        known[["label", "effect"]].assign(unit=name, low=known[f"low_{unit}"], high=known[f"high_{unit}"])
        for unit, name in UNITS.items()
    ]
    long = pd.concat(parts, ignore_index=True)
    long = long[long["low"].notna() | (long["unit"] == next(iter(UNITS.values())))]
    units = list(UNITS.values())
    x = alt.X("effect:Q", title=title, axis=alt.Axis(format="+~f", tickCount=9))
    base = alt.Chart(long).encode(
        y=alt.Y("label:N", sort=known["label"].tolist(), title=None, axis=_names()),
        yOffset=alt.YOffset("unit:N", sort=units),
        color=alt.Color(
            "unit:N",
            title=None,
            sort=units,
            scale=alt.Scale(domain=units, range=list(_UNIT_COLOURS.values())),
            legend=alt.Legend(orient="top", labelLimit=240, columns=1),
        ),
        tooltip=[
            alt.Tooltip("label:N", title="Effect"),
            alt.Tooltip("unit:N", title="Interval"),
            alt.Tooltip("effect:Q", title="Estimate", format="+.4f"),
            alt.Tooltip("low:Q", title="95 % from", format="+.4f"),
            alt.Tooltip("high:Q", title="95 % to", format="+.4f"),
        ],
    )
    zero = alt.Chart(pd.DataFrame({"effect": [0.0]})).mark_rule(color=INK, strokeDash=[4, 3]).encode(x="effect:Q")
    bars = base.transform_filter("isValid(datum.low)").mark_rule(strokeWidth=2.2)
    points = base.mark_point(filled=True, size=60, opacity=1).encode(x=x)
    return alt.layer(zero, bars.encode(x=alt.X("low:Q", title=title), x2="high:Q"), points).properties(
        height=alt.Step(_ROW / 2)
    )


def _named_cells(cells: pd.DataFrame, positive: str) -> tuple[pd.DataFrame, list[str]]:
    """Cells with ``truth`` and ``answer`` as texts, and the order of these."""
    names = {True: positive, False: f"not {positive}"}
    return cells.assign(truth=cells["positive"].map(names), answer=cells["called"].map(names)), list(names.values())


def _by_metric(rows: pd.DataFrame) -> pd.DataFrame:
    parts = [
        pd.DataFrame(
            {
                "model": rows["model"],
                "backbone": rows["backbone"],
                "metric": METRIC_LABELS[name],
                "score": rows[name],
                "low": rows[f"{name}_low"],
                "high": rows[f"{name}_high"],
            }
        )
        for name in METRICS
    ]
    return pd.concat(parts, ignore_index=True).dropna(subset="score")


def _title(text: str) -> alt.TitleParams:
    return alt.TitleParams(text, anchor="start", fontSize=13, offset=4)


def _names() -> alt.Axis:
    return alt.Axis(labelLimit=300, labelOverlap=False, labelFlush=False, ticks=False, domain=False)


def _shares() -> alt.Color:
    return alt.Color(
        "share:Q", scale=alt.Scale(domain=[0, 1], range=["#f2f6f8", BASE]), legend=None, title="Share of the class"
    )


def _texts(base: alt.Chart, size: int) -> Sequence[alt.Chart]:
    """Numbers that stay readable on light and on dark cells."""
    text = base.mark_text(fontSize=size)
    return (
        text.transform_filter("!(datum.share > 0.55)").encode(text="text:N", color=alt.value(INK)),
        text.transform_filter("datum.share > 0.55").encode(text="text:N", color=alt.value("white")),
    )


def _cell_tooltip() -> list[alt.Tooltip]:
    return [
        alt.Tooltip("truth:N", title="Truth"),
        alt.Tooltip("answer:N", title="The network says"),
        alt.Tooltip("slices:Q", title="Slices"),
        alt.Tooltip("share:Q", title="Share of the class", format=".1%"),
    ]
