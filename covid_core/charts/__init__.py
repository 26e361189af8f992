"""Data frame -> altair chart, and array -> altair chart. Drawing them is the page's business."""

from __future__ import annotations

import math
from collections.abc import Sequence

import altair as alt
import numpy as np
import pandas as pd

INK = "#1b2b34"
"""Error bars, outlines and reference rules."""

FAMILY_COLOURS = {
    "EfficientNet": "#0b6b78",
    "ResNet": "#5b6fb5",
    "DenseNet": "#d08a2e",
    "Inception": "#a2577f",
    "VGG": "#7f9c3b",
}
"""One colour a family, the same on every chart."""

OTHER = "#6b7a84"
"""Networks from elsewhere, which belong to no family of the study."""

_ROW_HEIGHT = 19

_LABEL_WIDTH, _LETTER = 360, 5.5  # pixels beside the bars; of an average letter

_TWO_LINES = "indexof(datum.label, ' · ') < 0 ? datum.label : "
_TWO_LINES += "[split(datum.label, ' · ')[0], join(slice(split(datum.label, ' · '), 1), ' · ')]"


def axis_start(lowest: float, step: float = 0.01) -> float:
    """Where the axis of a score begins: a whole ``step`` below the lowest value drawn, not below 0.

    Scores of good networks lie so close to 1 that on an axis from 0 all bars look the same.

    Args:
        lowest: Smallest value on the chart.
        step: Distance of the axis' whole values.
    """
    # the rounding keeps 0.97 from being 0.9699999 and so one step lower than it has to be
    return max(0.0, (math.floor(round(lowest / step, 6)) - 1) * step)


def score_bars(
    rows: pd.DataFrame, metric: str, title: str, reference: tuple[float, str] | None = None
) -> alt.LayerChart:
    """One bar a row with its interval, best first.

    Args:
        rows: Columns ``label`` (unique), ``family``, ``source``, ``<metric>``, ``<metric>_low``, ``<metric>_high``.
            Rows without a value of the metric are left out; without an interval the bar stands alone.
        metric: Name of the value column.
        title: The metric's name for people.
        reference: A value and what it is, drawn as a dashed rule.

    Returns:
        Chart whose axis starts at ``axis_start`` and says so in its title.
    """
    low, high = f"{metric}_low", f"{metric}_high"
    rows = rows.loc[rows[metric].notna(), ["label", "family", "source", metric, low, high]]
    lowest = rows[[metric, low]].min(axis=None)
    values = [lowest, reference[0]] if reference else [lowest]
    start = axis_start(min(values)) if rows.size else 0.0
    end = max(1.0, math.ceil(rows[[metric, high]].max(axis=None) * 1000 + 1) / 1000) if rows.size else 1.0
    scale = alt.Scale(domain=[start, end], zero=False, nice=False)
    order = rows.sort_values(metric, ascending=False, kind="stable")["label"].tolist()
    # names of ensembles fill a line: what follows them then stands under them, in every row
    long = rows["label"].str.len().max() * _LETTER > _LABEL_WIDTH
    lines = {"labelExpr": _TWO_LINES, "labelLineHeight": 11} if long else {}
    y = alt.Y(
        "label:N",
        sort=order,
        title=None,
        axis=alt.Axis(
            labelLimit=_LABEL_WIDTH, labelOverlap=False, labelFlush=False, ticks=False, domain=False, **lines
        ),
    )
    present = set(rows["family"])
    families = [family for family in FAMILY_COLOURS if family in present] + sorted(present - set(FAMILY_COLOURS))
    colour = alt.Color(
        "family:N",
        title="Family",
        scale=alt.Scale(domain=families, range=[FAMILY_COLOURS.get(family, OTHER) for family in families]),
        legend=alt.Legend(orient="top", title=None, columns=3),  # one row would be cut in a narrow window
    )
    tooltip = [
        alt.Tooltip("label:N", title="Network"),
        alt.Tooltip("source:N", title="Source"),
        alt.Tooltip(f"{metric}:Q", title=title, format=".4f"),
        alt.Tooltip(f"{low}:Q", title="95 % from", format=".4f"),
        alt.Tooltip(f"{high}:Q", title="95 % to", format=".4f"),
    ]
    base = alt.Chart()
    x = alt.X(
        f"{metric}:Q",
        scale=scale,
        title=f"{title} (axis starts at {start:.2f})" if start else title,
        axis=alt.Axis(format=".2f", tickMinStep=0.01, labelFlush=False),
    )
    bars = base.mark_bar(cornerRadiusEnd=2, height=_ROW_HEIGHT * 0.62).encode(
        x=x,
        x2=alt.X2Datum(start),
        y=y,
        color=colour,
        # the study's rows are the background that own rows are compared with
        opacity=alt.condition(alt.datum.source == "published", alt.value(0.55), alt.value(1.0)),
        tooltip=tooltip,
    )
    intervals = (
        base.transform_filter(f"isValid(datum['{low}']) && isValid(datum['{high}'])")
        .mark_rule(color=INK, strokeWidth=1.2)
        .encode(x=alt.X(f"{low}:Q", scale=scale), x2=f"{high}:Q", y=y, tooltip=tooltip)
    )
    layers = [bars, intervals]
    if reference:
        value, text = reference
        left = value > (start + end) / 2  # of its rule, where there is more room
        rule = alt.Chart({"values": [{"value": value, "text": f"{text} {value:.4f}"}]})
        layers += [
            rule.mark_rule(color=INK, strokeDash=[4, 3]).encode(x=alt.X("value:Q", scale=scale)),
            rule.mark_text(
                align="right" if left else "left", baseline="bottom", dx=-4 if left else 4, dy=-2, color=INK
            ).encode(x=alt.X("value:Q", scale=scale), y=alt.value(0), text="text:N"),
        ]
    height = alt.Step(_ROW_HEIGHT * (1.4 if long else 1))
    return alt.layer(*layers, data=_inline(rows)).properties(height=height)


def unvalidated(chart: alt.LayerChart) -> dict:
    """A chart as Vega-Lite, as Streamlit would send it, but not held against Vega-Lite's schema.

    That takes longer than all else that a page does with a chart; tests do it for the charts here.

    Args:
        chart: Its data must be inline: what altair does with data frames is a setting of the whole process, which
            another session may be changing at this moment.
    """
    spec = chart.to_dict(validate=False)
    spec.pop("config", None)  # altair's own sizes; Streamlit has a theme
    return spec


def _inline(frame: pd.DataFrame) -> dict[str, list[dict]]:
    """Rows as altair takes them whatever its settings; missing values are null."""
    return {"values": frame.astype(object).where(frame.notna(), None).to_dict("records")}


def learning_curves(points: pd.DataFrame, title: str) -> alt.LayerChart:
    """Learning curves over the epochs, training dashed and test solid.

    Args:
        points: Columns ``curve`` (one line's name), ``epoch`` (from 1), ``value`` and ``part`` (``"training"`` or
            ``"test"``). Epochs without a value are passed over.
        title: Name of the quantity.
    """
    points = points.dropna(subset="value")
    epochs = int(points["epoch"].max()) if len(points) else 1
    base = alt.Chart(points).encode(
        x=alt.X(
            "epoch:Q",
            title="Epoch",
            scale=alt.Scale(domain=[1, max(2, epochs)], nice=False),
            axis=alt.Axis(tickMinStep=1, format="d", grid=False),
        ),
        y=alt.Y("value:Q", title=title, scale=alt.Scale(zero=False)),
        color=alt.Color("curve:N", title=None, legend=alt.Legend(orient="top", labelLimit=260, columns=3)),
        detail="part:N",
        tooltip=[
            alt.Tooltip("curve:N", title="Fold"),
            alt.Tooltip("part:N", title="Slices"),
            alt.Tooltip("epoch:Q", title="Epoch"),
            alt.Tooltip("value:Q", title=title, format=".4f"),
        ],
    )
    dashes = alt.StrokeDash(
        "part:N",
        title=None,
        scale=alt.Scale(domain=["test", "training"], range=[[1, 0], [4, 3]]),
        legend=alt.Legend(orient="top"),
    )
    # a curve of one value has no line: the points keep it visible
    lines = base.mark_line(strokeWidth=1.8).encode(strokeDash=dashes)
    return alt.layer(lines, base.mark_point(size=14, filled=True)).properties(height=300)


def colour_bar(
    colours: np.ndarray, title: str, domain: tuple[float, float] = (0.0, 1.0), number_format: str = ".2f"
) -> alt.LayerChart:
    """A horizontal scale under a picture.

    Args:
        colours: uint8 ``(n, 3)``, two or more: the colours from the first to the last value at equal distances.
        title: What the colour stands for.
        domain: First and last value.
        number_format: Of the values, as D3 formats them.
    """
    low, high = domain
    stops = [
        alt.GradientStop(color=f"#{red:02x}{green:02x}{blue:02x}", offset=position)
        for position, (red, green, blue) in zip(np.linspace(0, 1, len(colours)).tolist(), colours, strict=True)
    ]
    bar = (
        alt.Chart(pd.DataFrame({"start": [low], "end": [high]}))
        .mark_rect(color=alt.Gradient(gradient="linear", stops=stops, x1=0, x2=1, y1=0, y2=0))
        .encode(
            x=alt.X(
                "start:Q",
                title=title,
                scale=alt.Scale(domain=[low, high], nice=False, zero=False),
                axis=alt.Axis(
                    values=np.linspace(low, high, 5).tolist(),
                    format=number_format,
                    labelFlushOffset=-3,
                    grid=False,
                    titlePadding=4,
                ),
            ),
            x2="end:Q",
        )
    )
    # Streamlit fits axis, labels and title into this height too
    return alt.layer(bar).properties(height=72)


def vector_bars(
    values: Sequence[float], names: Sequence[str], title: str, domain: tuple[float, float] | None = None
) -> alt.Chart:
    """A layer's vector as bars in the order of its units.

    Args:
        values: One number a unit.
        names: One name a unit.
        title: What the numbers are.
        domain: Ends of their axis; by default as the values need it.
    """
    scale = alt.Scale(domain=list(domain)) if domain else alt.Scale()
    frame = pd.DataFrame({"unit": list(names), "value": np.asarray(values, dtype=float)})
    few = len(frame) <= 16
    return (
        alt.Chart(frame)
        .mark_bar(color=FAMILY_COLOURS["EfficientNet"])
        .encode(
            x=alt.X(
                "unit:N",
                sort=None,
                title="Unit",
                axis=alt.Axis(labels=few, ticks=few, labelAngle=0, labelLimit=160),
            ),
            y=alt.Y("value:Q", title=title, scale=scale),
            tooltip=[alt.Tooltip("unit:N", title="Unit"), alt.Tooltip("value:Q", title=title, format=".4f")],
        )
        .properties(height=320)
    )


def outlined(image: np.ndarray, mask: np.ndarray, colour: tuple[int, int, int] = (255, 255, 255)) -> np.ndarray:
    """A picture with the outline of a mask.

    Args:
        image: uint8 RGB ``(H, W, 3)``.
        mask: bool ``(H, W)``.
        colour: RGB, 0-255.

    Returns:
        uint8 RGB ``(H, W, 3)``: the mask's edge, inside it and about 1/200 of the picture wide, in ``colour``.

    Raises:
        ValueError: The shapes do not belong together.
    """
    if image.shape != (*mask.shape, 3):
        raise ValueError(f"Expected an image (H, W, 3) and a mask (H, W). Received: {image.shape} and {mask.shape}.")
    inner = mask
    for _ in range(max(1, round(max(mask.shape) / 200))):
        # beyond the picture's border there is no mask: the border is an edge too
        padded = np.pad(inner, 1)
        inner = inner & padded[:-2, 1:-1] & padded[2:, 1:-1] & padded[1:-1, :-2] & padded[1:-1, 2:]
    result = image.copy()
    result[mask & ~inner] = colour
    return result
