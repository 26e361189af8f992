"""Charts of external tests: frames of ``results.external_tests`` -> altair charts."""

from __future__ import annotations

import altair as alt
import pandas as pd

from covid_core.charts import INK, OTHER
from covid_core.charts.studies import BASE, MODIFIED

OWN, ELSEWHERE = "own held-out fold", "elsewhere"
_ROW, _BIN = 42, 0.05


def falls(table: pd.DataFrame, title: str, chance: float | None = None) -> alt.LayerChart:
    """Score on the own fold and elsewhere, joined by a line, each with its interval, on an axis from 0 to 1.

    Args:
        table: Columns ``label`` (unique), ``own``, ``own_low``, ``own_high``, ``there``, ``low``, ``high``.
        title: The score's name for people.
        chance: A score that is had without looking, drawn as a dashed rule.
    """
    y = alt.Y(
        "label:N",
        sort=table["label"].tolist(),
        title=None,
        axis=alt.Axis(labelLimit=300, labelOverlap=False, labelFlush=False, ticks=False, domain=False),
    )
    renamed = table.rename(columns={"own_low": "low_own", "own_high": "high_own"})
    parts = [
        renamed[["label", *columns]].set_axis(["label", "score", "from", "to"], axis=1).assign(where=where)
        for where, columns in ((OWN, ["own", "low_own", "high_own"]), (ELSEWHERE, ["there", "low", "high"]))
    ]
    long = pd.concat(parts, ignore_index=True).dropna(subset="score")
    scale = alt.Scale(domain=[0, 1], nice=False)
    colour = alt.Color(
        "where:N",
        title=None,
        scale=alt.Scale(domain=[OWN, ELSEWHERE], range=[BASE, MODIFIED]),
        legend=alt.Legend(orient="bottom"),
    )
    tooltip = [
        alt.Tooltip("label:N", title="Network"),
        alt.Tooltip("where:N", title="Slices"),
        alt.Tooltip("score:Q", title=title, format=".4f"),
        alt.Tooltip("from:Q", title="95 % from", format=".4f"),
        alt.Tooltip("to:Q", title="95 % to", format=".4f"),
    ]
    x = alt.X("score:Q", title=title, scale=scale)
    joined = alt.Chart(table.dropna(subset=["own", "there"])).mark_rule(color=OTHER, strokeDash=[2, 3])
    layers = [joined.encode(x=alt.X("own:Q", title=title, scale=scale), x2="there:Q", y=y)]
    base = alt.Chart(long).encode(y=y, color=colour, tooltip=tooltip)
    layers.append(
        base.mark_rule(strokeWidth=3, opacity=0.55).encode(x=alt.X("from:Q", title=title, scale=scale), x2="to:Q")
    )
    layers.append(base.mark_point(size=110, filled=True, opacity=1).encode(x=x))
    if chance is not None:
        rule = alt.Chart(pd.DataFrame({"score": [chance]})).mark_rule(color=INK, strokeDash=[5, 4])
        layers.append(rule.encode(x=x))
    return alt.layer(*layers).properties(height=alt.Step(_ROW))


def probability_histogram(answers: pd.DataFrame, positive: str, height: int = 240) -> alt.LayerChart:
    """How often a network gives which probability, for each class, beside the threshold of 0.5.

    Args:
        answers: Columns ``label`` (0 or 1) and ``probability``.
        positive: Name of the positive class.
        height: In pixels, with axis and legend.
    """
    names = [positive, f"not {positive}"]
    bins = (answers["probability"].clip(0, 1) / _BIN).astype(int).clip(upper=round(1 / _BIN) - 1)
    rows = answers.assign(group=[names[0] if label else names[1] for label in answers["label"]], bin=bins)
    counts = rows.groupby(["group", "bin"]).size().rename("slices").reset_index()
    counts["share"] = counts["slices"] / counts.groupby("group")["slices"].transform("sum")
    counts["from"], counts["to"] = counts["bin"] * _BIN, (counts["bin"] + 1) * _BIN
    x = alt.X("from:Q", title=f"Probability of {positive}", scale=alt.Scale(domain=[0, 1], nice=False))
    bars = (
        alt.Chart(counts)
        .mark_bar(orient="vertical", opacity=0.55, binSpacing=1)
        .encode(
            x=x,
            x2="to:Q",
            y=alt.Y(
                "share:Q", title="Share of the class", stack=None, scale=alt.Scale(zero=True), axis=alt.Axis(format="%")
            ),
            color=alt.Color(
                "group:N",
                title=None,
                sort=names,
                scale=alt.Scale(domain=names, range=[MODIFIED, BASE]),
                legend=alt.Legend(orient="bottom"),
            ),
            tooltip=[
                alt.Tooltip("group:N", title="Class"),
                alt.Tooltip("from:Q", title="Probability from", format=".2f"),
                alt.Tooltip("to:Q", title="to", format=".2f"),
                alt.Tooltip("slices:Q", title="Slices"),
                alt.Tooltip("share:Q", title="Share of the class", format=".1%"),
            ],
        )
    )
    threshold = alt.Chart(pd.DataFrame({"from": [0.5]})).mark_rule(color=INK, strokeDash=[5, 4]).encode(x=x)
    return alt.layer(bars, threshold).properties(height=height)
