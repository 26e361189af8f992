"""Tables and charts with buttons that save them."""

from __future__ import annotations

from functools import partial

import altair as alt
import pandas as pd
import streamlit as st

from covid_core.charts.files import FORMATS, chart_file


def csv_button(label: str, table: pd.DataFrame, name: str) -> None:
    """Draw a button that saves a table.

    Args:
        label: On the button.
        table: What is saved, without its index.
        name: Of the file, without ending; the button's key too.
    """
    st.download_button(
        label,
        lambda: table.to_csv(index=False).encode(),
        file_name=f"{name}.csv",
        mime="text/csv",
        key=f"{name}_csv",
        icon=":material/download:",
        on_click="ignore",
    )


def draw_chart(chart: alt.TopLevelMixin, name: str, alt_text: str, table: pd.DataFrame | None = None) -> None:
    """Draw a chart with buttons that save it as SVG and as PNG; a file is made when its button is pressed.

    Args:
        chart: As ``charts.files.chart_file`` takes it.
        name: Of the files, without ending; the chart's key too.
        alt_text: What the chart shows, for readers who cannot see it.
        table: What stands behind it, for a third button that saves it as CSV.
    """
    st.altair_chart(chart, key=name, alt=alt_text)
    with st.container(horizontal=True):
        for kind, mime in FORMATS.items():
            st.download_button(
                f"Chart as {kind.upper()}",
                partial(chart_file, chart, kind),
                file_name=f"{name}.{kind}",
                mime=mime,
                key=f"{name}_{kind}",
                icon=":material/image:",
                on_click="ignore",
            )
        if table is not None:
            csv_button("Data as CSV", table, name)
