"""Charts of one network: frames of ``results.curves``, ``calibration`` and ``operating`` -> altair charts."""

from __future__ import annotations

import altair as alt
import pandas as pd

from covid_core.charts import FAMILY_COLOURS, INK, OTHER

CURVE, POINT = FAMILY_COLOURS["EfficientNet"], FAMILY_COLOURS["DenseNet"]
MEASURES = {
    "sensitivity": ("Sensitivity", FAMILY_COLOURS["EfficientNet"]),
    "specificity": ("Specificity", FAMILY_COLOURS["ResNet"]),
    "ppv": ("Positive predictive value", FAMILY_COLOURS["DenseNet"]),
    "npv": ("Negative predictive value", FAMILY_COLOURS["Inception"]),
}
"""What a threshold moves: name for people and colour."""

HEIGHT = 340
"""Of a chart, in pixels, with axes and legend."""

_PADDING = {"left": 5, "top": 8, "right": 8, "bottom": 5}  # named, or Streamlit adds room below
_UNIT = alt.Scale(domain=[0, 1], nice=False)
_AXIS = alt.Axis(values=[0, 0.2, 0.4, 0.6, 0.8, 1], format=".1f", labelFlush=False)


def roc(curve: pd.DataFrame, point: pd.DataFrame) -> alt.LayerChart:
    """ROC curve with its band over the diagonal of chance.

    Args:
        curve: Columns ``x``, ``y``, ``low``, ``high`` as ``results.curves.Curves.roc`` has them.
        point: One row ``threshold``, ``x``, ``y``: where the threshold stands.
    """
    diagonal = pd.DataFrame({"x": [0.0, 1.0], "y": [0.0, 1.0]})
    # upright from the origin: at a rate of 0 the curve stands at what is found without any false alarm
    origin = pd.DataFrame({"x": [0.0], "y": [0.0], "low": [0.0], "high": [0.0]})
    curve = pd.concat([origin, curve], ignore_index=True)
    return _curve(curve, diagonal, point, ("False positive rate, 1 − specificity", "True positive rate, sensitivity"))


def precision_recall(curve: pd.DataFrame, prevalence: float, point: pd.DataFrame) -> alt.LayerChart:
    """Precision-recall curve with its band over the precision of calling every slice positive.

    Args:
        curve: As for ``roc``, of ``results.curves.Curves.precision_recall``.
        prevalence: Share of positive slices.
        point: As for ``roc``.
    """
    chance = pd.DataFrame({"x": [0.0, 1.0], "y": [prevalence, prevalence]})
    return _curve(curve, chance, point, ("Recall, sensitivity", "Precision"))


def by_threshold(points: pd.DataFrame, threshold: float) -> alt.LayerChart:
    """What every threshold would give, with intervals, and where the chosen one stands.

    Args:
        points: Column ``threshold``, and each of ``MEASURES`` with ``_low`` and ``_high``; gaps where not defined.
        threshold: The chosen one.
    """
    parts = [
        points[["threshold", name, f"{name}_low", f"{name}_high"]]
        .set_axis(["threshold", "value", "low", "high"], axis=1)
        .assign(measure=title)
        for name, (title, _) in MEASURES.items()
    ]
    long = pd.concat(parts, ignore_index=True).dropna(subset="value")
    titles, colours = zip(*MEASURES.values(), strict=True)
    x = alt.X("threshold:Q", title="Threshold", scale=_UNIT, axis=_AXIS)
    base = alt.Chart(long).encode(
        x=x,
        color=alt.Color(
            "measure:N",
            title=None,
            scale=alt.Scale(domain=list(titles), range=list(colours)),
            legend=alt.Legend(
                orient="bottom", columns=2, labelLimit=240, symbolType="stroke", symbolOpacity=1, symbolStrokeWidth=3
            ),
        ),
    )
    bands = base.mark_area(opacity=0.14).encode(y=alt.Y("low:Q", title=None, scale=_UNIT, axis=_AXIS), y2="high:Q")
    lines = base.mark_line(strokeWidth=2).encode(
        y=alt.Y("value:Q", title=None, scale=_UNIT, axis=_AXIS),
        tooltip=[
            alt.Tooltip("measure:N", title="Measure"),
            alt.Tooltip("threshold:Q", title="Threshold", format=".2f"),
            alt.Tooltip("value:Q", title="Value", format=".3f"),
            alt.Tooltip("low:Q", title="95 % from", format=".3f"),
            alt.Tooltip("high:Q", title="95 % to", format=".3f"),
        ],
    )
    rule = alt.Chart(pd.DataFrame({"threshold": [threshold]})).mark_rule(color=INK, strokeDash=[5, 4]).encode(x=x)
    return alt.layer(bands, lines, rule).properties(height=HEIGHT + 60, padding=_PADDING)


def reliability_diagram(table: pd.DataFrame, positive: str) -> alt.LayerChart:
    """What is so over what is said, with intervals, beside the diagonal of probabilities that are right.

    Args:
        table: As ``results.calibration.reliability`` gives it.
        positive: Name of the positive class.
    """
    x = alt.X("predicted:Q", title=f"Mean probability of {positive} in the bin", scale=_UNIT, axis=_AXIS)
    y_title = f"Share of {positive} slices in the bin"
    diagonal = pd.DataFrame({"predicted": [0.0, 1.0], "observed": [0.0, 1.0]})
    ideal = alt.Chart(diagonal).mark_line(color=OTHER, strokeDash=[5, 4], strokeWidth=1.2)
    base = alt.Chart(table).encode(
        x=x,
        tooltip=[
            alt.Tooltip("predicted:Q", title="Mean probability", format=".4f"),
            alt.Tooltip("observed:Q", title=f"Share of {positive}", format=".3f"),
            alt.Tooltip("low:Q", title="95 % from", format=".3f"),
            alt.Tooltip("high:Q", title="95 % to", format=".3f"),
            alt.Tooltip("slices:Q", title="Slices"),
        ],
    )
    y = alt.Y("observed:Q", title=y_title, scale=_UNIT, axis=_AXIS)
    return alt.layer(
        ideal.encode(x=x, y=y),
        base.mark_line(color=CURVE, strokeWidth=1.2, opacity=0.5).encode(y=y),
        base.mark_rule(color=CURVE, strokeWidth=2).encode(
            y=alt.Y("low:Q", title=y_title, scale=_UNIT, axis=_AXIS), y2="high:Q"
        ),
        base.mark_point(color=CURVE, filled=True, size=70, opacity=1).encode(y=y),
    ).properties(height=HEIGHT, padding=_PADDING)


def _curve(curve: pd.DataFrame, chance: pd.DataFrame, point: pd.DataFrame, titles: tuple[str, str]) -> alt.LayerChart:
    x = alt.X("x:Q", title=titles[0], scale=_UNIT, axis=_AXIS)
    y = alt.Y("y:Q", title=titles[1], scale=_UNIT, axis=_AXIS)
    curve = curve.dropna(subset="y")
    base = alt.Chart(curve).encode(
        x=x,
        tooltip=[
            alt.Tooltip("x:Q", title=titles[0].split(",")[0], format=".3f"),
            alt.Tooltip("y:Q", title=titles[1].split(",")[0], format=".3f"),
            alt.Tooltip("low:Q", title="95 % from", format=".3f"),
            alt.Tooltip("high:Q", title="95 % to", format=".3f"),
        ],
    )
    threshold = alt.Chart(point.dropna()).mark_point(color=POINT, filled=True, size=130, opacity=1, stroke="white")
    return alt.layer(
        alt.Chart(chance).mark_line(color=OTHER, strokeDash=[5, 4], strokeWidth=1.2).encode(x=x, y=y),
        base.transform_filter("isValid(datum.low)")
        .mark_area(color=CURVE, opacity=0.2)
        .encode(y=alt.Y("low:Q", title=titles[1], scale=_UNIT, axis=_AXIS), y2="high:Q"),
        base.mark_line(color=CURVE, strokeWidth=2).encode(y=y),
        threshold.encode(
            x=x,
            y=y,
            tooltip=[
                alt.Tooltip("threshold:Q", title="Threshold", format=".2f"),
                alt.Tooltip("x:Q", title=titles[0].split(",")[0], format=".3f"),
                alt.Tooltip("y:Q", title=titles[1].split(",")[0], format=".3f"),
            ],
        ),
    ).properties(height=HEIGHT, padding=_PADDING)
