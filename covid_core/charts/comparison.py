"""Charts of comparisons: frames of ``results.pairs`` -> altair charts."""

from __future__ import annotations

import altair as alt
import pandas as pd

from covid_core.charts import OTHER
from covid_core.charts.studies import BASE, MODIFIED, differences

_ROW = 26


def differences_beside_region(table: pd.DataFrame, title: str, region: float) -> alt.LayerChart:
    """Differences with their intervals over a band of what counts as no difference.

    Args:
        table: As ``charts.studies.differences`` takes it.
        title: What is subtracted from what.
        region: Half the width of the band, 0 for none.
    """
    chart = differences(table, title)
    band = (
        alt.Chart(pd.DataFrame({"from": [-region], "to": [region]}))
        .mark_rect(color=OTHER, opacity=0.18)
        .encode(x=alt.X("from:Q", title=title), x2="to:Q")
    )
    return alt.layer(band, *chart.layer).properties(height=chart.height)


def outcome_bars(table: pd.DataFrame, names: tuple[str, str, str]) -> alt.Chart:
    """Probabilities that the first network is better, that both are equivalent, that the second is better, as one bar.

    Args:
        table: Columns ``label`` (unique), ``better``, ``equivalent``, ``worse``, which add up to 1.
        names: Of the three outcomes, for people.
    """
    columns = dict(zip(("better", "equivalent", "worse"), names, strict=True))
    long = table.rename(columns=columns).melt("label", list(names), "outcome", "probability")
    long["order"] = long["outcome"].map({name: position for position, name in enumerate(names)})
    return (
        alt.Chart(long)
        .mark_bar(height=_ROW * 0.55)
        .encode(
            x=alt.X(
                "probability:Q",
                title="Probability",
                scale=alt.Scale(domain=[0, 1], nice=False),
                axis=alt.Axis(values=[0, 0.25, 0.5, 0.75, 1], format=".2f", labelFlushOffset=-3),
            ),
            y=alt.Y(
                "label:N",
                sort=table["label"].tolist(),
                title=None,
                axis=alt.Axis(labelLimit=300, labelOverlap=False, labelFlush=False, ticks=False, domain=False),
            ),
            color=alt.Color(
                "outcome:N",
                title=None,
                sort=list(names),
                scale=alt.Scale(domain=list(names), range=[BASE, "#c9d2d6", MODIFIED]),
                legend=alt.Legend(orient="bottom", labelLimit=240, columns=1),
            ),
            order=alt.Order("order:Q"),
            tooltip=[
                alt.Tooltip("label:N", title="Pair"),
                alt.Tooltip("outcome:N", title="Outcome"),
                alt.Tooltip("probability:Q", title="Probability", format=".3f"),
            ],
        )
        .properties(height=alt.Step(_ROW))
    )
