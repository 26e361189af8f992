"""A chart as a file. The converter, vl-convert, is Vega itself in a library: no browser, no network."""

from __future__ import annotations

import io

import altair as alt

FORMATS = {"svg": "image/svg+xml", "png": "image/png"}
"""Formats with their media types."""

_WIDTH = 760
_PNG_SCALE = 2


def chart_file(chart: alt.TopLevelMixin, kind: str) -> bytes:
    """Draw a chart into a file on a white ground.

    Takes a second, most of it once a process.

    Args:
        chart: A single view, layers, or views one below another; the width of each is set here.
        kind: One of ``FORMATS``.

    Returns:
        The file's content.

    Raises:
        ValueError: Another format.
    """
    if kind not in FORMATS:
        raise ValueError(f"Expected a format out of {', '.join(FORMATS)}. Received: {kind!r}.")
    drawn = chart.copy(deep=True)
    for view in drawn.vconcat if isinstance(drawn, alt.VConcatChart) else [drawn]:
        view.width = _WIDTH
    drawn = drawn.configure(background="white", font="sans-serif", view=alt.ViewConfig(stroke=None))
    if kind == "svg":
        text = io.StringIO()
        drawn.save(text, format="svg")
        return text.getvalue().encode()
    content = io.BytesIO()
    drawn.save(content, format="png", scale_factor=_PNG_SCALE)
    return content.getvalue()
